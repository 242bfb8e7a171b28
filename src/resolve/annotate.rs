//! The three annotations of an Ingress: what they should be, what they are, and what is to be done.

use std::sync::Arc;

use super::{
    AnnotationAction, Asker, Failure, Ingress, KeyState, Refusal, RefusalKind, World, Write,
    asked::By,
};
use crate::{
    dataplane::ingress_nginx::{self, Values},
    resource::{AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL, Key, OptIn, Reason},
};

/// How the annotations of an Ingress are.
#[derive(Debug, Default)]
pub(super) struct Annotated {
    /// What is to be done; `None`: nothing, or nothing that we may.
    pub action: Option<AnnotationAction>,
    /// Why they are not as they should be.
    pub failure: Option<Failure>,
}

/// Compares the annotations of an Ingress of our class with what they should be. Only the controller asks.
pub(super) fn annotated(world: &World, key: &Key, ingress: &Ingress, by: &By<'_>) -> Annotated {
    let Some(controller) = world.settings().controller() else {
        return Annotated::default();
    };
    if ingress.deleting {
        return Annotated::default();
    }
    let values =
        match ingress_nginx::values(key, &world.settings().installation, &controller.check_url) {
            Ok(values) => values,
            Err(unwritable) if by.is_protected() => {
                let failure = Failure::programmed(
                    Reason::WriteRejected,
                    format!("Ingress {key} is not protected: {unwritable}."),
                );
                return Annotated {
                    action: None,
                    failure: Some(failure),
                };
            }
            Err(_) => Values {
                url: "".into(),
                signin: "".into(),
                headers: "".into(),
            },
        };
    match by {
        By::Nobody => Annotated::default(),
        By::OptedOut | By::Withdrawn => Annotated {
            action: removal(key, ingress, values),
            failure: None,
        },
        By::Annotations(_) | By::Service(..) | By::Unclear(_) => {
            let asker = asker(world, key, ingress, by);
            protection(world, key, ingress, values, asker)
        }
    }
}

/// For whom the annotations are written. Where nobody is sure, it is not the Ingress: then nothing that is missing
/// there takes them off.
fn asker(world: &World, key: &Key, ingress: &Ingress, by: &By<'_>) -> Asker {
    let opted_in = || {
        let asks = ingress.asks.as_ref();
        asks.is_some_and(|asks| asks.opt_in == OptIn::In)
    };
    let targeted = || !world.targeting(key).is_empty();
    match by {
        By::Annotations(_) => Asker::Ingress,
        By::Unclear(_) if opted_in() && !targeted() => Asker::Ingress,
        _ => Asker::Service,
    }
}

fn protection(
    world: &World,
    key: &Key,
    ingress: &Ingress,
    values: Values,
    asker: Asker,
) -> Annotated {
    let keys = &ingress.keys;
    let pairs = [
        (AUTH_URL, &keys.url, &values.url),
        (AUTH_SIGNIN, &keys.signin, &values.signin),
        (AUTH_RESPONSE_HEADERS, &keys.headers, &values.headers),
    ];
    for (name, state, wanted) in pairs {
        let differs = state.value.as_ref().is_some_and(|value| value != wanted);
        if differs && !state.others.is_empty() {
            return Annotated {
                action: None,
                failure: Some(foreign(key, name, state)),
            };
        }
    }
    let was_for_other = pairs
        .iter()
        .any(|(_, state, _)| state.is_for(asker.other()));
    let settled = !was_for_other
        && pairs
            .iter()
            .all(|(_, state, wanted)| state.is_for(asker) && state.value.as_ref() == Some(*wanted));
    let refusal = world.refusal(&Write::Annotations(key.clone()));
    if settled {
        let is_undone = refusal.is_some_and(|refusal| refusal.kind == RefusalKind::Undone);
        return Annotated {
            action: None,
            failure: is_undone.then(|| undone(key)),
        };
    }
    let failure = match refusal {
        Some(refusal) => refused(key, refusal),
        None => Failure::programmed(
            Reason::Pending,
            format!("The annotations of Ingress {key} are being written."),
        ),
    };
    Annotated {
        action: Some(AnnotationAction::Write {
            values,
            asker,
            was_for_other,
        }),
        failure: Some(failure),
    }
}

/// What takes our annotations off. What others wrote, even the same value, is theirs and stays.
fn removal(key: &Key, ingress: &Ingress, values: Values) -> Option<AnnotationAction> {
    let keys = &ingress.keys;
    let all = [&keys.url, &keys.signin, &keys.headers];
    // Admission wrote them for us: nobody holds them, and applying nothing would not take them off.
    let stamped =
        |state: &KeyState| !state.is_ours() && state.others.is_empty() && state.value.is_some();
    let is_ours = keys
        .url
        .value
        .as_deref()
        .is_some_and(|url| ingress_nginx::are_ours(url, key));
    let adopt = is_ours && all.iter().any(|state| stamped(state));
    if !adopt && !all.iter().any(|state| state.is_ours()) {
        return None;
    }
    // To be adopted they must stand as they are: what is held by somebody else is not touched.
    let current = |state: &KeyState, wanted: &Arc<str>| {
        state.value.clone().unwrap_or_else(|| Arc::clone(wanted))
    };
    let adopt_first = adopt.then(|| Values {
        url: current(&keys.url, &values.url),
        signin: current(&keys.signin, &values.signin),
        headers: current(&keys.headers, &values.headers),
    });
    Some(AnnotationAction::Remove { adopt_first })
}

fn refused(key: &Key, refusal: &Refusal) -> Failure {
    let (reason, mend) = match refusal.kind {
        RefusalKind::Undone => return undone(key),
        RefusalKind::Conflict => (
            Reason::AnnotationConflict,
            "Take the keys auth-url, auth-signin and auth-response-headers out of whatever else writes them.",
        ),
        RefusalKind::Forbidden => (
            Reason::WriteRejected,
            "Vestibule's controller lacks the right to patch it; install the chart's RBAC.",
        ),
        RefusalKind::Rejected => (
            Reason::WriteRejected,
            "Change what the answer names; the write is tried again.",
        ),
        RefusalKind::Failed => (Reason::WriteRejected, "The write is tried again."),
    };
    Failure::programmed(
        reason,
        format!(
            "The annotations of Ingress {key} could not be written, so it may be open: {}. {mend}",
            refusal.message.trim_end_matches('.')
        ),
    )
}

fn undone(key: &Key) -> Failure {
    Failure::programmed(
        Reason::AnnotationConflict,
        format!(
            "Somebody takes Vestibule's annotations off Ingress {key} again and again. They are put back each time, and it is open until they are. Have whoever writes it leave auth-url, auth-signin and auth-response-headers alone; who that is: kubectl get ingress -n {} {} -o yaml --show-managed-fields",
            key.namespace, key.name
        ),
    )
}

fn foreign(key: &Key, name: &str, state: &KeyState) -> Failure {
    let others: Vec<&str> = state.others.iter().map(|other| &**other).collect();
    let value = state.value.as_deref().unwrap_or_default();
    let reason = if name == AUTH_URL {
        Reason::ForeignAuthURL
    } else {
        Reason::AnnotationConflict
    };
    Failure::programmed(
        reason,
        format!(
            "Ingress {key} is not protected by Vestibule: {name} is {value:?}, written by {}. Vestibule does not overwrite it. If it may go: kubectl annotate ingress -n {} {} {name}-",
            others.join(", "),
            key.namespace,
            key.name
        ),
    )
}
