//! Somebody signed in, for tests that seal a session themselves.

use std::borrow::Cow;

use vestibule::policy::{Identity, Moment};

/// Bob of corp.example, signed in at the provider `corp` since then, for an hour.
pub(crate) fn bob(issuer: impl Into<Cow<'static, str>>, began: Moment) -> Identity<'static> {
    Identity {
        session_id: [7; 16],
        provider: "corp".into(),
        issuer: issuer.into(),
        subject: "bob".into(),
        email: Some("bob@corp.example".into()),
        email_verified: true,
        name: None,
        username: None,
        groups: vec![],
        groups_complete: true,
        claims: vec![],
        authenticated_at: began,
        issued_at: began,
        ends_at: Moment(began.0 + 3600),
        reading: None,
    }
}
