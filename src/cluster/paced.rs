//! A client whose watches do not begin faster than so often. kube's watcher takes one up again at once when it ended
//! in order, without an event: an API server, or a proxy in front of it, that ends each at once would be asked by every
//! replica as fast as it can answer.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response};
use kube::{Client, client::Body};
use tokio::time::{Instant, sleep_until};
use tower_service::Service;

/// A client for one watch, which begins anew after this pause at the earliest. What happened meanwhile is told then.
pub(super) fn paced(client: Client, pause: Duration) -> Client {
    let namespace = client.default_namespace().to_owned();
    let paced = Paced {
        client,
        pause,
        next: None,
    };
    Client::new(paced, namespace)
}

struct Paced {
    client: Client,
    pause: Duration,
    /// When the next watch may begin.
    next: Option<Instant>,
}

// === impl Paced ===

impl Service<Request<Body>> for Paced {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.client.clone();
        let begins = is_watch(&request).then(|| {
            let now = Instant::now();
            let begins = self.next.map_or(now, |next| next.max(now));
            self.next = begins.checked_add(self.pause);
            begins
        });
        Box::pin(async move {
            if let Some(begins) = begins {
                sleep_until(begins).await;
            }
            client.send(request).await
        })
    }
}

fn is_watch(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query
        .split('&')
        .any(|parameter| parameter == "watch=true" || parameter == "watch=1")
}
