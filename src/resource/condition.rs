//! Conditions: their types, their reasons, and how a verdict becomes a `metav1.Condition`.

use std::fmt;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// The condition types of our kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The object is valid and has its target.
    Accepted,
    /// What it names exists and may be used.
    ResolvedRefs,
    /// The data plane has been told.
    Programmed,
    /// All of the above; the first that fails gives the reason.
    Ready,
}

/// Why a condition is as it is; also the reason of the Event. Stable: people write alerts on these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    // True
    /// The object is valid.
    Accepted,
    /// Everything it names was found.
    ResolvedRefs,
    /// The data plane has been told.
    Programmed,
    /// All is well.
    Ready,

    // Accepted is False
    /// A field has a value that cannot be used.
    Invalid,
    /// The object cannot be read by this version.
    Unreadable,
    /// An annotation under our prefix that we do not know.
    UnknownAnnotation,
    /// An annotation under our prefix with a value that cannot be used.
    InvalidAnnotationValue,
    /// An annotation under our prefix that has no effect here.
    AnnotationIgnored,
    /// There is no such Ingress.
    TargetNotFound,
    /// The Ingress is of a class that this installation does not serve.
    UnsupportedIngressClass,
    /// The Ingress says `vestibule.dev/protect: "false"`.
    OptedOut,
    /// Two ProtectedServices want the same Ingress, or in a folder the same host.
    Conflicted,
    /// The target has no host that could be protected.
    NoHosts,
    /// A host of the target is not a name that a browser could ask for.
    InvalidHost,
    /// Ingresses of several namespaces share the host.
    HostShared,
    /// The auth host itself cannot be protected.
    AuthHostTargeted,
    /// The ProtectedService that an annotation names does not exist or is for something else.
    ProtectedServiceNotFound,
    /// Nothing asks for the protection any more; the Ingress stays closed.
    PolicyMissing,
    /// In a folder: nothing says who may see this Ingress.
    NotAsked,
    /// The service has rules by path on a host where nobody knows which path it sees.
    PathsRewritten,
    /// Behind plain nginx, nobody says which path a request asks for, and the service has rules by path.
    PathsNotTold,

    // ResolvedRefs is False
    /// There is no such IdentityProvider, or none is the default.
    IdentityProviderNotFound,
    /// Several IdentityProviders are marked as the default.
    SeveralDefaults,
    /// The IdentityProvider may not be used from this namespace.
    RefNotPermitted,
    /// The IdentityProvider cannot be used as it is.
    IdentityProviderInvalid,
    /// The client secret's Secret does not exist.
    SecretNotFound,
    /// The Secret lacks the key.
    SecretKeyMissing,
    /// A rule asks for groups that the provider never sends.
    GroupsNotSent,
    /// The provider's discovery document could not be read when it was needed.
    DiscoveryFailed,
    /// The provider does not know this client, or its answers are of no use.
    ClientRefused,

    // Programmed is False
    /// Under way.
    Pending,
    /// Somebody else's auth-url is on the Ingress.
    ForeignAuthURL,
    /// Somebody else owns one of the other keys we write.
    AnnotationConflict,
    /// The API server, or a webhook, refused what we wrote.
    WriteRejected,
    /// The ProtectedService could not be made of the annotations.
    DerivedRejected,
    /// The Ingress is, or can be, open in spite of the annotations.
    NotProtected,
    /// The data plane does not ask, or answer, as the annotations say, so that nobody gets in.
    CheckAltered,
    /// The host is reachable under a name that no rule has.
    ServerAlias,
    /// Somebody else's Ingress holds a path under the endpoint prefix.
    EndpointPathTaken,
    /// The endpoint Ingress was refused.
    EndpointRejected,
    /// The endpoint Ingress is of another class than this Ingress.
    EndpointClassDiffers,
}

/// What a condition says, before it has times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which condition.
    pub condition: ConditionType,
    /// Whether it holds.
    pub holds: bool,
    /// Why.
    pub reason: Reason,
    /// What happened, to which object, what to do next.
    pub message: String,
}

/// The verdicts as conditions. A condition whose status did not change keeps its transition time.
#[must_use]
pub fn with_times(
    verdicts: &[Verdict],
    previous: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let one = |verdict: &Verdict| {
        let status = if verdict.holds { "True" } else { "False" };
        let before = previous
            .iter()
            .find(|old| old.type_ == verdict.condition.as_str() && old.status == status);
        Condition {
            type_: verdict.condition.as_str().to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.as_str().to_owned(),
            message: verdict.message.clone(),
            observed_generation: Some(generation),
            last_transition_time: before.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    };
    verdicts.iter().map(one).collect()
}

// === impl ConditionType ===

impl ConditionType {
    /// As it stands in `conditions[].type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Ready => "Ready",
        }
    }
}

// === impl Reason ===

impl Reason {
    /// As it stands in `conditions[].reason` and in Events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Ready => "Ready",
            Self::Invalid => "Invalid",
            Self::Unreadable => "Unreadable",
            Self::UnknownAnnotation => "UnknownAnnotation",
            Self::InvalidAnnotationValue => "InvalidAnnotationValue",
            Self::AnnotationIgnored => "AnnotationIgnored",
            Self::TargetNotFound => "TargetNotFound",
            Self::UnsupportedIngressClass => "UnsupportedIngressClass",
            Self::OptedOut => "OptedOut",
            Self::Conflicted => "Conflicted",
            Self::NoHosts => "NoHosts",
            Self::InvalidHost => "InvalidHost",
            Self::HostShared => "HostShared",
            Self::AuthHostTargeted => "AuthHostTargeted",
            Self::ProtectedServiceNotFound => "ProtectedServiceNotFound",
            Self::PolicyMissing => "PolicyMissing",
            Self::NotAsked => "NotAsked",
            Self::PathsRewritten => "PathsRewritten",
            Self::PathsNotTold => "PathsNotTold",
            Self::IdentityProviderNotFound => "IdentityProviderNotFound",
            Self::SeveralDefaults => "SeveralDefaults",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::IdentityProviderInvalid => "IdentityProviderInvalid",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyMissing => "SecretKeyMissing",
            Self::GroupsNotSent => "GroupsNotSent",
            Self::DiscoveryFailed => "DiscoveryFailed",
            Self::ClientRefused => "ClientRefused",
            Self::Pending => "Pending",
            Self::ForeignAuthURL => "ForeignAuthURL",
            Self::AnnotationConflict => "AnnotationConflict",
            Self::WriteRejected => "WriteRejected",
            Self::DerivedRejected => "DerivedRejected",
            Self::NotProtected => "NotProtected",
            Self::CheckAltered => "CheckAltered",
            Self::ServerAlias => "ServerAlias",
            Self::EndpointPathTaken => "EndpointPathTaken",
            Self::EndpointRejected => "EndpointRejected",
            Self::EndpointClassDiffers => "EndpointClassDiffers",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let verdict = |holds, message: &str| Verdict {
            condition: ConditionType::Ready,
            holds,
            reason: Reason::Pending,
            message: message.to_owned(),
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = with_times(&[verdict(false, "a")], &[], 1, at(10));
        let same = with_times(&[verdict(false, "b")], &first, 2, at(20));
        let other = with_times(&[verdict(true, "c")], &same, 3, at(30));
        let times: Vec<_> = [&first, &same, &other]
            .iter()
            .map(|c| c[0].last_transition_time.0)
            .collect();
        assert_eq!(times, [at(10), at(10), at(30)]);
        assert_eq!(same[0].observed_generation, Some(2));
    }
}
