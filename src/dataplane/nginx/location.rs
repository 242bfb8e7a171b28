//! The locations of a host: one or two for each of its routes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{Unsayable, Upstream, words::quoted};
use crate::{
    policy::{CanonicalPath, Scheme},
    published::{HostEntry, Installation, Route, RoutePath, ServiceId},
};

/// All of one host.
pub(super) struct Locations {
    pub(super) all: Vec<Location>,
}

/// One `location` and what lies behind it.
pub(super) struct Location {
    /// `= /path` or `/path/`.
    matched: Matched,
    service: Option<ServiceId>,
    upstream: Upstream,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Matched {
    Exact(String),
    Prefix(String),
}

// === impl Locations ===

impl Locations {
    /// Those of a host, of which `prefix` is Vestibule's.
    pub(super) fn of(entry: &HostEntry, prefix: &str) -> Result<Self, Unsayable> {
        // As `HostEntry::route` decides: the most specific, of equals the protected one, of those the first.
        let mut routes: Vec<&Route> = entry.routes.iter().collect();
        routes.sort_by_key(|route| Reverse((route.path.specificity(), route.service.is_some())));
        let mut found = BTreeMap::new();
        for route in routes {
            let upstream = Upstream::parse(&route.upstream).ok_or_else(|| Unsayable::Upstream {
                host: entry.pattern.to_string(),
                upstream: route.upstream.to_string(),
            })?;
            if let Some(service) = &route.service {
                service_name(service)?;
            }
            if is_under(&route.path, prefix) {
                return Err(Unsayable::Taken {
                    host: entry.pattern.to_string(),
                    prefix: prefix.to_owned(),
                });
            }
            for matched in matches(&route.path, entry)? {
                found.entry(matched.clone()).or_insert_with(|| Location {
                    matched,
                    service: route.service.clone(),
                    upstream: upstream.clone(),
                });
            }
        }
        Ok(Self {
            all: found.into_values().collect(),
        })
    }

    /// The services that are asked about.
    pub(super) fn services(&self) -> BTreeSet<&str> {
        let services = self
            .all
            .iter()
            .filter_map(|location| location.service.as_ref());
        services.map(ServiceId::as_str).collect()
    }

    /// Whether some are open and some are not.
    pub(super) fn are_mixed(&self) -> bool {
        let is_open = |location: &&Location| location.service.is_none();
        let open = self.all.iter().filter(is_open).count();
        open > 0 && open < self.all.len()
    }
}

fn is_under(path: &RoutePath, prefix: &str) -> bool {
    let (RoutePath::Exact(text) | RoutePath::Prefix(text)) = path;
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `/admin` as a prefix covers `/admin` and what is below, and not `/administrators`.
fn matches(path: &RoutePath, entry: &HostEntry) -> Result<Vec<Matched>, Unsayable> {
    let (RoutePath::Exact(text) | RoutePath::Prefix(text)) = path;
    // Compared decoded, so a canonical path with `%` would be another one than is meant.
    let is_sayable = CanonicalPath::parse(text).is_ok() && !text.contains(['%', '?', '$']);
    if !is_sayable {
        return Err(Unsayable::Path {
            host: entry.pattern.to_string(),
            path: text.to_string(),
        });
    }
    Ok(match path {
        RoutePath::Exact(text) => vec![Matched::Exact(text.to_string())],
        RoutePath::Prefix(text) => {
            let bare = text.trim_end_matches('/');
            let below = Matched::Prefix(format!("{bare}/"));
            if bare.is_empty() {
                vec![below]
            } else {
                vec![Matched::Exact(bare.to_owned()), below]
            }
        }
    })
}

fn service_name(service: &ServiceId) -> Result<&str, Unsayable> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-./".contains(&b);
    let name = service.as_str();
    if name.bytes().all(plain) {
        Ok(name)
    } else {
        Err(Unsayable::Name {
            name: name.to_owned(),
        })
    }
}

// === impl Location ===

impl Location {
    /// The block. `guarded`: other locations of the host are protected, so an open one takes only paths that nobody
    /// could read as one of those.
    pub(super) fn block(&self, installation: &Installation, guarded: bool) -> String {
        let matched = match &self.matched {
            Matched::Exact(path) => format!("= {}", quoted(path)),
            Matched::Prefix(path) => quoted(path),
        };
        let gate = match &self.service {
            Some(service) => protection(service, installation),
            None => open(installation, guarded),
        };
        let scheme = match installation.origin.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let port = installation.origin.port;
        let upstream = &self.upstream;
        format!(
            r#"
    location {matched} {{
{gate}
        proxy_pass {upstream};
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto {scheme};
        proxy_set_header X-Forwarded-Host $host;
        proxy_set_header X-Forwarded-Port {port};
        # WebSockets, and answers that are sent bit by bit.
        proxy_http_version 1.1;
        proxy_set_header Upgrade $vestibule_upgrade;
        proxy_set_header Connection $vestibule_connection;
        proxy_buffering off;
        proxy_read_timeout 1h;
        proxy_send_timeout 1h;
    }}
"#
        )
    }
}

fn protection(service: &ServiceId, installation: &Installation) -> String {
    let prefix = &installation.endpoint_prefix;
    let mut lines = format!(
        "        auth_request {prefix}/auth/{service};\n        error_page 401 = {prefix}/start/{service}?m=$request_method;\n"
    );
    for name in &installation.identity_headers {
        let variable = name.to_ascii_lowercase().replace('-', "_");
        lines.push_str(&format!(
            "        auth_request_set $vestibule_{variable} $upstream_http_{variable};\n        proxy_set_header {name} $vestibule_{variable};\n"
        ));
    }
    lines
}

fn open(installation: &Installation, guarded: bool) -> String {
    let mut lines = "        # The manifests say that nobody protects this.\n".to_owned();
    if guarded {
        lines.push_str(
            "        if ($vestibule_plain_path != 1) {\n            return 403;\n        }\n",
        );
    }
    for name in &installation.identity_headers {
        lines.push_str(&format!("        proxy_set_header {name} \"\";\n"));
    }
    lines
}
