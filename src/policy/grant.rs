//! `allow`: OR of entries, AND of the fields of one entry. No entry matches: denied.

use std::sync::Arc;

use super::{DomainPattern, Email, Identity};

/// Who gets in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// Everyone whom one of the service's providers knows; said out loud by `anyAuthenticated`.
    AnyAuthenticated,
    /// Whoever satisfies one of these entries; nobody if there is none.
    AnyOf(Vec<Entry>),
}

/// One entry of `allow`. A list that is empty asks nothing; an entry that asks nothing admits nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Signed in with this provider.
    pub provider: Option<Arc<str>>,
    /// The verified address lies in one of these domains.
    pub email_domains: Vec<DomainPattern>,
    /// The verified address is one of these.
    pub emails: Vec<Email>,
    /// Member of one of these groups; compared octet by octet.
    pub groups: Vec<Arc<str>>,
    /// Each of these claims has one of its values.
    pub claims: Vec<ClaimTest>,
}

/// A claim and the values that satisfy it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimTest {
    /// The claim's name.
    pub name: Arc<str>,
    /// One of these suffices; compared octet by octet.
    pub values: Vec<Arc<str>>,
}

/// Why nobody's entry matched: the closest thing to getting in, for the page that explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Miss {
    /// No entry is about this account.
    NotListed,
    /// An entry would match if the provider vouched for the address.
    EmailUnverified,
    /// An entry matches but for its claims.
    ClaimMissing,
    /// An entry matches but for its groups.
    GroupMissing,
}

// === impl Grant ===

impl Grant {
    /// Whether an entry lets this person in, or what was missing.
    ///
    /// # Errors
    /// The closest miss, if no entry matches.
    pub fn judge(&self, who: &Identity<'_>) -> Result<(), Miss> {
        let entries = match self {
            Self::AnyAuthenticated => return Ok(()),
            Self::AnyOf(entries) => entries,
        };
        let address = who.email.as_deref().and_then(Email::parse);
        let mut closest = Miss::NotListed;
        for entry in entries {
            match entry.judge(who, address.as_ref()) {
                Ok(()) => return Ok(()),
                Err(miss) => closest = closest.max(miss),
            }
        }
        Err(closest)
    }
}

// === impl Entry ===

impl Entry {
    fn judge(&self, who: &Identity<'_>, address: Option<&Email>) -> Result<(), Miss> {
        let asks_nothing = self.email_domains.is_empty()
            && self.emails.is_empty()
            && self.groups.is_empty()
            && self.claims.is_empty();
        if asks_nothing {
            return Err(Miss::NotListed);
        }
        if self
            .provider
            .as_deref()
            .is_some_and(|provider| provider != who.provider)
        {
            return Err(Miss::NotListed);
        }
        if !self.email_domains.is_empty() || !self.emails.is_empty() {
            let Some(address) = address else {
                return Err(Miss::NotListed);
            };
            let in_domain = self.email_domains.is_empty()
                || self
                    .email_domains
                    .iter()
                    .any(|domain| domain.covers(address.domain()));
            let by_name = self.emails.is_empty() || self.emails.contains(address);
            if !in_domain || !by_name {
                return Err(Miss::NotListed);
            }
            if !who.email_verified {
                return Err(Miss::EmailUnverified);
            }
        }
        let has_claims = self.claims.iter().all(|test| {
            who.claim(&test.name)
                .iter()
                .any(|value| test.values.iter().any(|v| **v == **value))
        });
        if !has_claims {
            return Err(Miss::ClaimMissing);
        }
        let in_group = self.groups.is_empty()
            || self
                .groups
                .iter()
                .any(|group| who.groups.iter().any(|g| **g == **group));
        if in_group {
            Ok(())
        } else {
            Err(Miss::GroupMissing)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::decision::tests::ann;

    fn domain(text: &str) -> Entry {
        Entry {
            email_domains: vec![DomainPattern::parse(text).unwrap()],
            ..Entry::default()
        }
    }

    #[test]
    fn entries_are_alternatives_and_fields_are_conditions() {
        let editors = Entry {
            groups: vec!["editors".into()],
            ..domain("corp.example")
        };
        let grant = Grant::AnyOf(vec![domain("other.example"), editors]);
        let mut who = ann();
        assert_eq!(grant.judge(&who), Err(Miss::GroupMissing));
        who.groups = vec!["editors".into()];
        assert_eq!(grant.judge(&who), Ok(()));
        who.email = Some("ann@third.example".into());
        assert_eq!(grant.judge(&who), Err(Miss::NotListed));
    }

    #[test]
    fn an_empty_list_and_an_empty_entry_admit_nobody() {
        assert_eq!(Grant::AnyOf(vec![]).judge(&ann()), Err(Miss::NotListed));
        assert_eq!(
            Grant::AnyOf(vec![Entry::default()]).judge(&ann()),
            Err(Miss::NotListed)
        );
        let only_provider = Entry {
            provider: Some("corp".into()),
            ..Entry::default()
        };
        assert_eq!(
            Grant::AnyOf(vec![only_provider]).judge(&ann()),
            Err(Miss::NotListed)
        );
    }

    #[test]
    fn an_unverified_address_is_never_compared_but_is_named_as_the_cause() {
        let mut who = ann();
        who.email_verified = false;
        let grant = Grant::AnyOf(vec![domain("corp.example")]);
        assert_eq!(grant.judge(&who), Err(Miss::EmailUnverified));
        who.email = Some("ann@corp.example@evil.example".into());
        who.email_verified = true;
        assert_eq!(grant.judge(&who), Err(Miss::NotListed));
    }

    #[test]
    fn a_claim_needs_one_of_its_values() {
        let it = ClaimTest {
            name: "department".into(),
            values: vec!["it".into()],
        };
        let grant = Grant::AnyOf(vec![Entry {
            claims: vec![it],
            ..Entry::default()
        }]);
        let mut who = ann();
        assert_eq!(grant.judge(&who), Err(Miss::ClaimMissing));
        who.claims = vec![crate::policy::Claim {
            name: "department".into(),
            values: vec!["hr".into(), "it".into()],
        }];
        assert_eq!(grant.judge(&who), Ok(()));
    }

    proptest! {
        #[test]
        fn more_conditions_never_admit_more(groups in proptest::collection::vec("[a-c]", 0..3), asked in "[a-c]") {
            let mut who = ann();
            who.groups = groups.into_iter().map(Into::into).collect();
            let loose = Grant::AnyOf(vec![domain("corp.example")]);
            let strict = Grant::AnyOf(vec![Entry { groups: vec![asked.as_str().into()], ..domain("corp.example") }]);
            prop_assert!(loose.judge(&who).is_ok());
            prop_assert_eq!(strict.judge(&who).is_ok(), who.groups.iter().any(|g| *g == asked));
        }
    }
}
