//! What a service may tell those who keep things, of its answers or of people: browsers, which keep sessions, and caches
//! between here and there.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, Entry},
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// By which caches are told what overrides Cache-Control: RFC 9213, Edge Architecture, nginx.
const FOR_CACHES: [HeaderName; 3] = [
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("surrogate-control"),
    HeaderName::from_static("x-accel-expires"),
];

/// Takes cookies out of what a service has browsers clear. They clear those of the whole registrable domain, and the
/// sessions of every other host below it with them; `"*"` becomes what it says of the service's own origin.
pub(super) fn keep_sessions(headers: &mut HeaderMap) {
    let Entry::Occupied(entry) = headers.entry(CLEAR_SITE_DATA) else {
        return;
    };
    let mut left: Vec<&str> = Vec::new();
    let mut add = |kind| {
        if !left.contains(&kind) {
            left.push(kind);
        }
    };
    for line in entry.iter() {
        for kind in directives(line.as_bytes()) {
            match kind {
                b"\"cache\"" => add("\"cache\""),
                b"\"storage\"" => add("\"storage\""),
                b"\"executionContexts\"" => add("\"executionContexts\""),
                b"\"clientHints\"" => add("\"clientHints\""),
                b"\"prefetchCache\"" => add("\"prefetchCache\""),
                b"\"prerenderCache\"" => add("\"prerenderCache\""),
                b"\"*\"" => {
                    add("\"cache\"");
                    add("\"storage\"");
                }
                // Cookies, and kinds that nobody knows yet and that may include them.
                _ => {}
            }
        }
    }
    let left = left.join(", ");
    entry.remove();
    if let Ok(left) = HeaderValue::try_from(left)
        && !left.is_empty()
    {
        headers.insert(CLEAR_SITE_DATA, left);
    }
}

/// Lets no cache that several people share keep what somebody's session got (RFC 9111 §5.2.2.7): a cookie in the request
/// does not prevent that, nor does an answer that says nothing (§4.2.2).
pub(super) fn keep_from_shared_caches(headers: &mut HeaderMap) {
    for name in &FOR_CACHES {
        headers.remove(name);
    }
    let lines = headers.get_all(CACHE_CONTROL);
    let said: Vec<&[u8]> = lines
        .iter()
        .flat_map(|line| directives(line.as_bytes()))
        .collect();
    let is = |directive: &[u8], name: &str| directive.eq_ignore_ascii_case(name.as_bytes());
    let opens = |directive: &[u8]| {
        let name = directive.split(|octet| *octet == b'=').next();
        name.is_some_and(|name| {
            let name = name.trim_ascii();
            is(name, "public") || is(name, "s-maxage")
        })
    };
    // `private="x-name"` keeps back that field alone.
    let is_closed = said
        .iter()
        .any(|it| is(it, "private") || is(it, "no-store"));
    if is_closed && !said.iter().any(|it| opens(it)) {
        return;
    }
    // First, so that nothing that is quoted wrongly can hide it.
    let mut left: Vec<&[u8]> = Vec::new();
    if !is_closed {
        left.push(b"private");
    }
    left.extend(said.iter().filter(|it| !opens(it)));
    let line = HeaderValue::from_bytes(&left.join(&b", "[..]));
    headers.insert(
        CACHE_CONTROL,
        line.unwrap_or(HeaderValue::from_static("private")),
    );
}

/// What stands between the commas that are not quoted.
fn directives(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    line.split(move |octet| {
        let ends = *octet == b',' && !is_quoted;
        if *octet == b'"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = *octet == b'\\' && is_quoted && !is_escaped;
        ends
    })
    .map(<[u8]>::trim_ascii)
    .filter(|directive| !directive.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(change: fn(&mut HeaderMap), name: &'static str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_str(line).unwrap());
        }
        change(&mut headers);
        let left: Vec<_> = headers.get_all(name).iter().collect();
        assert!(left.len() < 2, "{left:?}");
        let left = left.first().map(|line| line.to_str().unwrap().to_owned());
        left.unwrap_or_default()
    }

    #[test]
    fn no_service_has_browsers_clear_the_sessions_of_other_hosts() {
        for (said, left) in [
            (&["\"cookies\""][..], ""),
            (&["\"*\""], "\"cache\", \"storage\""),
            (&["\"cache\",\"cookies\" , \"*\""], "\"cache\", \"storage\""),
            (&["\"cache\"", "\"cookies\""], "\"cache\""),
            (
                &["\"executionContexts\", \"storage\""],
                "\"executionContexts\", \"storage\"",
            ),
            (&["cookies", "*", "\"cookies"], ""),
        ] {
            assert_eq!(
                after(keep_sessions, "clear-site-data", said),
                left,
                "{said:?}"
            );
        }
    }

    #[test]
    fn no_shared_cache_may_keep_what_a_session_got() {
        for (said, left) in [
            (&[][..], "private"),
            (&["public, max-age=60"], "private, max-age=60"),
            (&["Public", "S-MaxAge=60 , no-cache"], "private, no-cache"),
            (&["private, max-age=60"], "private, max-age=60"),
            (&["no-store"], "no-store"),
            (&["private, public"], "private"),
            (
                &["private=\"set-cookie\""],
                "private, private=\"set-cookie\"",
            ),
            (
                &["x=\"a, no-store\", max-age=1"],
                "private, x=\"a, no-store\", max-age=1",
            ),
            (
                &["x=\"\\\", private", "max-age=1"],
                "private, x=\"\\\", private, max-age=1",
            ),
        ] {
            assert_eq!(
                after(keep_from_shared_caches, "cache-control", said),
                left,
                "{said:?}"
            );
        }
        let mut headers = HeaderMap::new();
        headers.insert("cdn-cache-control", HeaderValue::from_static("public"));
        headers.insert("x-accel-expires", HeaderValue::from_static("60"));
        keep_from_shared_caches(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
