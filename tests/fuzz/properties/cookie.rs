//! Cookies: a session is found if, and only if, a value of that name is octet for octet one that we sealed for that host.
//!
//! A fuzzer forges no seal. So words in the input stand for what was sealed by our keys, the right way and every wrong
//! one, and what the input holds otherwise is sealed as well and has to be read.

use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderValue, header::COOKIE};
use serde::de::DeserializeOwned;
use vestibule::{
    policy::{Host, Moment, Scheme},
    published::KeyRing,
    session::{Attempt, HandOffRequest, Jar, Keys, Landed, Names, OpenSession, Purpose, SignOut},
};

/// What `sealed` gave once, for `a.example`, by the key below, at moment 1000.
pub const TOKEN: &str = include_str!("token.txt");

const NOW: Moment = Moment(1000);

/// The key that `TOKEN` is sealed by.
static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(Arc::new(KeyRing::first(7, [7; 32]))));

/// Words, and what they stand for; the first is a session, none of the others is.
static WORDS: LazyLock<[(&str, String); 5]> = LazyLock::new(|| {
    let others = Keys::new(Arc::new(KeyRing::first(7, [8; 32])));
    let seal = |keys: &Keys, purpose, host| {
        keys.seal(purpose, host, b"who", NOW, |octets| octets.fill(9))
            .expect("a key that seals")
    };
    [
        ("SESSION", seal(&KEYS, Purpose::Session, "a.example")),
        ("ELSEWHERE", seal(&KEYS, Purpose::Session, "b.a.example")),
        ("ATTEMPT", seal(&KEYS, Purpose::Attempt, "a.example")),
        ("LANDED", seal(&KEYS, Purpose::Landed, "a.example")),
        ("STRANGE", seal(&others, Purpose::Session, "a.example")),
    ]
});

/// The values of Cookie lines, one a line of the input.
pub fn holds(data: &[u8]) {
    only_what_was_sealed_is_found(data);
    whatever_was_sealed_is_read(data);
}

fn only_what_was_sealed_is_found(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|octet| *octet == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(&spelled_out(line)) {
            headers.append(COOKIE, value);
        }
    }
    let jar = Jar::of(&headers);
    let names = Names::at(Scheme::Https);
    let keys: &Keys = &KEYS;

    let values: Vec<&[u8]> = jar.named(names.session).collect();
    assert_eq!(values, slowly(&headers, names.session));
    let [(_, session), others @ ..] = &*WORDS;
    let counts = |value: &&[u8]| [TOKEN.as_bytes(), session.as_bytes()].contains(value);
    let expected = values.iter().take(4).any(counts);
    // What was opened a moment ago is kept from the second time on.
    for _ in 0..3 {
        let found = OpenSession::find(jar, names, keys, "a.example", NOW);
        assert_eq!(found.is_some(), expected);
        assert!(OpenSession::find(jar, names, keys, "b.example", NOW).is_none());
    }
    for value in values.iter().take(8) {
        for purpose in [
            Purpose::Attempt,
            Purpose::HandOffRequest,
            Purpose::HandOffTicket,
            Purpose::SignOut,
            Purpose::Landed,
        ] {
            let opened = keys.open(purpose, "a.example", value, NOW);
            let sealed = others.iter().any(|(_, other)| other.as_bytes() == *value);
            assert!(opened.is_none() || sealed, "{purpose:?}");
        }
    }
}

fn whatever_was_sealed_is_read(plain: &[u8]) {
    let names = Names::at(Scheme::Https);
    let random = |octets: &mut [u8]| octets.fill(9);
    let seal = |purpose| {
        let sealed = KEYS.seal(purpose, "a.example", plain, NOW, random);
        sealed.expect("a key that seals").into_bytes()
    };
    let session = seal(Purpose::Session);
    let cookie = cookie(names.session, &session);
    let find = || OpenSession::find(Jar::of(&cookie), names, &KEYS, "a.example", NOW);
    let found = find();
    assert_eq!(found.is_some(), session.len() <= 16 * 1024);
    let says =
        |found: &Option<OpenSession>| format!("{:?}", found.as_ref().map(OpenSession::identity));
    assert_eq!(says(&find()), says(&found));
    assert_eq!(says(&find()), says(&found));
    if let Some(who) = found.as_ref().and_then(OpenSession::identity) {
        let texts = who.groups.iter().chain([&who.subject, &who.issuer]);
        let length: usize = texts.map(|text| text.len()).sum();
        assert!(length <= plain.len(), "it says more than was sealed");
        let again = KEYS.seal_value(Purpose::Session, "a.example", &who, NOW, random);
        let again = self::cookie(names.session, again.expect("as before").as_bytes());
        let again = OpenSession::find(Jar::of(&again), names, &KEYS, "a.example", NOW);
        let reads_alike = again.as_ref().and_then(OpenSession::identity) == Some(who);
        assert!(reads_alike);
    }
    drop(opened::<SignOut>(Purpose::SignOut, &seal(Purpose::SignOut)));
    drop(opened::<HandOffRequest>(
        Purpose::HandOffRequest,
        &seal(Purpose::HandOffRequest),
    ));
    let landed = opened::<Landed>(Purpose::Landed, &seal(Purpose::Landed));
    let host = Host::parse("a.example").expect("a host");
    if let Some(landed) = landed {
        let value = landed.seal(&KEYS, &host, NOW, random).expect("as before");
        let cookie = self::cookie(names.landed, value.as_bytes());
        let found = Landed::find(Jar::of(&cookie), names, &KEYS, &host, NOW);
        assert!(found.is_none_or(|found| found == landed));
    }
    if let Some(attempt) = opened::<Attempt>(Purpose::Attempt, &seal(Purpose::Attempt))
        && let Some((name, value)) = attempt.seal(names, &KEYS, &host, NOW, random)
    {
        let cookie = self::cookie(&name, value.as_bytes());
        let find = |state: &str| Attempt::find(Jar::of(&cookie), names, &KEYS, &host, state, NOW);
        let state = attempt.state.as_str();
        assert!(find(state).is_none_or(|(found, of)| found == attempt && of == name));
        assert!(find(&format!("{state}x")).is_none());
    }
}

fn opened<T: DeserializeOwned>(purpose: Purpose, sealed: &[u8]) -> Option<T> {
    KEYS.open_value(purpose, "a.example", sealed, NOW)
}

fn cookie(name: &str, value: &[u8]) -> HeaderMap {
    let line = [name.as_bytes(), b"=", value].concat();
    let mut headers = HeaderMap::new();
    headers.append(COOKIE, HeaderValue::from_bytes(&line).expect("plain"));
    headers
}

/// A line with what its words stand for.
fn spelled_out(line: &[u8]) -> Vec<u8> {
    let mut line = line.to_vec();
    for (word, sealed) in &*WORDS {
        let place = line
            .windows(word.len())
            .position(|part| part == word.as_bytes());
        if let Some(place) = place {
            line.splice(place..place + word.len(), sealed.bytes());
        }
    }
    line
}

fn slowly<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let mut values = Vec::new();
    for line in headers.get_all(COOKIE) {
        for pair in line.as_bytes().split(|octet| *octet == b';') {
            let pair = trimmed(pair);
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

fn trimmed(pair: &[u8]) -> &[u8] {
    let blank = |octet: &&u8| matches!(**octet, b' ' | b'\t');
    let front = pair.iter().take_while(blank).count();
    let pair = pair.get(front..).unwrap_or_default();
    let back = pair.iter().rev().take_while(blank).count();
    pair.get(..pair.len() - back).unwrap_or_default()
}
