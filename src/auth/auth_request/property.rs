//! What must hold of the target that nginx tells; unit tests and the fuzz target `original_uri` share it: a client, who
//! writes Host and the request line, is judged by the very target that nginx passes on, or not at all.

use super::target_of_url;
use crate::policy::Host;

/// Lines: what a client writes into Host; its target.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (written, target) = text.split_once('\n').unwrap_or((text, "/secret?x=1"));
    let asked = Host::parse("wiki.example").expect("a host");
    // Anything at all in the header: what counts is a part of it, from a slash on, behind the very host.
    if let Some(target) = target_of_url(text, &asked) {
        let front = text.strip_suffix(target).expect("its end");
        assert!(
            target.starts_with('/')
                && front.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.')
        );
        let (scheme, authority) = front.split_once("://").expect("a scheme");
        assert!(["http", "https"].contains(&&*scheme.to_ascii_lowercase()));
        assert!(!authority.contains(['/', '?', '#', '@', '\\', '%']));
        assert!(authority.to_ascii_lowercase().starts_with("wiki.example"));
    }
    // nginx refuses a Host with a slash (ngx_http_validate_host).
    if written.contains('/') || !target.starts_with('/') {
        return;
    }
    for scheme in ["http", "https"] {
        let told = format!("{scheme}://{written}{target}");
        let read = target_of_url(&told, &asked);
        let names_it = Host::from_authority(written).is_some_and(|host| host == asked);
        assert_eq!(read, names_it.then_some(target), "{told:?}");
    }
}

#[test]
fn every_committed_header_of_nginx_holds_the_property() {
    let inputs = std::fs::read_dir("tests/fuzz/corpus/original_uri").unwrap();
    let held = inputs.map(|input| holds(&std::fs::read(input.unwrap().path()).unwrap()));
    assert!(held.count() > 10);
}
