//! A conversation in HTTP/2, with bounds on what one client may have under way.
//!
//! The streams that are open are counted, from the request to the last octet of the response: hyper keeps a
//! connection without any for as long as the client likes, and each holds one of the listener's places. Floods of
//! frames (resets, CONTINUATION, empty DATA, settings, pings) are h2's to bound, which closes the connection with
//! ENHANCE_YOUR_CALM. A client that opens no window for an answer loses the stream (`turns`). CONNECT with `:protocol` is
//! off, so there are no upgrades here: browsers open WebSockets on a connection of their own, in HTTP/1.1.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::timeout,
};

use super::{
    Connection, HttpService, Limits,
    connection::OnConnection,
    places::Ending,
    turns::{Turn, Watching},
};

/// RFC 9113 §6.5.2 asks for no fewer than 100; more is of use to floods only.
const STREAMS: u32 = 100;
/// Streams that a client opens and resets before they were looked at ("rapid reset", CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that a client makes us reset ("made you reset", CVE-2025-8671).
const PROVOKED_RESETS: usize = 100;
/// What of a response waits for a client that does not read. Times the streams, this is what one connection may cost.
const UNSENT: usize = 64 * 1024;
/// What of a response is handed out at once. A client has to take about that much within the write time-out, so it is
/// no more than a slow one takes.
const PART: usize = 16 * 1024;
/// How often a client that says nothing is asked whether it is still there, so that an event stream to one that has
/// gone ends.
const PING: Duration = Duration::from_secs(60);
/// How long it may take to answer.
const PONG: Duration = Duration::from_secs(20);
/// How long a client without open streams may take to hang up once it is told to.
const FAREWELL: Duration = Duration::from_secs(2);

/// How many streams are open.
#[derive(Clone)]
struct Streams(Arc<watch::Sender<usize>>);

/// An open one.
struct Stream(Streams);

/// A service whose streams are counted.
struct Counting<S> {
    service: S,
    streams: Streams,
}

/// A response that ends its stream when it is dropped.
struct Streamed<B> {
    body: B,
    /// What of the last frame was not handed out yet.
    rest: Bytes,
    turn: Turn,
    _stream: Stream,
}

/// Answers requests until the client hangs up, there was none for a while, or the listener stops and those in flight
/// are answered.
pub(super) async fn converse(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    service: impl HttpService,
    limits: Limits,
) {
    let streams = Streams(Arc::new(watch::Sender::new(0)));
    let service = OnConnection {
        service,
        connection: connection.clone(),
    };
    let service = Counting {
        service,
        streams: streams.clone(),
    };
    let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
    let conversation = hyper::server::conn::http2::Builder::new(Watching(limits.write_timeout))
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(header_bytes)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(PROVOKED_RESETS)
        .max_send_buf_size(UNSENT)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(io), service);
    let mut conversation = std::pin::pin!(conversation);
    let finished = tokio::select! {
        result = conversation.as_mut() => Some(result),
        ending = connection.ending() => {
            if ending == Ending::GiveWay {
                connection.metrics().gave_way.inc();
            }
            None
        }
        () = streams.idle(limits.header_timeout) => None,
    };
    let finished = match finished {
        Some(result) => result,
        None => {
            conversation.as_mut().graceful_shutdown();
            tokio::select! {
                result = conversation => result,
                () = streams.idle(FAREWELL) => Ok(()),
            }
        }
    };
    if let Err(error) = finished {
        connection.ended_early(&error);
    }
}

// === impl Streams ===

impl Streams {
    fn open(&self) -> Stream {
        self.0.send_modify(|open| *open = open.saturating_add(1));
        Stream(self.clone())
    }

    /// Waits until there was no stream for so long.
    async fn idle(&self, span: Duration) {
        let mut open = self.0.subscribe();
        // The sender lives in `self`, so no wait can fail.
        while open.wait_for(|open| *open == 0).await.is_ok() {
            if timeout(span, open.wait_for(|open| *open > 0))
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Streams(open) = &self.0;
        open.send_modify(|open| *open = open.saturating_sub(1));
    }
}

// === impl Counting ===

impl<S, B> Service<Request<Incoming>> for Counting<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Streamed<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let stream = self.streams.open();
        let answer = self.service.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| Streamed {
                body,
                rest: Bytes::new(),
                turn: Turn::of_this_stream(),
                _stream: stream,
            }))
        })
    }
}

// === impl Streamed ===

impl<B: Body<Data = Bytes> + Unpin> Streamed<B> {
    /// Cuts off what is handed out now.
    fn part(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(PART);
        Frame::data(self.rest.split_to(length))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Streamed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if !self.rest.is_empty() {
            self.turn.is_the_clients();
            return Poll::Ready(Some(Ok(self.part())));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.turn.is_the_services();
            return Poll::Pending;
        };
        self.turn.is_the_clients();
        Poll::Ready(frame.map(|frame| {
            Ok(match frame?.into_data() {
                Ok(data) => {
                    self.rest = data;
                    self.part()
                }
                Err(trailers) => trailers,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(of_body.lower().saturating_add(rest));
        hint
    }
}
