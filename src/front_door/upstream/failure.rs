//! Why a request came back without a response: what people are told, and what whoever runs the service is.

use std::{error::Error, io};

use hyper_util::client::legacy;

use super::super::page::Problem;
use crate::policy::Host;

/// A request without a response.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Failure {
    /// The request has come round: the upstream is this front door.
    #[error("the request has been here before")]
    Loop,
    /// The route's upstream is not an address.
    #[error("it is not of the form http://NAME:PORT")]
    Address,
    /// No connection.
    #[error("{}", causes(.0))]
    Down(legacy::Error),
    /// No connection in time.
    #[error("no connection in time")]
    ConnectLate,
    /// A connection, and no response in time.
    #[error("no response in time")]
    Late,
    /// The connection broke before the response, or what came was none.
    #[error("{}", causes(.0))]
    Broken(legacy::Error),
    /// The response's length can be read in two ways.
    #[error(
        "the response has a Transfer-Encoding other than chunked, or a Content-Length beside it"
    )]
    Framing,
    /// The service switches to a protocol that was not asked for.
    #[error("101 Switching Protocols to what was not asked for")]
    Switched,
    /// The request's body is longer than it may be.
    #[error("the body of the request is too long")]
    TooLong,
    /// The client stopped sending.
    #[error("the client stopped in the middle of the request's body")]
    ClientLate,
    /// The client sent nonsense, or went away.
    #[error("the body of the request broke off, or is wrongly framed")]
    ClientBroke,
    /// The session ended, or the policy changed, before the response.
    #[error("the session has ended, or the policy has changed")]
    Over,
}

// === impl Failure ===

impl Failure {
    pub(super) fn of(error: legacy::Error) -> Self {
        if !error.is_connect() {
            return Self::Broken(error);
        }
        let timed_out = chain(&error)
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| cause.kind() == io::ErrorKind::TimedOut);
        if timed_out {
            Self::ConnectLate
        } else {
            Self::Down(error)
        }
    }

    /// What people are told. The service's address is not theirs to know.
    pub(in super::super) fn problem(&self, host: Host) -> Problem {
        match self {
            Self::Loop => Problem::Loop(host),
            Self::Address | Self::Down(_) => Problem::Down(host),
            Self::ConnectLate | Self::Late => Problem::Late(host),
            Self::Broken(_) | Self::Framing | Self::Switched => Problem::Nonsense(host),
            Self::TooLong => Problem::TooLong,
            Self::ClientLate => Problem::Stalled,
            Self::Over => Problem::Over(host),
            Self::ClientBroke => Problem::Unreadable("Its body broke off, or is wrongly framed."),
        }
    }

    /// What whoever runs the service should do; nothing if it was the client.
    pub(in super::super) fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Loop => {
                "the service behind a host is this front door itself: name the service's own address as its upstream"
            }
            Self::Address => {
                "the upstream of a host is not an address: write it as http://NAME:PORT"
            }
            Self::Down(_) => {
                "the service behind a host takes no connections: see that it runs, and that the upstream names its address and port"
            }
            Self::ConnectLate => {
                "the service behind a host takes no connections in time: see that it runs and is not overloaded, and that \
                 no firewall lies between; --upstream-connect-timeout is how long is waited"
            }
            Self::Late => {
                "the service behind a host does not answer in time: see its own log; --upstream-timeout is how long is waited"
            }
            Self::Broken(_) => {
                "the service behind a host broke off, or sent what is not HTTP/1.1: see its own log, and that the upstream names \
                 its port for plain HTTP"
            }
            Self::Framing | Self::Switched => {
                "the service behind a host sent a response that is not HTTP/1.1 as it was asked for: see its own log"
            }
            Self::TooLong | Self::ClientLate | Self::ClientBroke | Self::Over => return None,
        })
    }
}

/// Whether a connection just ended, without a response or a part of one.
pub(super) fn is_end(error: &legacy::Error) -> bool {
    chain(error).any(|cause| {
        let ended = cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(|e| e.is_incomplete_message() || e.is_canceled() || e.is_closed());
        let reset = cause.downcast_ref::<io::Error>().is_some_and(|e| {
            matches!(
                e.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            )
        });
        ended || reset
    })
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn causes(error: &legacy::Error) -> String {
    let texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    texts.join(": ")
}
