//! The IdentityProvider: its type, its client, its claims.

use super::{
    given::Given,
    manifests::{Manifests, Place},
};
use crate::resource::{
    ClaimMapping, EmailVerification, IdentityProviderSpec, OidcProvider, ProviderType, SecretKeyRef,
};

/// What the rest of the translation needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    Google,
    /// Any provider with discovery, by oauth2-proxy's name for it.
    Oidc(Oidc),
    Unsupported,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oidc {
    Plain,
    Keycloak,
    Microsoft,
    GitLab,
}

/// Where nobody said an issuer: it is to be written there.
const ISSUER: &str = "https://ISSUER";

/// Makes the IdentityProvider; says its name and what it is.
pub(super) fn provider(given: &Given, made: &mut Manifests) -> (String, Flavour) {
    let kind = given.text_or_default("provider").to_owned();
    let name = name(given, &kind);
    let flavour = match kind.as_str() {
        "google" => Flavour::Google,
        "oidc" | "adfs" | "cidaas" => Flavour::Oidc(Oidc::Plain),
        "keycloak" | "keycloak-oidc" => Flavour::Oidc(Oidc::Keycloak),
        "azure" | "entra-id" => Flavour::Oidc(Oidc::Microsoft),
        "gitlab" => Flavour::Oidc(Oidc::GitLab),
        _ => Flavour::Unsupported,
    };
    let issuer = match flavour {
        Flavour::Unsupported => {
            made.decide(
                Place::Provider(""),
                &["provider"],
                format!(
                    "sign-in with {kind} is not supported yet, so this IdentityProvider is missing and nobody gets in. Put an OpenID Connect provider in between that knows it, such as Dex, and write an IdentityProvider {name} of type OIDC with its issuer."
                ),
            );
            return (name, flavour);
        }
        Flavour::Google => None,
        Flavour::Oidc(oidc) => Some(issuer(given, oidc, made)),
    };
    let by = if given.has("provider") {
        &["provider"][..]
    } else {
        &[]
    };
    match by {
        [] => made.tell(Place::Provider("type"), by, "oauth2-proxy's default"),
        _ => made.from(Place::Provider("type"), by),
    }
    let display_name = given.text("provider-display-name").map(str::to_owned);
    if display_name.is_some() {
        made.from(Place::Provider("displayName"), &["provider-display-name"]);
    }
    if given.has("client-id") {
        made.from(Place::Provider("clientID"), &["client-id"])
    } else {
        made.decide(
            Place::Provider("clientID"),
            &[],
            "no --client-id was given: write it here",
        )
    }
    let spec = IdentityProviderSpec {
        kind: match flavour {
            Flavour::Google => ProviderType::Google,
            Flavour::Oidc(_) | Flavour::Unsupported => ProviderType::Oidc,
        },
        oidc: issuer.map(|issuer_url| OidcProvider { issuer_url }),
        google: None,
        client_id: given.text("client-id").unwrap_or("CLIENT_ID").to_owned(),
        client_secret_ref: Some(SecretKeyRef {
            name: name.clone(),
            key: "client-secret".to_owned(),
        }),
        scopes: scopes(given, made),
        claims: claims(given, flavour, made),
        email_verification: EmailVerification::Required,
        display_name,
        order: 0,
        default: true,
        closed: false,
        allowed_namespaces: None,
        max_session: None,
        email_domains: Vec::new(),
    };
    secret(given, &name, made);
    if flavour == Flavour::Oidc(Oidc::Microsoft) {
        made.decide(
            Place::Provider("emailVerification"),
            &[],
            "Entra sends no email_verified, so addresses do not count until this says Trusted. Say so only if no guest or other tenant can choose an address there; otherwise let people in by groups.",
        );
    }
    made.provider = Some((name.clone(), spec));
    (name, flavour)
}

/// Lower-case letters, digits and hyphens: it becomes part of redirect URIs.
fn name(given: &Given, kind: &str) -> String {
    let slug = |text: &str| {
        let letters = text.chars().map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => c,
            _ => '-',
        });
        let slug: String = letters.collect();
        let words: Vec<&str> = slug.split('-').filter(|word| !word.is_empty()).collect();
        words.join("-").chars().take(40).collect::<String>()
    };
    let display = given.text("provider-display-name").map(slug);
    let display = display.filter(|name| !name.is_empty() && !name.ends_with('-'));
    let plain = match kind {
        "keycloak-oidc" => "keycloak".to_owned(),
        "entra-id" | "azure" => "entra".to_owned(),
        kind => slug(kind),
    };
    display.unwrap_or(plain)
}

fn issuer(given: &Given, oidc: Oidc, made: &mut Manifests) -> String {
    let place = Place::Provider("oidc");
    if let Some(issuer) = given.text("oidc-issuer-url") {
        if issuer.contains('@') {
            made.decide(
                place,
                &["oidc-issuer-url"],
                "an issuer has no user and password in it: write it without",
            );
            return ISSUER.to_owned();
        }
        made.from(place, &["oidc-issuer-url"]);
        tenants(given, issuer, made);
        return issuer.to_owned();
    }
    let found = match oidc {
        Oidc::GitLab => Some(("https://gitlab.com".to_owned(), &[][..])),
        Oidc::Microsoft => given
            .text("azure-tenant")
            .filter(|tenant| !matches!(*tenant, "common" | "organizations" | "consumers"))
            .map(|tenant| {
                (
                    format!("https://login.microsoftonline.com/{tenant}/v2.0"),
                    &["azure-tenant"][..],
                )
            }),
        Oidc::Keycloak => realm(given).map(|realm| (realm, &["login-url"][..])),
        Oidc::Plain => None,
    };
    match found {
        Some((issuer, by)) => {
            made.tell(place, by, "this is the issuer they stand for; it has to be exactly the `iss` of its ID tokens");
            issuer
        }
        None => {
            made.decide(place, &[], "no --oidc-issuer-url was given: write the issuer here, exactly as it stands in `iss` of its ID tokens");
            ISSUER.to_owned()
        }
    }
}

/// The realm that a login URL of Keycloak belongs to.
fn realm(given: &Given) -> Option<String> {
    let login = given.text("login-url").filter(|url| !url.contains('@'))?;
    let realm = login.strip_suffix("/protocol/openid-connect/auth")?;
    Some(realm.to_owned())
}

fn tenants(given: &Given, issuer: &str, made: &mut Manifests) {
    let tenants = given.list("entra-id-allowed-tenant");
    match tenants {
        [] => {}
        [only] if issuer.split('/').any(|part| part == only) => {
            made.from(Place::Provider("oidc"), &["entra-id-allowed-tenant"]);
        }
        _ => made.decide(
            Place::Provider("oidc"),
            &["entra-id-allowed-tenant"],
            format!(
                "an IdentityProvider has one issuer, which holds one tenant: write one for each of {}",
                tenants.join(", ")
            ),
        ),
    }
}

fn scopes(given: &Given, made: &mut Manifests) -> Vec<String> {
    let place = Place::Provider("scopes");
    let words = |text: &str| {
        let words = text.split_whitespace().filter(|scope| *scope != "openid");
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    if let Some(scope) = given.text("scope") {
        made.from(place, &["scope"]);
        let listed = words(scope);
        if listed.is_empty() {
            made.tell(
                place,
                &[],
                "openid alone means email and profile as well here",
            );
        }
        return listed;
    }
    let asks_groups = ["allowed-group", "allowed-role", "keycloak-group"];
    let is_plain = matches!(given.text_or_default("provider"), "oidc" | "keycloak-oidc");
    if is_plain && asks_groups.iter().any(|flag| given.has(flag)) {
        made.tell(place, &[], "as oauth2-proxy asks when there are groups. Leave groups out if your provider does not know that scope");
        words("email profile groups")
    } else {
        Vec::new()
    }
}

fn claims(given: &Given, flavour: Flavour, made: &mut Manifests) -> Option<ClaimMapping> {
    let place = Place::Provider("claims");
    if flavour == Flavour::Google {
        return None;
    }
    let mut mapping = ClaimMapping::default();
    let own = |flag: &str, usual: &str| {
        let claim = given.text(flag).filter(|claim| *claim != usual);
        claim.map(str::to_owned)
    };
    for flag in ["user-id-claim", "oidc-email-claim"] {
        if let Some(claim) = own(flag, "email") {
            mapping.email = Some(claim);
            made.decide(
                place,
                &[flag],
                "oauth2-proxy believed this claim without email_verified; here it counts with `email_verified: true` only, or with `emailVerification: Trusted`",
            );
        }
    }
    if let Some(claim) = own("oidc-groups-claim", "groups") {
        mapping.groups = Some(claim);
        made.from(place, &["oidc-groups-claim"]);
    } else if flavour == Flavour::Oidc(Oidc::GitLab) && given.has("gitlab-group") {
        mapping.groups = Some("groups_direct".to_owned());
    }
    let nested = [&mapping.email, &mapping.groups].into_iter().flatten();
    let nested: Vec<&String> = nested.filter(|claim| claim.contains('.')).collect();
    if let Some(claim) = nested.first() {
        made.decide(place, &[], format!("{claim} is read as the name of one claim, not as a path into it: have the provider send it at the top"));
    }
    (mapping != ClaimMapping::default()).then_some(mapping)
}

fn secret(given: &Given, name: &str, made: &mut Manifests) {
    let place = Place::Provider("clientSecretRef");
    let file = given.text("client-secret-file");
    if let Some(file) = file {
        made.tell(
            place,
            &["client-secret-file"],
            format!("a file {name} below --secrets-dir"),
        );
        let here = given.here(file);
        made.serve.secret = Some(format!("install -m 0600 {} secrets/{name}", quoted(&here)));
    } else {
        made.serve.secret = Some(format!(
            "install -m 0600 /dev/stdin secrets/{name}   # paste the client secret, Enter, Ctrl-D"
        ));
    }
    match (given.has_secret("client-secret"), file) {
        (true, None) => made.tell(place, &["client-secret"], format!("a file {name} below --secrets-dir; see below")),
        (true, Some(_)) => made.tell(place, &["client-secret"], "it counted before --client-secret-file: see that both are the same"),
        (false, Some(_)) => {}
        (false, None) => made.decide(place, &[], "no client secret was given: put it into that file. A public client has none: take this field out"),
    }
}

fn quoted(path: &str) -> String {
    shlex::try_quote(path).map_or_else(|_| "FILE".to_owned(), std::borrow::Cow::into_owned)
}
