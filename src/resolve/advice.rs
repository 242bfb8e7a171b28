//! Advice: what can be meant as it stands, and is likely a mistake. Nothing is closed or changed because of it; it is
//! worked out on demand, of specs that can be read, and depends on no folder, so that it can be given in a cluster
//! too. What is wrong rather than odd is a `Problem`. Policy written as annotations is not looked at.

mod allow;
mod rules;

use std::sync::Arc;

use super::{Source, Spec, World};
use crate::{
    policy::{HostPattern, Scheme},
    resource::{
        IdentityProviderSpec, Key, ObjectRef, ProtectedServiceSpec, ProviderType, parse_duration,
    },
};

/// Something that its owner may want to look at again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Advice {
    /// Whose owner.
    pub object: ObjectRef,
    /// The field, such as `spec.allow[0].emailDomains[1]`.
    pub field: String,
    /// What follows from it, and what was probably meant.
    pub message: String,
    /// Where the object stands in a folder.
    pub source: Option<Source>,
}

/// What there is to say about all objects.
#[must_use]
pub fn advice(world: &World) -> Vec<Advice> {
    let mut all = Vec::new();
    for (key, service) in world.services() {
        let Some(spec) = service.spec.read() else {
            continue;
        };
        let mut notes = Notes::default();
        of_service(world, key, spec, &mut notes);
        let object = ObjectRef::ProtectedService(key.clone());
        all.extend(notes.about(&object, service.source.as_ref()));
    }
    for (name, provider) in world.providers() {
        let Some(spec) = provider.spec.read() else {
            continue;
        };
        let mut notes = Notes::default();
        of_provider(world, name, spec, &mut notes);
        let object = ObjectRef::IdentityProvider(Arc::clone(name));
        all.extend(notes.about(&object, provider.source.as_ref()));
    }
    all
}

/// What is found about one object: fields and messages.
#[derive(Debug, Default)]
struct Notes(Vec<(String, String)>);

/// A provider that a service uses, if there is one of that name and it can be read.
type InUse<'w> = (Arc<str>, Option<&'w IdentityProviderSpec>);

fn of_service(world: &World, key: &Key, spec: &ProtectedServiceSpec, notes: &mut Notes) {
    let providers = in_use(world, spec);
    if spec.allow.is_empty() && !spec.any_authenticated {
        notes.add(
            "spec",
            "nothing says who may enter, so nobody may. Name them in spec.allow",
        );
    }
    for (number, name) in spec.identity_providers.iter().enumerate() {
        if spec
            .identity_providers
            .iter()
            .take(number)
            .any(|earlier| earlier == name)
        {
            notes.add(
                format!("spec.identityProviders[{number}]"),
                format!("{name} stands there twice"),
            );
        }
    }
    allow::look_at(&spec.allow, "spec.allow", &providers, notes);
    for (number, rule) in spec.rules.iter().enumerate() {
        let place = format!("spec.rules[{number}].allow");
        allow::look_at(&rule.allow, &place, &providers, notes);
    }
    let prefix = &world.settings().installation.endpoint_prefix;
    rules::look_at(&spec.rules, prefix, notes);
    longer_than_allowed(world, spec, &providers, notes);
    if world.settings().is_folder() && world.folder_service(key).is_some() {
        for (number, entry) in spec.hosts.iter().enumerate() {
            let is_bare = !entry.host.contains('.') && entry.host != "localhost";
            if is_bare && HostPattern::parse(&entry.host).is_some() {
                notes.add(
                    format!("spec.hosts[{number}].host"),
                    format!("{} is a name without a dot, which browsers find only with the help of a search domain, and then ask for a longer name", entry.host),
                );
            }
        }
    }
}

fn longer_than_allowed(
    world: &World,
    spec: &ProtectedServiceSpec,
    providers: &[InUse<'_>],
    notes: &mut Notes,
) {
    let asked = spec
        .session
        .as_ref()
        .and_then(|session| session.max_duration.as_deref());
    let Some((text, wanted)) = asked.and_then(|text| Some((text, parse_duration(text)?))) else {
        return;
    };
    let field = "spec.session.maxDuration";
    if wanted > world.settings().installation.max_session {
        notes.add(
            field,
            format!("{text} has no effect: no session of this installation lives longer than {} (--max-session)", hours(world.settings().installation.max_session)),
        );
        return;
    }
    let shorter = providers.iter().find_map(|(name, provider)| {
        let limit = provider.as_ref()?.max_session.as_deref()?;
        (wanted > parse_duration(limit)?).then_some((name, limit))
    });
    if let Some((name, limit)) = shorter {
        notes.add(
            field,
            format!("{text} has no effect on sessions of IdentityProvider {name}, which live {limit} at most (its spec.maxSession)"),
        );
    }
}

/// The client ids and the client secret of our own examples. Whoever leaves one as it is has none yet.
const EXAMPLE_CLIENTS: [&str; 3] = [
    "CLIENT_ID",
    "1234567890-abc.apps.googleusercontent.com",
    "1234567890-example.apps.googleusercontent.com",
];
const EXAMPLE_SECRET: &[u8] = b"CLIENT_SECRET";

fn of_provider(world: &World, name: &Arc<str>, spec: &IdentityProviderSpec, notes: &mut Notes) {
    let used = world.services().any(|(_, service)| match &service.spec {
        Spec::Read(spec) => in_use(world, spec).iter().any(|(used, _)| used == name),
        // Nobody knows.
        Spec::Unreadable { .. } => true,
    });
    if !used && !world.is_used_by_annotations(name) {
        notes.add("spec", "no service uses it");
    }
    if let Some(oidc) = &spec.oidc {
        let issuer = &*oidc.issuer_url;
        if issuer.starts_with("http://")
            && world.settings().installation.origin.scheme == Scheme::Https
        {
            notes.add(
                "spec.oidc.issuerURL",
                "is plain http, which is for trying things out on one machine: nobody else's browser finds this provider",
            );
        }
        if let Some((base, _)) = issuer
            .split_once("/.well-known/")
            .filter(|(base, _)| base.contains("://"))
        {
            notes.add(
                "spec.oidc.issuerURL",
                format!(
                    "is the address of the metadata, not the issuer. The issuer is probably {base}"
                ),
            );
        }
    }
    if spec.kind == ProviderType::Google && spec.client_secret_ref.is_none() {
        notes.add(
            "spec",
            "Google asks a web application for its client secret: name it in spec.clientSecretRef, or sign-in will fail",
        );
    }
    if EXAMPLE_CLIENTS.contains(&&*spec.client_id) {
        notes.add(
            "spec.clientID",
            format!("{} is that of the example. Write the one that the identity provider gave you, or nobody can sign in", spec.client_id),
        );
    }
    let secret = spec.client_secret_ref.as_ref().and_then(|reference| {
        let values = world.secret(&reference.name)?;
        values.get(reference.key.as_str())
    });
    if secret.is_some_and(|secret| secret.expose().iter().any(u8::is_ascii_whitespace)) {
        notes.add(
            "spec.clientSecretRef",
            "leads to a value with a blank or a line break in it, which client secrets do not have: was it pasted with something beside it? It is sent as it is",
        );
    }
    if secret.is_some_and(|secret| secret.expose().trim_ascii() == EXAMPLE_SECRET) {
        notes.add(
            "spec.clientSecretRef",
            "leads to CLIENT_SECRET, the word of the example. Put the one that the identity provider gave you there, or nobody can sign in",
        );
    }
    for (number, domain) in spec.email_domains.iter().enumerate() {
        allow::look_at_domain(domain, &format!("spec.emailDomains[{number}]"), notes);
    }
    let limit = world.settings().installation.max_session;
    if let Some(text) = spec.max_session.as_deref()
        && parse_duration(text).is_some_and(|wanted| wanted > limit)
    {
        notes.add(
            "spec.maxSession",
            format!("{text} has no effect: no session of this installation lives longer than {} (--max-session)", hours(limit)),
        );
    }
}

/// The providers that a service uses, by name.
fn in_use<'w>(world: &'w World, spec: &ProtectedServiceSpec) -> Vec<InUse<'w>> {
    let read = |name: &str| Some(&**world.provider(name)?.spec.read()?);
    if !spec.identity_providers.is_empty() {
        let names = spec.identity_providers.iter();
        return names
            .map(|name| (Arc::from(name.as_str()), read(name)))
            .collect();
    }
    let defaults = world.default_providers().iter();
    defaults
        .map(|name| (Arc::clone(name), read(name)))
        .collect()
}

fn hours(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    match (seconds % 3600, seconds % 60) {
        (0, _) => format!("{}h", seconds / 3600),
        (_, 0) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

// === impl Notes ===

impl Notes {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push((field.into(), message.into()));
    }

    fn about(self, object: &ObjectRef, source: Option<&Source>) -> impl Iterator<Item = Advice> {
        self.0.into_iter().map(move |(field, message)| Advice {
            message: match &*field {
                "spec" => format!("{object}: {message}."),
                _ => format!("{object}: {field}: {message}."),
            },
            object: object.clone(),
            field,
            source: source.cloned(),
        })
    }
}
