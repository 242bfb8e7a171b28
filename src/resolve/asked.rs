//! Who asks for the protection of an Ingress: the rules of "absence never opens" (docs/security.md, 1).

use std::{collections::BTreeMap, sync::LazyLock};

use super::{Failure, OurKeys, Spec, World};
use crate::{
    dataplane::ingress_nginx,
    resource::{Annotations, Key, OptIn, ProtectedServiceSpec, Reason},
};

/// What an Ingress's annotations say, and what follows from them and from all ProtectedServices.
#[derive(Debug)]
pub(super) struct Asked<'w> {
    /// The annotations.
    pub annotations: &'w Annotations,
    /// Who asks.
    pub by: By<'w>,
}

/// Who asks for protection.
#[derive(Debug)]
pub(super) enum By<'w> {
    /// Nobody, and nobody did.
    Nobody,
    /// The Ingress says `protect: "false"`: our annotations come off.
    OptedOut,
    /// The Ingress's own opt-in was removed, and the field manager that holds our annotations tells that they were
    /// written because of it: they come off.
    Withdrawn,
    /// The Ingress's annotations.
    Annotations(&'w ProtectedServiceSpec),
    /// This ProtectedService.
    Service(&'w Key, &'w ProtectedServiceSpec),
    /// Somebody, but who may enter is not clear: closed.
    Unclear(Failure),
}

/// What no annotation at all asks for.
static NOTHING: LazyLock<Annotations> = LazyLock::new(|| Annotations::read(&BTreeMap::new()));

/// Finds out who asks for the protection of an Ingress, or in a folder of a ProtectedService with hosts.
pub(super) fn asked<'w>(world: &'w World, key: &'w Key) -> Asked<'w> {
    let Some(ingress) = world.ingress(key) else {
        return Asked {
            annotations: &NOTHING,
            by: match world.folder_service(key) {
                Some(_) => explicitly(world, key),
                None => By::Nobody,
            },
        };
    };
    let annotations = ingress.asks.as_deref().unwrap_or(&NOTHING);
    let by = if ingress.is_endpoint {
        By::Nobody
    } else if let Some(why) = &ingress.unreadable {
        By::Unclear(Failure::accepted(
            Reason::Unreadable,
            format!("Ingress {key} cannot be read: {why}. It is closed until that is mended."),
        ))
    } else {
        by_whom(world, key, annotations)
    };
    Asked { annotations, by }
}

fn by_whom<'w>(world: &'w World, key: &Key, annotations: &'w Annotations) -> By<'w> {
    if annotations.opt_in == OptIn::Out {
        return By::OptedOut;
    }
    let explicit = world.targeting(key);
    let opted_in = annotations.opt_in == OptIn::In;
    if let Some(error) = annotations.errors.first() {
        let message =
            format!("Ingress {key}: {error}. The service is closed until that is mended.");
        return By::Unclear(Failure::accepted(error.reason(), message));
    }
    if let Some(unclear) = world.unclear(&key.namespace).next()
        && (opted_in
            || !explicit.is_empty()
            || carries_ours(world, key)
            || world.settings().is_folder())
    {
        return By::Unclear(Failure::accepted(
            Reason::Unreadable,
            format!(
                "ProtectedService {unclear} cannot be read, so it may be meant for Ingress {key}: closed until ProtectedService {unclear} is mended."
            ),
        ));
    }
    match (explicit, annotations.protected_service.as_deref()) {
        ([], Some(named)) => By::Unclear(Failure::accepted(
            Reason::ProtectedServiceNotFound,
            format!(
                "Ingress {key} names the ProtectedService {named:?} in vestibule.dev/protected-service, but no ProtectedService of that name in namespace {} has the Ingress in its targetRefs: closed.",
                key.namespace
            ),
        )),
        ([], None) => by_annotations(world, key, annotations),
        ([one], named) if named.is_none_or(|named| named == &*one.name) => explicitly(world, one),
        ([one], named) => By::Unclear(Failure::accepted(
            Reason::ProtectedServiceNotFound,
            format!(
                "Ingress {key} names the ProtectedService {:?} in vestibule.dev/protected-service, but {one} is the one that targets it: closed. Name that one, or change its targetRefs.",
                named.unwrap_or_default()
            ),
        )),
        ([first, second, ..], _) => By::Unclear(Failure::accepted(
            Reason::Conflicted,
            format!(
                "ProtectedServices {first} and {second} both target Ingress {key}, and nobody can say which one counts: closed. Take the Ingress out of the targetRefs of one of them."
            ),
        )),
    }
}

fn by_annotations<'w>(world: &World, key: &Key, annotations: &'w Annotations) -> By<'w> {
    match annotations.opt_in {
        OptIn::In => By::Annotations(&annotations.spec),
        OptIn::Out => By::OptedOut,
        OptIn::Silent if was_opted_in(world, key) => By::Withdrawn,
        OptIn::Silent if carries_ours(world, key) => By::Unclear(Failure::accepted(
            Reason::PolicyMissing,
            format!(
                "Ingress {key} was protected by a ProtectedService that is gone. It stays closed, since absence never opens. To protect it again, create the ProtectedService or annotate the Ingress with vestibule.dev/protect=true; to open it: kubectl annotate ingress -n {} {} vestibule.dev/protect=false",
                key.namespace, key.name
            ),
        )),
        OptIn::Silent if world.settings().is_folder() => By::Unclear(Failure::accepted(
            Reason::NotAsked,
            format!(
                "Nothing says who may see Ingress {key}, so nobody does. Target it with a ProtectedService, or annotate it with vestibule.dev/protect: \"true\" and who is allowed; to serve it to everyone: vestibule.dev/protect: \"false\"."
            ),
        )),
        OptIn::Silent => By::Nobody,
    }
}

fn explicitly<'w>(world: &'w World, key: &'w Key) -> By<'w> {
    match world.service(key).map(|service| &service.spec) {
        Some(Spec::Read(spec)) => By::Service(key, spec),
        Some(Spec::Unreadable { why, .. }) => By::Unclear(Failure::accepted(
            Reason::Unreadable,
            format!(
                "ProtectedService {key} cannot be read: {why}. What it protects is closed until it is mended."
            ),
        )),
        None => By::Nobody,
    }
}

/// Whether this very Ingress asked by its annotations before. Only the Ingress itself is believed: whoever writes
/// ProtectedServices can make one that looks derived, and need not be allowed to open anything.
fn was_opted_in(world: &World, key: &Key) -> bool {
    world
        .ingress(key)
        .is_some_and(|ingress| ingress.keys.asked_for_by_the_ingress())
}

/// Whether the three annotations are on an Ingress because of us.
pub(super) fn carries_ours(world: &World, key: &Key) -> bool {
    let ingress = world.ingress(key);
    ingress.is_some_and(|ingress| are_ours(&ingress.keys, key))
}

/// Whether they are on the Ingress because of us.
pub(super) fn are_ours(keys: &OurKeys, key: &Key) -> bool {
    let url = keys.url.value.as_deref();
    keys.url.is_ours() || url.is_some_and(|url| ingress_nginx::are_ours(url, key))
}

// === impl By ===

impl By<'_> {
    /// Whether requests for the Ingress must be refused unless somebody may enter.
    pub(super) fn is_protected(&self) -> bool {
        match self {
            Self::Annotations(_) | Self::Service(..) | Self::Unclear(_) => true,
            Self::Nobody | Self::OptedOut | Self::Withdrawn => false,
        }
    }

    /// What is asked for, if that is clear.
    pub(super) fn spec(&self) -> Option<&ProtectedServiceSpec> {
        match self {
            Self::Annotations(spec) | Self::Service(_, spec) => Some(spec),
            Self::Nobody | Self::OptedOut | Self::Withdrawn | Self::Unclear(_) => None,
        }
    }

    /// Whether our annotations come off.
    pub(super) fn takes_off(&self) -> bool {
        matches!(self, Self::OptedOut | Self::Withdrawn)
    }
}
