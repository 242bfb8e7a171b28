//! The hand-off: how a protected host gets a session from a sign-in on the auth host: one sign-in for
//! all hosts.
//!
//! The protected host remembers an attempt in the browser and sends it away with a sealed `Request`; the auth
//! host answers with a sealed `Ticket` that names the attempt. A ticket is therefore of use to that browser
//! on that host, for seconds, and once: using it deletes the attempt.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Keys, Purpose, RandomBytes, State};
use crate::policy::{Host, Identity, Moment};

/// What a protected host asks of the auth host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The host that asks.
    pub host: String,
    /// Its attempt.
    pub state: State,
    /// When it asked.
    pub asked_at: Moment,
    /// The provider that must vouch.
    pub provider: String,
    /// The service, for the page's words.
    pub service: Option<String>,
    /// The person wants another account.
    pub switch_account: bool,
    /// A sign-in before this moment is not good enough.
    pub signed_in_since: Option<Moment>,
    /// A proof of identity older than so many seconds is not good enough (`max_age`).
    pub max_age: Option<u64>,
}

/// What the auth host tells a protected host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket<'a> {
    /// The attempt it answers.
    pub state: State,
    /// When it was written.
    pub written_at: Moment,
    /// Who signed in.
    #[serde(borrow)]
    pub who: Identity<'a>,
}

/// A protected host asks the auth host to end the person's session there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOut {
    /// The host where the person signed out.
    pub host: String,
    /// Whose session ended there: provider and subject, if there was one.
    pub account: Option<(String, String)>,
    /// When.
    pub asked_at: Moment,
}

const REQUEST_LIFE: Duration = Duration::from_secs(15 * 60);
const TICKET_LIFE: Duration = Duration::from_secs(30);
const SIGN_OUT_LIFE: Duration = Duration::from_secs(60);

// === impl Request ===

impl Request {
    /// Seals it for the auth host.
    #[must_use]
    pub fn seal(
        &self,
        keys: &Keys,
        auth_host: &Host,
        now: Moment,
        random: RandomBytes,
    ) -> Option<String> {
        keys.seal_value(
            Purpose::HandOffRequest,
            auth_host.as_str(),
            self,
            now,
            random,
        )
    }

    /// Opens one on the auth host.
    #[must_use]
    pub fn open(sealed: &str, keys: &Keys, auth_host: &Host, now: Moment) -> Option<Self> {
        let request: Self = keys.open_value(
            Purpose::HandOffRequest,
            auth_host.as_str(),
            sealed.as_bytes(),
            now,
        )?;
        request
            .asked_at
            .was_within(REQUEST_LIFE, now)
            .then_some(request)
    }
}

// === impl Ticket ===

impl<'a> Ticket<'a> {
    /// Answers a request.
    #[must_use]
    pub fn answer(request: &Request, who: Identity<'a>, now: Moment) -> Self {
        Self {
            state: request.state.clone(),
            written_at: now,
            who,
        }
    }

    /// Seals it for the host that asked.
    #[must_use]
    pub fn seal(
        &self,
        keys: &Keys,
        host: &Host,
        now: Moment,
        random: RandomBytes,
    ) -> Option<String> {
        keys.seal_value(Purpose::HandOffTicket, host.as_str(), self, now, random)
    }

    /// What a sealed ticket holds, on the host that asked.
    #[must_use]
    pub fn unseal(sealed: &str, keys: &Keys, host: &Host, now: Moment) -> Option<Vec<u8>> {
        keys.open(
            Purpose::HandOffTicket,
            host.as_str(),
            sealed.as_bytes(),
            now,
        )
    }

    /// Reads what `unseal` gave, if it is not too old.
    #[must_use]
    pub fn read(plain: &'a [u8], now: Moment) -> Option<Self> {
        let ticket: Self = postcard::from_bytes(plain).ok()?;
        ticket
            .written_at
            .was_within(TICKET_LIFE, now)
            .then_some(ticket)
    }
}

// === impl SignOut ===

impl SignOut {
    /// Seals it for the auth host.
    #[must_use]
    pub fn seal(
        &self,
        keys: &Keys,
        auth_host: &Host,
        now: Moment,
        random: RandomBytes,
    ) -> Option<String> {
        keys.seal_value(Purpose::SignOut, auth_host.as_str(), self, now, random)
    }

    /// Opens one on the auth host.
    #[must_use]
    pub fn open(sealed: &str, keys: &Keys, auth_host: &Host, now: Moment) -> Option<Self> {
        let request: Self =
            keys.open_value(Purpose::SignOut, auth_host.as_str(), sealed.as_bytes(), now)?;
        request
            .asked_at
            .was_within(SIGN_OUT_LIFE, now)
            .then_some(request)
    }

    /// Whether it is about this person. Anybody can sign out and hand the request on as a link, so it must not end
    /// somebody else's session.
    #[must_use]
    pub fn is_of(&self, who: &Identity<'_>) -> bool {
        self.account
            .as_ref()
            .is_some_and(|(provider, subject)| *provider == who.provider && *subject == who.subject)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{published::KeyRing, session::random};

    const NOW: Moment = Moment(1_800_000_000);

    #[test]
    fn a_ticket_is_of_use_on_its_host_for_seconds() {
        let keys = Keys::new(Arc::new(KeyRing::first(1, [1; 32])));
        let (host, other) = (
            Host::parse("a.example").unwrap(),
            Host::parse("b.example").unwrap(),
        );
        let request = Request {
            host: host.to_string(),
            state: State::new(NOW, random),
            asked_at: NOW,
            provider: "corp".into(),
            service: None,
            switch_account: false,
            signed_in_since: None,
            max_age: None,
        };
        let ticket = Ticket::answer(&request, crate::policy::example_identity(), NOW);
        let sealed = ticket.seal(&keys, &host, NOW, random).unwrap();
        let plain = Ticket::unseal(&sealed, &keys, &host, NOW).unwrap();
        assert_eq!(Ticket::read(&plain, NOW), Some(ticket.clone()));
        assert_eq!(
            Ticket::read(&plain, NOW.after(Duration::from_secs(31))),
            None
        );
        assert_eq!(Ticket::unseal(&sealed, &keys, &other, NOW), None);
        assert_eq!(Request::open(&sealed, &keys, &host, NOW), None);
        let asked = request.seal(&keys, &other, NOW, random).unwrap();
        assert_eq!(Request::open(&asked, &keys, &other, NOW), Some(request));
        assert_eq!(
            Request::open(&asked, &keys, &other, NOW.after(Duration::from_secs(901))),
            None
        );
        assert_eq!(Request::open(&asked, &keys, &host, NOW), None);
    }
}
