//! What the front door asks about a request for a protected service, and the answers.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

use crate::{policy::Host, published::Service};

/// The facts of a request that may count.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The host that is asked.
    pub host: &'a Host,
    /// The method.
    pub method: &'a Method,
    /// Path and query, as sent.
    pub target: &'a str,
    /// The headers, as sent.
    pub headers: &'a HeaderMap,
}

/// What happens to the request.
#[derive(Debug)]
pub enum Answer {
    /// It goes to the service with these headers: the whole closed list of identity headers.
    Pass(Vec<(HeaderName, HeaderValue)>),
    /// It goes no further; this is the response.
    Stop(Box<Response<Body>>),
}

/// Judges a request for a service.
pub type Gate = Arc<dyn Fn(&Service, &Visitor<'_>) -> Answer + Send + Sync>;
