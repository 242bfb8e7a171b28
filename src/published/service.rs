//! One protected Ingress as the endpoint serves it, and one host with all that is served on it.

use std::{fmt, sync::Arc, time::Duration};

use super::Route;
use crate::policy::{HostPattern, Moment, Policy};

/// `NAMESPACE/INGRESS`: the name in a check's path, which a client cannot forge.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(Arc<str>);

/// A protected Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its namespace and name.
    pub id: ServiceId,
    /// Its hosts; a check for any other is refused.
    pub hosts: Vec<HostPattern>,
    /// Those of them whose sessions others may have seen; usually none.
    pub disclosed: Vec<Disclosed>,
    /// The ProtectedService (`NAMESPACE/NAME`) that decides, for pages and audit lines.
    pub protected_service: Arc<str>,
    /// What people call it; the host if empty.
    pub display_name: Option<Arc<str>>,
    /// Who may enter.
    pub access: Access,
    /// Which identity headers carry what; those of the closed list that are not named stay empty.
    pub upstream_headers: Arc<[UpstreamHeader]>,
    /// What a person who is refused is told.
    pub denied: DeniedTexts,
}

/// A host whose sessions others may have seen, since their Ingresses serve it too, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosed {
    /// The host.
    pub host: HostPattern,
    /// Until when; `None` while it goes on.
    pub until: Option<Moment>,
}

/// Whether anybody may enter at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever the policy admits.
    Open(Arc<Policy>),
    /// Nobody, because something is broken.
    Closed(Closed),
}

/// What is broken, in the words of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The condition's reason, CamelCase.
    pub reason: Arc<str>,
    /// What its owner should do.
    pub message: Arc<str>,
}

/// An identity header and what it carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamHeader {
    /// A name from the installation's closed list.
    pub name: Arc<str>,
    /// Its value.
    pub source: HeaderSource,
}

/// Where an identity header's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HeaderSource {
    /// The subject.
    Subject,
    /// The verified address.
    Email,
    /// The user name.
    Username,
    /// The name to show.
    Name,
    /// The groups, joined with commas.
    Groups,
    /// A claim, values joined with commas.
    Claim(Arc<str>),
}

/// The owner's words for people who are refused. Plain text; shown on the owner's hosts only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeniedTexts {
    /// A sentence.
    pub message: Option<Arc<str>>,
    /// Where to ask; https or mailto.
    pub request_access_url: Option<Arc<str>>,
    /// How much of the rule is shown.
    pub detail: Detail,
}

/// How much a refused person learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Only that access is refused.
    None,
    /// The reason and the rule's place.
    #[default]
    Reason,
}

/// A host that people reach through the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// The host, or a wildcard.
    pub pattern: HostPattern,
    /// The protected Ingresses that serve it, in the order of their names.
    pub services: Vec<ServiceId>,
    /// Why no session may be made for this host, if so.
    pub no_sessions: Option<NoSessions>,
    /// Where the front door sends requests; empty in a cluster, which has its own data plane.
    pub routes: Vec<Route>,
    /// Groups and claims that rules of this host name: what a session keeps when not all of them fit.
    pub named_groups: Vec<Arc<str>>,
    /// Claims that rules or headers of this host name.
    pub named_claims: Vec<Arc<str>>,
}

/// Why a host may have no sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSessions {
    /// The condition's reason.
    pub reason: Arc<str>,
    /// What its owner should do.
    pub message: Arc<str>,
}

// === impl Service ===

impl Service {
    /// Whether a session of a host counts that began then: not if somebody else may have its cookie.
    #[must_use]
    pub fn counts(&self, host: &str, began: Moment) -> bool {
        let mut disclosed = self.disclosed.iter();
        disclosed.all(|disclosed| {
            !disclosed.host.covers(host) || disclosed.until.is_some_and(|until| began > until)
        })
    }

    /// The moment since which sessions of a host count, if not all do.
    #[must_use]
    pub fn counts_since(&self, host: &str) -> Option<Moment> {
        let of_host = self.disclosed.iter().filter(|it| it.host.covers(host));
        of_host
            .filter_map(|disclosed| disclosed.until)
            .map(|until| until.after(Duration::from_secs(1)))
            .max()
    }
}

// === impl ServiceId ===

impl ServiceId {
    /// Joins the two names.
    #[must_use]
    pub fn new(namespace: &str, ingress: &str) -> Self {
        Self(format!("{namespace}/{ingress}").into())
    }

    /// `NAMESPACE/INGRESS`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, for others to keep as well.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl std::borrow::Borrow<str> for ServiceId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
