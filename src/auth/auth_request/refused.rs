//! Why a check of plain nginx is refused whoever asks, in words for whoever writes nginx's configuration.

use std::sync::Arc;

use http::HeaderName;
use prometheus_client::metrics::counter::Counter;

use crate::{
    auth::metrics::Checks,
    policy::Host,
    published::{Access, Service, ServiceId, Unread},
};

/// Why the path that is asked for is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untold {
    /// No header is believed.
    NotDeclared,
    /// nginx does not send it.
    Missing,
    /// It is there twice, or holds no target of the host that is asked.
    Unusable,
}

/// Why a check is refused whoever asks.
#[derive(Debug)]
pub(super) enum Refused {
    /// The client sends a header that tells services who is there.
    IdentityHeader(HeaderName),
    /// The client would have the service go on in HTTP/2, where nobody is asked.
    Http2,
    UnknownHost,
    UnknownService(ServiceId),
    /// The service has rules by path.
    Rules(Arc<Service>, Untold),
    /// Only the path could tell the services of the host apart.
    SeveralServices(Untold),
    /// The same, and paths are patterns there, or rewritten.
    PathsRewritten,
    /// The path is nobody's to protect.
    OpenPath,
    /// Something cannot be read that may be what is asked for.
    Unread(Arc<Unread>),
    /// nginx asks about the endpoint itself.
    Endpoint,
    /// Something is broken.
    Closed(Arc<Service>),
    /// Nothing is there, or the target has more than one reading: the client's doing.
    NoRoute,
}

// === impl Refused ===

impl Refused {
    /// What counts it; the gate counts the others.
    pub(super) fn counter<'c>(&self, checks: &'c Checks) -> Option<&'c Counter> {
        match self {
            Self::IdentityHeader(_) => Some(&checks.identity_header),
            Self::Http2 => Some(&checks.http2_upgrade),
            Self::UnknownHost
            | Self::UnknownService(_)
            | Self::OpenPath
            | Self::Unread(_)
            | Self::NoRoute => Some(&checks.unknown_service),
            Self::Rules(..) | Self::SeveralServices(_) | Self::PathsRewritten => {
                Some(&checks.path_not_told)
            }
            Self::Closed(_) | Self::Endpoint => None,
        }
    }

    /// Whom it is about, and in a word what: told once, and then only now and then. Any client can name any host, so
    /// unknown ones share a place. An empty word: nothing to tell.
    pub(super) fn topic<'a>(&'a self, host: &'a Host) -> (&'a str, &'static str) {
        match self {
            Self::IdentityHeader(_) => ("", "identity header"),
            Self::Http2 => ("", "http2"),
            Self::UnknownHost => ("", "unknown host"),
            Self::UnknownService(_) => ("", "unknown service"),
            Self::Rules(service, _) => (service.id.as_str(), "rules"),
            Self::SeveralServices(_) => (host.as_str(), "several services"),
            Self::PathsRewritten => (host.as_str(), "paths rewritten"),
            Self::OpenPath => (host.as_str(), "open path"),
            Self::Unread(_) => ("", "unread"),
            Self::Endpoint => (host.as_str(), "endpoint"),
            Self::Closed(service) => (service.id.as_str(), "closed"),
            Self::NoRoute => ("", ""),
        }
    }

    /// What happened, and what to do next.
    pub(super) fn message(
        &self,
        host: &Host,
        declared: Option<&HeaderName>,
        prefix: &str,
    ) -> String {
        match self {
            Self::IdentityHeader(name) => format!(
                "a client sent {name} for {host}, a header that tells services who is there, and nginx would have passed it on: refused. If a proxy before nginx sends it, stop it there; to have nginx replace it, use the configuration that vestibule render nginx prints"
            ),
            Self::Http2 => format!(
                "a client asked {host} to go on in HTTP/2 on the same connection (Upgrade: h2c, HTTP2-Settings), where nobody would be asked about its requests: refused. Have nginx pass on no Upgrade but websocket, as the configuration that vestibule render nginx prints does"
            ),
            Self::UnknownHost => format!(
                "nginx asks about {host}, which no manifest names: refused. Name it in spec.hosts of a ProtectedService, or in an Ingress; if it is there, nginx passes another Host on than people ask for: proxy_set_header Host $host;"
            ),
            Self::UnknownService(id) => format!(
                "nginx asks about {id} at {host}, and no manifest has such a service there: refused. Print nginx's configuration anew with vestibule render nginx"
            ),
            Self::Rules(service, why) => format!(
                "ProtectedService {} has rules by path, and {}: every request for {host} is refused. {}",
                service.protected_service,
                why.in_words(declared),
                why.mend(declared, prefix)
            ),
            Self::SeveralServices(why) => format!(
                "several services are behind {host}, and {}: every request for it is refused. {}",
                why.in_words(declared),
                why.mend(declared, prefix)
            ),
            Self::PathsRewritten => format!(
                "several services are behind {host}, and an Ingress there has use-regex or rewrite-target, so the path does not say which of them nginx sends a request to: refused. Let the block, or each location, name its service: auth_request {prefix}/auth/NAMESPACE/NAME"
            ),
            Self::OpenPath => format!(
                "nginx asks who may see a path of {host} that the manifests leave open: refused. Take auth_request out of that location, or protect what is there"
            ),
            Self::Unread(unread) => format!(
                "nginx asks about {host}, and something is written that cannot be read and may be what protects it: refused until it is mended. {}. (A check that names its service goes on all the while: auth_request {prefix}/auth/NAMESPACE/NAME)",
                unread.why
            ),
            Self::Endpoint => format!(
                "nginx asks who may see {prefix} of {host}, where Vestibule answers people: refused. Give {host} a `location {prefix}/` with proxy_pass to Vestibule and without auth_request"
            ),
            Self::Closed(service) => match &service.access {
                Access::Closed(closed) => {
                    format!(
                        "every request for {host} is refused, because {}: {}",
                        closed.reason, closed.message
                    )
                }
                Access::Open(_) => String::new(),
            },
            Self::NoRoute => String::new(),
        }
    }
}

// === impl Untold ===

impl Untold {
    fn in_words(self, declared: Option<&HeaderName>) -> String {
        let header = declared.map_or("", HeaderName::as_str);
        match self {
            Self::NotDeclared => "nothing says which path nginx asks about".to_owned(),
            Self::Missing => {
                format!("nginx does not send {header}, which --original-uri-header declares")
            }
            Self::Unusable => format!(
                "nginx sends {header} twice, or with something that is neither a path nor a URL of that host"
            ),
        }
    }

    fn mend(self, declared: Option<&HeaderName>, prefix: &str) -> String {
        let header = declared.map_or("X-Original-URI", HeaderName::as_str);
        let line = format!(
            "Add to `location = {prefix}/auth` of every server block: proxy_set_header {header} $request_uri;"
        );
        match self {
            Self::NotDeclared => {
                format!("{line} Then start Vestibule with --original-uri-header {header}")
            }
            Self::Missing | Self::Unusable => line,
        }
    }
}
