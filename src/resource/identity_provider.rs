//! IdentityProvider: where people sign in. Cluster-scoped, because only administrators may name a URL that
//! Vestibule fetches, or a Secret that it reads.

#![expect(
    unreachable_pub,
    reason = "KubeSchema generates a public copy of each struct inside a function"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where people sign in.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "vestibule.dev",
    version = "v1alpha1",
    kind = "IdentityProvider",
    plural = "identityproviders",
    shortname = "idp",
    category = "vestibule",
    status = "IdentityProviderStatus",
    derive = "PartialEq",
    doc = "An identity provider that people sign in with. Its client Secret lives in the namespace Vestibule is installed in.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Issuer", type_ = "string", json_path = ".status.issuer", description = "The issuer of its ID tokens"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether people can be sent there"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')").message("the name becomes part of callback URLs: use at most 63 lower-case letters, digits and hyphens")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(self.type == 'OIDC') == has(self.oidc)").message("type OIDC needs the block oidc, and only that type has it"),
    validation = Rule::new("self.type == 'Google' || !has(self.google)").message("the block google is for type Google")
)]
pub struct IdentityProviderSpec {
    /// The kind of provider.
    #[serde(rename = "type")]
    pub kind: ProviderType,
    /// For type OIDC: any provider with OpenID Connect Discovery, such as Keycloak, Dex, Okta or Entra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcProvider>,
    /// For type Google. Google sends no groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google: Option<GoogleProvider>,
    /// The client ID that the provider gave to Vestibule.
    #[serde(rename = "clientID")]
    #[schemars(length(min = 1, max = 512))]
    pub client_id: String,
    /// The Secret with the client secret, in the namespace Vestibule is installed in. Without it Vestibule is a
    /// public client, which PKCE alone protects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// Scopes to ask for. `openid` is always asked for; `email` and `profile` too if this is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(
            length(min = 1, max = 256),
            regex(pattern = r"^[\x21\x23-\x5B\x5D-\x7E]+$")
        )
    )]
    pub scopes: Vec<String>,
    /// Which claims hold what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimMapping>,
    /// Whether an e-mail address counts only if the provider says that it verified it.
    #[serde(default)]
    pub email_verification: EmailVerification,
    /// What people call it. Its name, if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub display_name: Option<String>,
    /// Its place where people choose: smaller comes first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub order: i32,
    /// Used by every ProtectedService that names no provider. At most one provider is the default.
    #[serde(default, skip_serializing_if = "is_false")]
    pub default: bool,
    /// Everyone this provider knows is one of ours, so that a ProtectedService may say `anyAuthenticated`. A
    /// provider where anybody can make an account is not closed; Google is only with hostedDomains.
    #[serde(default, skip_serializing_if = "is_false")]
    pub closed: bool,
    /// The namespaces whose ProtectedServices may use it. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// No session made with this provider lives longer, such as `12h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = super::duration::DURATION_PATTERN))]
    pub max_session: Option<String>,
    /// Only addresses of these domains get in anywhere, whatever a ProtectedService says. Empty: no limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub email_domains: Vec<String>,
}

/// The kinds of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProviderType {
    /// Any provider with OpenID Connect Discovery.
    #[serde(rename = "OIDC")]
    Oidc,
    /// Google accounts and Google Workspace.
    Google,
}

/// An OpenID Connect provider.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new(r"self.issuerURL.matches('^https://[^/?#@]+(/[^?#]*)?$') || self.issuerURL.matches('^http://(localhost|127\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}|([A-Za-z0-9-]+\\.)+localhost)(:[0-9]+)?(/[^?#]*)?$')").message("issuerURL is an https URL without user, query or fragment. Plain http is let pass for loopback only")
)]
pub struct OidcProvider {
    /// The issuer, exactly as it stands in the `iss` claim. Its metadata is read from
    /// `/.well-known/openid-configuration` below it.
    #[serde(rename = "issuerURL")]
    #[schemars(length(min = 1, max = 1024))]
    pub issuer_url: String,
}

/// Google.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GoogleProvider {
    /// Google Workspace domains whose accounts may sign in. Empty: every Google account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub hosted_domains: Vec<String>,
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key that holds the value.
    #[serde(default = "client_secret_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Names of claims. What is not given has the name that OpenID Connect gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimMapping {
    /// The e-mail address: `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub email: Option<String>,
    /// Whether the provider verified it: `email_verified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub email_verified: Option<String>,
    /// The name of the person: `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// The user name: `preferred_username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub username: Option<String>,
    /// The groups, a list or a single string: `groups`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub groups: Option<String>,
}

/// When an e-mail address counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EmailVerification {
    /// Only if the provider says `email_verified: true`.
    #[default]
    Required,
    /// Always: nobody can give themselves an address at this provider.
    Trusted,
}

/// Namespaces, by name or by label. One of both is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedNamespaces {
    /// These.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub names: Vec<String>,
    /// Those with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// Labels that a namespace must have.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.matchLabels.size() > 0").message("matchLabels names at least one label. To allow all namespaces leave allowedNamespaces away")
)]
pub struct NamespaceSelector {
    /// All of these.
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: BTreeMap<String, String>,
}

/// What Vestibule found.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityProviderStatus {
    /// Accepted, ResolvedRefs, and Ready that sums them up.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The issuer of its ID tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// An IdentityProvider whose spec is not read yet, so that one object that this version cannot read does not hide
/// the others.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = "IdentityProvider")]
pub struct IdentityProviderObject {
    /// Name and generation.
    pub metadata: ObjectMeta,
    /// The spec as JSON.
    #[serde(default)]
    pub spec: serde_json::Value,
    /// The status as JSON.
    #[serde(default)]
    pub status: serde_json::Value,
}

fn client_secret_key() -> String {
    "client-secret".to_owned()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(value: &i32) -> bool {
    *value == 0
}
