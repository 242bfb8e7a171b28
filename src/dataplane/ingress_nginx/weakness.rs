//! What else on an Ingress makes ingress-nginx drop, bypass or freeze the protection. All of it was measured on the
//! real controller, 1.15.1 (`tests/data/siblings.tsv` holds the measurements).
//!
//! Two things happen. Some values make it drop external auth, or let requests around it: the Ingress is open. Others
//! make it refuse the whole Ingress and go on with the last version it accepted: if that was an open one, it stays
//! open, and nobody is told.

use std::collections::BTreeMap;

use super::form::{FORMS, are_networks, boolean, has_only};
use crate::resource::Key;

/// One thing on an Ingress that weakens its protection, or alters the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// The annotation, or `path`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What it does.
    pub effect: &'static str,
    /// How to mend it.
    pub mend: String,
}

const FREEZES: &str = "ingress-nginx refuses the whole Ingress because of it and goes on with the last version it accepted, which may be an open one";
/// What else is looked at here.
const OTHERS: [&str; 12] = [
    "allowlist-source-range",
    "auth-always-set-cookie",
    "auth-cache-duration",
    "auth-cache-key",
    "auth-proxy-set-headers",
    "auth-request-redirect",
    "auth-secret",
    "canary",
    "rewrite-target",
    "satisfy",
    "use-regex",
    "whitelist-source-range",
];

/// No path as long as this: nginx before 1.23 cannot name the location of its check, and asks nobody.
const LONGEST_PATH: usize = 175;
/// Where ingress-nginx asks nobody, so that certificates can be ordered.
const NO_AUTH_LOCATION: &str = "/.well-known/acme-challenge";

/// Whether an annotation, by what follows the prefix, means anything for the protection.
#[must_use]
pub fn is_of_concern(key: &str) -> bool {
    OTHERS.contains(&key)
        || super::alteration::KEYS.contains(&key)
        || FORMS.iter().any(|(known, _)| *known == key)
}

/// Everything about an Ingress that weakens its protection. `annotations` are those of ingress-nginx, by what follows
/// its prefix; they need hold only what is of concern.
#[must_use]
pub fn weaknesses<'a>(
    ingress: &Key,
    annotations: &BTreeMap<String, String>,
    paths: impl IntoIterator<Item = &'a str>,
) -> Vec<Weakness> {
    let mut found = Vec::new();
    let mut add = |key: &str, effect| {
        found.push(Weakness::of_annotation(ingress, annotations, key, effect));
    };
    let value = |key: &str| {
        debug_assert!(is_of_concern(key), "{key} is not kept");
        annotations
            .get(key)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };
    let is_true = |key: &str| value(key).and_then(boolean) == Some(true);

    if value("auth-request-redirect").is_some_and(|text| !has_only(text, "?&=,")) {
        add(
            "auth-request-redirect",
            "ingress-nginx drops all of the authentication because of a character in it: the Ingress is open",
        );
    }
    if value("auth-always-set-cookie").is_some_and(|text| boolean(text).is_none()) {
        add(
            "auth-always-set-cookie",
            "it is neither true nor false, so ingress-nginx drops all of the authentication: the Ingress is open",
        );
    }
    if value("auth-cache-duration").is_some_and(|text| !has_only(text, ", ")) {
        add(
            "auth-cache-duration",
            "ingress-nginx drops all of the authentication because of a character in it: the Ingress is open",
        );
    }
    if value("auth-cache-key").is_some_and(is_shared_cache_key) {
        add(
            "auth-cache-key",
            "people share cached answers: after one person signed in, everybody may be in",
        );
    }
    if value("auth-proxy-set-headers").is_some_and(|name| has_only(name, "")) {
        add(
            "auth-proxy-set-headers",
            "the check is asked with headers of a ConfigMap, which Vestibule does not read: with a Cookie among them everybody is in, or nobody",
        );
    }
    if value("satisfy").is_some_and(|text| text.eq_ignore_ascii_case("any")) {
        let listed = ["whitelist-source-range", "allowlist-source-range"]
            .iter()
            .any(|key| value(key).is_some_and(are_networks));
        let by_password = value("auth-type").is_some() && value("auth-secret").is_some();
        if listed || by_password {
            add(
                "satisfy",
                "listed addresses, or a basic-auth password, are let in without a session",
            );
        }
    }
    if is_true("ssl-passthrough") {
        add(
            "ssl-passthrough",
            "where ingress-nginx has it switched on, requests go to the service unread",
        );
    }
    if is_true("canary") {
        add(
            "canary",
            "a canary has the authentication of the Ingress it belongs to, and none of its own: protect that one",
        );
    }
    if value("default-backend").is_some()
        && value("custom-http-errors").is_some_and(has_refusal_code)
    {
        add(
            "custom-http-errors",
            "refused requests are handed to the default-backend with everything the client sent",
        );
    }
    for (key, form) in &FORMS {
        if let Some(text) = annotations.get(*key)
            && !form.accepts(text)
        {
            add(key, FREEZES);
        }
    }
    found.extend(
        paths
            .into_iter()
            .filter_map(|path| weak_path(ingress, path)),
    );
    found
}

/// Whether the Ingress makes the service see other paths than the client asked for, or makes ingress-nginx read all
/// paths of its hosts as regular expressions.
#[must_use]
pub fn rewrites_paths(annotations: &BTreeMap<String, String>) -> bool {
    let has = |key: &str| {
        debug_assert!(is_of_concern(key), "{key} is not kept");
        annotations
            .get(key)
            .is_some_and(|value| !value.trim().is_empty())
    };
    has("rewrite-target")
        || annotations
            .get("use-regex")
            .and_then(|value| boolean(value.trim()))
            == Some(true)
}

/// Whether the Ingress has TLS passed through to the service, for all of its hosts.
#[must_use]
pub fn passes_tls_through(annotations: &BTreeMap<String, String>) -> bool {
    annotations
        .get("ssl-passthrough")
        .and_then(|value| boolean(value.trim()))
        == Some(true)
}

/// Further names under which an Ingress's hosts can be reached, which no rule of it has.
#[must_use]
pub fn server_aliases(annotations: &BTreeMap<String, String>) -> Option<&str> {
    annotations
        .get("server-alias")
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
}

fn weak_path(ingress: &Key, path: &str) -> Option<Weakness> {
    let effect = if path.starts_with(NO_AUTH_LOCATION) {
        "ingress-nginx asks nobody below /.well-known/acme-challenge, so that certificates can be ordered: the path is open"
    } else if path.len() >= LONGEST_PATH {
        "nginx before 1.23 cannot name the check of so long a path and may let requests through"
    } else {
        return None;
    };
    Some(Weakness {
        key: "path".to_owned(),
        value: path.to_owned(),
        effect,
        mend: format!(
            "kubectl edit ingress -n {} {}",
            ingress.namespace, ingress.name
        ),
    })
}

/// A key that does not tell people apart. What has a bad character is ignored by ingress-nginx.
fn is_shared_cache_key(key: &str) -> bool {
    let is_used = key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_${}".contains(c));
    is_used
        && !["$cookie_", "${cookie_", "$http_cookie", "${http_cookie"]
            .iter()
            .any(|name| key.contains(name))
}

/// 401 is turned into the redirect to sign in before; the others reach the error page.
fn has_refusal_code(codes: &str) -> bool {
    codes
        .split(',')
        .map(str::trim)
        .any(|code| code == "403" || code == "404" || (code.len() == 3 && code.starts_with('5')))
}

// === impl Weakness ===

impl Weakness {
    /// Mended by removing the annotation.
    pub(super) fn of_annotation(
        ingress: &Key,
        annotations: &BTreeMap<String, String>,
        key: &str,
        effect: &'static str,
    ) -> Self {
        let name = format!("nginx.ingress.kubernetes.io/{key}");
        let Key {
            namespace,
            name: of,
        } = ingress;
        Self {
            value: annotations.get(key).cloned().unwrap_or_default(),
            effect,
            mend: format!("kubectl annotate ingress -n {namespace} {of} {name}-"),
            key: name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURED: &str = include_str!("../../../tests/data/siblings.tsv");

    struct Row {
        annotations: BTreeMap<String, String>,
        title: &'static str,
        fresh: &'static str,
        open_first: &'static str,
        all_protected: bool,
    }

    /// The first column abbreviates: `a=b+c=d`, and words for what the bench had prepared.
    fn annotations(title: &str) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        let mut set = |key: &str, value: &str| {
            map.insert(key.to_owned(), value.to_owned());
        };
        let mut first = "";
        for (place, part) in title.split('+').enumerate() {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if place == 0 {
                first = key;
            }
            match (place, first, part) {
                (0, ..) => set(key, value),
                (_, _, "secret ok") => set("auth-secret", "basic"),
                (_, _, "secret missing") => set("auth-secret", "missing"),
                (_, "satisfy", "basic ok") => {
                    set("auth-type", "basic");
                    set("auth-secret", "basic");
                }
                (_, "satisfy", other) if other.starts_with("whitelist ") => {
                    set("whitelist-source-range", &other[10..])
                }
                (_, "satisfy", other) if other.starts_with("allowlist ") => {
                    set("allowlist-source-range", &other[10..])
                }
                (_, "satisfy", other) if other.starts_with("denylist ") => {
                    set("denylist-source-range", &other[9..])
                }
                (_, "permanent-redirect", _) => {
                    set("permanent-redirect", "https://x.example.org/");
                    set("permanent-redirect-code", value);
                }
                (_, "custom-http-errors", other) if other.starts_with("default-backend") => {
                    set("default-backend", value)
                }
                _ => {}
            }
        }
        map
    }

    fn rows() -> Vec<Row> {
        let lines = MEASURED
            .lines()
            .filter(|line| !line.starts_with('#'))
            .skip(1);
        lines
            .map(|line| {
                let columns: Vec<&'static str> = line.split('\t').collect();
                Row {
                    annotations: annotations(columns[0]),
                    title: columns[0],
                    fresh: columns[1],
                    open_first: columns[2],
                    all_protected: columns[1..5].iter().all(|column| *column == "protected"),
                }
            })
            .collect()
    }

    fn found(annotations: &BTreeMap<String, String>) -> Vec<Weakness> {
        weaknesses(&Key::new("docs", "wiki"), annotations, ["/"])
    }

    #[test]
    fn whatever_was_measured_open_is_found() {
        let rows = rows();
        assert!(rows.len() > 250, "{} rows", rows.len());
        let open = rows
            .iter()
            .filter(|row| row.fresh == "open" || row.open_first == "open");
        let missed: Vec<_> = open
            .clone()
            .filter(|row| found(&row.annotations).is_empty())
            .map(|row| row.title)
            .collect();
        assert_eq!(open.count(), 47, "rows that are open in some order");
        assert_eq!(missed, Vec::<&str>::new());
    }

    #[test]
    fn whatever_was_measured_protected_is_left_alone() {
        // Protected from the anonymous visitor of the bench, not from everybody: these are documented exceptions.
        let documented = [
            "auth-proxy-set-headers=team-a/hdrs",
            "auth-proxy-set-headers=team-a/badhdrs",
            "satisfy=any+basic ok",
            "satisfy=any+whitelist 10.0.0.0/8",
            "custom-http-errors=401,403+default-backend=wiki2",
            "ssl-passthrough=true",
        ];
        let rows = rows();
        let flagged = rows
            .iter()
            .filter(|row| row.all_protected && !found(&row.annotations).is_empty());
        let flagged: Vec<_> = flagged.map(|row| row.title).collect();
        assert_eq!(flagged, documented);
    }

    #[test]
    fn a_weakness_says_what_it_does_and_how_to_mend_it() {
        let map = BTreeMap::from([("auth-always-set-cookie".to_owned(), "yes".to_owned())]);
        let found = found(&map);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].key.as_str(), found[0].value.as_str()),
            ("nginx.ingress.kubernetes.io/auth-always-set-cookie", "yes")
        );
        assert!(found[0].effect.ends_with("the Ingress is open"));
        assert_eq!(
            found[0].mend,
            "kubectl annotate ingress -n docs wiki nginx.ingress.kubernetes.io/auth-always-set-cookie-"
        );
    }

    #[test]
    fn paths_that_nobody_is_asked_for_are_found() {
        let long = format!("/{}", "a".repeat(174));
        let almost = format!("/{}", "a".repeat(173));
        let none = BTreeMap::new();
        let paths = [
            "/",
            "/.well-known/acme-challenge/x",
            "/.well-known/openid-configuration",
            &long,
            &almost,
        ];
        let found = weaknesses(&Key::new("docs", "wiki"), &none, paths);
        let named: Vec<_> = found.iter().map(|w| w.value.as_str()).collect();
        assert_eq!(named, ["/.well-known/acme-challenge/x", long.as_str()]);
    }

    #[test]
    fn shared_caches_canaries_and_handed_over_refusals_are_found() {
        for (pairs, flagged) in [
            (vec![("auth-cache-key", "everybody")], true),
            (vec![("auth-cache-key", "$remote_user")], true),
            (vec![("auth-cache-key", "$cookie_session")], false),
            (vec![("canary", "true")], true),
            (vec![("canary", "false"), ("canary-weight", "5")], false),
            (
                vec![("custom-http-errors", "404"), ("default-backend", "app")],
                true,
            ),
            (
                vec![("custom-http-errors", "401"), ("default-backend", "app")],
                false,
            ),
            (vec![("custom-http-errors", "503")], false),
            (
                vec![
                    ("satisfy", "any"),
                    ("allowlist-source-range", "10.0.0.0/8, fd00::/8"),
                ],
                true,
            ),
        ] {
            let map = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            assert_eq!(!found(&map).is_empty(), flagged, "{pairs:?}");
        }
    }
}
