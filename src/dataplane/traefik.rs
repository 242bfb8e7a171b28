//! Traefik as the reader of ingress-nginx's annotations: which rule it prefers where several match a request.
//!
//! ingress-nginx chooses the server by its name, the exact one first, and then the path. Traefik makes one rule of host
//! and path, and the longest text wins, whatever it says. The forms of these texts are not documented and differ between
//! versions, so they are bounded here: a rule is never longer, and never shorter, than this.
//!
//! What it makes of an Ingress it keeps under names of its own, which may be those of another Ingress.

use std::fmt::Write;

use crate::policy::HostPattern;

/// A path as Traefik reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulePath<'a> {
    /// The path.
    pub path: &'a str,
    /// Whether only this very path matches.
    pub is_exact: bool,
}

/// What stands before the name of whatever answers in place of a backend, for errors.
pub const ERRORS: &str = "default-backend";

/// The name under which Traefik (3.7.15) keeps something that is said by these: it joins them with hyphens, which each
/// may have in itself, so that `a`, `b-c` and `a-b`, `c` are one to it. The last that is read counts, or the first.
#[must_use]
pub fn name_of(parts: &[&str]) -> String {
    parts.join("-")
}

/// What the rule of a host and a path has at least.
#[must_use]
pub fn shortest_rule(host: &HostPattern, path: RulePath<'_>) -> usize {
    let host = format!("Host(\"{host}\") && ");
    let path = match path {
        RulePath { path: "/", .. } => "Path(\"/\")".len(),
        RulePath { path, .. } => "Path(\"\")".len().saturating_add(path.len()),
    };
    host.len().saturating_add(path)
}

/// What the rule of these names for one host (its own and its aliases, none for a rule without a host) and a path has
/// at most. No path: what `defaultBackend` becomes.
#[must_use]
pub fn longest_rule(hosts: &[&str], path: Option<RulePath<'_>>) -> usize {
    let mut hosts = hosts
        .iter()
        .map(|host| longest_host(host))
        .collect::<Vec<_>>()
        .join(" || ");
    if !hosts.is_empty() {
        hosts.push_str("() && ");
    }
    let path = path.map(|RulePath { path, is_exact }| {
        let path = quoted(path);
        if is_exact {
            format!("Path(\"{path}\")").len()
        } else {
            let plain = format!("(Path(\"{path}\") || PathPrefix(\"{path}/\"))");
            let pattern = format!("PathRegexp(\"(?i)^(?:{path})?\")");
            plain.len().max(pattern.len())
        }
    });
    hosts.len().saturating_add(path.unwrap_or_default())
}

fn longest_host(host: &str) -> String {
    match host.strip_prefix("*.") {
        Some(suffix) => {
            let suffix = suffix.replace('.', r"\\.");
            format!(r#"HostRegexp("^[a-zA-Z0-9-]+\\.{suffix}$")"#)
        }
        None => format!("Host(\"{}\")", quoted(host)),
    }
}

/// At least as long as Go quotes a text.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            // `\U` and eight digits.
            other => drop(write!(quoted, "\\U{:08x}", u32::from(other))),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(path: &str) -> RulePath<'_> {
        RulePath {
            path,
            is_exact: false,
        }
    }

    /// Rules as Traefik 3.7.15 shows them.
    #[test]
    fn the_bounds_hold_what_traefik_makes_of_rules() {
        for (host, path, rule) in [
            (
                "wiki.corp.example",
                "/",
                r#"Host("wiki.corp.example") && PathPrefix("/")"#,
            ),
            (
                "*.corp.example",
                "/",
                r#"HostRegexp("^[a-zA-Z0-9-]+\\.corp\\.example$") && PathPrefix("/")"#,
            ),
            (
                "wiki.corp.example",
                "/a/b",
                r#"Host("wiki.corp.example") && (Path("/a/b") || PathPrefix("/a/b/"))"#,
            ),
            (
                "wiki.corp.example",
                "/a",
                r#"Host("wiki.corp.example") && PathRegexp("(?i)^/a")"#,
            ),
        ] {
            let pattern = HostPattern::parse(host).unwrap();
            let (low, high) = (
                shortest_rule(&pattern, prefix(path)),
                longest_rule(&[host], Some(prefix(path))),
            );
            assert!((low..=high).contains(&rule.len()), "{rule}: {low}..{high}");
        }
        assert!(longest_rule(&[], Some(prefix("/"))) >= r#"PathPrefix("/")"#.len());
        assert!(quoted("\u{1f600}\n").len() >= r"\U0001f600\n".len());
    }
}
