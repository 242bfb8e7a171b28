//! The gate: one request for a protected service, judged. Every data plane's question ends here.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Metrics, audience};
use crate::{
    clock::Clock,
    policy::{Audience, Decision, Identity, Visit, decide},
    published::{Access, HeaderSource, Installation, Service, Table},
    session::{Jar, Keys, Names, OpenSession},
};

/// All that a judgement needs; nothing of it waits or locks.
pub struct Gate {
    installation: Arc<Installation>,
    table: Arc<ArcSwap<Table>>,
    keys: Arc<ArcSwap<Option<Keys>>>,
    identity_headers: Vec<HeaderName>,
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
    /// The client's headers; only Cookie and those that show the audience are read.
    pub headers: &'a HeaderMap,
}

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

/// Every identity header of the closed list, in its order; empty where there is no value.
#[derive(Debug)]
pub struct IdentityHeaders(Vec<(HeaderName, HeaderValue)>);

/// With the other headers, a 200 stays under nginx's 4 KiB buffer.
const LONGEST_GROUPS: usize = 2000;
const LONGEST_VALUE: usize = 256;

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
            .map(|name| HeaderName::try_from(&**name))
            .collect::<Result<_, _>>()?;
        let names = Names::at(installation.origin.scheme);
        Ok(Self {
            installation,
            table,
            keys,
            identity_headers,
            clock,
            names,
            metrics,
        })
    }

    /// Judges a request.
    #[must_use]
    pub fn judge(&self, question: &Question<'_>) -> Answer {
        let service = question.service;
        let audience = audience(question.headers);
        if question
            .target
            .is_some_and(|target| self.is_endpoint(target))
        {
            self.metrics.checks.endpoint_not_routed.inc();
            return Answer::Refuse(Refusal {
                page_follows: false,
            });
        }
        let policy = match &service.access {
            Access::Open(policy) => policy,
            Access::Closed(_) => {
                self.metrics.checks.closed.inc();
                return Answer::Refuse(Refusal::to(audience));
            }
        };
        let now = self.clock.now();
        let keys = self.keys.load();
        let jar = Jar::of(question.headers);
        let session = keys
            .as_ref()
            .as_ref()
            .and_then(|keys| OpenSession::find(jar, self.names, keys, question.host, now));
        let who = session.as_ref().and_then(OpenSession::identity);
        match decide(
            policy,
            Visit {
                target: question.target,
            },
            who.as_ref(),
            now,
        ) {
            Decision::Public => {
                self.metrics.checks.public.inc();
                Answer::Pass(self.identity_headers(service, None))
            }
            Decision::Allow => {
                self.metrics.checks.allowed.inc();
                Answer::Pass(self.identity_headers(service, who.as_ref()))
            }
            Decision::SignIn(why) => {
                self.metrics.checks.sign_in.inc();
                tracing::debug!(service = service.id.as_str(), ?why, "sign-in needed");
                Answer::SignIn
            }
            Decision::Deny(denial) => {
                self.metrics.checks.denied.inc();
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
        let known = &self.identity_headers;
        headers
            .keys()
            .any(|name| known.iter().any(|known| reads_as(known, name)) && !known.contains(name))
    }

    /// An identity header among a client's own, in whatever spelling: where the data plane does not replace it, the
    /// service would believe it.
    pub(super) fn identity_header_among<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> Option<&'h HeaderName> {
        let known = &self.identity_headers;
        headers
            .keys()
            .find(|name| known.iter().any(|known| reads_as(known, name)))
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

    fn identity_headers(&self, service: &Service, who: Option<&Identity<'_>>) -> IdentityHeaders {
        let value = |name: &HeaderName| {
            let who = who?;
            let wanted = service
                .upstream_headers
                .iter()
                .find(|h| name.as_str().eq_ignore_ascii_case(&h.name))?;
            header_value(&wanted.source, who)
        };
        let headers = self.identity_headers.iter().map(|name| {
            (
                name.clone(),
                value(name).unwrap_or_else(|| HeaderValue::from_static("")),
            )
        });
        IdentityHeaders(headers.collect())
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

// === impl IdentityHeaders ===

impl IntoIterator for IdentityHeaders {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

fn reads_as(one: &HeaderName, other: &HeaderName) -> bool {
    let folded = |octet: u8| if octet == b'_' { b'-' } else { octet };
    let (one, other) = (one.as_str(), other.as_str());
    one.len() == other.len() && one.bytes().map(folded).eq(other.bytes().map(folded))
}

fn header_value(source: &HeaderSource, who: &Identity<'_>) -> Option<HeaderValue> {
    match source {
        HeaderSource::Subject => single(Some(&who.subject)),
        HeaderSource::Email => single(who.verified_email()),
        HeaderSource::Username => single(who.username.as_deref()),
        HeaderSource::Name => single(who.name.as_deref()),
        HeaderSource::Groups => joined(who.groups.iter().map(AsRef::as_ref)),
        HeaderSource::Claim(name) => joined(who.claim(name).iter().map(AsRef::as_ref)),
    }
}

fn single(text: Option<&str>) -> Option<HeaderValue> {
    // No header is better than half a name.
    text.filter(|text| text.len() <= LONGEST_VALUE)
        .and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok())
}

/// Values joined with commas. A value with a comma would be read as two, so it is left out, and so is whatever
/// no longer fits.
fn joined<'a>(values: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let mut line = String::new();
    for value in values.filter(|value| !value.contains(',')) {
        if line.len() + value.len() >= LONGEST_GROUPS {
            break;
        }
        if !line.is_empty() {
            line.push(',');
        }
        line.push_str(value);
    }
    HeaderValue::from_bytes(line.as_bytes()).ok()
}
