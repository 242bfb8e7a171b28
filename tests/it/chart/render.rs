//! What the chart renders, without a cluster.

use crate::bench::helm::{chart, helm};
use anyhow::Result;
use serde_json::{Value, json};
use vestibule::{
    policy::HostPattern,
    resolve::{Class, EndpointIngress, ServicePort},
};

use super::{controller_options, object, objects, rendered, text};

/// Every part of the chart that a value switches on.
const EVERYTHING: [&str; 6] = [
    "admission.mode=policy",
    "networkPolicy.enabled=true",
    "authHost.host=auth.corp.example",
    "metrics.podMonitor.enabled=true",
    "controller.replicaCount=2",
    "ingressClasses={public,private}",
];

#[tokio::test]
async fn the_chart_passes_helms_own_strict_lint() -> Result<()> {
    let path = chart().to_string_lossy().into_owned();
    helm(None, &["lint", "--strict", &path]).await?;
    for setting in EVERYTHING {
        helm(None, &["lint", "--strict", &path, "--set", setting]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn two_renders_are_the_same_to_the_byte() -> Result<()> {
    assert_eq!(rendered(&EVERYTHING).await?, rendered(&EVERYTHING).await?);
    Ok(())
}

#[tokio::test]
async fn a_misspelt_or_contradictory_value_is_refused_with_a_reason() -> Result<()> {
    for (settings, reason) in [
        (
            vec!["authHosts.host=auth.corp.example"],
            "additional properties 'authHosts' not allowed",
        ),
        (
            vec!["auth.replicas=3"],
            "additional properties 'replicas' not allowed",
        ),
        (vec!["admission.mode=webhook"], "at '/admission/mode'"),
        (vec!["endpointPrefix=oauth2"], "at '/endpointPrefix'"),
        (vec!["endpointPrefix=/"], "at '/endpointPrefix'"),
        (
            vec!["authHost.host=https://auth.corp.example"],
            "at '/authHost/host'",
        ),
        (
            vec!["checkUrl=http://127.0.0.1:4181/verify?x=1"],
            "at '/checkUrl'",
        ),
        (vec!["identityHeaders={}"], "at '/identityHeaders"),
        (
            vec!["identityHeaders={Authorization}"],
            "at '/identityHeaders",
        ),
        (vec!["publicScheme=http"], "set insecureHttp to true"),
        (vec!["insecureHttp=true"], "set insecureHttp to false"),
        (
            vec!["auth.serviceAccount.create=false"],
            "set auth.serviceAccount.name",
        ),
    ] {
        match rendered(&settings).await {
            Ok(_) => panic!("{settings:?} was rendered"),
            Err(said) => assert!(
                format!("{said:#}").contains(reason),
                "{settings:?}: {said:#}"
            ),
        }
    }
    let path = chart().to_string_lossy().into_owned();
    let refused = helm(
        None,
        &["template", "vestibule", &path, "--namespace", "kube-system"],
    )
    .await;
    assert!(format!("{:#}", refused.unwrap_err()).contains("a namespace of its own"));
    Ok(())
}

#[tokio::test]
async fn no_template_makes_a_secret_and_every_object_says_where_it_belongs() -> Result<()> {
    const CLUSTER_SCOPED: [&str; 7] = [
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    for object in objects(&EVERYTHING).await? {
        let kind = text(&object, "/kind");
        assert_ne!(kind, "Secret");
        let namespace = if CLUSTER_SCOPED.contains(&kind) {
            ""
        } else {
            "vestibule"
        };
        assert_eq!(
            text(&object, "/metadata/namespace"),
            namespace,
            "{kind} {}",
            text(&object, "/metadata/name")
        );
    }
    Ok(())
}

#[tokio::test]
async fn both_components_get_the_same_settings() -> Result<()> {
    let objects = objects(&[]).await?;
    insta::assert_snapshot!(arguments(&objects, "controller")?, @r"
    controller
    --instance=vestibule
    --namespace=vestibule
    --data-plane=ingress-nginx
    --data-plane=traefik
    --public-scheme=https
    --endpoint-prefix=/oauth2
    --identity-header=X-Auth-Request-User
    --identity-header=X-Auth-Request-Email
    --identity-header=X-Auth-Request-Preferred-Username
    --identity-header=X-Auth-Request-Groups
    --identity-header=X-Auth-Request-Access-Token
    --session-keys-secret=vestibule-session-keys
    --max-session=24h
    --log-format=json
    --log-level=info
    --check-url=http://vestibule-auth.vestibule.svc.cluster.local:4181
    --service-name=vestibule-auth
    --service-port=public
    --lease-name=vestibule-controller
    --admin-listen=0.0.0.0:9090
    ");
    insta::assert_snapshot!(arguments(&objects, "auth")?, @r"
    auth
    --instance=vestibule
    --namespace=vestibule
    --data-plane=ingress-nginx
    --data-plane=traefik
    --public-scheme=https
    --endpoint-prefix=/oauth2
    --identity-header=X-Auth-Request-User
    --identity-header=X-Auth-Request-Email
    --identity-header=X-Auth-Request-Preferred-Username
    --identity-header=X-Auth-Request-Groups
    --identity-header=X-Auth-Request-Access-Token
    --session-keys-secret=vestibule-session-keys
    --max-session=24h
    --log-format=json
    --log-level=info
    --check-listen=0.0.0.0:4181
    --public-listen=0.0.0.0:4180
    --admin-listen=0.0.0.0:9090
    --max-connections=2000
    --header-timeout=30s
    --max-header-size=96K
    --write-timeout=60s
    --provider-timeout=10s
    --provider-max-requests=64
    ");
    Ok(())
}

#[tokio::test]
async fn every_setting_of_the_installation_reaches_the_commands() -> Result<()> {
    let objects = objects(&[
        "instance=blue",
        "ingressClasses={public,private}",
        "publicScheme=http",
        "insecureHttp=true",
        "publicPort=8080",
        "endpointPrefix=/sign-in",
        "authHost.host=auth.corp.example",
        "identityHeaders={X-User}",
        "session.maxDuration=8h",
        "session.keysSecret=keys",
        "checkUrl=http://127.0.0.1:4181",
        "log.level=info\\,vestibule::cluster=debug",
        "controller.extraArgs={--one,--two}",
    ])
    .await?;
    let arguments = arguments(&objects, "controller")?;
    for expected in [
        "--instance=blue",
        "--ingress-class=public",
        "--ingress-class=private",
        "--public-scheme=http",
        "--insecure-http",
        "--public-port=8080",
        "--endpoint-prefix=/sign-in",
        "--auth-host=auth.corp.example",
        "--identity-header=X-User",
        "--session-keys-secret=keys",
        "--max-session=8h",
        "--log-level=info,vestibule::cluster=debug",
        "--check-url=http://127.0.0.1:4181",
        "--service-name=vestibule-auth",
        "--lease-name=blue-controller",
        "--one",
        "--two",
    ] {
        assert!(
            arguments.lines().any(|argument| argument == expected),
            "{expected} is missing in:\n{arguments}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_pods_meet_the_restricted_pod_security_standard() -> Result<()> {
    let objects = objects(&[]).await?;
    for component in ["controller", "auth"] {
        let deployment = object(&objects, "Deployment", &format!("vestibule-{component}"))?;
        let pod = deployment.pointer("/spec/template/spec").unwrap();
        assert_eq!(
            pod.pointer("/securityContext"),
            Some(&json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}))
        );
        assert_eq!(
            pod.pointer("/containers/0/securityContext"),
            Some(&json!({
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
            }))
        );
        // VESTIBULE_AUTH_PORT and its like would be read as options.
        assert_eq!(pod.pointer("/enableServiceLinks"), Some(&json!(false)));
        for (probe, path) in [
            ("startupProbe", "/livez"),
            ("livenessProbe", "/livez"),
            ("readinessProbe", "/readyz"),
        ] {
            let asked = pod.pointer(&format!("/containers/0/{probe}/httpGet"));
            assert_eq!(asked, Some(&json!({"path": path, "port": "admin"})));
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_kinds_are_installed_as_they_are_and_stay_on_uninstall() -> Result<()> {
    let mut kinds = Vec::new();
    for entry in std::fs::read_dir(chart().join("files/crds"))? {
        let file = entry?.path();
        if file
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            kinds.push(serde_saphyr::from_str::<Value>(&std::fs::read_to_string(
                file,
            )?)?);
        }
    }
    assert_eq!(kinds.len(), 2);
    let free = objects(&["crds.keep=false"]).await?;
    let kept = objects(&[]).await?;
    for mut kind in kinds {
        let name = text(&kind, "/metadata/name").to_owned();
        assert_eq!(object(&free, "CustomResourceDefinition", &name)?, &kind);
        kind["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
        assert_eq!(object(&kept, "CustomResourceDefinition", &name)?, &kind);
    }
    let none = objects(&["crds.enabled=false"]).await?;
    assert!(
        none.iter()
            .all(|object| text(object, "/kind") != "CustomResourceDefinition")
    );
    Ok(())
}

#[tokio::test]
async fn a_disruption_budget_never_stands_in_the_way_of_a_single_replica() -> Result<()> {
    let budgets = async |settings: &[&str]| -> Result<Vec<String>> {
        let objects = objects(settings).await?;
        let budgets = objects
            .iter()
            .filter(|object| text(object, "/kind") == "PodDisruptionBudget");
        Ok(budgets
            .map(|budget| text(budget, "/metadata/name").to_owned())
            .collect())
    };
    assert_eq!(budgets(&[]).await?, ["vestibule-auth"]);
    assert_eq!(budgets(&["auth.replicaCount=1"]).await?, [""; 0]);
    assert_eq!(
        budgets(&["controller.replicaCount=2"]).await?,
        ["vestibule-controller", "vestibule-auth"]
    );
    Ok(())
}

#[tokio::test]
async fn the_network_policy_opens_the_check_to_the_ingress_controller_alone() -> Result<()> {
    let objects = objects(&["networkPolicy.enabled=true"]).await?;
    let policy = object(&objects, "NetworkPolicy", "vestibule-auth")?;
    let rules = policy
        .pointer("/spec/ingress")
        .and_then(Value::as_array)
        .unwrap();
    let to_check: Vec<&Value> = rules
        .iter()
        .filter(|rule| rule.to_string().contains("\"check\""))
        .collect();
    assert_eq!(
        to_check,
        [&json!({
            "from": [{
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}},
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "ingress-nginx"}},
            }],
            "ports": [{"port": "check"}, {"port": "public"}],
        })]
    );
    assert!(
        rules.iter().all(|rule| rule.get("from").is_some()),
        "a rule without from lets in everyone"
    );
    let controller = object(&objects, "NetworkPolicy", "vestibule-controller")?;
    assert_eq!(controller.pointer("/spec/ingress"), Some(&json!([])));
    Ok(())
}

#[tokio::test]
async fn the_auth_host_is_routed_as_the_controller_routes_the_hosts_it_protects() -> Result<()> {
    assert!(object(&objects(&[]).await?, "Ingress", "vestibule-auth-host").is_err());
    let objects = objects(&[
        "authHost.host=auth.corp.example",
        "authHost.ingress.className=public",
    ])
    .await?;
    let ingress = object(&objects, "Ingress", "vestibule-auth-host")?;
    let endpoint = EndpointIngress {
        name: "vestibule-auth.corp.example".into(),
        host: HostPattern::parse("auth.corp.example").unwrap(),
        class: Class::Field("public".into()),
        sessions: vestibule::resolve::Sessions::All,
        prefix: "/oauth2".into(),
        service_name: "vestibule-auth".into(),
        service_port: ServicePort::Name("public".into()),
    };
    let options = controller_options(object(&objects, "Deployment", "vestibule-controller")?)?;
    let endpoint = serde_json::to_value(
        endpoint.manifest(&options.installation()?, vestibule::policy::Moment(0)),
    )?;
    let annotations = "/metadata/annotations";
    assert_eq!(ingress.pointer(annotations), endpoint.pointer(annotations));
    // Endpoint Ingresses leave TLS to the Ingress that they join; this one joins none.
    let mut spec = endpoint.pointer("/spec").cloned().unwrap();
    spec["tls"] = json!([{"hosts": ["auth.corp.example"]}]);
    // And it takes all of the host, which has nothing else to serve.
    spec["rules"][0]["http"]["paths"][0]["path"] = json!("/");
    assert_eq!(ingress.pointer("/spec"), Some(&spec));
    Ok(())
}

fn arguments(objects: &[Value], component: &str) -> Result<String> {
    let deployment = object(objects, "Deployment", &format!("vestibule-{component}"))?;
    let arguments = deployment
        .pointer("/spec/template/spec/containers/0/args")
        .and_then(Value::as_array);
    let arguments: Vec<&str> = arguments
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    Ok(arguments.join("\n"))
}
