//! What vanished while a watch was interrupted: what the World knows and the list after that does not have.

use std::{collections::HashSet, sync::Arc};

use super::{
    metrics::Kind,
    projections::{Seen, StatusSeen},
};
use crate::{
    resolve::{Change, World},
    resource::Key,
};

/// What to take in for the objects of a kind that are not among those that were seen.
pub(super) fn vanished(world: &World, kind: Kind, seen: &HashSet<Key>) -> Vec<Seen> {
    let is_gone = |key: &&Key| !seen.contains(*key);
    let is_name_gone = |name: &&Arc<str>| {
        !seen.contains(&Key {
            namespace: "".into(),
            name: Arc::clone(name),
        })
    };
    match kind {
        Kind::Ingress => {
            let gone = world.ingresses().filter(is_gone);
            gone.map(|key| Change::Ingress(key.clone(), None).into())
                .collect()
        }
        Kind::ProtectedService => {
            let gone = world.services().map(|(key, _)| key).filter(is_gone);
            gone.map(|key| Seen {
                change: Some(Change::ProtectedService(key.clone(), None)),
                status: Some(StatusSeen::Service(key.clone(), None)),
            })
            .collect()
        }
        Kind::IdentityProvider => {
            let gone = world.providers().map(|(name, _)| name).filter(is_name_gone);
            gone.map(|name| Seen {
                change: Some(Change::IdentityProvider(Arc::clone(name), None)),
                status: Some(StatusSeen::Provider(Arc::clone(name), None)),
            })
            .collect()
        }
        Kind::Namespace => {
            let gone = world.namespaces().filter(is_name_gone);
            gone.map(|name| Change::Namespace(Arc::clone(name), None).into())
                .collect()
        }
        Kind::IngressClass => {
            let gone = world.classes().filter(is_name_gone);
            gone.map(|name| Change::IngressClass(Arc::clone(name), None).into())
                .collect()
        }
        // All of one namespace.
        Kind::Secret => {
            let names: HashSet<&str> = seen.iter().map(|key| &*key.name).collect();
            let gone = world.secrets().filter(|name| !names.contains(&***name));
            gone.map(|name| Change::Secret(Arc::clone(name), None).into())
                .collect()
        }
        Kind::EndpointIngress | Kind::ProtectedServiceStatus | Kind::IdentityProviderStatus => {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        dataplane::DataPlane,
        resolve::{Place, Settings, project_identity_provider, project_protected_service},
    };

    fn world() -> World {
        World::new(Arc::new(Settings {
            installation: Arc::default(),
            place: Place::Replica,
            data_planes: vec![DataPlane::IngressNginx],
        }))
    }

    #[test]
    fn what_a_list_does_not_have_any_more_is_gone_and_nothing_of_other_kinds() {
        let mut world = world();
        let spec = json!({"targetRefs": [{"name": "x"}]});
        for name in ["a", "b"] {
            let service = project_protected_service(&Default::default(), &spec, None);
            let service = Some(Arc::new(service));
            world.apply(Change::ProtectedService(Key::new("team", name), service));
            let provider = project_identity_provider(&Default::default(), &json!({}), None);
            let provider = Some(Arc::new(provider));
            world.apply(Change::IdentityProvider(name.into(), provider));
            world.apply(Change::Secret(name.into(), Some(Default::default())));
            world.apply(Change::Namespace(name.into(), Some(Default::default())));
        }
        let gone = |kind, seen: [(&str, &str); 1]| {
            let seen = seen.map(|(namespace, name)| Key::new(namespace, name));
            let gone = vanished(&world, kind, &HashSet::from(seen)).into_iter();
            let changes = gone.map(|seen| format!("{:?}", seen.change.unwrap()));
            changes.collect::<Vec<_>>()
        };
        assert_eq!(
            gone(Kind::ProtectedService, [("team", "a")]),
            ["ProtectedService(team/b, None)"]
        );
        assert_eq!(
            gone(Kind::ProtectedService, [("other", "a")]).len(),
            2,
            "of another namespace"
        );
        assert_eq!(
            gone(Kind::IdentityProvider, [("", "a")]),
            [r#"IdentityProvider("b", None)"#]
        );
        assert_eq!(
            gone(Kind::Namespace, [("", "b")]),
            [r#"Namespace("a", None)"#]
        );
        assert_eq!(
            gone(Kind::Secret, [("vestibule", "a")]),
            [r#"Secret("b", None)"#]
        );
        assert!(gone(Kind::Ingress, [("team", "a")]).is_empty());
    }
}
