//! What can happen in a story, and how often.

use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

/// What happens next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Policy(Policy),
    Corp(Corp),
    /// A tenant's Ingress on the host comes or goes.
    Share(bool),
    /// The same on the auth host.
    ShareAuthHost(bool),
    /// The controller hears of all that and acts.
    ControllerCatchesUp,
    NewKeys,
    Later(u64),
    /// Somebody signs in without a pause.
    SignIn(Person),
    /// Somebody opens the service and is sent away, or signed in.
    Leave(Person),
    /// One of those who left comes back with a code; the provider does not answer yet.
    ComeBack(Index),
    /// The provider answers.
    Answer(Index),
    /// A ticket is redeemed.
    Finish(Index),
}

/// Who may enter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Policy {
    Gone,
    Domain,
    Group,
    /// The domain, for ten minutes.
    Short,
    /// Ann alone.
    Ann,
}

/// How the provider stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Corp {
    Gone,
    Usual,
    /// Addresses count that it does not vouch for.
    Trusted,
    /// Groups are read from another claim.
    Roles,
    /// Another issuer.
    Moved,
    /// Other domains alone.
    Elsewhere,
    /// No session lasts longer than five minutes.
    Brief,
    /// For other namespaces.
    NotForDocs,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Person {
    /// Of corp.test, vouched for, of the admins.
    Ann,
    /// Says to be of corp.test, and has the role `admins`.
    Bob,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let policy = prop_oneof![
        Just(Policy::Gone),
        Just(Policy::Domain),
        Just(Policy::Group),
        Just(Policy::Short),
        Just(Policy::Ann),
    ];
    let corp = prop_oneof![
        3 => Just(Corp::Usual),
        3 => Just(Corp::Trusted),
        2 => Just(Corp::Roles),
        1 => Just(Corp::Gone),
        1 => Just(Corp::Moved),
        1 => Just(Corp::Elsewhere),
        1 => Just(Corp::Brief),
        1 => Just(Corp::NotForDocs),
    ];
    let person = prop_oneof![Just(Person::Ann), Just(Person::Bob)];
    prop_oneof![
        2 => policy.prop_map(Step::Policy),
        3 => corp.prop_map(Step::Corp),
        1 => any::<bool>().prop_map(Step::Share),
        1 => any::<bool>().prop_map(Step::ShareAuthHost),
        1 => Just(Step::ControllerCatchesUp),
        1 => Just(Step::NewKeys),
        2 => prop_oneof![Just(1), Just(29), Just(200), Just(700)].prop_map(Step::Later),
        3 => person.clone().prop_map(Step::SignIn),
        6 => person.prop_map(Step::Leave),
        6 => any::<Index>().prop_map(Step::ComeBack),
        6 => any::<Index>().prop_map(Step::Answer),
        4 => any::<Index>().prop_map(Step::Finish),
    ]
}

// === impl Person ===

impl Person {
    pub(super) fn claims(self, nonce: &str) -> Value {
        let (name, group) = match self {
            Self::Ann => ("ann", "groups"),
            Self::Bob => ("bob", "roles"),
        };
        json!({
            "sub": name, "nonce": nonce, "email": format!("{name}@corp.test"),
            "email_verified": self == Self::Ann, group: ["admins"],
        })
    }
}
