//! The two people of the demo.

/// Somebody who can sign in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// `sub` and `preferred_username`.
    pub(super) username: &'static str,
    /// `name`.
    pub(super) name: &'static str,
    /// `email`; the provider vouches for it.
    pub(super) email: &'static str,
    /// `groups`.
    pub(super) groups: &'static [&'static str],
}

/// Everybody.
pub(super) const ACCOUNTS: [Account; 2] = [
    Account {
        username: "ann",
        name: "Ann",
        email: "ann@corp.example",
        groups: &["editors", "grafana-admins"],
    },
    Account {
        username: "bob",
        name: "Bob",
        email: "bob@corp.example",
        groups: &["editors"],
    },
];

// === impl Account ===

impl Account {
    /// The letter that stands for the person on the page.
    pub(super) fn initial(&self) -> &'static str {
        self.name.get(..1).unwrap_or_default()
    }
}

/// The account of that user name.
pub(super) fn find(username: &str) -> Option<&'static Account> {
    ACCOUNTS.iter().find(|account| account.username == username)
}
