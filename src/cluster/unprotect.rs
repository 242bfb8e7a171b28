//! Taking the protection off by hand, whether or not a controller runs: first the wish, then what it caused, so
//! that a running controller finds nothing to put back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use k8s_openapi::{
    api::networking::v1::Ingress, apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams},
    core::PartialObjectMetaExt,
};
use serde_json::{Value, json};

use crate::{
    dataplane::ingress_nginx::are_ours,
    resolve::Asker,
    resource::{
        AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL, Annotations, DERIVED_FROM_LABEL,
        ENDPOINT_HOST_LABEL, INSTANCE_LABEL, Key, OptIn, ProtectedService, ProtectedServiceObject,
    },
};

/// The annotation that asks for protection.
const PROTECT: &str = "vestibule.dev/protect";
const OUR_PREFIX: &str = "vestibule.dev/";

/// Which Ingresses to take the protection off.
#[derive(Clone, Debug)]
pub enum Selection {
    /// These.
    These(BTreeSet<Key>),
    /// All of a namespace, or of the cluster.
    All {
        /// The namespace, if only one is meant.
        namespace: Option<String>,
    },
}

/// What there is.
#[derive(Debug, Default)]
pub struct Found {
    ingresses: Vec<Ingress>,
    services: Vec<ProtectedServiceObject>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The Ingress shall not ask for protection any more.
    OptOut(Key),
    /// Take our three annotations off it.
    TakeOff {
        /// Which Ingress.
        ingress: Key,
        /// Its hosts, for the words.
        hosts: Vec<String>,
    },
    /// Delete the ProtectedService made from its annotations.
    DeleteDerived(Key),
    /// Delete an endpoint Ingress.
    DeleteEndpoint(Key),
}

/// Reads what there is with the caller's rights.
///
/// # Errors
/// If the Ingresses or the ProtectedServices cannot be listed.
pub async fn find(client: &Client) -> kube::Result<Found> {
    let params = ListParams::default();
    let ingresses = Api::<Ingress>::all(client.clone()).list(&params).await?;
    let services = Api::<ProtectedServiceObject>::all(client.clone());
    let services = match services.list(&params).await {
        Ok(list) => list.items,
        // Without the CRD there are none, and the annotations are still there.
        Err(kube::Error::Api(status)) if status.is_not_found() => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(Found {
        ingresses: ingresses.items,
        services,
    })
}

// === impl Found ===

impl Found {
    /// The Ingresses of a selection that do not exist.
    #[must_use]
    pub fn missing(&self, selection: &Selection) -> Vec<Key> {
        let Selection::These(keys) = selection else {
            return Vec::new();
        };
        let found: BTreeSet<Key> = self.ingresses.iter().map(key).collect();
        keys.difference(&found).cloned().collect()
    }

    /// What is to be done, in order.
    #[must_use]
    pub fn steps(&self, selection: &Selection, instance: &str) -> Vec<Step> {
        let chosen = |ingress: &&Ingress| !is_endpoint(ingress, instance) && selection.has(ingress);
        let chosen: Vec<&Ingress> = self.ingresses.iter().filter(chosen).collect();
        let mut steps = Vec::new();
        for ingress in &chosen {
            let key = key(*ingress);
            if asks(ingress) || self.is_targeted(&key, instance) {
                steps.push(Step::OptOut(key.clone()));
            }
            if carries_ours(ingress, instance) {
                let hosts = hosts(ingress).map(ToOwned::to_owned).collect();
                steps.push(Step::TakeOff {
                    ingress: key,
                    hosts,
                });
            }
        }
        let keys: BTreeSet<Key> = chosen.iter().map(|ingress| key(*ingress)).collect();
        let derived = self
            .services
            .iter()
            .filter(|service| is_derived(*service, instance) && keys.contains(&key(*service)));
        steps.extend(derived.map(|service| Step::DeleteDerived(key(service))));
        steps.extend(self.endpoints_without_use(&keys, selection, instance));
        steps
    }

    fn is_targeted(&self, ingress: &Key, instance: &str) -> bool {
        self.services.iter().any(|service| {
            let targets = service.spec.get("targetRefs").and_then(Value::as_array);
            let named =
                |target: &Value| target.get("name").and_then(Value::as_str) == Some(&ingress.name);
            !is_derived(service, instance)
                && service.namespace().as_deref() == Some(&ingress.namespace)
                && targets.is_some_and(|targets| targets.iter().any(named))
        })
    }

    /// Endpoint Ingresses whose host no other Ingress of ours has.
    fn endpoints_without_use<'a>(
        &'a self,
        chosen: &'a BTreeSet<Key>,
        selection: &'a Selection,
        instance: &'a str,
    ) -> impl Iterator<Item = Step> + 'a {
        let of_chosen = |host: &str| {
            let mut ingresses = self.ingresses.iter();
            ingresses.any(|i| chosen.contains(&key(i)) && hosts(i).any(|name| name == host))
        };
        let in_use = move |host: &str| {
            self.ingresses.iter().any(|ingress| {
                !is_endpoint(ingress, instance)
                    && !chosen.contains(&key(ingress))
                    && carries_ours(ingress, instance)
                    && hosts(ingress).any(|name| name == host)
            })
        };
        let everything = matches!(selection, Selection::All { namespace: None });
        let endpoints = self
            .ingresses
            .iter()
            .filter(move |i| is_endpoint(i, instance));
        let unused = endpoints.filter(move |endpoint| {
            let mut own = hosts(endpoint);
            everything || own.all(|host| of_chosen(host) && !in_use(host))
        });
        unused.map(|endpoint| Step::DeleteEndpoint(key(endpoint)))
    }
}

// === impl Selection ===

impl Selection {
    fn has(&self, ingress: &Ingress) -> bool {
        match self {
            Self::These(keys) => keys.contains(&key(ingress)),
            Self::All { namespace: None } => true,
            Self::All {
                namespace: Some(namespace),
            } => ingress.namespace().as_ref() == Some(namespace),
        }
    }
}

// === impl Step ===

impl Step {
    /// Does it. Doing it twice does no harm.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn take(&self, client: &Client, instance: &str) -> kube::Result<()> {
        match self {
            Self::OptOut(key) => {
                let patch = json!({"metadata": {"annotations": {PROTECT: "false"}}});
                let api = Api::<Ingress>::namespaced(client.clone(), &key.namespace);
                let params = PatchParams {
                    field_manager: Some("vestibule-unprotect".to_owned()),
                    ..PatchParams::default()
                };
                let patched = api
                    .patch_metadata(&key.name, &params, &Patch::Merge(patch))
                    .await;
                patched.map(drop)
            }
            Self::TakeOff { ingress, .. } => take_off(client, ingress, instance).await,
            Self::DeleteDerived(key) => {
                delete(
                    Api::<ProtectedService>::namespaced(client.clone(), &key.namespace),
                    key,
                )
                .await
            }
            Self::DeleteEndpoint(key) => {
                delete(
                    Api::<Ingress>::namespaced(client.clone(), &key.namespace),
                    key,
                )
                .await
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OptOut(key) => write!(f, "Ingress {key}: set {PROTECT} to \"false\""),
            Self::TakeOff { ingress, hosts } => write!(
                f,
                "Ingress {ingress}: take auth-url, auth-signin and auth-response-headers off; {} then open to everyone",
                match hosts.as_slice() {
                    [] => "it is".to_owned(),
                    [one] => format!("{one} is"),
                    several => format!("{} are", several.join(", ")),
                }
            ),
            Self::DeleteDerived(key) => {
                write!(f, "ProtectedService {key}, made from annotations: delete")
            }
            Self::DeleteEndpoint(key) => write!(f, "endpoint Ingress {key}: delete"),
        }
    }
}

async fn take_off(client: &Client, key: &Key, instance: &str) -> kube::Result<()> {
    let api: Api<Ingress> = Api::namespaced(client.clone(), &key.namespace);
    // An empty map, not none: see Pen::annotate.
    let nothing = ObjectMeta {
        annotations: Some(BTreeMap::new()),
        ..ObjectMeta::default()
    }
    .into_request_partial::<Ingress>();
    let mut left = BTreeMap::new();
    for asker in [Asker::Ingress, Asker::Service] {
        let manager = PatchParams::apply(&asker.field_manager(instance));
        let applied = api
            .patch_metadata(&key.name, &manager, &Patch::Apply(&nothing))
            .await;
        match applied {
            Ok(ingress) => left = ingress.metadata.annotations.unwrap_or_default(),
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    // What admission wrote belongs to no field manager, and `kubectl` may have taken ours over.
    let left = ours_among(key, &left);
    if left.is_empty() {
        return Ok(());
    }
    let none: BTreeMap<&str, Value> = left.into_iter().map(|key| (key, Value::Null)).collect();
    let patch = json!({"metadata": {"annotations": none}});
    let params = PatchParams::default();
    api.patch_metadata(&key.name, &params, &Patch::Merge(patch))
        .await
        .map(drop)
}

async fn delete<K>(api: Api<K>, key: &Key) -> kube::Result<()>
where
    K: Clone + fmt::Debug + serde::de::DeserializeOwned,
{
    match api.delete(&key.name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

fn key(object: &impl ResourceExt) -> Key {
    Key::new(&object.namespace().unwrap_or_default(), &object.name_any())
}

fn hosts(ingress: &Ingress) -> impl Iterator<Item = &str> {
    let rules = ingress
        .spec
        .iter()
        .flat_map(|spec| spec.rules.iter().flatten());
    rules.filter_map(|rule| rule.host.as_deref())
}

fn asks(ingress: &Ingress) -> bool {
    let annotations = ingress.annotations().iter();
    let ours = annotations
        .filter_map(|(key, value)| Some((key.strip_prefix(OUR_PREFIX)?.to_owned(), value.clone())));
    Annotations::read(&ours.collect()).opt_in == OptIn::In
}

/// Whether something on the Ingress is there by our hand, or reads as if it were.
fn carries_ours(ingress: &Ingress, instance: &str) -> bool {
    let managers = [Asker::Ingress, Asker::Service].map(|asker| asker.field_manager(instance));
    let holds = |entry: &ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        let held = fields.and_then(|fields| fields.get("f:metadata")?.get("f:annotations"));
        managers
            .iter()
            .any(|ours| entry.manager.as_ref() == Some(ours))
            && held.is_some_and(|held| held.get(format!("f:{AUTH_URL}")).is_some())
    };
    ingress.managed_fields().iter().any(holds)
        || !ours_among(&key(ingress), ingress.annotations()).is_empty()
}

/// The keys whose values are Vestibule's for this very Ingress.
fn ours_among(ingress: &Key, annotations: &BTreeMap<String, String>) -> Vec<&'static str> {
    let url_is_ours = annotations
        .get(AUTH_URL)
        .is_some_and(|url| are_ours(url, ingress));
    if !url_is_ours {
        return Vec::new();
    }
    let start = format!("/start/{ingress}?");
    let signin_is_ours = annotations
        .get(AUTH_SIGNIN)
        .is_some_and(|signin| signin.contains(&start));
    let mut ours = vec![AUTH_URL];
    if signin_is_ours {
        ours.push(AUTH_SIGNIN);
    }
    // Without an auth-url these are without effect, and beside ours nobody else set them.
    if annotations.contains_key(AUTH_RESPONSE_HEADERS) {
        ours.push(AUTH_RESPONSE_HEADERS);
    }
    ours
}

fn is_derived(object: &impl ResourceExt, instance: &str) -> bool {
    let labels = object.labels();
    labels
        .get(DERIVED_FROM_LABEL)
        .is_some_and(|from| from == "ingress")
        && labels
            .get(INSTANCE_LABEL)
            .is_some_and(|name| name == instance)
}

fn is_endpoint(ingress: &Ingress, instance: &str) -> bool {
    let labels = ingress.labels();
    labels.contains_key(ENDPOINT_HOST_LABEL)
        && labels
            .get(INSTANCE_LABEL)
            .is_some_and(|name| name == instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(
        namespace: &str,
        name: &str,
        host: &str,
        annotations: Value,
        labels: Value,
    ) -> Ingress {
        let object = json!({
            "metadata": {"namespace": namespace, "name": name, "annotations": annotations, "labels": labels},
            "spec": {"rules": [{"host": host}]},
        });
        serde_json::from_value(object).unwrap()
    }

    fn protected(namespace: &str, name: &str, host: &str) -> Ingress {
        let annotations = json!({
            PROTECT: "true",
            AUTH_URL: format!("http://auth:4181/verify/nginx/{namespace}/{name}?m=$request_method&u=$escaped_request_uri&h=$host"),
            AUTH_SIGNIN: format!("https://$host/oauth2/start/{namespace}/{name}?m=$request_method"),
            AUTH_RESPONSE_HEADERS: "X-Auth-Request-User",
        });
        ingress(namespace, name, host, annotations, json!({}))
    }

    fn endpoint(host: &str) -> Ingress {
        let labels = json!({INSTANCE_LABEL: "vestibule", ENDPOINT_HOST_LABEL: host});
        ingress(
            "vestibule",
            &format!("vestibule-{host}"),
            host,
            json!({}),
            labels,
        )
    }

    fn said(found: &Found, selection: &Selection) -> Vec<String> {
        let steps = found.steps(selection, "vestibule");
        steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_ingress_goes_with_all_that_came_of_it_but_not_what_others_still_use() {
        let found = Found {
            ingresses: vec![
                protected("docs", "wiki", "wiki.example"),
                protected("docs", "other", "shared.example"),
                protected("team", "third", "shared.example"),
                endpoint("wiki.example"),
                endpoint("shared.example"),
            ],
            services: Vec::new(),
        };
        let these = |name| Selection::These([Key::new("docs", name)].into());
        assert_eq!(
            said(&found, &these("wiki")),
            [
                "Ingress docs/wiki: set vestibule.dev/protect to \"false\"",
                "Ingress docs/wiki: take auth-url, auth-signin and auth-response-headers off; wiki.example is then open to everyone",
                "endpoint Ingress vestibule/vestibule-wiki.example: delete",
            ]
        );
        assert!(
            !said(&found, &these("other"))
                .iter()
                .any(|step| step.contains("endpoint"))
        );
        assert_eq!(found.missing(&these("none")), [Key::new("docs", "none")]);
    }

    #[test]
    fn everything_means_everything_of_this_installation_and_nothing_of_others() {
        let foreign =
            json!({AUTH_URL: "https://sso.example/verify", AUTH_SIGNIN: "https://sso.example"});
        let found = Found {
            ingresses: vec![
                protected("docs", "wiki", "wiki.example"),
                ingress("docs", "foreign", "foreign.example", foreign, json!({})),
                endpoint("wiki.example"),
                endpoint("left.over"),
            ],
            services: Vec::new(),
        };
        let steps = said(&found, &Selection::All { namespace: None });
        assert_eq!(steps.len(), 4, "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("foreign")));
        let elsewhere = Selection::All {
            namespace: Some("team".into()),
        };
        assert!(said(&found, &elsewhere).is_empty());
    }

    #[test]
    fn an_ingress_that_a_protected_service_targets_opts_out_by_its_own_annotation() {
        let service = json!({
            "metadata": {"namespace": "docs", "name": "explicit"},
            "spec": {"targetRefs": [{"name": "wiki"}]},
        });
        let found = Found {
            ingresses: vec![ingress(
                "docs",
                "wiki",
                "wiki.example",
                json!({}),
                json!({}),
            )],
            services: vec![serde_json::from_value(service).unwrap()],
        };
        let steps = found.steps(&Selection::All { namespace: None }, "vestibule");
        assert_eq!(steps, [Step::OptOut(Key::new("docs", "wiki"))]);
    }
}
