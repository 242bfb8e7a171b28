//! Traefik's own kinds beside Ingresses, where its CRD provider is on too: what a tenant who may write them can do.
//! Vestibule does not see them; docs/security.md says so, and this test holds it to what is said there.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    ground::{Ground, Tenant, ground},
    stage::now,
    told,
};
use crate::{
    bench::{Answer, Traefik, Visitor, traefik::Options},
    product::CLASS,
};

const WIKI: &str = "routes.story.test";
const OWN: &str = "routes-own.story.test";

const KINDS: [(&str, &str); 10] = [
    ("IngressRoute", "ingressroutes"),
    ("IngressRouteTCP", "ingressroutetcps"),
    ("IngressRouteUDP", "ingressrouteudps"),
    ("Middleware", "middlewares"),
    ("MiddlewareTCP", "middlewaretcps"),
    ("ServersTransport", "serverstransports"),
    ("ServersTransportTCP", "serverstransporttcps"),
    ("TLSOption", "tlsoptions"),
    ("TLSStore", "tlsstores"),
    ("TraefikService", "traefikservices"),
];

/// Traefik's definitions, without what they say of each field, and the rights that its chart gives it for them.
fn definitions() -> Value {
    let definitions = KINDS.map(|(kind, plural)| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.traefik.io")},
            "spec": {
                "group": "traefik.io", "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
                "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }}}],
            },
        })
    });
    let rights = json!([
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "traefik-routes"},
            "rules": [
                {"apiGroups": ["traefik.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "traefik-routes"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "traefik-routes"},
            "subjects": [{"kind": "ServiceAccount", "name": "traefik", "namespace": "traefik"}],
        },
    ]);
    let rights = rights.as_array().cloned().unwrap_or_default();
    let items: Vec<Value> = definitions.into_iter().chain(rights).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// A Traefik that reads both.
struct Both {
    traefik: Traefik,
}

// === impl Both ===

impl Both {
    async fn start(ground: &Ground, more: &[String]) -> Result<Self> {
        let cluster = ground.cluster();
        let token = cluster.service_account_token("traefik", "traefik").await?;
        let mut arguments = vec![
            "--providers.kubernetescrd=true".to_owned(),
            format!("--providers.kubernetescrd.endpoint={}", cluster.url()),
            format!("--providers.kubernetescrd.token={token}"),
            format!(
                "--providers.kubernetescrd.certauthfilepath={}",
                cluster.authority_file().display()
            ),
        ];
        arguments.extend(more.iter().cloned());
        let options = Options {
            ingress_class: CLASS.to_owned(),
            arguments,
            ..Options::default()
        };
        let traefik = Traefik::start(cluster, options).await?;
        Ok(Self { traefik })
    }

    async fn visit(&self, host: &str, cookies: &str) -> Result<Answer> {
        let visit = Visitor::get(self.traefik.http(), host, "/x").navigating();
        visit.header("cookie", cookies).send().await
    }
}

/// What a tenant writes, and what comes of it.
struct Attempt {
    what: &'static str,
    host: &'static str,
    objects: Vec<Value>,
    /// Whether requests reach the protected service without a session, or the tenant's with somebody's.
    opens: bool,
    /// The same, where the CRD provider may refer to other providers from the namespace `traefik` alone.
    opens_when_held: bool,
}

fn object(mallory: &Tenant, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "traefik.io/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": &*mallory.namespace},
        "spec": spec,
    })
}

/// A route of this host to these services.
fn route(mallory: &Tenant, name: &str, host: &str, service: &Value, more: &Value) -> Value {
    let mut rule =
        json!({"kind": "Rule", "match": format!("Host(`{host}`)"), "services": [service]});
    for (key, value) in more.as_object().into_iter().flatten() {
        rule[key] = value.clone();
    }
    object(
        mallory,
        "IngressRoute",
        name,
        &json!({"entryPoints": ["web"], "routes": [rule]}),
    )
}

fn attempts(mallory: &Tenant, victim: &Tenant) -> Vec<Attempt> {
    let nothing = json!({});
    let trap = json!({"name": "trap", "port": 80, "nativeLB": true});
    let theirs = format!("{}-wiki-wiki-80@kubernetesingressnginx", &*victim.namespace);
    let theirs = json!({"kind": "TraefikService", "name": theirs});
    let own = |name: &str| json!({"kind": "TraefikService", "name": name});
    let of_own = |spec: &Value| {
        vec![
            object(mallory, "TraefikService", "bridge", spec),
            route(mallory, "route", OWN, &own("bridge"), &nothing),
        ]
    };
    let tail = victim
        .namespace
        .strip_prefix(&format!("{}-", &*mallory.namespace))
        .unwrap_or_default();
    let forged = ["auth", "snippet", "retry"].map(|end| {
        let name = format!("{tail}-wiki-rule-0-path-0-{end}");
        object(
            mallory,
            "Middleware",
            &name,
            &json!({"addPrefix": {"prefix": "/forged"}}),
        )
    });
    let attempt = |what, host, objects, opens, opens_when_held| Attempt {
        what,
        host,
        objects,
        opens,
        opens_when_held,
    };
    vec![
        attempt(
            "middlewares of the names that ours get",
            WIKI,
            forged.to_vec(),
            false,
            false,
        ),
        attempt(
            "the host",
            WIKI,
            vec![route(mallory, "route", WIKI, &trap, &nothing)],
            false,
            false,
        ),
        attempt(
            "the host, first",
            WIKI,
            vec![route(
                mallory,
                "route",
                WIKI,
                &trap,
                &json!({"priority": 9999}),
            )],
            true,
            true,
        ),
        attempt(
            "the Service of another namespace",
            OWN,
            vec![route(
                mallory,
                "route",
                OWN,
                &json!({"name": "wiki", "namespace": &*victim.namespace, "port": 80, "nativeLB": true}),
                &nothing,
            )],
            false,
            false,
        ),
        attempt(
            "the backend of the Ingress",
            OWN,
            vec![route(mallory, "route", OWN, &theirs, &nothing)],
            true,
            false,
        ),
        attempt(
            "the same, weighted",
            OWN,
            of_own(&json!({"weighted": {"services": [theirs]}})),
            true,
            false,
        ),
        attempt(
            "the same, mirrored",
            OWN,
            {
                let mut mirroring = theirs.clone();
                mirroring["mirrors"] = json!([]);
                of_own(&json!({"mirroring": mirroring}))
            },
            true,
            false,
        ),
        attempt(
            "the same, as a mirror",
            OWN,
            {
                let mut mirroring = trap.clone();
                let mut mirror = theirs.clone();
                mirror["percent"] = json!(100);
                mirroring["mirrors"] = json!([mirror]);
                of_own(&json!({"mirroring": mirroring}))
            },
            true,
            false,
        ),
        attempt(
            "the same, through the own service's errors",
            OWN,
            {
                let errors =
                    json!({"errors": {"status": ["200-599"], "service": theirs, "query": "/x"}});
                vec![
                    object(mallory, "Middleware", "errors", &errors),
                    route(
                        mallory,
                        "route",
                        OWN,
                        &trap,
                        &json!({"middlewares": [{"name": "errors"}]}),
                    ),
                ]
            },
            true,
            false,
        ),
    ]
}

#[tokio::test]
async fn what_traefiks_own_routes_do_to_a_protected_host_is_what_is_said_of_them() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let mallory = ground.tenant("team").await?;
    let victim = ground
        .tenant(&format!("{}-pay", &*mallory.namespace))
        .await?;
    let web = victim.service("wiki").await?;
    let trap = mallory.service("trap").await?;
    victim.protect(ground, "wiki", WIKI).await?;
    let cluster = ground.cluster();
    cluster.apply(&definitions().to_string()).await?;
    for (_, plural) in KINDS {
        let name = format!("crd/{plural}.traefik.io");
        cluster
            .kubectl(&[
                "wait",
                "--for=condition=Established",
                "--timeout=60s",
                &name,
            ])
            .await?;
    }
    let held = "--providers.kubernetescrd.crossprovidernamespaces=traefik".to_owned();
    let as_it_comes = Both::start(ground, &[]).await?;
    let held = Both::start(ground, &[held]).await?;
    for both in [&as_it_comes, &held] {
        both.traefik.routes(WIKI, "/").await?;
    }
    let session = ground.session(WIKI, now())?;
    let mut cases = 0;
    for attempt in attempts(&mallory, &victim) {
        let what = attempt.what;
        for object in &attempt.objects {
            cluster.apply(&object.to_string()).await?;
        }
        // A route that comes later shows that these have been taken in.
        let mark = format!("mark-{cases}.story.test");
        let own = json!({"name": "trap", "port": 80, "nativeLB": true});
        let marker = route(&mallory, "marker", &mark, &own, &json!({}));
        cluster.apply(&marker.to_string()).await?;
        for (both, opens) in [
            (&as_it_comes, attempt.opens),
            (&held, attempt.opens_when_held),
        ] {
            cases += 1;
            let wait = both.traefik.wait(60);
            wait.until("the routes are taken in", async || {
                let status = both.visit(&mark, "").await?.status;
                ensure!(status == 200, "{mark} answers {status}");
                Ok(())
            })
            .await?;
            let has_opened = async || -> Result<bool> {
                web.forget();
                trap.forget();
                both.visit(attempt.host, "").await?;
                let by_a_stranger = !web.seen().is_empty();
                both.visit(attempt.host, &session).await?;
                let is_lured = attempt.host == WIKI && !trap.seen().is_empty();
                Ok(by_a_stranger || is_lured)
            };
            if opens {
                // Requests are mirrored a moment later.
                wait.until(&format!("{what} opens"), async || {
                    ensure!(
                        has_opened().await?,
                        "it does not: say so in docs/security.md"
                    );
                    Ok(())
                })
                .await?;
            } else {
                ensure!(!has_opened().await?, "{what} opens");
            }
        }
        for object in attempt.objects.iter().chain([&marker]) {
            let kind = object["kind"].as_str().context("a kind")?.to_lowercase();
            let name = object["metadata"]["name"].as_str().context("a name")?;
            let kind = format!("{kind}.traefik.io");
            mallory
                .cluster()
                .kubectl(&["-n", &mallory.namespace, "delete", &kind, name])
                .await?;
        }
    }
    told::cases(
        "what_traefiks_own_routes_do_to_a_protected_host_is_what_is_said_of_them",
        cases,
    );
    Ok(())
}
