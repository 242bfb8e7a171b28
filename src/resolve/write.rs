//! What is to be written for one Ingress: its annotations, and the ProtectedService made from ours.

use std::sync::Arc;

use super::{
    DerivedAction, Ingress, Plan, World, annotate,
    asked::{Asked, By},
    faults,
};
use crate::resource::{Key, OptIn, ProtectedServiceSpec, TargetRef};

/// What is to be done about the annotations of an Ingress.
pub(super) fn annotation_plan(
    world: &World,
    key: &Key,
    ingress: &Ingress,
    by: &By<'_>,
) -> Option<Plan> {
    // What is ours comes off an Ingress of any class; it goes onto those of our classes only.
    if !by.takes_off() && faults::class_failure(world, key, ingress).is_some() {
        return None;
    }
    let action = annotate::annotated(world, key, ingress, by).action?;
    Some(Plan::Annotations {
        ingress: key.clone(),
        action,
    })
}

/// The ProtectedService made from annotations. It shows what is in force, so it goes only after the annotations on the
/// Ingress have gone; nothing is decided by it.
pub(super) fn derived_plan(world: &World, key: &Key, asked: &Asked<'_>) -> Option<Plan> {
    world.settings().controller()?;
    let there = world.service(key);
    let derived = world.derived(key);
    let ingress = world
        .ingress(key)
        .filter(|ingress| !ingress.deleting && !ingress.is_endpoint);
    let explicit = !world.targeting(key).is_empty();
    let wanted = ingress.filter(|_| asked.annotations.opt_in == OptIn::In && !explicit);
    let delete = |uid: &Arc<str>| DerivedAction::Delete {
        uid: Arc::clone(uid),
    };
    let action = match (wanted, ingress, derived) {
        // Somebody's own object has the name; it is left alone.
        (Some(_), _, None) if there.is_some() => return None,
        (Some(ingress), _, derived) => {
            let spec = ProtectedServiceSpec {
                target_refs: vec![TargetRef::ingress(&key.name)],
                ..asked.annotations.spec.clone()
            };
            let is_right = derived.is_some_and(|derived| {
                derived.derived_from.as_ref() == Some(&ingress.uid)
                    && derived.spec.read().is_some_and(|there| **there == spec)
            });
            if is_right {
                return None;
            }
            DerivedAction::Apply {
                ingress_uid: Arc::clone(&ingress.uid),
                spec: Arc::new(spec),
            }
        }
        (None, Some(ingress), Some(derived)) => {
            if asked.by.takes_off() && annotation_plan(world, key, ingress, &asked.by).is_some() {
                return None;
            }
            delete(&derived.uid)
        }
        (None, None, Some(derived)) => delete(&derived.uid),
        (None, _, None) => return None,
    };
    Some(Plan::Derived {
        key: key.clone(),
        action,
    })
}
