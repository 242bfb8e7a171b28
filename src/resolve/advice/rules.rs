//! Exceptions by path: those that never apply, and those that open more than they seem to.

use super::Notes;
use crate::{
    policy::PathMatch,
    resource::{PathType, RuleAccessSpec, RuleSpec},
};

/// A path of a rule, where it stands and what holds there.
struct Placed<'r> {
    field: String,
    rule: usize,
    text: &'r str,
    path: PathMatch,
    access: RuleAccessSpec,
}

/// Looks at all rules of a service.
pub(super) fn look_at(rules: &[RuleSpec], endpoint_prefix: &str, notes: &mut Notes) {
    let mut paths: Vec<Placed<'_>> = Vec::new();
    for (number, rule) in rules.iter().enumerate() {
        for (at, path) in rule.paths.iter().enumerate() {
            let read = match path.kind {
                PathType::Exact => PathMatch::exact(&path.value),
                PathType::Prefix => PathMatch::prefix(&path.value),
            };
            paths.extend(read.ok().map(|read| Placed {
                field: format!("spec.rules[{number}].paths[{at}]"),
                rule: number,
                text: &path.value,
                path: read,
                access: rule.access,
            }));
        }
    }
    for (at, placed) in paths.iter().enumerate() {
        if is_under(placed.text, endpoint_prefix) {
            notes.add(
                &*placed.field,
                format!("{} never applies: what lies under {endpoint_prefix} is Vestibule's own (--endpoint-prefix)", placed.text),
            );
            continue;
        }
        let hidden_by = paths
            .iter()
            .enumerate()
            .find(|(other_at, other)| *other_at != at && other.hides(placed, *other_at < at));
        if let Some((_, other)) = hidden_by {
            let why = if other.access == placed.access && other.rule == placed.rule {
                "it stands there twice".to_owned()
            } else if other.access == placed.access {
                format!(
                    "spec.rules[{}] comes before it and has the same path",
                    other.rule
                )
            } else {
                format!(
                    "spec.rules[{}] has the same path and is stricter ({:?})",
                    other.rule, other.access
                )
            };
            notes.add(
                &*placed.field,
                format!("{} never applies: {why}", placed.text),
            );
        } else if placed.access == RuleAccessSpec::Public
            && let Some(closed) = paths.iter().find(|other| placed.opens_below(other))
        {
            notes.add(
                &*placed.field,
                format!(
                    "everybody sees what lies below {}, signed in or not, although spec.rules[{}] has {} {:?}: the longer path wins. If that is meant, name the paths as Exact",
                    placed.text, closed.rule, closed.text, closed.access
                ),
            );
        }
    }
}

/// Whether a path is the prefix (which does not end in a slash) or lies below it.
fn is_under(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

// === impl Placed ===

impl Placed<'_> {
    /// Whether wherever the other path matches this one matches too, as specifically, and wins.
    fn hides(&self, other: &Self, stands_before: bool) -> bool {
        let same = match (&self.path, &other.path) {
            (PathMatch::Exact(one), PathMatch::Exact(other))
            | (PathMatch::Prefix(one), PathMatch::Prefix(other)) => (one, other),
            (PathMatch::Exact(_), PathMatch::Prefix(_))
            | (PathMatch::Prefix(_), PathMatch::Exact(_)) => return false,
        };
        let same = match self.access {
            // Public is exact, the others ignore case.
            RuleAccessSpec::Public => other.access == RuleAccessSpec::Public && same.0 == same.1,
            RuleAccessSpec::Restricted | RuleAccessSpec::Denied => {
                same.0.eq_ignore_ascii_case(same.1)
            }
        };
        let (mine, others) = (strictness(self.access), strictness(other.access));
        same && (mine > others || (mine == others && stands_before))
    }

    /// Whether this prefix opens a part of what the other closes.
    fn opens_below(&self, other: &Self) -> bool {
        let (PathMatch::Prefix(inner), PathMatch::Prefix(outer)) = (&self.path, &other.path) else {
            return false;
        };
        let below = inner
            .get(..outer.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(outer));
        other.access != RuleAccessSpec::Public && inner.len() > outer.len() && below
    }
}

fn strictness(access: RuleAccessSpec) -> u8 {
    match access {
        RuleAccessSpec::Public => 0,
        RuleAccessSpec::Restricted => 1,
        RuleAccessSpec::Denied => 2,
    }
}
