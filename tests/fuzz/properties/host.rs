//! Hosts: whatever is one is the same host to a browser, and a pattern covers what its labels say.

use vestibule::policy::{Host, HostPattern};

/// Lines: a host, perhaps with a port; a pattern.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (authority, pattern) = text.split_once('\n').unwrap_or((text, "*.corp.example"));
    if let Some(host) = Host::parse(authority) {
        let name = host.as_str();
        assert_eq!(name, authority.to_ascii_lowercase());
        assert_eq!(Host::parse(name).as_ref(), Some(&host));
        assert_eq!(Host::from_authority(authority).as_ref(), Some(&host));
        assert!(is_name(name), "{name:?} is no DNS name");
        match url::Url::parse(&format!("https://{name}/")) {
            Ok(url) => assert_eq!(url.domain(), Some(name), "a browser goes elsewhere"),
            // Not every label that begins so is Punycode; then browsers go nowhere.
            Err(_) => assert!(name.contains("xn--"), "{name:?} is no host to a browser"),
        }
        if let Some(pattern) = HostPattern::parse(pattern) {
            assert_eq!(pattern.covers(name), covers(&pattern.to_string(), name));
            assert_eq!(HostPattern::parse(&pattern.to_string()), Some(pattern));
        }
    }
    if let Some(host) = Host::from_authority(authority) {
        let read: http::uri::Authority = authority.parse().expect("an authority, if it has a host");
        let named = read.host().strip_suffix('.').unwrap_or(read.host());
        assert!(named.eq_ignore_ascii_case(host.as_str()));
        assert!(!authority.contains('@'));
    }
}

fn is_name(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let letters = |label: &&str| {
        let inner = label
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'));
        inner
            && !label.is_empty()
            && label.len() < 64
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() < 254 && labels.iter().all(letters)
}

/// Kubernetes: a wildcard matches one label.
fn covers(pattern: &str, host: &str) -> bool {
    let (pattern, host): (Vec<&str>, Vec<&str>) =
        (pattern.split('.').collect(), host.split('.').collect());
    pattern.len() == host.len()
        && pattern
            .iter()
            .zip(host)
            .all(|(one, other)| *one == "*" || *one == other)
}
