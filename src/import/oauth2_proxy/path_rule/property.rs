//! What must hold of every `skip_auth_routes` entry; unit tests and the fuzz target `skip_auth_route` share it: no path
//! is open that the expression does not match, by a real engine of regular expressions with RE2's language.

use regex::Regex;

use super::open;
use crate::{
    policy::{CanonicalPath, PathMatch},
    resource::PathType,
};

/// Lines: an entry; what a client writes behind a path that the rule opens.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (route, behind) = text.split_once('\n').unwrap_or((text, "x/y"));
    for has_method in [false, true] {
        let Ok(opened) = open(route, has_method) else {
            continue;
        };
        let expression = match route.strip_prefix('=') {
            Some(rest) if has_method => rest,
            _ => route,
        };
        let Ok(matches) = Regex::new(expression) else {
            panic!("{expression:?} is no regular expression, and opens something");
        };
        assert!(!opened.paths.is_empty() || opened.narrower.is_none());
        for path in &opened.paths {
            assert_ne!((path.kind, &*path.value), (PathType::Prefix, "/"));
            let rule = match path.kind {
                PathType::Exact => PathMatch::exact(&path.value),
                PathType::Prefix => PathMatch::prefix(&path.value),
            };
            assert!(rule.is_ok(), "{:?}", path.value);
            assert!(matches.is_match(&path.value), "{route:?} opens {path:?}");
            // oauth2-proxy compares the path decoded once, as a canonical path is.
            let longer = format!("{}{behind}", path.value);
            if let (Ok(rule), Ok(longer)) = (rule, CanonicalPath::parse(&longer))
                && rule.opens(&longer)
            {
                let longer = std::str::from_utf8(longer.as_bytes()).expect("UTF-8");
                assert!(matches.is_match(longer), "{route:?} opens {longer:?}");
            }
        }
    }
}

#[test]
fn every_committed_entry_holds_the_property() {
    let inputs = std::fs::read_dir("tests/fuzz/corpus/skip_auth_route").unwrap();
    let held = inputs.map(|input| holds(&std::fs::read(input.unwrap().path()).unwrap()));
    assert!(held.count() > 10);
}
