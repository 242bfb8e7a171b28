//! What a request was let through by, for as long as it lasts: a WebSocket, an event feed, a long download or upload is
//! judged again from time to time, so that it ends soon after its session does, or the policy changes.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use http::Request;
use tokio::time::{Instant, Sleep};

use super::{Inner, Way, asked::Asked};
use crate::auth::DECIDING;

/// A request that was let through to a service.
pub(super) struct Admission {
    door: Arc<Inner>,
    asked: Asked,
    upstream: Arc<str>,
    /// What the judgement of it depends on.
    request: Request<()>,
    /// Until it is judged again; set when somebody waits, so that what is over at once costs no timer.
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl Admission ===

impl Admission {
    pub(super) fn of(
        request: &Request<Body>,
        door: &Arc<Inner>,
        asked: &Asked,
        upstream: &Arc<str>,
    ) -> Self {
        Self {
            door: Arc::clone(door),
            asked: asked.clone(),
            upstream: Arc::clone(upstream),
            request: head_of(request),
            timer: None,
        }
    }

    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(super) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// How often it is judged again.
    pub(super) fn interval(&self) -> Duration {
        self.door.settings.recheck
    }

    /// Whether the request would be let through to the same service now.
    pub(super) fn holds(&self) -> bool {
        let way = self.door.way(&self.request, &self.asked);
        matches!(way, Way::Service(upstream, _) if upstream == self.upstream)
    }

    /// Returns when it does not hold any more.
    pub(super) async fn end(&mut self) {
        poll_fn(|context| self.poll_end(context)).await;
    }

    pub(super) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let interval = self.interval();
        loop {
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(interval)));
            ready!(timer.as_mut().poll(context));
            timer.as_mut().reset(Instant::now() + interval);
            if !self.holds() {
                return Poll::Ready(());
            }
        }
    }
}

/// The request without its body, and without what judging it again does not ask for: most requests are over at once, so
/// little is kept of each.
fn head_of(request: &Request<Body>) -> Request<()> {
    let mut head = Request::new(());
    head.method_mut().clone_from(request.method());
    head.uri_mut().clone_from(request.uri());
    let headers = head.headers_mut();
    for name in DECIDING {
        for line in request.headers().get_all(&name) {
            headers.append(name.clone(), line.clone());
        }
    }
    head
}
