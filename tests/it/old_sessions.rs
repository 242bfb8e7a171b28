//! What browsers hold from the version before: a session that it sealed still opens, or everybody is signed out.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header::COOKIE};
use vestibule::{
    policy::{Claim, Identity, Moment, Scheme},
    published::KeyRing,
    session::{Jar, Keys, Names, OpenSession},
};

const NOW: Moment = Moment(1_800_000_100);
/// Sealed by version 0.1.0. It is never sealed anew: how to change what is in a session says ARCHITECTURE.md.
const SEALED: &str = concat!(
    "AQAAAAGSApOzVesRXGQiwpy8MCxVizQOeYgITigFnYmCAwYG8GK4Fyx2UnRHjCJFD7URqKBC1IwmsUEbTnRlz_aEnPFHBRpqj2I4",
    "IsUcukq2ijw-kdEeUzRzESxU1kIER1C5duHjcWYuM3fX17OEssE40XRAiWrfyHhrJCeCg-Uui9pWztg-G2-4xht-vc2kfJHlqoRo",
    "p-l9v-d3tvURs22vroYOT5yNrgqIb0KsnJbMKJTiFw",
);

fn sealed_then() -> Identity<'static> {
    Identity {
        session_id: *b"0123456789abcdef",
        provider: "corp".into(),
        issuer: "https://id.corp.example".into(),
        subject: "248289761001".into(),
        email: Some("ann@corp.example".into()),
        email_verified: true,
        name: Some("Änn Example".into()),
        username: None,
        groups: vec!["grafana-admins".into(), "editors".into()],
        groups_complete: true,
        claims: vec![Claim {
            name: "department".into(),
            values: vec!["42".into()],
        }],
        authenticated_at: Moment(1_799_999_000),
        issued_at: Moment(1_800_000_000),
        ends_at: Moment(1_800_040_000),
        reading: None,
    }
}

#[test]
fn a_session_that_an_earlier_version_sealed_still_opens() {
    let keys = Keys::new(Arc::new(KeyRing::first(1, [7; 32])));
    let mut headers = HeaderMap::new();
    let cookie = HeaderValue::from_str(&format!("__Host-vestibule={SEALED}")).unwrap();
    headers.insert(COOKIE, cookie);
    let jar = Jar::of(&headers);
    let names = Names::at(Scheme::Https);
    let session = OpenSession::find(jar, names, &keys, "wiki.corp.example", NOW);
    let session = session.expect("it does not open any more");
    assert_eq!(session.identity().as_deref(), Some(&sealed_then()));
}
