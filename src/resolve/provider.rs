//! An IdentityProvider: from its spec and its Secret to what the endpoint needs, and its status.

use std::sync::Arc;

use super::{Failure, IdentityProvider, Plan, Problem, ProviderReport, Spec, UnitResult, World};
use crate::{
    policy::{Ceiling, DomainPattern, Host, HostPattern, Terms},
    published::{ClaimNames, ProviderKind, ProviderSettings, Published, Secret},
    resource::{
        AllowedNamespaces, ClaimMapping, ConditionType, EmailVerification, IdentityProviderSpec,
        ObjectRef, ProviderType, Reason, Verdict, parse_duration,
    },
};

/// A provider that can be used.
#[derive(Clone, Debug)]
pub(super) struct Usable {
    pub spec: Arc<IdentityProviderSpec>,
    pub settings: Arc<ProviderSettings>,
    /// As every service has it that uses the provider.
    pub terms: Terms,
}

/// What the endpoint is told about a provider, and its status.
pub(super) fn resolve(world: &World, name: &Arc<str>) -> UnitResult {
    let Some(object) = world.provider(name) else {
        return UnitResult {
            published: Some(Published::NoProvider(Arc::clone(name))),
            ..UnitResult::default()
        };
    };
    let mut failures = Vec::new();
    let (published, issuer) = match usable(world, name) {
        Ok(usable) => {
            let issuer = usable.settings.issuer().to_owned();
            let settings = Arc::clone(&usable.settings);
            (Published::Provider(settings), Some(issuer))
        }
        Err(failure) => {
            failures.push(failure);
            (Published::NoProvider(Arc::clone(name)), None)
        }
    };
    let defaults = world.default_providers();
    if defaults.contains(name) && defaults.len() > 1 {
        failures.push(Failure::accepted(
            Reason::SeveralDefaults,
            several_defaults(world),
        ));
    }
    failures.extend(auth_host_shared(world));
    let problem = |failure: &Failure| Problem {
        object: ObjectRef::IdentityProvider(Arc::clone(name)),
        reason: failure.reason,
        message: failure.message.clone(),
        source: object.source.clone(),
    };
    let problems = failures.iter().map(problem).collect();
    let report = ProviderReport {
        verdicts: verdicts(name, &failures),
        issuer,
        generation: object.generation,
    };
    let plan = Plan::ProviderStatus {
        name: Arc::clone(name),
        report: Box::new(report),
    };
    let plans = if world.settings().reports() {
        vec![plan]
    } else {
        vec![]
    };
    UnitResult {
        published: Some(published),
        plans,
        problems,
    }
}

/// The provider of this name, or why it cannot be used.
pub(super) fn usable<'w>(world: &'w World, name: &str) -> Result<&'w Usable, Failure> {
    match world.usable(name) {
        Some(judged) => judged.as_ref().map_err(Clone::clone),
        None => Err(Failure::refs(
            Reason::IdentityProviderNotFound,
            if world.settings().is_folder() {
                let there: Vec<&str> = world.providers().map(|(name, _)| &**name).collect();
                let there = if there.is_empty() {
                    "none".to_owned()
                } else {
                    there.join(", ")
                };
                format!("There is no IdentityProvider {name} in the folder; there is {there}.")
            } else {
                format!(
                    "There is no IdentityProvider {name}. Those that exist: kubectl get identityproviders"
                )
            },
        )),
    }
}

/// What comes of a provider: worked out when it changes, and not for each of its services.
pub(super) fn judge(
    world: &World,
    name: &Arc<str>,
    object: &IdentityProvider,
) -> Result<Usable, Failure> {
    let spec = match &object.spec {
        Spec::Read(spec) => spec,
        Spec::Unreadable { why, .. } => {
            let message = format!("IdentityProvider {name} cannot be read: {why}.");
            return Err(Failure::accepted(Reason::Unreadable, message));
        }
    };
    let invalid = |message: String| {
        Failure::accepted(
            Reason::Invalid,
            format!("IdentityProvider {name}: {message}."),
        )
    };
    let kind = kind(spec).map_err(invalid)?;
    let email_domains = spec.email_domains.iter().map(|text| {
        DomainPattern::parse(text).ok_or_else(|| {
            format!("spec.emailDomains: {text:?} is not a domain, nor *. and a domain")
        })
    });
    let max_session = spec.max_session.as_deref().map(|text| {
        parse_duration(text)
            .ok_or_else(|| format!("spec.maxSession: {text:?} is not a duration such as 12h"))
    });
    let ceiling = Ceiling {
        email_domains: email_domains.collect::<Result<_, _>>().map_err(invalid)?,
        hosted_domains: match &kind {
            ProviderKind::Google { hosted_domains } => hosted_domains.clone(),
            ProviderKind::Oidc { .. } => Vec::new(),
        },
        max_session: max_session.transpose().map_err(invalid)?,
    };
    if spec.client_id.is_empty() {
        return Err(invalid("spec.clientID is empty".to_owned()));
    }
    let client_secret = client_secret(world, name, spec)?;
    let settings = ProviderSettings {
        name: Arc::clone(name),
        display_name: spec.display_name.as_deref().unwrap_or(name).into(),
        order: spec.order,
        kind,
        client_id: spec.client_id.as_str().into(),
        client_secret,
        scopes: scopes(spec),
        claims: claims(spec.claims.as_ref()),
        trusts_unverified_email: spec.email_verification == EmailVerification::Trusted,
        max_session: ceiling.max_session,
    };
    Ok(Usable {
        spec: Arc::clone(spec),
        terms: Terms {
            provider: Arc::clone(name),
            issuer: settings.issuer().into(),
            reading: settings.reading(),
            ceiling,
        },
        settings: Arc::new(settings),
    })
}

/// Whether ProtectedServices of a namespace may use a provider.
pub(super) fn allows(world: &World, allowed: Option<&AllowedNamespaces>, namespace: &str) -> bool {
    let Some(allowed) = allowed else {
        return true;
    };
    let by_label = allowed.selector.as_ref().is_some_and(|selector| {
        let labels = world
            .namespace(namespace)
            .map(|namespace| &namespace.labels);
        let has = |(key, value)| labels.is_some_and(|labels| labels.get(key) == Some(value));
        !selector.match_labels.is_empty() && selector.match_labels.iter().all(has)
    });
    by_label || allowed.names.iter().any(|name| name == namespace)
}

/// What is said wherever the default provider is asked for and there are several.
pub(super) fn several_defaults(world: &World) -> String {
    let names: Vec<&str> = world
        .default_providers()
        .iter()
        .map(|name| &**name)
        .collect();
    let last = names.last().copied().unwrap_or_default();
    let mend = if world.settings().is_folder() {
        format!("Leave one: take spec.default out of {last}.")
    } else {
        format!(
            "Leave one: kubectl patch identityprovider {last} --type merge -p '{{\"spec\":{{\"default\":false}}}}'"
        )
    };
    format!(
        "The IdentityProviders {} are all marked as the default, so none of them is: services that name no provider are closed. {mend}",
        names.join(", ")
    )
}

/// That nobody can sign in with any provider while others serve the auth host: its administrator can mend that.
fn auth_host_shared(world: &World) -> Option<Failure> {
    let host = HostPattern::Exact(world.settings().installation.auth_host.clone()?);
    let facts = world
        .host_facts(&host)
        .filter(|facts| facts.is_auth_host && facts.is_shared())?;
    Some(Failure::programmed(
        Reason::HostShared,
        facts.shared_message(&host),
    ))
}

/// Whether everyone the provider knows is one of ours: said by its administrator, and not by Google for any account.
pub(super) fn is_closed(spec: &IdentityProviderSpec) -> bool {
    let any_google_account = spec.kind == ProviderType::Google
        && spec
            .google
            .as_ref()
            .is_none_or(|google| google.hosted_domains.is_empty());
    spec.closed && !any_google_account
}

fn kind(spec: &IdentityProviderSpec) -> Result<ProviderKind, String> {
    match (spec.kind, &spec.oidc, &spec.google) {
        (ProviderType::Oidc, Some(oidc), None) => {
            let insecure_http = is_plain_http(&oidc.issuer_url)?;
            Ok(ProviderKind::Oidc {
                issuer: oidc.issuer_url.as_str().into(),
                insecure_http,
            })
        }
        (ProviderType::Oidc, None, _) => Err("type OIDC needs spec.oidc.issuerURL".to_owned()),
        (ProviderType::Google, None, google) => {
            let domains = google
                .as_ref()
                .map(|google| google.hosted_domains.as_slice())
                .unwrap_or_default();
            let read = |text: &String| match Host::parse(text) {
                Some(domain) => Ok(domain.as_str().into()),
                None => Err(format!(
                    "spec.google.hostedDomains: {text:?} is not a domain"
                )),
            };
            Ok(ProviderKind::Google {
                hosted_domains: domains.iter().map(read).collect::<Result<_, _>>()?,
            })
        }
        _ => Err(
            "spec has the block of another type; keep the one that belongs to spec.type".to_owned(),
        ),
    }
}

/// Whether an issuer is reached over plain http, which only loopback hosts may be.
fn is_plain_http(issuer: &str) -> Result<bool, String> {
    let refused = |why: &str| Err(format!("spec.oidc.issuerURL: {issuer:?} {why}"));
    let Ok(url) = url::Url::parse(issuer) else {
        return refused("is not a URL such as https://id.corp.example");
    };
    if !url.username().is_empty() || url.password().is_some() {
        // Not quoted: a password does not belong into a log.
        return Err("spec.oidc.issuerURL: has a user; an issuer has none".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refused("has a query or a fragment; an issuer has none");
    }
    let on_this_machine = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(_)) | None => false,
    };
    match url.scheme() {
        "https" if url.has_host() => Ok(false),
        "http" if on_this_machine => Ok(true),
        "http" => refused("is not https; plain http is let pass for loopback only"),
        _ => refused("is not an https URL"),
    }
}

fn client_secret(
    world: &World,
    name: &str,
    spec: &IdentityProviderSpec,
) -> Result<Option<Secret>, Failure> {
    let Some(reference) = &spec.client_secret_ref else {
        return Ok(None);
    };
    let namespace = &world.settings().installation.namespace;
    let (secret, key) = (&reference.name, &reference.key);
    let is_folder = world.settings().is_folder();
    let Some(values) = world.secret(secret) else {
        let message = if is_folder {
            format!(
                "IdentityProvider {name}: spec.clientSecretRef: there is no Secret {secret}. Put the value into the file {secret} of the folder that --secrets-dir names, where Vestibule can read it, or write a Secret into the manifests."
            )
        } else {
            format!(
                "IdentityProvider {name}: there is no Secret {secret} in namespace {namespace}. Create it: kubectl create secret generic -n {namespace} {secret} --from-file={key}=FILE"
            )
        };
        return Err(Failure::refs(Reason::SecretNotFound, message));
    };
    match values.get(key.as_str()) {
        Some(value) if !value.expose().is_empty() => Ok(Some(value.clone())),
        _ if is_folder => Err(Failure::refs(
            Reason::SecretKeyMissing,
            format!(
                "IdentityProvider {name}: spec.clientSecretRef: Secret {secret} has no value under the key {key:?}, or an empty one. Write it, or name another key in spec.clientSecretRef.key."
            ),
        )),
        _ => Err(Failure::refs(
            Reason::SecretKeyMissing,
            format!(
                "IdentityProvider {name}: Secret {namespace}/{secret} has no value under the key {key:?}. Add it, or name another key in spec.clientSecretRef.key."
            ),
        )),
    }
}

fn scopes(spec: &IdentityProviderSpec) -> Vec<Arc<str>> {
    let mut scopes: Vec<Arc<str>> = vec!["openid".into()];
    let listed: Vec<&str> = if spec.scopes.is_empty() {
        vec!["email", "profile"]
    } else {
        spec.scopes
            .iter()
            .map(String::as_str)
            .filter(|scope| *scope != "openid")
            .collect()
    };
    scopes.extend(listed.into_iter().map(Arc::from));
    scopes
}

fn claims(mapping: Option<&ClaimMapping>) -> ClaimNames {
    let usual = ClaimNames::default();
    let Some(mapping) = mapping else {
        return usual;
    };
    let pick = |named: &Option<String>, usual: Arc<str>| named.as_deref().map_or(usual, Arc::from);
    ClaimNames {
        email: pick(&mapping.email, usual.email),
        email_verified: pick(&mapping.email_verified, usual.email_verified),
        name: pick(&mapping.name, usual.name),
        username: pick(&mapping.username, usual.username),
        groups: pick(&mapping.groups, usual.groups),
    }
}

fn verdicts(name: &str, failures: &[Failure]) -> Vec<Verdict> {
    let of = |condition, reason, message: &str| match failures
        .iter()
        .find(|failure| failure.condition == condition)
    {
        Some(failure) => Verdict {
            condition,
            holds: false,
            reason: failure.reason,
            message: failure.message.clone(),
        },
        None => Verdict {
            condition,
            holds: true,
            reason,
            message: message.to_owned(),
        },
    };
    let ready = match failures.first() {
        Some(failure) => Verdict {
            condition: ConditionType::Ready,
            holds: false,
            reason: failure.reason,
            message: failure.message.clone(),
        },
        None => of(
            ConditionType::Ready,
            Reason::Ready,
            &format!("People can sign in with IdentityProvider {name}"),
        ),
    };
    vec![
        of(
            ConditionType::Accepted,
            Reason::Accepted,
            "The spec is valid",
        ),
        of(
            ConditionType::ResolvedRefs,
            Reason::ResolvedRefs,
            "Everything it names was found",
        ),
        ready,
    ]
}
