//! What the owner of an Ingress should know although nothing is wrong with its protection, or there is none.

use super::{
    RefusalKind, World, Write,
    asked::{Asked, By},
    host, write,
};
use crate::{
    dataplane::ingress_nginx,
    resource::{AUTH_URL, Key, Reason},
};

/// What the owner of an Ingress should know although nothing is wrong with its protection.
pub(super) fn remarks(world: &World, key: &Key, asked: &Asked<'_>) -> Vec<(Reason, String)> {
    let mut remarks = Vec::new();
    let keys = asked.annotations.policy_keys.join(", vestibule.dev/");
    match &asked.by {
        By::Nobody | By::Withdrawn if !keys.is_empty() => {
            remarks.push((Reason::AnnotationIgnored, format!("Ingress {key} is not protected: vestibule.dev/{keys} has no effect without vestibule.dev/protect. Protect it: {}", annotate(world, key, "vestibule.dev/protect=true"))));
        }
        By::Service(service, _) if !keys.is_empty() => {
            remarks.push((Reason::AnnotationIgnored, format!("vestibule.dev/{keys} has no effect: ProtectedService {service} decides who may see Ingress {key}. Say it there, and remove the annotation.")));
        }
        By::OptedOut => {
            let targeting: Vec<String> = world.targeting(key).iter().map(Key::to_string).collect();
            if !targeting.is_empty() {
                remarks.push((
                    Reason::OptedOut,
                    opted_out(world, key, &targeting.join(", ")),
                ));
            }
        }
        _ => {}
    }
    for host in world.taken_by(key) {
        let facts = world.host_facts(host).filter(|facts| facts.is_shared());
        remarks.extend(facts.map(|facts| (Reason::HostShared, facts.shared_message(host))));
    }
    if !asked.by.is_protected() {
        if let Some(refusal) = world.refusal(&Write::Annotations(key.clone()))
            && refusal.kind != RefusalKind::Undone
            && let Some(ingress) = world.ingress(key)
            && write::annotation_plan(world, key, ingress, &asked.by).is_some()
        {
            remarks.push((Reason::WriteRejected, format!("Ingress {key} stays closed: Vestibule's annotations could not be taken off it: {}. It is tried again.", refusal.message.trim_end_matches('.'))));
        }
        for host in world.hosts_of(key) {
            let Some(facts) = world.host_facts(&host) else {
                continue;
            };
            // The one who holds the path is told as well as those whom it keeps from signing in.
            if let Some((taker, path)) = &facts.taken_by
                && taker == key
                && !facts.protected_in.is_empty()
            {
                remarks.push((
                    Reason::EndpointPathTaken,
                    host::taken_message(&host, taker, path, world),
                ));
            }
        }
        let stays = asked.by.takes_off()
            && world.ingress(key).is_some_and(|ingress| {
                let url = &ingress.keys.url;
                !url.others.is_empty()
                    && url
                        .value
                        .as_deref()
                        .is_some_and(|url| ingress_nginx::are_ours(url, key))
            });
        if stays {
            remarks.push((Reason::AnnotationConflict, format!("Ingress {key} stays closed: somebody else wrote Vestibule's annotations on it as well, and those stay. Remove them: kubectl annotate ingress -n {} {} {AUTH_URL}-", key.namespace, key.name)));
        }
        let shared = world.hosts_of(key).into_iter().find(|host| {
            world
                .host_facts(host)
                .is_some_and(host::HostFacts::is_shared)
        });
        if let Some((host, facts)) =
            shared.and_then(|host| Some((host.clone(), world.host_facts(&host)?)))
        {
            remarks.push((Reason::HostShared, facts.shared_message(&host)));
        }
    }
    remarks
}

pub(super) fn opted_out(world: &World, key: &Key, services: &str) -> String {
    format!(
        "Ingress {key} says vestibule.dev/protect: \"false\", so it is not protected although ProtectedService {services} targets it. To protect it: {}",
        annotate(world, key, "vestibule.dev/protect-")
    )
}

/// How to set an annotation (`KEY=VALUE`), or to take it off (`KEY-`).
fn annotate(world: &World, key: &Key, change: &str) -> String {
    if !world.settings().is_folder() {
        return format!(
            "kubectl annotate ingress -n {} {} {change}",
            key.namespace, key.name
        );
    }
    match change.split_once('=') {
        Some((name, value)) => format!("write {name}: \"{value}\" into its metadata.annotations"),
        None => format!(
            "take {} out of its metadata.annotations",
            change.trim_end_matches('-')
        ),
    }
}
