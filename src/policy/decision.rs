//! The decision: one policy, one visit, one person or nobody, one moment.

use std::{borrow::Cow, sync::Arc, time::Duration};

use super::{CanonicalPath, DomainPattern, Email, Grant, Identity, Miss, Moment, PathMatch, Visit};

/// Who may enter one service, ready to be judged on every request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The providers whose sessions count here, and what their administrators limit them to.
    pub providers: Vec<Terms>,
    /// Who gets in.
    pub grant: Grant,
    /// Exceptions by path.
    pub rules: Vec<Rule>,
    /// How long a session counts here.
    pub session: SessionLimits,
    /// Nobody knows which path the service sees (`use-regex`, `rewrite-target`): with rules, closed.
    pub paths_are_rewritten: bool,
}

/// A provider as a service may use it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The IdentityProvider's name.
    pub provider: Arc<str>,
    /// Whom it speaks for. One of the same name that spoke for another issuer was another provider.
    pub issuer: Arc<str>,
    /// A fingerprint of how its statements are read: which claims hold what, whose addresses count. What was read
    /// otherwise may say what would not be believed now.
    pub reading: [u8; 4],
    /// The administrator's limits, which no policy widens.
    pub ceiling: Ceiling,
}

/// What an IdentityProvider's administrator limits every service to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ceiling {
    /// Only addresses of these domains; no limit if empty.
    pub email_domains: Vec<DomainPattern>,
    /// Only accounts of these domains, as [`HOSTED_DOMAIN`] says; no limit if empty.
    pub hosted_domains: Vec<Arc<str>>,
    /// No session counts for longer than this.
    pub max_session: Option<Duration>,
}

/// An exception by path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The paths meant.
    pub paths: Vec<PathMatch>,
    /// What holds there.
    pub access: RuleAccess,
}

/// What holds on a rule's paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RuleAccess {
    /// Everyone, signed in or not.
    Public,
    /// Those whom the service lets in and this grant as well.
    Restricted(Grant),
    /// Nobody.
    Denied,
}

/// How long a session counts for a service. Policy shortens sessions; it never extends them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SessionLimits {
    /// Counted from the session's beginning.
    pub max_duration: Option<Duration>,
    /// Counted from the moment the person last proved who they are.
    pub max_authentication_age: Option<Duration>,
}

/// What to do with a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let through without looking at who it is.
    Public,
    /// Let through, as the person signed in.
    Allow,
    /// Nobody is signed in as far as this service is concerned.
    SignIn(SignIn),
    /// Somebody is, and may not enter.
    Deny(Denial),
}

/// Why somebody has to sign in (again).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// No session, or none that can be read.
    NoSession,
    /// The session is over for this service.
    Expired,
    /// The person proved who they are too long ago; the provider must ask again.
    AuthenticationTooOld,
    /// The session is of a provider that this service does not use.
    OtherProvider,
    /// What the provider says has been read otherwise since, so its statement has to be asked for again.
    ReadOtherwise,
    /// Groups were left out when the session was made, and one of them is asked for now.
    GroupsIncomplete,
}

/// Why somebody who is signed in may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No entry of `allow` matches.
    NotAllowed(Miss),
    /// The provider's administrator admits other domains only.
    OutsideCeiling,
    /// Rule number so and so admits only some, and not this person.
    Restricted(usize, Miss),
    /// Rule number so and so admits nobody.
    PathDenied(usize),
    /// The path has more than one reading, or is unknown, and the service has rules that close paths.
    PathUnclear,
}

/// The claim that names the domain to which an account belongs (`hd` of Google).
pub const HOSTED_DOMAIN: &str = "hd";
/// For so long after sign-in a session is not sent to sign in again for groups that were left out.
const FRESH: Duration = Duration::from_secs(60);

/// Decides one visit. Total: every combination of arguments has an answer, and none that is not in the
/// policy is "yes".
#[must_use]
pub fn decide(
    policy: &Policy,
    visit: Visit<'_>,
    who: Option<&Identity<'_>>,
    now: Moment,
) -> Decision {
    let place = policy.place(visit);
    if let Place::Rule(_, RuleAccess::Public) = place {
        return Decision::Public;
    }
    let Some(who) = who else {
        return Decision::SignIn(SignIn::NoSession);
    };
    let Some(terms) = policy
        .providers
        .iter()
        .find(|terms| *terms.provider == *who.provider && *terms.issuer == *who.issuer)
    else {
        return Decision::SignIn(SignIn::OtherProvider);
    };
    if who.reading.is_some_and(|reading| reading != terms.reading) {
        return Decision::SignIn(SignIn::ReadOtherwise);
    }
    if let Some(why) = policy.session.ended(terms, who, now) {
        return Decision::SignIn(why);
    }
    if !terms.ceiling.admits(who) {
        return Decision::Deny(Denial::OutsideCeiling);
    }
    let refusal = |miss, denial| {
        let stale = !who.groups_complete && now.since(who.issued_at) > FRESH;
        if miss == Miss::GroupMissing && stale {
            Decision::SignIn(SignIn::GroupsIncomplete)
        } else {
            Decision::Deny(denial)
        }
    };
    if let Err(miss) = policy.grant.judge(who) {
        return refusal(miss, Denial::NotAllowed(miss));
    }
    match place {
        Place::Ordinary | Place::Rule(_, RuleAccess::Public) => Decision::Allow,
        Place::Rule(number, RuleAccess::Denied) => Decision::Deny(Denial::PathDenied(number)),
        Place::Rule(number, RuleAccess::Restricted(grant)) => match grant.judge(who) {
            Ok(()) => Decision::Allow,
            Err(miss) => refusal(miss, Denial::Restricted(number, miss)),
        },
        Place::Unclear => policy.judge_everywhere(who),
    }
}

/// Where in the policy a visit falls.
enum Place<'p> {
    Ordinary,
    Rule(usize, &'p RuleAccess),
    Unclear,
}

// === impl Policy ===

impl Policy {
    /// Whether any rule closes a path, so that an unknown path cannot simply be let through.
    #[must_use]
    pub fn closes_paths(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.access != RuleAccess::Public)
    }

    fn place(&self, visit: Visit<'_>) -> Place<'_> {
        if self.rules.is_empty() {
            return Place::Ordinary;
        }
        let path = if self.paths_are_rewritten {
            None
        } else {
            visit.target
        };
        let Some(path) = path.and_then(|target| CanonicalPath::parse(target).ok()) else {
            return if self.closes_paths() || self.paths_are_rewritten {
                Place::Unclear
            } else {
                Place::Ordinary
            };
        };
        let mut best: Option<((bool, usize), u8, usize, &RuleAccess)> = None;
        for (number, rule) in self.rules.iter().enumerate() {
            let (public, strictness) = match rule.access {
                RuleAccess::Public => (true, 0),
                RuleAccess::Restricted(_) => (false, 1),
                RuleAccess::Denied => (false, 2),
            };
            for value in &rule.paths {
                let meant = if public {
                    value.opens(&path)
                } else {
                    value.closes(&path)
                };
                // Equally specific: the stricter rule wins, then the earlier one.
                let rank = (value.specificity(), strictness);
                if meant && best.is_none_or(|(s, strict, ..)| rank > (s, strict)) {
                    best = Some((rank.0, strictness, number, &rule.access));
                }
            }
        }
        best.map_or(Place::Ordinary, |(_, _, number, access)| {
            Place::Rule(number, access)
        })
    }

    /// A path that could be anything must satisfy every rule that closes.
    fn judge_everywhere(&self, who: &Identity<'_>) -> Decision {
        let satisfied = !self.paths_are_rewritten
            && self.rules.iter().all(|rule| match &rule.access {
                RuleAccess::Public => true,
                RuleAccess::Restricted(grant) => grant.judge(who).is_ok(),
                RuleAccess::Denied => false,
            });
        if satisfied {
            Decision::Allow
        } else {
            Decision::Deny(Denial::PathUnclear)
        }
    }
}

// === impl SessionLimits ===

impl SessionLimits {
    fn ended(&self, terms: &Terms, who: &Identity<'_>, now: Moment) -> Option<SignIn> {
        let over =
            |limit: Option<Duration>| limit.is_some_and(|limit| now >= who.issued_at.after(limit));
        if now >= who.ends_at
            || who.issued_at.is_to_come(now)
            || over(self.max_duration)
            || over(terms.ceiling.max_session)
        {
            return Some(SignIn::Expired);
        }
        self.max_authentication_age
            .is_some_and(|age| now >= who.authenticated_at.after(age))
            .then_some(SignIn::AuthenticationTooOld)
    }
}

// === impl Ceiling ===

impl Ceiling {
    fn admits(&self, who: &Identity<'_>) -> bool {
        let mut admitted = self.email_domains.iter();
        let admits_address = self.email_domains.is_empty()
            || who
                .verified_email()
                .and_then(Email::parse)
                .is_some_and(|email| admitted.any(|domain| domain.covers(email.domain())));
        admits_address && self.admits_account_of(who.claim(HOSTED_DOMAIN))
    }

    fn admits_account_of(&self, hosted: &[Cow<'_, str>]) -> bool {
        let mut admitted = self.hosted_domains.iter();
        self.hosted_domains.is_empty()
            || matches!(hosted, [only] if admitted.any(|one| one.eq_ignore_ascii_case(only)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Claim, Entry};

    const NOW: Moment = Moment(1_000_000);
    const READING: [u8; 4] = [7; 4];

    pub(crate) fn ann() -> Identity<'static> {
        Identity {
            session_id: [7; 16],
            provider: "corp".into(),
            issuer: "https://id.corp.example".into(),
            subject: "ann-1".into(),
            email: Some("ann@corp.example".into()),
            email_verified: true,
            name: Some("Ann".into()),
            username: None,
            groups: vec![],
            groups_complete: true,
            claims: vec![],
            authenticated_at: Moment(999_000),
            issued_at: Moment(999_000),
            ends_at: Moment(1_040_000),
            reading: None,
        }
    }

    fn corp() -> Grant {
        Grant::AnyOf(vec![Entry {
            email_domains: vec![DomainPattern::parse("corp.example").unwrap()],
            ..Entry::default()
        }])
    }

    fn admins() -> Grant {
        Grant::AnyOf(vec![Entry {
            groups: vec!["admins".into()],
            ..Entry::default()
        }])
    }

    fn rule(paths: &[&str], access: RuleAccess) -> Rule {
        let read = |p: &&str| {
            if p.ends_with('/') {
                PathMatch::prefix(p).unwrap()
            } else {
                PathMatch::exact(p).unwrap()
            }
        };
        Rule {
            paths: paths.iter().map(read).collect(),
            access,
        }
    }

    fn policy(rules: Vec<Rule>) -> Policy {
        Policy {
            providers: vec![Terms {
                provider: "corp".into(),
                issuer: "https://id.corp.example".into(),
                reading: READING,
                ceiling: Ceiling::default(),
            }],
            grant: corp(),
            rules,
            session: SessionLimits::default(),
            paths_are_rewritten: false,
        }
    }

    fn at(policy: &Policy, target: &str, who: Option<&Identity<'_>>) -> Decision {
        decide(
            policy,
            Visit {
                target: Some(target),
            },
            who,
            NOW,
        )
    }

    #[test]
    fn a_session_whose_provider_is_read_otherwise_now_signs_in_again() {
        let by = |reading| Identity { reading, ..ann() };
        let policy = policy(vec![]);
        for (who, expected) in [
            (by(Some(READING)), Decision::Allow),
            (by(None), Decision::Allow),
            (by(Some([8; 4])), Decision::SignIn(SignIn::ReadOtherwise)),
        ] {
            assert_eq!(
                decide(&policy, Visit { target: None }, Some(&who), NOW),
                expected
            );
        }
    }

    #[test]
    fn a_listed_person_enters_and_nobody_else() {
        let policy = policy(vec![]);
        assert_eq!(at(&policy, "/", Some(&ann())), Decision::Allow);
        assert_eq!(at(&policy, "/", None), Decision::SignIn(SignIn::NoSession));
        let eve = Identity {
            email: Some("eve@evil.example".into()),
            ..ann()
        };
        assert_eq!(
            at(&policy, "/", Some(&eve)),
            Decision::Deny(Denial::NotAllowed(Miss::NotListed))
        );
        let other = Identity {
            provider: "other".into(),
            ..ann()
        };
        assert_eq!(
            at(&policy, "/", Some(&other)),
            Decision::SignIn(SignIn::OtherProvider)
        );
        let before_the_issuer_changed = Identity {
            issuer: "https://old.corp.example".into(),
            ..ann()
        };
        assert_eq!(
            at(&policy, "/", Some(&before_the_issuer_changed)),
            Decision::SignIn(SignIn::OtherProvider)
        );
    }

    #[test]
    fn limits_shorten_sessions_and_never_extend_them() {
        let mut policy = policy(vec![]);
        let ended = Identity {
            ends_at: NOW,
            ..ann()
        };
        assert_eq!(
            at(&policy, "/", Some(&ended)),
            Decision::SignIn(SignIn::Expired)
        );
        let future = Identity {
            issued_at: Moment(NOW.0 + 3600),
            ..ann()
        };
        assert_eq!(
            at(&policy, "/", Some(&future)),
            Decision::SignIn(SignIn::Expired)
        );
        policy.session.max_duration = Some(Duration::from_secs(1001));
        assert_eq!(at(&policy, "/", Some(&ann())), Decision::Allow);
        assert_eq!(
            at(&policy, "/", Some(&ended)),
            Decision::SignIn(SignIn::Expired)
        );
        policy.session.max_duration = Some(Duration::from_secs(1000));
        assert_eq!(
            at(&policy, "/", Some(&ann())),
            Decision::SignIn(SignIn::Expired)
        );
        policy.session = SessionLimits {
            max_authentication_age: Some(Duration::from_secs(1000)),
            ..SessionLimits::default()
        };
        assert_eq!(
            at(&policy, "/", Some(&ann())),
            Decision::SignIn(SignIn::AuthenticationTooOld)
        );
    }

    #[test]
    fn the_administrators_ceiling_is_above_every_policy() {
        let mut policy = policy(vec![]);
        policy.grant = Grant::AnyAuthenticated;
        let ceiling = &mut policy.providers.first_mut().unwrap().ceiling;
        ceiling.email_domains = vec![DomainPattern::parse("corp.example").unwrap()];
        let eve = Identity {
            email: Some("eve@evil.example".into()),
            ..ann()
        };
        assert_eq!(at(&policy, "/", Some(&ann())), Decision::Allow);
        assert_eq!(
            at(&policy, "/", Some(&eve)),
            Decision::Deny(Denial::OutsideCeiling)
        );
        let unverified = Identity {
            email_verified: false,
            ..ann()
        };
        assert_eq!(
            at(&policy, "/", Some(&unverified)),
            Decision::Deny(Denial::OutsideCeiling)
        );
    }

    #[test]
    fn a_domain_that_the_administrator_no_longer_admits_ends_what_its_accounts_have() {
        let mut policy = policy(vec![]);
        policy.grant = Grant::AnyAuthenticated;
        let ceiling = &mut policy.providers.first_mut().unwrap().ceiling;
        ceiling.hosted_domains = vec!["corp.example".into(), "lab.example".into()];
        for (hosted, admitted) in [
            (&["corp.example"][..], true),
            (&["LAB.example"], true),
            (&["gone.example"], false),
            (&["corp.example", "gone.example"], false),
            (&[""], false),
            (&[], false),
        ] {
            let claim = Claim {
                name: HOSTED_DOMAIN.into(),
                values: hosted.iter().map(|one| (*one).into()).collect(),
            };
            let who = Identity {
                claims: vec![claim],
                ..ann()
            };
            let expected = if admitted {
                Decision::Allow
            } else {
                Decision::Deny(Denial::OutsideCeiling)
            };
            assert_eq!(at(&policy, "/", Some(&who)), expected, "{hosted:?}");
        }
        let without_the_claim = at(&policy, "/", Some(&ann()));
        assert_eq!(without_the_claim, Decision::Deny(Denial::OutsideCeiling));
    }

    #[test]
    fn the_most_specific_rule_wins_and_among_equals_the_strictest() {
        let policy = policy(vec![
            rule(&["/pub/", "/healthz"], RuleAccess::Public),
            rule(&["/pub/secret/"], RuleAccess::Restricted(admins())),
            rule(&["/pub/secret/readme"], RuleAccess::Public),
            rule(&["/both/"], RuleAccess::Public),
            rule(&["/both/"], RuleAccess::Denied),
        ]);
        assert_eq!(at(&policy, "/pub/x", None), Decision::Public);
        assert_eq!(at(&policy, "/healthz?deep=1", None), Decision::Public);
        assert_eq!(
            at(&policy, "/healthz/", None),
            Decision::SignIn(SignIn::NoSession)
        );
        assert_eq!(at(&policy, "/pub/secret/readme", None), Decision::Public);
        assert_eq!(
            at(&policy, "/pub/secret/x", None),
            Decision::SignIn(SignIn::NoSession)
        );
        let miss = Denial::Restricted(1, Miss::GroupMissing);
        assert_eq!(
            at(&policy, "/pub/SECRET/x", Some(&ann())),
            Decision::Deny(miss)
        );
        assert_eq!(
            at(&policy, "/pub/secret", Some(&ann())),
            Decision::Deny(miss)
        );
        assert_eq!(
            at(&policy, "/pub/secret/x", Some(&ann())),
            Decision::Deny(miss)
        );
        assert_eq!(
            at(&policy, "/both/x", Some(&ann())),
            Decision::Deny(Denial::PathDenied(4))
        );
    }

    #[test]
    fn a_path_with_two_readings_is_no_public_path_and_must_satisfy_every_rule() {
        let mut policy = policy(vec![
            rule(&["/pub/"], RuleAccess::Public),
            rule(&["/admin/"], RuleAccess::Restricted(admins())),
        ]);
        let admin = Identity {
            groups: vec!["admins".into()],
            ..ann()
        };
        assert_eq!(
            at(&policy, "/pub/..%2fadmin", None),
            Decision::SignIn(SignIn::NoSession)
        );
        assert_eq!(
            at(&policy, "/pub/%2e./x", Some(&ann())),
            Decision::Deny(Denial::PathUnclear)
        );
        assert_eq!(at(&policy, "/pub//x", Some(&admin)), Decision::Allow);
        let unknown = decide(&policy, Visit { target: None }, Some(&ann()), NOW);
        assert_eq!(unknown, Decision::Deny(Denial::PathUnclear));
        policy.rules.push(rule(&["/x/"], RuleAccess::Denied));
        assert_eq!(
            at(&policy, "/pub//x", Some(&admin)),
            Decision::Deny(Denial::PathUnclear)
        );
        policy.rules.clear();
        assert_eq!(at(&policy, "/pub//x", Some(&ann())), Decision::Allow);
    }

    #[test]
    fn where_paths_are_rewritten_a_service_with_rules_is_closed() {
        let mut policy = policy(vec![rule(&["/pub/"], RuleAccess::Public)]);
        policy.paths_are_rewritten = true;
        assert_eq!(
            at(&policy, "/pub/x", None),
            Decision::SignIn(SignIn::NoSession)
        );
        assert_eq!(
            at(&policy, "/pub/x", Some(&ann())),
            Decision::Deny(Denial::PathUnclear)
        );
    }

    #[test]
    fn a_session_that_left_groups_out_signs_in_again_once() {
        let mut policy = policy(vec![]);
        policy.grant = admins();
        let marked = Identity {
            groups_complete: false,
            ..ann()
        };
        assert_eq!(
            at(&policy, "/", Some(&marked)),
            Decision::SignIn(SignIn::GroupsIncomplete)
        );
        let fresh = Identity {
            issued_at: NOW,
            ..marked
        };
        let denial = Denial::NotAllowed(Miss::GroupMissing);
        assert_eq!(at(&policy, "/", Some(&fresh)), Decision::Deny(denial));
    }

    fn any_path() -> impl Strategy<Value = String> {
        "(/(a|A|b|pub|admin|%2e|\\.\\.|%61)?){1,4}(\\?x)?"
    }

    proptest! {
        /// docs/security.md, 1: without a rule that says Public, nobody is let in who is not signed in.
        #[test]
        fn without_a_public_rule_an_anonymous_visit_never_passes(target in any_path()) {
            let policy = policy(vec![
                rule(&["/admin/"], RuleAccess::Restricted(admins())),
                rule(&["/a"], RuleAccess::Denied),
            ]);
            prop_assert!(matches!(at(&policy, &target, None), Decision::SignIn(_)));
        }

        /// A rule that closes never lets in anybody whom the service alone would refuse, and a denied
        /// path is denied in every spelling.
        #[test]
        fn closing_rules_only_close(target in any_path(), groups in proptest::bool::ANY) {
            let closing = policy(vec![
                rule(&["/admin/"], RuleAccess::Restricted(admins())),
                rule(&["/a"], RuleAccess::Denied),
            ]);
            let mut who = ann();
            if groups { who.groups = vec!["admins".into()]; }
            let plain = at(&policy(vec![]), &target, Some(&who));
            let closed = at(&closing, &target, Some(&who));
            prop_assert!(closed == plain || matches!(closed, Decision::Deny(_)));
            let spelled = target.split('?').next().unwrap();
            if spelled.eq_ignore_ascii_case("/a") || spelled == "/%61" {
                prop_assert!(matches!(closed, Decision::Deny(_)));
            }
            let eve = Identity { email: None, ..who };
            prop_assert!(!matches!(at(&closing, &target, Some(&eve)), Decision::Allow | Decision::Public));
        }

        /// Public is exact: what it opens starts with its value, octet by octet, once decoded.
        #[test]
        fn public_opens_only_what_it_names(target in any_path()) {
            let policy = policy(vec![rule(&["/pub/"], RuleAccess::Public)]);
            if at(&policy, &target, None) == Decision::Public {
                let path = CanonicalPath::parse(&target).unwrap();
                prop_assert!(path.as_bytes().starts_with(b"/pub/"));
            }
        }
    }
}
