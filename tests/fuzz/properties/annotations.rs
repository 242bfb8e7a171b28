//! Annotations: what is not understood admits nobody, and nothing that is understood opens more than it says.

use std::collections::BTreeMap;

use vestibule::{
    policy::{DomainPattern, Email, PathMatch},
    resource::{Annotations, OptIn, PathType, ProtectedServiceSpec, RuleAccessSpec},
};

/// Lines: `KEY: VALUE`, the key without our prefix.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    let given: BTreeMap<String, String> = pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let read = Annotations::read(&given);
    let policy = &read.spec;
    if !read.errors.is_empty() {
        assert_eq!(
            *policy,
            ProtectedServiceSpec::default(),
            "an error opens nothing"
        );
        assert!(read.opt_in != OptIn::Silent || given.keys().any(|key| key != "protect"));
        assert!(
            read.errors
                .iter()
                .all(|error| error.to_string().len() < 4096 + text.len())
        );
    }
    let out = given.get("protect").is_some_and(|value| value == "false");
    assert_eq!(
        read.opt_in == OptIn::Out,
        out,
        "only the word false takes protection off"
    );
    assert!(!policy.any_authenticated);
    for entry in &policy.allow {
        let asks = entry.email_domains.len() + entry.emails.len() + entry.groups.len();
        assert!(asks > 0, "an entry without conditions");
        assert!(
            entry
                .email_domains
                .iter()
                .all(|d| DomainPattern::parse(d).is_some())
        );
        assert!(entry.emails.iter().all(|e| Email::parse(e).is_some()));
        assert!(policy.identity_providers.len() < 2 || entry.provider.is_some());
    }
    for rule in &policy.rules {
        assert_eq!(rule.access, RuleAccessSpec::Public);
        let asked = given
            .get("public-paths")
            .map(String::as_str)
            .unwrap_or_default();
        for path in &rule.paths {
            assert_ne!(path.value, "/", "everything would be public");
            assert!(asked.split(',').any(|one| one.trim() == path.value));
            assert!(
                match path.kind {
                    PathType::Exact => PathMatch::exact(&path.value),
                    PathType::Prefix => PathMatch::prefix(&path.value),
                }
                .is_ok()
            );
        }
    }
}
