//! `admission.wildcards`: who may be sent requests for hosts that an Ingress does not name.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    attack::told,
    bench::{Cluster, Wait, helm::install},
};

const SENTENCE: &str = "every rule of an Ingress must name its host";

fn ingress(namespace: &str, name: &str, spec: &Value, annotations: &Value) -> String {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": spec,
    })
    .to_string()
}

fn rules(hosts: &[&str]) -> Value {
    let backend = json!({"service": {"name": "app", "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let rule = |host: &&str| match *host {
        "" => json!({"http": {"paths": [path]}}),
        host => json!({"host": host, "http": {"paths": [path]}}),
    };
    json!({"rules": hosts.iter().map(rule).collect::<Vec<_>>()})
}

#[tokio::test]
async fn wildcards_and_the_like_are_for_the_namespaces_that_the_chart_names() -> Result<()> {
    let cluster = Cluster::start().await?;
    let (tenant, trusted) = (
        cluster.namespace("tenant").await?,
        cluster.namespace("trusted").await?,
    );
    let (tenant, trusted) = (tenant.name(), trusted.name());
    let none = json!({});
    // What was there before stays, and may be changed in what does not matter.
    let old = rules(&["*.old.test"]);
    cluster.apply(&ingress(tenant, "old", &old, &none)).await?;
    let named = format!("admission.wildcards.namespaces[0]={trusted}");
    let settings = ["admission.wildcards.reserved=true", &*named];
    install(cluster.kubeconfig(), &settings).await?;

    let refused =
        async |namespace: &str, name: &str, spec: &Value, annotations: &Value| match cluster
            .apply(&ingress(namespace, name, spec, annotations))
            .await
        {
            Ok(_) => anyhow::bail!("{spec} {annotations} is allowed in {namespace}"),
            Err(error) => {
                let said = format!("{error:#}");
                ensure!(said.contains(SENTENCE), "{spec} {annotations}: {said}");
                ensure!(said.contains("admission.wildcards.namespaces"), "{said}");
                Ok(())
            }
        };
    let wildcard = rules(&["*.new.test"]);
    Wait::seconds(60)
        .until("the policy is in force", async || {
            let refused = refused(tenant, "probe", &wildcard, &none).await;
            // What is there already may stay as it is.
            let gone = [
                "-n",
                tenant,
                "delete",
                "ingress",
                "probe",
                "--ignore-not-found",
            ];
            cluster.kubectl(&gone).await?;
            refused
        })
        .await?;
    let aliased = |names: &str| json!({"nginx.ingress.kubernetes.io/server-alias": names});
    let backend = json!({"service": {"name": "app", "port": {"number": 80}}});
    let mut with_default = rules(&["own.test"]);
    with_default["defaultBackend"] = backend.clone();
    let mut cases = 0;
    let broad = [
        (wildcard.clone(), none.clone()),
        (rules(&[""]), none.clone()),
        (rules(&["own.test", ""]), none.clone()),
        (rules(&["own.test", "*.own.test"]), none.clone()),
        (
            json!({"rules": [{"host": "own.test"}, {"host": "*.test"}]}),
            none.clone(),
        ),
        (json!({"defaultBackend": backend}), none.clone()),
        (with_default, none.clone()),
        (rules(&["own.test"]), aliased("other.test")),
        (rules(&["own.test"]), aliased(" , *.test")),
        (rules(&["own.test"]), aliased("\n~^.*$")),
    ];
    for (spec, annotations) in &broad {
        refused(tenant, "new", spec, annotations).await?;
        cluster
            .apply(&ingress(trusted, "new", spec, annotations))
            .await?;
        cluster
            .apply(&ingress("vestibule", "new", spec, annotations))
            .await?;
        cases += 3;
    }
    for (spec, annotations) in [
        (rules(&["own.test", "sub.own.test"]), none.clone()),
        (rules(&["own.test"]), aliased("")),
        (rules(&["own.test"]), aliased(" , ")),
        (
            rules(&["own.test"]),
            json!({"nginx.ingress.kubernetes.io/ssl-redirect": "true"}),
        ),
    ] {
        cluster
            .apply(&ingress(tenant, "plain", &spec, &annotations))
            .await?;
        cases += 1;
    }
    // One that is there does not become what may not be made.
    for (spec, annotations) in &broad {
        refused(tenant, "plain", spec, annotations).await?;
        cases += 1;
    }
    cluster
        .apply(&ingress(tenant, "old", &old, &json!({"team": "docs"})))
        .await?;
    cluster.apply(&ingress(tenant, "old", &old, &none)).await?;
    refused(tenant, "old", &old, &aliased("other.test")).await?;
    refused(
        tenant,
        "old",
        &rules(&["*.old.test", "*.older.test"]),
        &none,
    )
    .await?;
    cluster
        .apply(&ingress(tenant, "old", &rules(&["own.test"]), &none))
        .await?;
    refused(tenant, "old", &old, &none).await?;
    cases += 6;
    told::cases(
        "wildcards_and_the_like_are_for_the_namespaces_that_the_chart_names",
        cases,
    );
    Ok(())
}
