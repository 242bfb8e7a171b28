//! The gate: one request for a protected service, judged. Every data plane's question ends here.

use std::{borrow::Cow, sync::Arc};

use arc_swap::ArcSwap;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, COOKIE, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION},
};

use super::{Metrics, audience, other_origin::opens_a_web_socket};
use crate::{
    clock::Clock,
    policy::{Audience, Decision, Identity, Visit, decide},
    published::{Access, HeaderSource, Installation, Service, Table, UpstreamHeader},
    session::{Jar, Keys, Names, OpenSession},
};

/// All that a judgement needs; nothing of it waits or locks.
pub struct Gate {
    installation: Arc<Installation>,
    table: Arc<ArcSwap<Table>>,
    keys: Arc<ArcSwap<Option<Keys>>>,
    identity_headers: Vec<HeaderName>,
    /// Whether an identity header has a name of so many octets: what most headers of a request are told apart by.
    lengths: Vec<bool>,
    /// Every identity header, empty, and that nobody may keep the answer: what a 200 begins with.
    nobody: HeaderMap,
    clock: Clock,
    names: Names,
    metrics: Metrics,
}

/// One request for a protected service.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The service that the data plane says it is for.
    pub service: &'a Service,
    /// The host that was asked, in lower case, without port.
    pub host: &'a str,
    /// The request target, where the data plane knows it.
    pub target: Option<&'a str>,
    /// The client's headers; only Cookie, those of a WebSocket's handshake and those that show the audience are
    /// read.
    pub headers: &'a HeaderMap,
}

/// The headers of a question that say whether it passes; those that show the audience choose how it is refused.
pub const DECIDING: [HeaderName; 4] = [COOKIE, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION];

/// The judgement.
#[derive(Debug)]
pub enum Answer {
    /// Let it through, with these headers in place of the client's own.
    Pass(IdentityHeaders),
    /// Nobody is signed in here: 401.
    SignIn,
    /// Somebody is, or nobody can be: 401 to a person who navigates, so that the data plane sends them to the page
    /// that says why, 403 to everyone else.
    Refuse(Refusal),
}

/// How to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whether a page can follow.
    pub page_follows: bool,
}

/// Every identity header of the closed list; empty where there is no value.
#[derive(Debug)]
pub struct IdentityHeaders {
    headers: HeaderMap,
    is_of_somebody: bool,
}

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
/// With the other headers, a 200 stays under nginx's 4 KiB buffer.
const LONGEST_GROUPS: usize = 2000;
const LONGEST_VALUE: usize = 256;
/// No answer of a check is for anybody else, or for later.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

// === impl Gate ===

impl Gate {
    /// Brings the parts together.
    ///
    /// # Errors
    /// If a name of the closed list is no header name.
    pub fn new(
        installation: Arc<Installation>,
        table: Arc<ArcSwap<Table>>,
        keys: Arc<ArcSwap<Option<Keys>>>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, http::header::InvalidHeaderName> {
        let identity_headers = installation
            .identity_headers
            .iter()
            .map(|name| lasting(name))
            .collect::<Result<Vec<HeaderName>, _>>()?;
        let length = |name: &HeaderName| name.as_str().len();
        let longest = identity_headers.iter().map(length).max().unwrap_or(0);
        let lengths = (0..=longest)
            .map(|n| identity_headers.iter().any(|name| length(name) == n))
            .collect();
        let empty = |name: &HeaderName| (name.clone(), HeaderValue::from_static(""));
        let mut nobody: HeaderMap = identity_headers.iter().map(empty).collect();
        nobody.insert(CACHE_CONTROL, NO_STORE);
        let names = Names::at(installation.origin.scheme);
        Ok(Self {
            installation,
            table,
            keys,
            identity_headers,
            lengths,
            nobody,
            clock,
            names,
            metrics,
        })
    }

    /// Judges a request.
    #[must_use]
    pub fn judge(&self, question: &Question<'_>) -> Answer {
        let service = question.service;
        let is_ours = |target| self.is_endpoint(target);
        if self.is_auth_host(question.host) || question.target.is_some_and(is_ours) {
            self.metrics.checks.endpoint_not_routed.inc();
            return Answer::Refuse(Refusal {
                page_follows: false,
            });
        }
        let policy = match &service.access {
            Access::Open(policy) => policy,
            Access::Closed(_) => {
                self.metrics.checks.closed.inc();
                return Answer::Refuse(Refusal::to(audience(question.headers)));
            }
        };
        let now = self.clock.now();
        let keys = self.keys.load();
        let jar = Jar::of(question.headers);
        // Browsers send a host's cookies with a WebSocket that any page opens: that page is nobody here.
        let is_foreign =
            opens_a_web_socket(question.headers, question.host, self.installation.origin);
        let session = keys
            .as_ref()
            .as_ref()
            .filter(|_| !is_foreign)
            .and_then(|keys| OpenSession::find(jar, self.names, keys, question.host, now));
        let who = session.as_ref().and_then(OpenSession::identity);
        let who = who.filter(|who| service.counts(question.host, who.issued_at));
        match decide(
            policy,
            Visit {
                target: question.target,
            },
            who.as_deref(),
            now,
        ) {
            Decision::Public => {
                self.metrics.checks.public.inc();
                Answer::Pass(self.identity_headers(service, None))
            }
            Decision::Allow => {
                self.metrics.checks.allowed.inc();
                let somebody = session.as_ref().zip(who.as_deref());
                Answer::Pass(self.identity_headers(service, somebody))
            }
            Decision::SignIn(why) => {
                self.metrics.checks.sign_in.inc();
                tracing::debug!(service = service.id.as_str(), ?why, "sign-in needed");
                Answer::SignIn
            }
            Decision::Deny(denial) => {
                self.metrics.checks.denied.inc();
                let audience = audience(question.headers);
                if audience != Audience::Navigation
                    && let Some(who) = &who
                {
                    super::audit::denied(service, question.host, who, denial);
                }
                Answer::Refuse(Refusal::to(audience))
            }
        }
    }

    /// Whether a client sends an identity header in another spelling: WSGI, CGI and PHP read `_` and `-` as the same,
    /// and a data plane replaces what has the very name. The front door removes such headers itself.
    pub(super) fn sees_disguised(&self, headers: &HeaderMap) -> bool {
        headers
            .keys()
            .any(|name| self.reads_as_ours(name) && !self.identity_headers.contains(name))
    }

    /// An identity header among a client's own, in whatever spelling: where the data plane does not replace it, the
    /// service would believe it.
    pub(super) fn identity_header_among<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> Option<&'h HeaderName> {
        headers.keys().find(|name| self.reads_as_ours(name))
    }

    fn reads_as_ours(&self, name: &HeaderName) -> bool {
        let as_long = self.lengths.get(name.as_str().len()) == Some(&true);
        as_long
            && self
                .identity_headers
                .iter()
                .any(|ours| reads_as(ours, name))
    }

    /// The same decision once more, with its reasons, for the pages.
    pub(super) fn decide(
        &self,
        service: &Service,
        target: &str,
        who: Option<&Identity<'_>>,
    ) -> Result<Decision, crate::published::Closed> {
        match &service.access {
            Access::Closed(closed) => Err(closed.clone()),
            Access::Open(policy) => Ok(decide(
                policy,
                Visit {
                    target: Some(target),
                },
                who,
                self.clock.now(),
            )),
        }
    }

    /// Whether a target lies under the endpoint prefix as it stands: such a request should have come to us.
    #[must_use]
    pub fn is_endpoint(&self, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or(target);
        path.strip_prefix(&*self.installation.endpoint_prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether a host is where people sign in. No service is there, not even one whose wildcard covers it: its pages
    /// would share an origin with those that hand sessions to every other host.
    #[must_use]
    pub fn is_auth_host(&self, host: &str) -> bool {
        let auth_host = self.installation.auth_host.as_ref();
        auth_host.is_some_and(|auth_host| auth_host.as_str() == host)
    }

    /// The installation's settings.
    #[must_use]
    pub fn installation(&self) -> &Arc<Installation> {
        &self.installation
    }

    /// The Table in force.
    #[must_use]
    pub fn table(&self) -> &Arc<ArcSwap<Table>> {
        &self.table
    }

    /// The names of the identity headers, which no client may send to a service.
    #[must_use]
    pub fn identity_header_names(&self) -> &[HeaderName] {
        &self.identity_headers
    }

    pub(super) fn keys(&self) -> &Arc<ArcSwap<Option<Keys>>> {
        &self.keys
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn names(&self) -> Names {
        self.names
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn identity_headers(
        &self,
        service: &Service,
        somebody: Option<(&OpenSession, &Identity<'_>)>,
    ) -> IdentityHeaders {
        let headers = match somebody {
            Some((session, who)) => session
                .identity_headers(&service.upstream_headers, |wanted| self.about(who, wanted)),
            None => self.nobody.clone(),
        };
        IdentityHeaders {
            headers,
            is_of_somebody: somebody.is_some(),
        }
    }

    fn about(&self, who: &Identity<'_>, wanted: &[UpstreamHeader]) -> HeaderMap {
        let mut headers = self.nobody.clone();
        for (name, value) in headers.iter_mut() {
            let mut wanted = wanted.iter();
            let wanted = wanted.find(|h| name.as_str().eq_ignore_ascii_case(&h.name));
            if let Some(known) = wanted.and_then(|h| header_value(&h.source, who)) {
                *value = known;
            }
        }
        headers
    }
}

// === impl IdentityHeaders ===

impl IdentityHeaders {
    /// As the headers of an answer, which nobody may keep.
    pub(super) fn answer(self) -> HeaderMap {
        self.headers
    }

    /// Whether it was somebody's session that let the request through.
    pub(crate) fn are_of_somebody(&self) -> bool {
        self.is_of_somebody
    }

    /// Puts them into a request, in place of those that have their names.
    pub(crate) fn replace_in(mut self, request: &mut HeaderMap) {
        self.headers.remove(CACHE_CONTROL);
        request.extend(self.headers);
    }
}

// === impl Refusal ===

impl Refusal {
    fn to(audience: Audience) -> Self {
        Self {
            page_follows: audience != Audience::Program,
        }
    }
}

/// Whether a client would have a service go on in HTTP/2 on the same connection (RFC 7540 §3.2). nginx passes that on, and
/// then whatever comes: nobody is asked about the requests in it. It takes Upgrade away when it asks, and leaves this.
pub(super) fn asks_for_http2(headers: &HeaderMap) -> bool {
    headers.contains_key(HTTP2_SETTINGS)
}

/// A name that lives as long as the process, as its setting does: nothing counts who has a copy, so cores that answer at
/// the same time do not wait for each other.
fn lasting(name: &str) -> Result<HeaderName, http::header::InvalidHeaderName> {
    let name = HeaderName::try_from(name)?;
    Ok(HeaderName::from_static(name.as_str().to_owned().leak()))
}

/// Whether a service may read one header's name as the other's. Their beginnings are mostly alike.
pub(crate) fn reads_as(one: &HeaderName, other: &HeaderName) -> bool {
    let (one, other) = (one.as_str(), other.as_str());
    let mut octets = one.bytes().zip(other.bytes()).rev();
    one.len() == other.len() && octets.all(|(a, b)| as_read(a) == as_read(b))
}

/// An octet of a header's name as the least careful service reads it: most take `_` for `-`; lighttpd and old CGI
/// programs everything that is no letter or digit.
pub(crate) fn as_read(octet: u8) -> u8 {
    if octet.is_ascii_alphanumeric() {
        octet
    } else {
        b'-'
    }
}

fn header_value(source: &HeaderSource, who: &Identity<'_>) -> Option<HeaderValue> {
    match source {
        HeaderSource::Subject => single(Some(&who.subject)),
        HeaderSource::Email => single(who.verified_email()),
        HeaderSource::Username => single(who.username.as_deref()),
        HeaderSource::Name => single(who.name.as_deref()),
        HeaderSource::Groups => joined(&who.groups),
        HeaderSource::Claim(name) => joined(who.claim(name)),
    }
}

fn single(text: Option<&str>) -> Option<HeaderValue> {
    // No header is better than half a name.
    text.filter(|text| text.len() <= LONGEST_VALUE)
        .and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok())
}

/// Values joined with commas. A value with a comma would be read as two, so it is left out, and so is whatever
/// no longer fits.
fn joined(values: &[Cow<'_, str>]) -> Option<HeaderValue> {
    let length = values.iter().map(|value| value.len() + 1).sum::<usize>();
    let mut line = String::with_capacity(length.saturating_sub(1).min(LONGEST_GROUPS));
    for value in values {
        if value.bytes().any(|octet| octet == b',') {
            continue;
        }
        if line.len() + value.len() >= LONGEST_GROUPS {
            break;
        }
        if !line.is_empty() {
            line.push(',');
        }
        line.push_str(value);
    }
    HeaderValue::try_from(line).ok()
}
