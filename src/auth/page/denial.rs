//! The words for a denial: what an account lacks, without a word of what others have.

use crate::policy::{Denial, Identity, Miss};

/// Whether groups are asked for, and the provider told none, as it does where the scope for them is missing.
pub(super) fn was_told_no_groups(who: &Identity<'_>, denial: Denial) -> bool {
    let is_about_groups = matches!(
        denial,
        Denial::NotAllowed(Miss::GroupMissing) | Denial::Restricted(_, Miss::GroupMissing)
    );
    is_about_groups && who.groups.is_empty() && who.groups_complete
}

/// What was missing, for the person who may not enter.
pub(super) fn why(denial: Denial) -> &'static str {
    match denial {
        Denial::NotAllowed(Miss::NotListed) => "This account is not among those who may enter.",
        Denial::NotAllowed(Miss::EmailUnverified)
        | Denial::Restricted(_, Miss::EmailUnverified) => {
            "The identity provider does not vouch for this e-mail address (email_verified is not true), or it is not written plainly, so it cannot be compared with those who may enter."
        }
        Denial::NotAllowed(Miss::ClaimMissing) => {
            "This account lacks something that is asked of those who may enter: a claim with a certain value."
        }
        Denial::NotAllowed(Miss::GroupMissing) => {
            "This account is in none of the groups that may enter."
        }
        Denial::OutsideCeiling => {
            "The administrator of the identity provider admits only certain domains, and this account's is none of them."
        }
        Denial::Restricted(_, Miss::GroupMissing) => {
            "This part is only for certain groups, and this account is in none of them."
        }
        Denial::Restricted(..) => {
            "This part is only for some of those who may enter, and this account is not among them."
        }
        Denial::PathDenied(_) => "This part is closed to everyone.",
        Denial::PathUnclear => {
            "The address can be read in more than one way, and some parts of this service are restricted. Write it plainly: no doubled slashes, no dots as segments, no encoded separators."
        }
    }
}
