//! The API server of the bench is a real one: RBAC holds, garbage is collected, namespaces go.

use crate::bench::{Cluster, Visitor, Wait};
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{from_value, json};

#[tokio::test]
async fn a_service_account_may_do_what_its_role_grants_and_nothing_else() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("rbac").await?;
    cluster
        .apply(&format!(
            "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: reader, namespace: {ns}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader, namespace: {ns}}}
rules: [{{apiGroups: [''], resources: [configmaps], verbs: [list]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader, namespace: {ns}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: reader, namespace: {ns}}}]
",
            ns = namespace.name()
        ))
        .await?;
    let reader = cluster.service_account_client(&namespace, "reader").await?;
    let all = ListParams::default();
    Api::<ConfigMap>::namespaced(reader.clone(), &namespace)
        .list(&all)
        .await?;
    for refused in [
        Api::<Secret>::namespaced(reader.clone(), &namespace)
            .list(&all)
            .await
            .err(),
        Api::<ConfigMap>::all(reader).list(&all).await.err(),
    ] {
        let Some(kube::Error::Api(status)) = refused else {
            anyhow::bail!("expected a refusal by the API server, got {refused:?}");
        };
        assert_eq!(status.code, 403, "{status:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_an_object_owns_is_collected_when_it_goes() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("garbage").await?;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client().await?, &namespace);
    let posted = PostParams::default();
    let owner = maps
        .create(
            &posted,
            &from_value(json!({"metadata": {"name": "owner"}}))?,
        )
        .await?;
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid,
    }]}});
    maps.create(&posted, &from_value(owned)?).await?;
    maps.delete("owner", &DeleteParams::default()).await?;
    Wait::seconds(60)
        .until("the owned object is collected", async || {
            ensure!(maps.get_opt("owned").await?.is_none(), "it is still there");
            Ok(())
        })
        .await?;
    namespace.delete().await
}

#[tokio::test]
async fn a_listener_on_the_cluster_ip_is_the_service() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("service").await?;
    let echo = cluster.echo_service(&namespace, "wiki").await?;
    let answer = Visitor::get(echo.address(), "wiki.test", "/a?b=c")
        .send()
        .await?;
    assert_eq!(answer.echoed()?.target, "/a?b=c");
    assert_eq!(answer.echoed()?.header("Host"), Some("wiki.test"));
    assert_eq!(echo.address().port(), 80);
    Ok(())
}

#[tokio::test]
async fn kubectl_speaks_to_it_as_administrator() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let kinds = cluster.kubectl(&["api-resources", "-o", "name"]).await?;
    assert!(
        kinds.contains("mutatingadmissionpolicies.admissionregistration.k8s.io"),
        "{kinds}"
    );
    Ok(())
}
