//! One leader at a time, on a real API server.

use std::{sync::Arc, time::Duration};

use crate::bench::{Cluster, Wait};
use anyhow::{Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use vestibule::{
    clock::Clock,
    cluster::lease::{Candidate, Terms},
};

const TERMS: Terms = Terms {
    duration: Duration::from_secs(3),
    deadline: Duration::from_secs(2),
    retry: Duration::from_millis(200),
};

struct Replica {
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(leases: &Api<Lease>, identity: &str) -> Self {
        let candidate = Candidate {
            leases: leases.clone(),
            name: Arc::from("vestibule-controller"),
            identity: Arc::from(identity),
            terms: TERMS,
            clock: Clock::System,
        };
        let (sender, leads) = watch::channel(false);
        let stop = CancellationToken::new();
        let task = tokio::spawn(candidate.run(sender, stop.clone()));
        Self { leads, stop, task }
    }

    async fn until(&self, leads: bool) -> Result<()> {
        let wait = Wait::seconds(60);
        wait.until("leadership changes", async || {
            ensure!(*self.leads.borrow() == leads, "leads is not {leads} yet");
            Ok(())
        })
        .await
    }
}

async fn holder(leases: &Api<Lease>) -> Result<Option<String>> {
    let lease = leases.get("vestibule-controller").await?;
    Ok(lease.spec.and_then(|spec| spec.holder_identity))
}

#[tokio::test]
async fn one_replica_leads_and_the_next_takes_over_when_it_leaves_or_dies() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("lease").await?;
    let leases: Api<Lease> = Api::namespaced(cluster.client().await?, &namespace);

    let one = Replica::start(&leases, "one");
    one.until(true).await?;
    let two = Replica::start(&leases, "two");
    tokio::time::sleep(2 * TERMS.duration).await;
    ensure!(*one.leads.borrow() && !*two.leads.borrow());
    ensure!(holder(&leases).await?.as_deref() == Some("one"));

    // Whoever leaves says so: no need to wait for the end of its term.
    one.stop.cancel();
    one.task.await?;
    ensure!(!*one.leads.borrow());
    two.until(true).await?;

    // Whoever dies says nothing.
    let three = Replica::start(&leases, "three");
    two.task.abort();
    let died = std::time::Instant::now();
    three.until(true).await?;
    ensure!(
        died.elapsed() + TERMS.retry >= TERMS.duration,
        "{:?}",
        died.elapsed()
    );
    ensure!(holder(&leases).await?.as_deref() == Some("three"));
    three.stop.cancel();
    three.task.await?;
    namespace.delete().await
}

#[tokio::test]
async fn a_leader_survives_an_annotation_on_its_lease_but_not_another_name_in_it() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("lease").await?;
    let leases: Api<Lease> = Api::namespaced(cluster.client().await?, &namespace);
    let mut one = Replica::start(&leases, "one");
    one.until(true).await?;

    let patch = |object| {
        let leases = leases.clone();
        async move {
            let params = PatchParams::default();
            leases
                .patch("vestibule-controller", &params, &Patch::Merge(object))
                .await
        }
    };
    one.leads.mark_unchanged();
    patch(json!({"metadata": {"annotations": {"note": "looked at"}}})).await?;
    tokio::time::sleep(2 * TERMS.deadline).await;
    ensure!(*one.leads.borrow() && !one.leads.has_changed()?);

    patch(json!({"spec": {"holderIdentity": "somebody"}})).await?;
    one.until(false).await?;
    // Nobody renews it under that name, so it comes back.
    one.until(true).await?;
    one.stop.cancel();
    one.task.await?;
    namespace.delete().await
}

#[tokio::test]
async fn a_leader_that_cannot_reach_the_api_server_stops_before_its_term_ends() -> Result<()> {
    // Not the shared one: it is halted.
    let cluster = Cluster::start().await?;
    let leases: Api<Lease> = Api::namespaced(cluster.client().await?, "default");
    let one = Replica::start(&leases, "one");
    one.until(true).await?;
    cluster.halt_api_server()?;
    let halted = std::time::Instant::now();
    one.until(false).await?;
    ensure!(halted.elapsed() < TERMS.duration, "{:?}", halted.elapsed());
    cluster.resume_api_server()?;
    one.until(true).await?;
    one.stop.cancel();
    one.task.await?;
    Ok(())
}
