//! The rule that every story keeps: a session counts for no more than signing in anew would open now.

use anyhow::{Result, ensure};
use http::{Request, StatusCode, header};
use vestibule::policy::Identity;

use super::{
    DAY, Note, Story,
    step::{Corp, Person, Policy},
};

/// A session of the protected host.
pub(super) struct Session {
    pub(super) cookie: String,
    pub(super) who: Identity<'static>,
    pub(super) person: Person,
    /// Of which key ring.
    pub(super) generation: u32,
}

// === impl Story ===

impl Story<'_> {
    /// Every session that was ever given is asked with.
    pub(super) fn hold_all_to_the_rule(&mut self) -> Result<()> {
        for session in &self.sessions {
            let check = Request::get("/verify/nginx/docs/wiki?m=GET&u=%2Fx&h=wiki.corp.test")
                .header(header::COOKIE, &session.cookie)
                .body(())?;
            let passes = self.verify.answer(&check).status() == StatusCode::OK;
            let refusal = self.would_refuse(session);
            match refusal {
                Some(why) => {
                    self.tally.refused += 1;
                    ensure!(
                        !passes,
                        "a session of {:?} counts although {why}",
                        session.person
                    );
                }
                None => self.tally.passed += usize::from(passes),
            }
        }
        Ok(())
    }

    /// Why signing in anew would not let this person in now, or why this session is none.
    fn would_refuse(&self, session: &Session) -> Option<&'static str> {
        let Session { who, person, .. } = session;
        let now = self.clock.now();
        let age = now.0 - who.issued_at.0;
        let is_of_admins = match self.corp {
            Corp::Roles => *person == Person::Bob,
            _ => *person == Person::Ann,
        };
        let is_vouched_for = *person == Person::Ann || self.corp == Corp::Trusted;
        let reasons = [
            (session.generation != self.generation, "its key is retired"),
            (self.is_shared, "others share the host"),
            (
                self.note == Note::None,
                "the controller says that others share the host",
            ),
            (
                matches!(self.note, Note::After(then) if who.issued_at <= then),
                "others may have seen it",
            ),
            (self.policy == Policy::Gone, "there is no policy"),
            (self.corp == Corp::Gone, "there is no provider"),
            (self.corp == Corp::NotForDocs, "the provider is for others"),
            (
                self.corp == Corp::Elsewhere,
                "the provider is for another domain",
            ),
            (*who.issuer != *self.issuer(), "another issuer vouched"),
            (age >= DAY, "it is a day old"),
            (
                self.corp == Corp::Brief && age >= 300,
                "it is five minutes old",
            ),
            (
                self.policy == Policy::Short && age >= 600,
                "it is ten minutes old",
            ),
            (
                self.policy == Policy::Ann && *person != Person::Ann,
                "it is for ann alone",
            ),
            (
                self.policy == Policy::Group && !is_of_admins,
                "it is for admins, as groups are read now",
            ),
            (
                matches!(self.policy, Policy::Domain | Policy::Short) && !is_vouched_for,
                "nobody vouches for the address any more",
            ),
        ];
        let mut reasons = reasons.into_iter();
        reasons.find_map(|(holds, why)| holds.then_some(why))
    }
}
