//! Authorization codes: random, short-lived, each good for one exchange.

use std::{collections::HashMap, time::Duration};

use super::account::Account;
use crate::policy::Moment;

/// What a code stands for. Everything in it is compared again when the code is exchanged.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) account: &'static Account,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) code_challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) authenticated_at: Moment,
}

/// The codes that wait for their exchange.
#[derive(Debug, Default)]
pub(super) struct Codes(HashMap<String, Grant>);

/// RFC 6749 §4.1.2 recommends at most ten minutes; a machine's exchange takes no time.
const LIFE: Duration = Duration::from_secs(60);

// === impl Codes ===

impl Codes {
    /// Keeps a grant under its code, and forgets those whose time is over.
    pub(super) fn keep(&mut self, code: String, grant: Grant, now: Moment) {
        self.0.retain(|_, grant| !grant.is_over(now));
        self.0.insert(code, grant);
    }

    /// The grant of a code, which is used up by this.
    pub(super) fn redeem(&mut self, code: &str, now: Moment) -> Option<Grant> {
        self.0.remove(code).filter(|grant| !grant.is_over(now))
    }
}

// === impl Grant ===

impl Grant {
    fn is_over(&self, now: Moment) -> bool {
        now >= self.authenticated_at.after(LIFE)
    }
}
