//! Return targets: whatever is accepted stays on the host, for a browser that repairs what it reads.

use vestibule::policy::{Host, Origin, ReturnTo, Scheme};

/// The target, for `wiki.example` at https and at a port of its own.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let host = Host::parse("wiki.example").expect("a host");
    for origin in [
        Origin {
            scheme: Scheme::Https,
            port: 443,
        },
        Origin {
            scheme: Scheme::Http,
            port: 8080,
        },
    ] {
        let read = ReturnTo::parse(text, &host, origin);
        if is_plain(text) {
            let kept = read.as_ref().map(ReturnTo::as_str);
            assert_eq!(kept, Ok(text), "an everyday target is kept");
        }
        let Ok(kept) = read else {
            continue;
        };
        let kept = kept.as_str();
        assert!(
            kept.starts_with('/') && !kept.starts_with("//") && !kept.contains(['\\', '#', '@'])
                || kept.starts_with('/')
        );
        assert!(kept.bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(
            ReturnTo::parse(kept, &host, origin)
                .as_ref()
                .map(ReturnTo::as_str),
            Ok(kept)
        );
        for base in ["/oauth2/start", "/oauth2/callback/corp?code=x", "/"] {
            let base = url::Url::parse(&origin.of("wiki.example"))
                .expect("an origin")
                .join(base)
                .expect("a path");
            let joined = base.join(kept).expect("a browser can follow it");
            assert_eq!(joined.origin(), base.origin(), "{kept:?} leaves the host");
            assert_eq!((joined.username(), joined.password()), ("", None));
            let path = kept.split('?').next().unwrap_or_default();
            assert_eq!(joined.path(), path, "a browser reads another path");
        }
        // Given as a URL, it named the host as a browser reads it.
        if let Ok(url) = url::Url::parse(text) {
            assert_eq!(url.host_str(), Some("wiki.example"), "{text:?}");
        }
    }
}

fn is_plain(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.len() < 8000
        && text.strip_prefix('/').is_some_and(|rest| {
            rest.is_empty()
                || rest
                    .split('/')
                    .all(|segment| !segment.is_empty() && segment.chars().all(word))
        })
}
