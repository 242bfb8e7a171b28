//! A conversation in HTTP/1.1.

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, HttpService, Limits, places::Ending};

/// What a service answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// Headers and hardly anything else: written as one piece, which saves putting a list of pieces together.
    Headers,
    /// Bodies of any length, which are not copied behind the headers.
    Bodies,
}

/// Answers requests until the client hangs up, or the listener stops and the request in flight is answered.
pub(super) async fn converse(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    service: impl HttpService,
    answers: Answers,
    limits: Limits,
) {
    let mut http = hyper::server::conn::http1::Builder::new();
    if answers == Answers::Headers {
        http.writev(false);
    }
    let conversation = http
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut conversation = std::pin::pin!(conversation);
    let finished = tokio::select! {
        biased;
        result = conversation.as_mut() => result,
        ending = connection.ending() => {
            if ending == Ending::GiveWay {
                connection.metrics().gave_way.inc();
                // hyper would wait for the first request.
                if !connection.was_asked() {
                    return;
                }
            }
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = finished {
        connection.ended_early(&error);
    }
}
