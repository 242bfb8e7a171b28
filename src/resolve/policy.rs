//! From the spec of a ProtectedService to a policy. What cannot be used closes the service and is named by its
//! place in the spec.

use std::{fmt, sync::Arc};

use super::{Failure, World, provider};
use crate::{
    policy::{
        ClaimTest, DomainPattern, Email, Entry, Grant, PathMatch, Policy, Rule, RuleAccess,
        SessionLimits,
    },
    resource::{
        Allow, ClaimRequirement, Key, PathType, ProtectedServiceSpec, ProviderType, Reason,
        RuleAccessSpec, RuleSpec, parse_duration,
    },
};

/// What came of a spec.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    /// The policy, without regard to hosts; `None`: closed.
    pub policy: Option<Policy>,
    /// The providers that are in use, by name.
    pub providers: Vec<Arc<str>>,
    /// What is wrong.
    pub failures: Vec<Failure>,
}

/// What messages speak of: a ProtectedService, or the annotations in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'k> {
    pub key: &'k Key,
    pub is_ingress: bool,
}

/// Makes a policy of a spec. `object` names the spec's owner in messages.
pub(super) fn compile(
    world: &World,
    namespace: &str,
    object: Owner<'_>,
    spec: &ProtectedServiceSpec,
) -> Compiled {
    let mut compiled = Compiled::default();
    let invalid = |message: String| {
        Failure::accepted(
            Reason::Invalid,
            format!("{object}: {message}. The service is closed until that is mended."),
        )
    };
    let parts = read(spec);
    if let Err(message) = &parts {
        compiled.failures.push(invalid(message.clone()));
    }
    let named = match named_providers(world, object, spec) {
        Ok(named) => named,
        Err(failure) => {
            compiled.failures.push(failure);
            return compiled;
        }
    };
    let mut terms = Vec::with_capacity(named.len());
    let mut kinds = Vec::with_capacity(named.len());
    for name in &named {
        match usable(world, namespace, object, name) {
            Ok(usable) => {
                if spec.any_authenticated && !provider::is_closed(&usable.spec) {
                    compiled
                        .failures
                        .push(not_closed(object, name, usable.spec.kind));
                    continue;
                }
                kinds.push((Arc::clone(name), usable.spec.kind));
                terms.push(usable.terms.clone());
            }
            Err(failure) => compiled.failures.push(failure),
        }
    }
    compiled
        .failures
        .extend(groups_not_sent(object, spec, &kinds));
    compiled.providers = named;
    // A provider that cannot be used admits nobody; the others of the service go on.
    if let (Ok(parts), false) = (parts, terms.is_empty()) {
        compiled.policy = Some(Policy {
            providers: terms,
            grant: parts.grant,
            rules: parts.rules,
            session: parts.session,
            paths_are_rewritten: false,
        });
    }
    compiled
}

fn named_providers(
    world: &World,
    object: Owner<'_>,
    spec: &ProtectedServiceSpec,
) -> Result<Vec<Arc<str>>, Failure> {
    if !spec.identity_providers.is_empty() {
        return Ok(spec
            .identity_providers
            .iter()
            .map(|name| name.as_str().into())
            .collect());
    }
    let defaults = world.default_providers();
    match defaults.first() {
        Some(only) if defaults.len() == 1 => Ok(vec![Arc::clone(only)]),
        Some(_) => Err(Failure::refs(
            Reason::SeveralDefaults,
            provider::several_defaults(world),
        )),
        None => Err(Failure::refs(
            Reason::IdentityProviderNotFound,
            no_default(world, object),
        )),
    }
}

fn no_default(world: &World, object: Owner<'_>) -> String {
    let mend = if world.settings().is_folder() {
        "write default: true into the spec of one"
    } else {
        "mark one: kubectl patch identityprovider NAME --type merge -p '{\"spec\":{\"default\":true}}'"
    };
    format!(
        "{object}: no IdentityProvider is named, and none that can be read is marked as the default. Name one, or {mend}"
    )
}

fn usable<'w>(
    world: &'w World,
    namespace: &str,
    object: Owner<'_>,
    name: &Arc<str>,
) -> Result<&'w provider::Usable, Failure> {
    // Whether it may be used is said first: how it fares is nobody's business otherwise.
    let spec = world
        .provider(name)
        .and_then(|provider| provider.spec.read());
    let permitted = spec
        .is_none_or(|spec| provider::allows(world, spec.allowed_namespaces.as_ref(), namespace));
    if !permitted {
        return Err(Failure::refs(
            Reason::RefNotPermitted,
            format!(
                "{object}: IdentityProvider {name} is not for namespace {namespace}. Its administrator says so in spec.allowedNamespaces; ask for the namespace to be added, or name another provider."
            ),
        ));
    }
    provider::usable(world, name).map_err(|failure| {
        let reason = match failure.reason {
            Reason::Invalid | Reason::Unreadable => Reason::IdentityProviderInvalid,
            other => other,
        };
        Failure::refs(reason, format!("{object}: {}", failure.message))
    })
}

fn not_closed(object: Owner<'_>, name: &str, kind: ProviderType) -> Failure {
    let mend = match kind {
        ProviderType::Google => {
            "A Google provider is closed with spec.closed and spec.google.hostedDomains"
        }
        ProviderType::Oidc => "Its administrator can say so in spec.closed",
    };
    Failure::refs(
        Reason::RefNotPermitted,
        format!(
            "{object}: anyAuthenticated would admit everyone whom IdentityProvider {name} knows, and it is not marked as closed. {mend}; or say in allow who gets in."
        ),
    )
}

/// Google sends no groups: an entry that asks for some admits nobody who signs in there.
fn groups_not_sent(
    object: Owner<'_>,
    spec: &ProtectedServiceSpec,
    kinds: &[(Arc<str>, ProviderType)],
) -> Option<Failure> {
    let can_send = |entry: &Allow| {
        kinds.iter().any(|(name, kind)| {
            let meant = entry
                .provider
                .as_deref()
                .is_none_or(|provider| provider == &**name);
            meant && *kind != ProviderType::Google
        })
    };
    let entries = spec
        .allow
        .iter()
        .chain(spec.rules.iter().flat_map(|rule| &rule.allow));
    let never = entries
        .filter(|entry| !entry.groups.is_empty())
        .find(|entry| !kinds.is_empty() && !can_send(entry))?;
    let groups = never.groups.join(", ");
    Some(Failure::refs(
        Reason::GroupsNotSent,
        format!(
            "{object} asks for membership in {groups}, but Google sends no groups, so that entry admits nobody. Allow addresses or domains instead, or use a provider that sends groups."
        ),
    ))
}

struct Parts {
    grant: Grant,
    rules: Vec<Rule>,
    session: SessionLimits,
}

fn read(spec: &ProtectedServiceSpec) -> Result<Parts, String> {
    if let Some(target) = spec.target_refs.iter().find(|target| !target.is_ingress()) {
        return Err(format!(
            "spec.targetRefs: {} {:?} of group {:?} is no Ingress of group networking.k8s.io",
            target.kind, target.name, target.group
        ));
    }
    Ok(Parts {
        grant: grant(spec)?,
        rules: rules(spec)?,
        session: session(spec)?,
    })
}

fn grant(spec: &ProtectedServiceSpec) -> Result<Grant, String> {
    match (spec.any_authenticated, spec.allow.is_empty()) {
        (true, false) => Err("spec.anyAuthenticated and spec.allow exclude each other".to_owned()),
        (true, true) => Ok(Grant::AnyAuthenticated),
        (false, _) => entries(spec, &spec.allow, "spec.allow").map(Grant::AnyOf),
    }
}

fn rules(spec: &ProtectedServiceSpec) -> Result<Vec<Rule>, String> {
    let one = |(number, rule): (usize, &RuleSpec)| {
        let place = format!("spec.rules[{number}]");
        let access = match (rule.access, rule.allow.is_empty()) {
            (RuleAccessSpec::Public, true) => RuleAccess::Public,
            (RuleAccessSpec::Denied, true) => RuleAccess::Denied,
            (RuleAccessSpec::Restricted, false) => {
                let entries = entries(spec, &rule.allow, &format!("{place}.allow"))?;
                RuleAccess::Restricted(Grant::AnyOf(entries))
            }
            (RuleAccessSpec::Restricted, true) => {
                return Err(format!(
                    "{place}: a Restricted rule says in allow whom it admits"
                ));
            }
            (_, false) => return Err(format!("{place}.allow: only Restricted rules have it")),
        };
        Ok(Rule {
            paths: paths(rule, &place)?,
            access,
        })
    };
    spec.rules.iter().enumerate().map(one).collect()
}

fn session(spec: &ProtectedServiceSpec) -> Result<SessionLimits, String> {
    let Some(session) = &spec.session else {
        return Ok(SessionLimits::default());
    };
    let limit = |text: Option<&String>, place: &str| {
        text.map(|text| {
            parse_duration(text)
                .ok_or_else(|| format!("{place}: {text:?} is not a duration such as 12h"))
        })
        .transpose()
    };
    Ok(SessionLimits {
        max_duration: limit(session.max_duration.as_ref(), "spec.session.maxDuration")?,
        max_authentication_age: limit(
            session.max_authentication_age.as_ref(),
            "spec.session.maxAuthenticationAge",
        )?,
    })
}

fn entries(spec: &ProtectedServiceSpec, list: &[Allow], place: &str) -> Result<Vec<Entry>, String> {
    let providers = &spec.identity_providers;
    let is_known = |provider: &str| providers.is_empty() || providers.iter().any(|p| p == provider);
    let one = |(number, allow): (usize, &Allow)| {
        let place = format!("{place}[{number}]");
        match allow.provider.as_deref() {
            None if providers.len() > 1 => Err(format!(
                "{place}: with several identityProviders the entry must say which provider it is about"
            )),
            Some(provider) if !is_known(provider) => Err(format!(
                "{place}.provider: {provider:?} is not in spec.identityProviders"
            )),
            _ => entry(allow, &place),
        }
    };
    list.iter().enumerate().map(one).collect()
}

fn entry(allow: &Allow, place: &str) -> Result<Entry, String> {
    let asks_nothing = allow.email_domains.is_empty()
        && allow.emails.is_empty()
        && allow.groups.is_empty()
        && allow.claims.is_empty();
    if asks_nothing {
        return Err(format!(
            "{place} asks for nothing; for everyone use anyAuthenticated"
        ));
    }
    let domain = |text: &String| {
        DomainPattern::parse(text).ok_or_else(|| {
            let bare = text.strip_prefix('@').filter(|bare| DomainPattern::parse(bare).is_some());
            match bare {
                Some(bare) => format!("{place}.emailDomains: {text:?} is not a domain; write {bare}, without the @"),
                None => format!("{place}.emailDomains: {text:?} is not a domain such as corp.example or *.corp.example"),
            }
        })
    };
    let email = |text: &String| {
        Email::parse(text).ok_or_else(|| {
            format!("{place}.emails: {text:?} is not an e-mail address that can be compared")
        })
    };
    let claim = |claim: &ClaimRequirement| ClaimTest {
        name: claim.name.as_str().into(),
        values: claim
            .values
            .iter()
            .map(|value| value.as_str().into())
            .collect(),
    };
    Ok(Entry {
        provider: allow.provider.as_deref().map(Arc::from),
        email_domains: allow
            .email_domains
            .iter()
            .map(domain)
            .collect::<Result<_, _>>()?,
        emails: allow.emails.iter().map(email).collect::<Result<_, _>>()?,
        groups: allow
            .groups
            .iter()
            .map(|group| group.as_str().into())
            .collect(),
        claims: allow.claims.iter().map(claim).collect(),
    })
}

fn paths(rule: &RuleSpec, place: &str) -> Result<Vec<PathMatch>, String> {
    if rule.paths.is_empty() {
        return Err(format!("{place}.paths is empty"));
    }
    let mut paths = Vec::with_capacity(rule.paths.len());
    for path in &rule.paths {
        let value = &path.value;
        let read = match path.kind {
            PathType::Prefix if rule.access == RuleAccessSpec::Public && value == "/" => {
                return Err(format!(
                    "{place}: Public cannot be everything; to open the whole service, do not protect it"
                ));
            }
            PathType::Exact => PathMatch::exact(value),
            PathType::Prefix => PathMatch::prefix(value),
        };
        let read = read.map_err(|_| match path.kind {
            PathType::Exact => format!("{place}.paths: {value:?} is not a path in its one canonical form: from /, without dot or empty segments, escaped separators or a query"),
            PathType::Prefix => format!("{place}.paths: {value:?} is not a path in its one canonical form that ends in /"),
        })?;
        paths.push(read);
    }
    Ok(paths)
}

// === impl Owner ===

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_ingress {
            "The annotations of Ingress"
        } else {
            "ProtectedService"
        };
        write!(f, "{what} {}", self.key)
    }
}
