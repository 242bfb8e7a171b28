//! The moment between "Ingress created" and "Ingress protected": with the chart's policy there is none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::bench::{Cluster, Visitor, Wait, traefik::ingress};
use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, api::PostParams};

use crate::product::{CLASS, Product};

const INGRESSES: usize = 200;

#[tokio::test]
async fn an_ingress_created_opted_in_is_never_open_for_a_moment() -> Result<()> {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start().await?));
    let product = Product::start(cluster, &["admission.mode=policy"]).await?;
    let namespace = cluster.namespace("stamped").await?;
    let service = cluster.echo_service(&namespace, "app").await?;

    // Two clients ask all the time, from before the Ingresses are there; more would only take time from Traefik.
    let (stop, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let pollers: Vec<_> = (0..2)
        .map(|part| {
            let (stop, asked, front) = (
                Arc::clone(&stop),
                Arc::clone(&asked),
                product.traefik.http(),
            );
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    for n in (part..INGRESSES).step_by(2) {
                        Visitor::get(front, &host(n), "/").send().await?;
                        asked.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                }
                anyhow::Ok(())
            })
        })
        .collect();

    let api: Api<Ingress> = Api::namespaced(cluster.client().await?, &namespace);
    let name: &str = &namespace;
    stream::iter(0..INGRESSES)
        .map(|n| {
            let api = api.clone();
            async move {
                let mut new: Ingress = serde_json::from_str(&ingress(
                    name,
                    &format!("app-{n}"),
                    CLASS,
                    &host(n),
                    "app",
                )?)?;
                new.metadata.annotations.get_or_insert_default().extend([
                    ("vestibule.dev/protect".to_owned(), "true".to_owned()),
                    (
                        "vestibule.dev/allowed-email-domains".to_owned(),
                        "corp.example".to_owned(),
                    ),
                ]);
                anyhow::Ok(api.create(&PostParams::default(), &new).await?)
            }
        })
        .buffer_unordered(4)
        .try_for_each(async |_| Ok(()))
        .await?;
    Wait::seconds(120)
        .until("every host sends people to sign in", async || {
            for n in 0..INGRESSES {
                let answer = Visitor::get(product.traefik.http(), &host(n), "/")
                    .navigating()
                    .send()
                    .await?;
                ensure!(
                    answer.status == 302,
                    "{} answers {}",
                    host(n),
                    answer.status
                );
            }
            Ok(())
        })
        .await?;
    stop.store(true, Ordering::Relaxed);
    for poller in pollers {
        poller.await??;
    }
    assert!(asked.load(Ordering::Relaxed) > INGRESSES * 2);
    assert_eq!(
        service.seen(),
        [],
        "a request without a session reached the service"
    );
    namespace.delete().await
}

fn host(n: usize) -> String {
    format!("app-{n}.story.test")
}
