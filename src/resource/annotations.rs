//! Our annotations on an Ingress: the short form of a ProtectedService. What is not understood is an error
//! that closes the service, since a typo must not open it.

use std::{collections::BTreeMap, fmt};

use super::{Allow, PathType, ProtectedServiceSpec, Reason, RuleAccessSpec, RulePath, RuleSpec};
use crate::policy::{DomainPattern, Email, PathMatch};

/// What an Ingress asks for by its annotations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Annotations {
    /// Whether it asks for protection.
    pub opt_in: OptIn,
    /// The ProtectedService that is said to decide.
    pub protected_service: Option<String>,
    /// The same as a spec, without targets. Admits nobody if there are errors.
    pub spec: ProtectedServiceSpec,
    /// What was not understood.
    pub errors: Vec<AnnotationError>,
    /// Keys that say who may enter, as far as they are there.
    pub policy_keys: Vec<&'static str>,
}

/// Whether an Ingress asks for protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OptIn {
    /// It says nothing.
    Silent,
    /// It asks for protection, or says something under our prefix that is not understood.
    In,
    /// It says `protect: "false"`.
    Out,
}

/// An annotation that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AnnotationError {
    /// No such key.
    Unknown {
        /// The key behind the prefix.
        key: String,
        /// The key that was probably meant.
        meant: Option<&'static str>,
    },
    /// The value cannot be used.
    Invalid {
        /// The key behind the prefix.
        key: &'static str,
        /// The part that is wrong.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
}

const PROTECT: &str = "protect";
const PROTECTED_SERVICE: &str = "protected-service";
const IDENTITY_PROVIDER: &str = "identity-provider";
const EMAIL_DOMAINS: &str = "allowed-email-domains";
const EMAILS: &str = "allowed-emails";
const GROUPS: &str = "allowed-groups";
const PUBLIC_PATHS: &str = "public-paths";

const KEYS: [&str; 7] = [
    PROTECT,
    PROTECTED_SERVICE,
    IDENTITY_PROVIDER,
    EMAIL_DOMAINS,
    EMAILS,
    GROUPS,
    PUBLIC_PATHS,
];

// === impl Annotations ===

impl Annotations {
    /// Reads the annotations under our prefix, keyed by what follows it.
    #[must_use]
    pub fn read(ours: &BTreeMap<String, String>) -> Self {
        let mut errors: Vec<_> = ours
            .keys()
            .filter(|key| !KEYS.contains(&key.as_str()))
            .map(|key| AnnotationError::Unknown {
                key: key.clone(),
                meant: closest(key),
            })
            .collect();
        let protected_service = ours
            .get(PROTECTED_SERVICE)
            .map(|name| name.trim().to_owned());
        let opt_in = match ours.get(PROTECT).map(String::as_str) {
            Some("false") => OptIn::Out,
            Some("true") => OptIn::In,
            Some(other) => {
                errors.push(invalid(PROTECT, other, "\"true\" or \"false\""));
                OptIn::In
            }
            // A key that is not known may be `protect` with a typo: closed, and said so.
            None if !errors.is_empty() || protected_service.is_some() => OptIn::In,
            None => OptIn::Silent,
        };
        let mut list =
            |key: &'static str, most: usize, expected: &'static str, fits: fn(&str) -> bool| {
                let Some(text) = ours.get(key) else {
                    return Vec::new();
                };
                let values: Vec<String> =
                    text.split(',').map(|part| part.trim().to_owned()).collect();
                if values.len() > most {
                    errors.push(invalid(
                        key,
                        text,
                        "fewer values; a ProtectedService can hold more",
                    ));
                }
                for value in values.iter().filter(|value| !fits(value)) {
                    errors.push(invalid(key, value, expected));
                }
                values
            };
        let domain = "domains such as corp.example or *.corp.example, separated by commas";
        let path = "paths such as /healthz, or /static/ for all below it, separated by commas";
        let providers = list(
            IDENTITY_PROVIDER,
            16,
            "names of IdentityProviders, separated by commas",
            is_name,
        );
        let domains = list(EMAIL_DOMAINS, 64, domain, |d| {
            DomainPattern::parse(d).is_some()
        });
        let emails = list(EMAILS, 256, "e-mail addresses, separated by commas", |e| {
            Email::parse(e).is_some()
        });
        let groups = list(GROUPS, 64, "groups, separated by commas", |g| {
            !g.is_empty() && g.len() <= 256
        });
        let paths = list(PUBLIC_PATHS, 32, path, is_public_path);
        if protected_service
            .as_deref()
            .is_some_and(|name| !is_subdomain(name))
        {
            errors.push(invalid(
                PROTECTED_SERVICE,
                protected_service.as_deref().unwrap_or_default(),
                "the name of a ProtectedService of this namespace",
            ));
        }
        let spec = if errors.is_empty() {
            ProtectedServiceSpec {
                allow: entries(&providers, domains, emails, &groups),
                rules: public_rule(paths),
                identity_providers: providers,
                ..ProtectedServiceSpec::default()
            }
        } else {
            ProtectedServiceSpec::default()
        };
        let policy_keys = KEYS
            .into_iter()
            .filter(|key| ![PROTECT, PROTECTED_SERVICE].contains(key) && ours.contains_key(*key))
            .collect();
        Self {
            opt_in,
            protected_service,
            spec,
            errors,
            policy_keys,
        }
    }
}

/// Addresses and domains are alternatives; groups narrow both.
fn entries(
    providers: &[String],
    domains: Vec<String>,
    emails: Vec<String>,
    groups: &[String],
) -> Vec<Allow> {
    let mut entries = Vec::new();
    if !domains.is_empty() {
        entries.push(Allow {
            email_domains: domains,
            groups: groups.to_vec(),
            ..Allow::default()
        });
    }
    if !emails.is_empty() {
        entries.push(Allow {
            emails,
            groups: groups.to_vec(),
            ..Allow::default()
        });
    }
    if entries.is_empty() && !groups.is_empty() {
        entries.push(Allow {
            groups: groups.to_vec(),
            ..Allow::default()
        });
    }
    if providers.len() < 2 {
        return entries;
    }
    let for_each = |provider: &String| {
        let provider = provider.clone();
        entries.iter().cloned().map(move |entry| Allow {
            provider: Some(provider.clone()),
            ..entry
        })
    };
    providers.iter().flat_map(for_each).collect()
}

fn public_rule(paths: Vec<String>) -> Vec<RuleSpec> {
    if paths.is_empty() {
        return Vec::new();
    }
    let path = |value: String| RulePath {
        kind: if value.ends_with('/') {
            PathType::Prefix
        } else {
            PathType::Exact
        },
        value,
    };
    vec![RuleSpec {
        paths: paths.into_iter().map(path).collect(),
        access: RuleAccessSpec::Public,
        allow: Vec::new(),
    }]
}

fn is_public_path(path: &str) -> bool {
    match path.strip_suffix('/') {
        Some("") => false,
        Some(_) => PathMatch::prefix(path).is_ok(),
        None => PathMatch::exact(path).is_ok(),
    }
}

/// A DNS label (RFC 1123).
fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_name)
}

fn invalid(key: &'static str, value: &str, expected: &'static str) -> AnnotationError {
    // Long values would not fit into an Event.
    let value = value.chars().take(80).collect();
    AnnotationError::Invalid {
        key,
        value,
        expected,
    }
}

fn closest(key: &str) -> Option<&'static str> {
    let distance = |known: &&str| edits(key, known);
    let known = KEYS.into_iter().min_by_key(distance)?;
    (edits(key, known) <= 3.min(key.len() / 2)).then_some(known)
}

/// Levenshtein's distance, for guesses at what was meant.
pub(crate) fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, above) in b.bytes().zip(row.iter_mut().skip(1)) {
            let here = (diagonal + usize::from(x != y))
                .min(left + 1)
                .min(*above + 1);
            diagonal = *above;
            *above = here;
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

// === impl AnnotationError ===

impl AnnotationError {
    /// The reason for conditions and Events.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unknown { .. } => Reason::UnknownAnnotation,
            Self::Invalid { .. } => Reason::InvalidAnnotationValue,
        }
    }
}

impl fmt::Display for AnnotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown {
                key,
                meant: Some(meant),
            } => {
                write!(
                    f,
                    "there is no annotation vestibule.dev/{key}; vestibule.dev/{meant} was probably meant"
                )
            }
            Self::Unknown { key, meant: None } => {
                write!(
                    f,
                    "there is no annotation vestibule.dev/{key}; known are {}",
                    KEYS.join(", ")
                )
            }
            Self::Invalid {
                key,
                value,
                expected,
            } => {
                write!(
                    f,
                    "vestibule.dev/{key}: {value:?} cannot be used; expected are {expected}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Annotations {
        let map = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Annotations::read(&map)
    }

    #[test]
    fn the_short_form_becomes_a_spec() {
        let read = read(&[
            ("protect", "true"),
            ("identity-provider", "corp"),
            ("allowed-email-domains", "corp.example, *.corp.example"),
            ("allowed-emails", "ann@partner.example"),
            ("allowed-groups", "staff"),
            ("public-paths", "/healthz,/static/"),
        ]);
        assert_eq!((read.opt_in, read.errors), (OptIn::In, vec![]));
        insta::assert_yaml_snapshot!(read.spec, @r#"
        identityProviders:
          - corp
        allow:
          - emailDomains:
              - corp.example
              - "*.corp.example"
            groups:
              - staff
          - emails:
              - ann@partner.example
            groups:
              - staff
        rules:
          - paths:
              - type: Exact
                value: /healthz
              - type: Prefix
                value: /static/
            access: Public
        "#);
    }

    #[test]
    fn with_several_providers_every_entry_names_one() {
        let read = read(&[
            ("protect", "true"),
            ("identity-provider", "a,b"),
            ("allowed-groups", "g"),
        ]);
        let providers: Vec<_> = read
            .spec
            .allow
            .iter()
            .map(|e| e.provider.as_deref())
            .collect();
        assert_eq!(providers, [Some("a"), Some("b")]);
    }

    #[test]
    fn a_typo_closes_and_says_what_was_meant() {
        for (key, meant) in [
            ("protct", "protect"),
            ("allowed-email-domain", "allowed-email-domains"),
            ("allowed_emails", "allowed-emails"),
        ] {
            let read = read(&[(key, "true")]);
            assert_eq!(read.opt_in, OptIn::In, "{key}");
            let said = read.errors[0].to_string();
            assert!(
                said.contains(&format!("vestibule.dev/{meant} was probably meant")),
                "{said}"
            );
        }
        let far = read(&[
            ("protect", "true"),
            ("colour", "blue"),
            ("allowed-emails", "a@b.example"),
        ]);
        assert!(
            far.errors[0].to_string().contains("known are protect"),
            "{:?}",
            far.errors
        );
        assert_eq!(far.spec, ProtectedServiceSpec::default());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (key, value) in [
            ("protect", "yes"),
            ("protect", "True"),
            ("protect", ""),
            ("allowed-email-domains", ""),
            ("allowed-email-domains", "*"),
            ("allowed-email-domains", "corp.example,"),
            ("allowed-email-domains", "@corp.example"),
            ("allowed-emails", "ann"),
            ("allowed-groups", "a,,b"),
            ("identity-provider", "Corp"),
            ("public-paths", "/"),
            ("public-paths", "healthz"),
            ("public-paths", "/a/../b"),
            ("public-paths", "/a?b"),
            ("protected-service", "a b"),
        ] {
            let read = read(&[("protect", "true"), (key, value)]);
            let named = read.errors.iter().any(|e| e.to_string().contains(key));
            assert!(named, "{key}={value}: {:?}", read.errors);
            assert!(read.spec.allow.is_empty() && read.spec.rules.is_empty());
        }
    }

    #[test]
    fn only_protect_false_opts_out_and_policy_keys_alone_opt_nobody_in() {
        assert_eq!(read(&[]).opt_in, OptIn::Silent);
        assert_eq!(read(&[("protect", "false")]).opt_in, OptIn::Out);
        assert_eq!(read(&[("protect", "false"), ("x", "")]).opt_in, OptIn::Out);
        let stray = read(&[("allowed-emails", "a@b.example")]);
        assert_eq!(
            (stray.opt_in, stray.policy_keys),
            (OptIn::Silent, vec!["allowed-emails"])
        );
        assert_eq!(read(&[("protected-service", "wiki")]).opt_in, OptIn::In);
    }
}
