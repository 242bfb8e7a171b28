//! The audit lines: one JSON object per sign-in, denial and sign-out, under the log target `audit`, so that
//! they can be kept apart. Never a token, cookie, code or query string.

use crate::{
    policy::{Denial, Host, Identity, Miss},
    published::Service,
};

/// Somebody signed in on a host.
pub(super) fn signed_in(host: &Host, who: &Identity<'_>, by_hand_off: bool) {
    tracing::info!(
        target: "audit",
        event = "sign_in",
        host = host.as_str(),
        provider = &*who.provider,
        subject = &*who.subject,
        email = who.email.as_deref(),
        email_verified = who.email_verified,
        session = %session_name(who),
        by_hand_off,
        "signed in"
    );
}

/// Somebody signed out of a host.
pub(super) fn signed_out(host: &Host, who: &Identity<'_>) {
    tracing::info!(
        target: "audit",
        event = "sign_out",
        host = host.as_str(),
        provider = &*who.provider,
        subject = &*who.subject,
        email = who.email.as_deref(),
        session = %session_name(who),
        "signed out"
    );
}

/// Somebody who is signed in was refused.
pub(super) fn denied(service: &Service, host: &str, who: &Identity<'_>, denial: Denial) {
    tracing::info!(
        target: "audit",
        event = "denial",
        host,
        service = service.id.as_str(),
        policy = &*service.protected_service,
        reason = reason(denial),
        rule = rule(denial),
        provider = &*who.provider,
        subject = &*who.subject,
        email = who.email.as_deref(),
        // With GroupMissing and 0, the provider does not tell groups at all.
        groups = who.groups.len(),
        session = %session_name(who),
        "denied"
    );
}

/// A word for a denial, for logs and machines.
pub(super) fn reason(denial: Denial) -> &'static str {
    match denial {
        Denial::NotAllowed(miss) | Denial::Restricted(_, miss) => match miss {
            Miss::NotListed => "NotListed",
            Miss::EmailUnverified => "EmailUnverified",
            Miss::ClaimMissing => "ClaimMissing",
            Miss::GroupMissing => "GroupMissing",
        },
        Denial::OutsideCeiling => "OutsideProviderDomains",
        Denial::PathDenied(_) => "PathDenied",
        Denial::PathUnclear => "PathUnclear",
    }
}

/// Which part of the policy refused.
pub(super) fn rule(denial: Denial) -> String {
    match denial {
        Denial::NotAllowed(_) => "spec.allow".to_owned(),
        Denial::OutsideCeiling => {
            "emailDomains or hostedDomains of the IdentityProvider".to_owned()
        }
        Denial::Restricted(rule, _) => format!("spec.rules[{rule}].allow"),
        Denial::PathDenied(rule) => format!("spec.rules[{rule}]"),
        Denial::PathUnclear => "spec.rules (the path has more than one reading)".to_owned(),
    }
}

/// The session's name in logs: enough to find its lines, and nothing that opens anything.
pub(super) fn session_name(who: &Identity<'_>) -> String {
    who.session_id.iter().map(|b| format!("{b:02x}")).collect()
}
