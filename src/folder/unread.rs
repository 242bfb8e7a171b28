//! What of the folder could not be read, as far as it may be for requests that something else is also for: behind
//! plain nginx those go on to where they always went, so no broader policy may decide about them.

use std::collections::BTreeSet;

use super::object::{Id, Object};
use crate::{
    policy::{Host, HostPattern},
    published::Unread,
    resolve::{Ingress, IngressPath, IngressRule, ProtectedService, ServicePort},
    resource::Key,
};

/// A text of which nobody knows what it holds: whatever looks like a host may be one of its.
pub(super) fn of_text(why: &str, text: &str, may_be_paths: bool) -> Unread {
    Unread {
        why: why.into(),
        may_be_paths,
        hosts: named(text).collect(),
    }
}

/// All of these in one.
pub(super) fn all(pieces: impl IntoIterator<Item = Unread>) -> Option<Unread> {
    pieces.into_iter().reduce(Unread::and)
}

/// What of an object cannot be read although the object can be; `is_there`: an object of the folder.
pub(super) fn of_object(object: &Object, is_there: impl Fn(&Id) -> bool) -> Option<Unread> {
    match object {
        Object::ProtectedService(key, service) => of_service(key, service, is_there),
        Object::Ingress(key, ingress) => of_ingress(key, ingress),
        Object::IdentityProvider(..) | Object::Secret(..) | Object::Namespace(..) => None,
    }
}

/// An object that stands in two places, of which one counts.
pub(super) fn of_second(object: &Object) -> Option<Unread> {
    let patterns: Vec<HostPattern> = match object {
        Object::ProtectedService(_, service) => {
            let hosts = service.own_hosts().iter();
            hosts
                .filter_map(|entry| HostPattern::parse(&entry.host))
                .collect()
        }
        Object::Ingress(_, ingress) => {
            let hosts = ingress.rules.iter();
            hosts.filter_map(|rule| rule.host.clone().ok()).collect()
        }
        Object::IdentityProvider(..) | Object::Secret(..) | Object::Namespace(..) => return None,
    };
    Some(Unread {
        why: format!(
            "{} stands in several places; it can stand in one only",
            object.id()
        )
        .into(),
        may_be_paths: matches!(object, Object::Ingress(..)),
        hosts: patterns.iter().filter_map(exact).collect(),
    })
}

fn of_service(
    key: &Key,
    service: &ProtectedService,
    is_there: impl Fn(&Id) -> bool,
) -> Option<Unread> {
    // What cannot be read as a whole is complained of where it was read.
    let spec = service.spec.read()?;
    let about = |what: &str| format!("ProtectedService {key}: {what}");
    let hosts = spec.hosts.iter();
    let no_hosts = hosts
        .filter(|entry| HostPattern::parse(&entry.host).is_none())
        .map(|entry| {
            let why = about(&format!("{:?} is not a host name", entry.host));
            of_text(&why, &entry.host, false)
        });
    let missing = spec
        .target_refs
        .iter()
        .map(|target| Key::new(&key.namespace, &target.name))
        .filter(|target| !is_there(&Id::Ingress(target.clone())))
        .map(|target| {
            let why = about(&format!(
                "there is no Ingress {target} that it could target"
            ));
            of_text(&why, "", true)
        });
    let hidden = !spec.hosts.is_empty() && is_there(&Id::Ingress(key.clone()));
    let hidden = hidden.then(|| {
        let hosts: Vec<&str> = spec.hosts.iter().map(|entry| &*entry.host).collect();
        let why = about("an Ingress has the same name, so its own spec.hosts do not count");
        of_text(&why, &hosts.join(" "), false)
    });
    let is_for_nothing = spec.hosts.is_empty() && spec.target_refs.is_empty();
    let nothing = is_for_nothing.then(|| {
        of_text(
            &about("it has neither spec.hosts nor spec.targetRefs"),
            "",
            true,
        )
    });
    all(no_hosts.chain(missing).chain(hidden).chain(nothing))
}

fn of_ingress(key: &Key, ingress: &Ingress) -> Option<Unread> {
    let of_rule = |rule: &IngressRule| {
        let host = match &rule.host {
            Ok(host) => host,
            Err(text) => {
                let why = format!("Ingress {key}: {text:?} is not a host name");
                return Some(of_text(&why, text, true));
            }
        };
        let is_wrong = |path: &&IngressPath| {
            let backend = path.backend.as_ref();
            let port = backend.map(|backend| &backend.port);
            !path.path.starts_with('/') || !matches!(port, Some(ServicePort::Number(_)))
        };
        let path = rule.paths.iter().find(is_wrong)?;
        Some(Unread {
            why: format!(
                "Ingress {key}: the path {:?} of {host} does not begin with a slash, or has no backend with a port by number",
                path.path
            )
            .into(),
            may_be_paths: false,
            hosts: exact(host).into_iter().collect(),
        })
    };
    let no_rules = ingress.rules.is_empty().then(|| {
        let why = format!("Ingress {key} has no rule, so it names no host");
        of_text(&why, "", true)
    });
    all(ingress.rules.iter().filter_map(of_rule).chain(no_rules))
}

fn exact(pattern: &HostPattern) -> Option<Host> {
    match pattern {
        HostPattern::Exact(host) => Some(host.clone()),
        // As long as something is unread, no wildcard counts.
        HostPattern::Wildcard(_) => None,
    }
}

/// The host names in a text, also where a port, a scheme or a second name stands beside them.
fn named(text: &str) -> impl Iterator<Item = Host> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"-.".contains(c));
    let words = words.map(|word| word.trim_matches(['.', '-']));
    let hosts: BTreeSet<Host> = words
        .filter(|word| word.contains('.'))
        .filter_map(Host::parse)
        .collect();
    hosts.into_iter()
}
