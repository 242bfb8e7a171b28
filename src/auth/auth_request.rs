//! `/auth`: what plain nginx's `auth_request` asks, policy by host, as oauth2-proxy set-ups do; and
//! `/auth/NAMESPACE/NAME`, where nginx says itself for which service, as `vestibule render nginx` writes it.
//!
//! Which path is asked for is known only from the header that `--original-uri-header` declares. Without it no Public
//! rule applies, and what depends on the path is refused. nginx passes a client's own headers on, to this check and to
//! the service; so an identity header that is seen here would reach the service, and the request is refused.

#[cfg(any(test, fuzzing))]
#[cfg_attr(
    test,
    expect(
        unreachable_pub,
        reason = "a test of its own kind: the fuzz target calls it from outside"
    )
)]
pub mod property;
mod refused;

use std::{borrow::Cow, sync::Arc};

use axum::{body::Body, extract::FromRequestParts, response::Response};
use http::{HeaderMap, HeaderName, StatusCode, header::HOST, request::Parts};

use super::{
    Endpoint, Question,
    asked::Asked,
    gate::asks_for_http2,
    verify::{bare, respond},
};
use crate::{
    notices::Notices,
    policy::{Host, RuleAccess},
    published::{Access, Found, HostEntry, Service, ServiceId, Table},
};
use refused::{Refused, Untold};

/// What plain nginx asks, and how it says which path it asks about.
pub(super) struct AuthRequest {
    endpoint: Arc<Endpoint>,
    original_uri: Option<HeaderName>,
    notices: Notices,
}

/// The target that nginx says it asks about.
type Target<'h> = Result<Cow<'h, str>, Untold>;

// === impl AuthRequest ===

impl AuthRequest {
    pub(super) fn new(endpoint: Arc<Endpoint>, original_uri: Option<HeaderName>) -> Self {
        Self {
            endpoint,
            original_uri,
            notices: Notices::default(),
        }
    }

    /// Answers 200, 401 or 403: nginx makes a 500 of everything else.
    pub(super) async fn answer(&self, mut parts: Parts, named: Option<ServiceId>) -> Response {
        let Ok(asked) = Asked::from_request_parts(&mut parts, &self.endpoint).await else {
            self.host_is_unreadable(&parts.headers);
            return bare(StatusCode::FORBIDDEN).map(Body::new);
        };
        let table = self.endpoint.table.load();
        let target = self.target(asked.headers(), &asked.host);
        let service = match self.service(&table, &asked, named, &target) {
            Ok(service) => service,
            Err(refused) => {
                refused
                    .counter(&self.endpoint.metrics.checks)
                    .map(|counter| counter.inc());
                self.tell(&refused, &asked.host);
                let Refused::Closed(service) = refused else {
                    return bare(StatusCode::FORBIDDEN).map(Body::new);
                };
                service
            }
        };
        let target = target.ok();
        if target
            .as_deref()
            .is_some_and(|target| self.endpoint.gate.is_endpoint(target))
        {
            self.tell(&Refused::Endpoint, &asked.host);
        }
        let question = Question {
            service: &service,
            host: asked.host.as_str(),
            target: target.as_deref(),
            headers: asked.headers(),
        };
        respond(self.endpoint.gate.judge(&question)).map(Body::new)
    }

    fn target<'h>(&self, headers: &'h HeaderMap, host: &Host) -> Target<'h> {
        let name = self.original_uri.as_ref().ok_or(Untold::NotDeclared)?;
        let mut lines = headers.get_all(name).iter();
        let line = lines.next().ok_or(Untold::Missing)?;
        if lines.next().is_some() {
            return Err(Untold::Unusable);
        }
        // What is no UTF-8 becomes U+FFFD, which no rule matches.
        let text = String::from_utf8_lossy(line.as_bytes());
        if text.starts_with('/') {
            return Ok(text);
        }
        let target = target_of_url(&text, host).ok_or(Untold::Unusable)?;
        Ok(Cow::Owned(target.to_owned()))
    }

    /// The service that a check is for, unless it is refused whoever asks.
    fn service(
        &self,
        table: &Table,
        asked: &Asked,
        named: Option<ServiceId>,
        target: &Target<'_>,
    ) -> Result<Arc<Service>, Refused> {
        if let Some(name) = self.endpoint.gate.identity_header_among(asked.headers()) {
            return Err(Refused::IdentityHeader(name.clone()));
        }
        if asks_for_http2(asked.headers()) {
            return Err(Refused::Http2);
        }
        let service = match named {
            Some(id) => by_name(table, &asked.host, id)?,
            None => {
                let entry = table.host(&asked.host).ok_or(Refused::UnknownHost)?;
                let service = by_host(table, entry, target)?;
                // nginx sends the request to where it always did, whatever has become of that service's own entry.
                if let (Access::Open(_), Some(unread)) = (&service.access, table.doubt(entry)) {
                    return Err(Refused::Unread(Arc::clone(unread)));
                }
                service
            }
        };
        let Access::Open(policy) = &service.access else {
            return Err(Refused::Closed(service));
        };
        // Whoever declares the header has to set it everywhere: where nginx does not, clients could, and choose a
        // Public path. So there even a rule that only opens is a reason to refuse, before anybody finds out.
        let declared = self.original_uri.is_some();
        let mut rules = policy.rules.iter();
        let depends = rules.any(|rule| declared || !matches!(rule.access, RuleAccess::Public));
        match target {
            Err(why) if depends => Err(Refused::Rules(service, *why)),
            _ => Ok(service),
        }
    }

    /// Without `proxy_set_header Host`, nginx names the address that it asks at.
    fn host_is_unreadable(&self, headers: &HeaderMap) {
        self.endpoint.metrics.checks.malformed.inc();
        let now = self.endpoint.clock.now();
        if self.notices.are_due("", "unreadable host", now) {
            let host = headers
                .get(HOST)
                .map(|host| String::from_utf8_lossy(host.as_bytes()));
            let host: String = host.unwrap_or_default().chars().take(100).collect();
            tracing::warn!(
                "nginx asks about {host:?}, which is no host name that people could ask for: refused. It should pass on the one they ask for: proxy_set_header Host $host;"
            );
        }
    }

    fn tell(&self, refused: &Refused, host: &Host) {
        let (about, what) = refused.topic(host);
        if !what.is_empty() && self.notices.are_due(about, what, self.endpoint.clock.now()) {
            let prefix = &self.endpoint.installation.endpoint_prefix;
            let message = refused.message(host, self.original_uri.as_ref(), prefix);
            tracing::warn!(about, "{message}");
        }
    }
}

fn by_name(table: &Table, host: &Host, id: ServiceId) -> Result<Arc<Service>, Refused> {
    let service = table.service(id.as_str()).filter(|service| {
        let mut hosts = service.hosts.iter();
        hosts.any(|pattern| pattern.covers(host.as_str()))
    });
    service.cloned().ok_or(Refused::UnknownService(id))
}

fn by_host(table: &Table, entry: &HostEntry, target: &Target<'_>) -> Result<Arc<Service>, Refused> {
    let id = match (entry.services.as_slice(), target) {
        ([], _) => return Err(Refused::OpenPath),
        ([only], _) => only,
        (_, Err(why)) => return Err(Refused::SeveralServices(*why)),
        (_, Ok(target)) => match entry.route(target) {
            Found::Route(route) => route.service.as_ref().ok_or(Refused::OpenPath)?,
            Found::Nothing | Found::Unclear => return Err(Refused::NoRoute),
        },
    };
    let service = table.service(id.as_str()).ok_or(Refused::UnknownHost)?;
    // What nginx reads as patterns is compared as text here, and would be another service's.
    let is_rewritten =
        matches!(&service.access, Access::Open(policy) if policy.paths_are_rewritten);
    if entry.services.len() > 1 && is_rewritten {
        return Err(Refused::PathsRewritten);
    }
    Ok(Arc::clone(service))
}

/// What follows the authority in `$scheme://$http_host$request_uri`, if that is the host that is asked. A client can
/// write `?` and `#` into its Host header, so the authority reaches up to the first slash.
fn target_of_url<'a>(url: &'a str, host: &Host) -> Option<&'a str> {
    let (scheme, rest) = url.split_once("://")?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let (authority, target) = rest.split_at_checked(rest.find('/')?)?;
    (Host::from_authority(authority)? == *host).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_counts_if_its_authority_is_the_very_host() {
        let host = Host::parse("wiki.example").unwrap();
        let target = |url| target_of_url(url, &host);
        for (url, read) in [
            ("https://wiki.example/a?b=//c", "/a?b=//c"),
            ("http://WIKI.example:8443//a", "//a"),
            ("HTTPS://wiki.example./", "/"),
        ] {
            assert_eq!(target(url), Some(read), "{url}");
        }
        for url in [
            "https://wiki.example",
            "https://wiki.example?/healthz",
            "https://wiki.example#/healthz",
            "https://wiki.example\\/healthz",
            "https://other.example/healthz",
            "https://wiki.example@other.example/healthz",
            "https://other.example@wiki.example/healthz",
            "https://wiki.example:/healthz",
            "ftp://wiki.example/healthz",
            "://wiki.example/healthz",
            "wiki.example/healthz",
            "healthz",
            "?/healthz",
            "",
        ] {
            assert_eq!(target(url), None, "{url}");
        }
    }
}
