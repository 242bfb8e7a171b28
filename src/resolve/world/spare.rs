//! What a process need not keep of an object: what it never reads, and what another object has as well.

use std::{collections::BTreeMap, sync::Arc};

use super::World;
use crate::{
    resolve::{
        Class, Ingress, IngressPath, KeyState, OurKeys, ProtectedService, Spec, asked,
        host::HostFacts, shared::Shared,
    },
    resource::{Annotations, Key, ProtectedServiceSpec, TargetRef},
};

/// Parts that many objects have in common.
#[derive(Debug, Default)]
pub(super) struct SharedParts {
    asks: Shared<Annotations>,
    keys: Shared<OurKeys>,
    specs: Shared<ProtectedServiceSpec>,
    nginx: Shared<BTreeMap<String, String>>,
    paths: Shared<[IngressPath]>,
    /// Of namespaces and classes.
    names: Shared<str>,
    /// Of hosts with one Ingress, those of a namespace are the same.
    pub(super) facts: Shared<HostFacts>,
}

impl World {
    /// The same name, in the memory that it has already.
    pub(super) fn as_known(&mut self, mut key: Key) -> Key {
        if let Some((known, _)) = self.subjects.get_key_value(&key) {
            return known.clone();
        }
        self.shared.names.share(&mut key.namespace);
        key
    }

    /// A replica writes no endpoint Ingresses, and one that says nothing of sessions tells it nothing. There is one for
    /// each host.
    pub(super) fn keeps_ingress(&self, ingress: &Ingress) -> bool {
        self.settings.reports() || !ingress.is_endpoint || ingress.sessions.is_some()
    }

    /// Nothing is decided by a ProtectedService that was made from annotations.
    pub(super) fn keeps_service(&self, service: &ProtectedService) -> bool {
        self.settings.reports() || service.derived_from.is_none()
    }

    pub(super) fn spare_ingress(&mut self, key: &Key, ingress: &mut Ingress) {
        if let Some(asks) = &mut ingress.asks {
            self.shared.asks.share(asks);
        }
        self.shared.nginx.share(&mut ingress.nginx);
        if let Class::Field(name) | Class::Annotation(name) = &mut ingress.class {
            self.shared.names.share(name);
        }
        if !self.settings.reports() {
            // For Events, and for whoever writes.
            ingress.uid = Arc::default();
            // The data plane knows them, and they differ in each Ingress.
            for rule in &mut ingress.rules {
                for path in Arc::make_mut(&mut rule.paths) {
                    path.backend = None;
                }
            }
        }
        for rule in &mut ingress.rules {
            self.shared.paths.share(&mut rule.paths);
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

    pub(super) fn spare_service(&mut self, key: &Key, service: &mut ProtectedService) {
        for target in service.targets.iter_mut().flatten() {
            let name = Key {
                namespace: Arc::clone(&key.namespace),
                name: Arc::clone(target),
            };
            // Often an Ingress of its own name.
            *target = match self.subjects.get_key_value(&name) {
                Some((known, _)) => Arc::clone(&known.name),
                None if name.name == key.name => Arc::clone(&key.name),
                None => name.name,
            };
        }
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
