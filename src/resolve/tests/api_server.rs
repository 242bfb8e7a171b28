//! What the API server does with what is planned, and with what somebody else writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::*;
use crate::resource::DERIVED_FROM_LABEL;

impl Bench {
    /// What is to be written besides statuses.
    pub(super) fn writes(&self) -> Vec<Plan> {
        let all = self.resolution.plans().flat_map(|(_, plans)| plans);
        let is_write = |plan: &&Plan| {
            !matches!(
                plan,
                Plan::ServiceStatus { .. } | Plan::ProviderStatus { .. }
            )
        };
        all.filter(is_write).cloned().collect()
    }

    /// Does what the plans say, as the API server would, until nothing is left to do.
    pub(in crate::resolve) fn obey(&mut self) -> &mut Self {
        for _ in 0..6 {
            let writes = self.writes();
            if writes.is_empty() {
                return self;
            }
            for write in writes {
                self.write(write);
            }
            self.settle();
        }
        panic!("the plans never come to rest: {:?}", self.writes());
    }

    pub(super) fn write(&mut self, plan: Plan) {
        match plan {
            Plan::Annotations { ingress, action } => {
                let by = |asker: Asker| asker.field_manager("vestibule");
                match &action {
                    AnnotationAction::Write {
                        values,
                        asker,
                        was_for_other,
                    } => {
                        let other = asker.other();
                        if *was_for_other {
                            self.hold(&ingress, &by(other), Some(values));
                        }
                        self.hold(&ingress, &by(*asker), Some(values));
                        if *was_for_other {
                            self.hold(&ingress, &by(other), None);
                        }
                    }
                    AnnotationAction::Remove { adopt_first } => {
                        if let Some(values) = adopt_first {
                            self.hold(&ingress, &by(Asker::Ingress), Some(values));
                        }
                        for asker in [Asker::Ingress, Asker::Service] {
                            self.hold(&ingress, &by(asker), None);
                        }
                    }
                }
                self.reproject(&ingress);
            }
            Plan::Endpoint { name, action } => {
                let key = Key {
                    namespace: "vestibule".into(),
                    name,
                };
                match action {
                    EndpointAction::Apply(endpoint) => {
                        let mut manifest = endpoint
                            .manifest(&self.installation, crate::policy::Moment(1_800_000_000));
                        manifest.metadata.managed_fields = Some(vec![]);
                        self.ingresses.insert(key.clone(), manifest);
                        self.reproject(&key);
                    }
                    EndpointAction::Delete => {
                        self.ingresses.remove(&key);
                        self.resolution.apply(Change::Ingress(key, None));
                    }
                }
            }
            Plan::Derived { key, action } => {
                let change = match action {
                    DerivedAction::Apply { ingress_uid, spec } => {
                        let mut meta = kube::api::ObjectMeta {
                            uid: Some(format!("uid-of-{key}")),
                            generation: Some(1),
                            ..kube::api::ObjectMeta::default()
                        };
                        meta.labels = Some(BTreeMap::from([(
                            DERIVED_FROM_LABEL.to_owned(),
                            "ingress".to_owned(),
                        )]));
                        let owner = OwnerReference {
                            kind: "Ingress".to_owned(),
                            uid: ingress_uid.to_string(),
                            ..OwnerReference::default()
                        };
                        meta.owner_references = Some(vec![owner]);
                        let spec = serde_json::to_value(&*spec).unwrap();
                        Some(Arc::new(project_protected_service(&meta, &spec, None)))
                    }
                    DerivedAction::Delete { .. } => None,
                };
                self.resolution.apply(Change::ProtectedService(key, change));
            }
            Plan::ServiceStatus { .. } | Plan::ProviderStatus { .. } => {}
        }
    }

    /// Puts a ProtectedService there that claims to have been made from an Ingress's annotations.
    pub(super) fn forge_derived(&mut self, name: &str, owner: Option<&str>) {
        let key = key(name);
        let meta = kube::api::ObjectMeta {
            uid: Some("uid-of-a-forgery".to_owned()),
            labels: Some(BTreeMap::from([(
                DERIVED_FROM_LABEL.to_owned(),
                "ingress".to_owned(),
            )])),
            owner_references: owner.map(|uid| {
                vec![OwnerReference {
                    kind: "Ingress".to_owned(),
                    name: key.name.to_string(),
                    uid: uid.to_owned(),
                    ..OwnerReference::default()
                }]
            }),
            ..kube::api::ObjectMeta::default()
        };
        let spec = json!({"targetRefs": [], "anyAuthenticated": true});
        let forged = Arc::new(project_protected_service(&meta, &spec, None));
        self.resolution
            .apply(Change::ProtectedService(key, Some(forged)));
        self.settle();
    }

    /// Server-side apply of the three keys by a field manager of ours; without values, of none.
    pub(super) fn hold(
        &mut self,
        key: &Key,
        manager: &str,
        values: Option<&crate::dataplane::ingress_nginx::Values>,
    ) {
        let ingress = self.ingresses.get_mut(key).unwrap();
        let ours = [AUTH_URL, AUTH_SIGNIN, AUTH_RESPONSE_HEADERS];
        let annotations = ingress.metadata.annotations.get_or_insert_default();
        let fields = ingress.metadata.managed_fields.get_or_insert_default();
        let held_by = |entry: &ManagedFieldsEntry, key: &str| {
            entry.fields_v1.as_ref().is_some_and(|f| {
                f.0.pointer("/f:metadata/f:annotations")
                    .is_some_and(|a| a.get(format!("f:{key}")).is_some())
            })
        };
        let is_us = |entry: &ManagedFieldsEntry| entry.manager.as_deref() == Some(manager);
        if let Some(values) = values {
            for (key, value) in ours
                .iter()
                .zip([&values.url, &values.signin, &values.headers])
            {
                let foreign = fields
                    .iter()
                    .any(|entry| !is_us(entry) && held_by(entry, key));
                assert!(
                    !foreign || annotations.get(*key).map(String::as_str) == Some(value),
                    "409: {key}"
                );
                annotations.insert((*key).to_owned(), value.to_string());
            }
            fields.retain(|entry| !is_us(entry));
            let held: Value = ours
                .iter()
                .map(|key| (format!("f:{key}"), json!({})))
                .collect();
            fields.push(ManagedFieldsEntry {
                manager: Some(manager.to_owned()),
                operation: Some("Apply".to_owned()),
                fields_v1: Some(FieldsV1(json!({"f:metadata": {"f:annotations": held}}))),
                ..ManagedFieldsEntry::default()
            });
        } else {
            let had = fields.iter().any(is_us);
            fields.retain(|entry| !is_us(entry));
            for key in ours {
                if had && !fields.iter().any(|entry| held_by(entry, key)) {
                    annotations.remove(key);
                }
            }
        }
    }
}
