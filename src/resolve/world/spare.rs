//! What a process need not keep of an object: what it never reads, and what another object has as well.

use std::sync::Arc;

use super::World;
use crate::{
    resolve::{Ingress, KeyState, OurKeys, ProtectedService, Spec, asked, shared::Shared},
    resource::{Annotations, Key, ProtectedServiceSpec, TargetRef},
};

/// Parts that many objects have in common.
#[derive(Debug, Default)]
pub(super) struct SharedParts {
    asks: Shared<Annotations>,
    keys: Shared<OurKeys>,
    specs: Shared<ProtectedServiceSpec>,
}

impl World {
    pub(super) fn spare_ingress(&mut self, key: &Key, ingress: &mut Ingress) {
        if let Some(asks) = &mut ingress.asks {
            self.shared.asks.share(asks);
        }
        if self.settings.controller().is_some() {
            return;
        }
        // They are compared by whoever writes them, and are the largest part of an Ingress.
        let mut keys = OurKeys {
            url: ingress.keys.url.clone(),
            ..OurKeys::default()
        };
        if !self.settings.reports() {
            // Nor is anybody told here who else holds them.
            let KeyState {
                by_ingress,
                by_service,
                ..
            } = keys.url;
            // What the value says is noted as well, since the value goes.
            let is_ours = asked::are_ours(&ingress.keys, key);
            keys.url = KeyState {
                by_ingress,
                by_service: by_service || (is_ours && !by_ingress),
                ..KeyState::default()
            };
        }
        ingress.keys = Arc::new(keys);
        self.shared.keys.share(&mut ingress.keys);
    }

    pub(super) fn spare_service(&mut self, service: &mut ProtectedService) {
        if self.settings.reports() {
            return;
        }
        // For Events, and for whoever deletes.
        service.uid = Arc::default();
        if let Spec::Read(spec) = &mut service.spec
            // Others close the service, and say so.
            && spec.target_refs.iter().all(TargetRef::is_ingress)
        {
            Arc::make_mut(spec).target_refs = Vec::new();
            self.shared.specs.share(spec);
        }
    }
}
