//! Bodies on their way through: counted, watched, and without trailers that could pass for headers. Nothing is
//! kept: the next part is asked for when the other side takes it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http::{Request, Response, header::EXPECT};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::{runtime::Handle, time::Instant};

use super::{admission::Admission, headers};

/// The body of a request, on its way to a service.
pub(super) struct Upload {
    body: Body,
    /// Octets that may still come.
    left: Option<u64>,
    /// The client sends nothing before the body is asked for, and it has not been.
    is_held_back: bool,
    progress: Progress,
}

/// How far a request's body has come; shared with whoever waits for the response.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<State>>);

struct State {
    stage: Stage,
    moved: Instant,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The client's: the service has taken all there was.
    AwaitsClient,
    /// The service's.
    AwaitsService,
    /// The body is longer than it may be.
    TooLong,
    /// The client broke off, or framed the body wrongly.
    Broken,
}

/// The body of a response, on its way to the client.
pub(super) struct Download {
    body: Incoming,
    admission: Admission,
    /// It did not come all at once.
    lasts: bool,
}

/// Why a body ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Early {
    /// The request's, by our own limit.
    #[error("the body of the request is longer than this front door takes")]
    TooLong,
    /// The request's.
    #[error(transparent)]
    Client(#[from] axum::Error),
    /// The response's.
    #[error(transparent)]
    Service(#[from] hyper::Error),
    /// The response's: whoever it is for may no longer have it.
    #[error("the session has ended, or the policy has changed")]
    Over,
}

/// How long the rest of a body is read that no service takes: a client that is still sending when its connection closes
/// never sees the answer that says why.
const LINGER: Duration = Duration::from_secs(5);

// === impl Upload ===

impl Upload {
    /// The body of a request, which may have so many octets.
    pub(super) fn of(request: Request<Body>, limit: Option<u64>) -> Request<Self> {
        let is_held_back = request.headers().contains_key(EXPECT);
        request.map(|body| Self::new(body, limit, is_held_back))
    }

    fn new(body: Body, limit: Option<u64>, is_held_back: bool) -> Self {
        let state = State {
            stage: Stage::AwaitsService,
            moved: Instant::now(),
        };
        Self {
            body,
            left: limit,
            is_held_back,
            progress: Progress(Arc::new(Mutex::new(state))),
        }
    }

    /// No body.
    pub(super) fn none() -> Self {
        Self::new(Body::empty(), None, false)
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_held_back {
            read_on(std::mem::take(&mut self.body));
        }
    }
}

/// Reads for a moment what nobody takes.
fn read_on(mut rest: Body) {
    if rest.is_end_stream() {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            let reading = async { while let Some(Ok(_)) = rest.frame().await {} };
            tokio::time::timeout(LINGER, reading).await.ok();
        });
    }
}

impl hyper::body::Body for Upload {
    type Data = Bytes;
    type Error = Early;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Early>>> {
        self.is_held_back = false;
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => {
                self.progress.is_at(Stage::AwaitsClient);
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        self.progress.moves();
        let data = match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => data,
            // Trailers: some servers read them as headers, behind everything that was set here.
            Some(Ok(Err(_))) | None => {
                self.body = Body::empty();
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                self.body = Body::empty();
                self.progress.is_at(Stage::Broken);
                return Poll::Ready(Some(Err(error.into())));
            }
        };
        if let Some(left) = self.left {
            let length = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
            let Some(left) = left.checked_sub(length) else {
                self.progress.is_at(Stage::TooLong);
                return Poll::Ready(Some(Err(Early::TooLong)));
            };
            self.left = Some(left);
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Progress ===

impl Progress {
    pub(super) fn stage(&self) -> Stage {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stage
    }

    /// How long nothing has moved.
    pub(super) fn idle(&self) -> Duration {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.moved.elapsed()
    }

    fn is_at(&self, stage: Stage) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stage = stage;
    }

    fn moves(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stage = Stage::AwaitsService;
        state.moved = Instant::now();
    }
}

// === impl Download ===

impl Download {
    /// A response whose body breaks off when whoever asked may no longer have it, and tells the log if its service
    /// does that.
    pub(super) fn of(response: Response<Incoming>, admission: Admission) -> Response<Body> {
        response.map(|body| {
            Body::new(Self {
                body,
                admission,
                lasts: false,
            })
        })
    }
}

impl hyper::body::Body for Download {
    type Data = Bytes;
    type Error = Early;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Early>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        // An answer that comes all at once, as most do, is over before it would be judged again.
        let ends = matches!(frame, Poll::Ready(None));
        if !ends
            && (self.lasts || frame.is_pending())
            && self.admission.poll_end(context).is_ready()
        {
            tracing::info!(
                host = %self.admission.asked().host,
                "breaking off an answer under way: its session has ended, or the policy has changed"
            );
            return Poll::Ready(Some(Err(Early::Over)));
        }
        self.lasts = true;
        let mut frame = ready!(frame);
        match &mut frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::strip_hop_by_hop(trailers);
                    headers::strip_our_set_cookies(trailers);
                }
            }
            // The error breaks the client's connection, or its stream: an answer that lacks its end must not look whole.
            Some(Err(error)) => tracing::warn!(
                host = %self.admission.asked().host,
                upstream = self.admission.upstream(),
                error = %error,
                "a service broke off in the middle of its response, and the client was told so; see the service's own log"
            ),
            None => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Early::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
