//! Cookies: a session is found if, and only if, a value of that name is octet for octet one that we sealed for that host.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header::COOKIE};
use vestibule::{
    policy::{Moment, Scheme},
    published::KeyRing,
    session::{Jar, Keys, Names, OpenSession, Purpose},
};

/// What `sealed` gave once, for `a.example`, by the key below, at moment 1000.
pub const TOKEN: &str = include_str!("token.txt");

/// The values of Cookie lines, one a line of the input.
pub fn holds(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|octet| *octet == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    let jar = Jar::of(&headers);
    let names = Names::at(Scheme::Https);
    let keys = keys();
    let now = Moment(1000);

    let values: Vec<&[u8]> = jar.named(names.session).collect();
    assert_eq!(values, slowly(&headers, names.session));
    let expected = values
        .iter()
        .take(4)
        .any(|value| *value == TOKEN.as_bytes());
    let found = OpenSession::find(jar, names, &keys, "a.example", now);
    assert_eq!(found.is_some(), expected);
    assert!(OpenSession::find(jar, names, &keys, "b.example", now).is_none());
    for value in values.iter().take(8) {
        for purpose in [
            Purpose::Attempt,
            Purpose::HandOffRequest,
            Purpose::HandOffTicket,
            Purpose::SignOut,
            Purpose::Landed,
        ] {
            assert!(keys.open(purpose, "a.example", value, now).is_none());
        }
    }
}

/// The key that `TOKEN` is sealed by.
#[must_use]
pub fn keys() -> Keys {
    Keys::new(Arc::new(KeyRing::first(7, [7; 32])))
}

fn slowly<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let mut values = Vec::new();
    for line in headers.get_all(COOKIE) {
        for pair in line.as_bytes().split(|octet| *octet == b';') {
            let blank = |octet: &&u8| matches!(**octet, b' ' | b'\t');
            let front = pair.iter().take_while(blank).count();
            let pair = pair.get(front..).unwrap_or_default();
            let back = pair.iter().rev().take_while(blank).count();
            let pair = pair.get(..pair.len() - back).unwrap_or_default();
            let mut parts = pair.splitn(2, |octet| *octet == b'=');
            if let (Some(key), Some(value)) = (parts.next(), parts.next())
                && key == name.as_bytes()
            {
                values.push(value);
            }
        }
    }
    values
}
