//! ProtectedService: what is protected and who gets in. The documentation of the fields is what
//! `kubectl explain` shows, so it is written for the people who fill them in.

#![expect(
    clippy::duplicated_attributes,
    reason = "printer columns repeat the names of their fields"
)]
#![expect(
    unreachable_pub,
    reason = "KubeSchema generates a public copy of each struct inside a function"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is protected and who gets in.
#[derive(
    CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize,
)]
#[kube(
    group = "vestibule.dev",
    version = "v1alpha1",
    kind = "ProtectedService",
    plural = "protectedservices",
    namespaced,
    shortname = "psvc",
    category = "vestibule",
    status = "ProtectedServiceStatus",
    derive = "PartialEq",
    doc = "Puts single sign-on in front of one or more Ingresses of its namespace and says who may enter.",
    label("gateway.networking.k8s.io/policy", "Direct"),
    printcolumn(
        name = "Hosts",
        type_ = "string",
        json_path = ".status.summary.hosts",
        description = "The protected hosts"
    ),
    printcolumn(
        name = "Providers",
        type_ = "string",
        json_path = ".status.summary.identityProviders",
        description = "Where people sign in"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether it is protected as asked"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "The first thing that is not as it should be"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1,
        description = "What is wrong and what to do"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.hosts)").message("hosts is for a folder that `vestibule serve` reads. In a cluster hosts come from the Ingresses: name those in targetRefs"),
    validation = Rule::new("has(self.targetRefs) && self.targetRefs.size() > 0").message("name at least one Ingress in targetRefs"),
    validation = Rule::new("!has(self.anyAuthenticated) || !self.anyAuthenticated || !has(self.allow) || self.allow.size() == 0").message("anyAuthenticated admits everyone the provider knows, so allow would have no effect: use one of them"),
    validation = Rule::new("!has(self.identityProviders) || self.identityProviders.size() < 2 || !has(self.allow) || self.allow.all(entry, has(entry.provider))").message("with several identityProviders every entry of allow must say which provider it is about"),
    validation = Rule::new("!has(self.identityProviders) || self.identityProviders.size() < 2 || !has(self.rules) || self.rules.all(rule, !has(rule.allow) || rule.allow.all(entry, has(entry.provider)))").message("with several identityProviders every entry of a rule's allow must say which provider it is about"),
    validation = Rule::new("!has(self.identityProviders) || self.identityProviders.size() == 0 || !has(self.allow) || self.allow.all(entry, !has(entry.provider) || entry.provider in self.identityProviders)").message("an entry of allow names a provider that is not in identityProviders")
)]
pub struct ProtectedServiceSpec {
    /// The Ingresses to protect, in the same namespace. Their hosts are the protected hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["group".into(), "kind".into(), "name".into()]))]
    pub target_refs: Vec<TargetRef>,

    /// Hosts and the services behind them, for a folder that `vestibule serve` reads. Refused in a cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub hosts: Vec<FolderHost>,

    /// The IdentityProviders that people may sign in with. Empty: the one that is marked as the default.
    /// Several: people choose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub identity_providers: Vec<String>,

    /// Who gets in. One entry that matches is enough; all fields of that entry must match. No entry: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allow: Vec<Allow>,

    /// Everyone whom the identity provider knows gets in. Only with a provider that its administrator marked
    /// as closed; excludes `allow`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub any_authenticated: bool,

    /// Exceptions by path. The most specific path wins; of equally specific ones the strictest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub rules: Vec<RuleSpec>,

    /// How long a session counts here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSpec>,

    /// What the service is told about who is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamSpec>,

    /// What people are told who may not enter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<DeniedSpec>,

    /// What people call the service; shown on sign-in pages. The host, if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub display_name: Option<String>,
}

/// An Ingress of the same namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.group == 'networking.k8s.io' && self.kind == 'Ingress'").message("a target is an Ingress: group networking.k8s.io, kind Ingress")
)]
pub struct TargetRef {
    /// The API group: networking.k8s.io.
    #[serde(default = "ingress_group")]
    #[schemars(length(max = 253))]
    pub group: String,
    /// The kind: Ingress.
    #[serde(default = "ingress_kind")]
    #[schemars(length(max = 63))]
    pub kind: String,
    /// The name of the Ingress.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A host and the service behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FolderHost {
    /// A host name, or `*.` and a name.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Where the service is: `http://NAME:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub upstream: Option<String>,
}

/// Somebody who gets in. All fields that are given must match; within a field one value is enough.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(has(self.emailDomains) && self.emailDomains.size() > 0) || (has(self.emails) && self.emails.size() > 0) || (has(self.groups) && self.groups.size() > 0) || (has(self.claims) && self.claims.size() > 0)").message("an entry of allow must ask for something: emailDomains, emails, groups or claims. For everyone use anyAuthenticated")
)]
pub struct Allow {
    /// Signed in with this IdentityProvider. Required when several are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub provider: Option<String>,
    /// The verified e-mail address is of one of these domains. `corp.example` is that domain alone,
    /// `*.corp.example` its subdomains alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub email_domains: Vec<String>,
    /// The verified e-mail address is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 3, max = 254)))]
    pub emails: Vec<String>,
    /// Member of one of these groups, written exactly as the identity provider sends them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub groups: Vec<String>,
    /// Each of these claims of the ID token has one of the values given for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub claims: Vec<ClaimRequirement>,
}

/// A claim of the ID token and the values that are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRequirement {
    /// The name of the claim.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// One of these is enough. Numbers and booleans are compared as written in JSON.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    pub values: Vec<String>,
}

/// An exception by path.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.access != 'Public' || self.paths.all(path, path.type == 'Exact' || path.value != '/')").message("Public cannot be everything: to open the whole service, do not protect it"),
    validation = Rule::new("self.access == 'Restricted' ? has(self.allow) && self.allow.size() > 0 : !has(self.allow) || self.allow.size() == 0").message("a Restricted rule says in allow whom it admits; Public and Denied rules have no allow")
)]
pub struct RuleSpec {
    /// The paths meant.
    #[schemars(length(min = 1, max = 32))]
    pub paths: Vec<RulePath>,
    /// What holds there.
    pub access: RuleAccessSpec,
    /// With Restricted: whom it admits of those whom the service admits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub allow: Vec<Allow>,
}

/// What holds on the paths of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RuleAccessSpec {
    /// Everyone, signed in or not. Matches exactly, case and all.
    Public,
    /// Those whom the service admits and this rule as well. Ignores case.
    Restricted,
    /// Nobody. Ignores case.
    Denied,
}

/// A path.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.value.startsWith('/')").message("a path starts with /"),
    validation = Rule::new("self.type == 'Exact' || self.value.endsWith('/')").message("a Prefix ends in /, so that it means whole segments: /admin/, not /admin")
)]
pub struct RulePath {
    /// Whether the value is one path, or all paths below it.
    #[serde(rename = "type")]
    pub kind: PathType,
    /// The path, without dot segments, empty segments or a query.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// How the value of a path is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PathType {
    /// This path alone.
    Exact,
    /// Everything below this path, which ends in `/`.
    Prefix,
}

/// How long a session counts. This shortens sessions; it never lengthens them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionSpec {
    /// Counted from the beginning of the session, such as `12h` or `90m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = super::duration::DURATION_PATTERN))]
    pub max_duration: Option<String>,
    /// Counted from the moment the person last proved who they are; after that the identity provider asks
    /// them again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = super::duration::DURATION_PATTERN))]
    pub max_authentication_age: Option<String>,
}

/// What the service is told about who is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamSpec {
    /// Which identity headers carry what, in place of the usual ones. Headers that are not named stay empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<UpstreamHeaderSpec>,
}

/// An identity header.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(self.from == 'Claim') == has(self.claim)").message("claim is given with `from: Claim`, and only then")
)]
pub struct UpstreamHeaderSpec {
    /// A name from the installation's list of identity headers.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// What it carries.
    pub from: HeaderFrom,
    /// With `from: Claim`: the name of the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub claim: Option<String>,
}

/// What an identity header carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum HeaderFrom {
    /// The subject: unique and never given to somebody else.
    Subject,
    /// The verified e-mail address.
    Email,
    /// The user name.
    Username,
    /// The name of the person.
    Name,
    /// The groups, separated by commas.
    Groups,
    /// A claim, its values separated by commas.
    Claim,
}

/// What people are told who may not enter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeniedSpec {
    /// A sentence or two, as plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub message: Option<String>,
    /// Where to ask for access: an https or mailto URL.
    #[serde(
        default,
        rename = "requestAccessURL",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 1024), regex(pattern = "^(https://|mailto:).+$"))]
    pub request_access_url: Option<String>,
    /// How much they learn of the reason.
    #[serde(default)]
    pub detail: DeniedDetail,
}

/// How much somebody learns who may not enter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeniedDetail {
    /// Only that they may not enter.
    None,
    /// What was missing.
    #[default]
    Reason,
}

/// What Vestibule found.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtectedServiceStatus {
    /// Accepted, ResolvedRefs, Programmed, and Ready that sums them up.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The protected hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostStatus>,
    /// The same in short, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// A fingerprint of the policy in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_hash: Option<String>,
}

/// A protected host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// The host.
    pub host: String,
    /// The Ingress that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    /// Which data plane serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_plane: Option<String>,
    /// Programmed, Pending, NotProtected or Closed.
    pub state: String,
    /// Why, if it is not Programmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to register with the identity providers as redirect URIs.
    #[serde(
        default,
        rename = "callbackURLs",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub callback_urls: Vec<String>,
}

/// The status in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The first host, and how many more there are.
    pub hosts: String,
    /// The identity providers in use, the default one by its name.
    pub identity_providers: String,
}

/// A ProtectedService whose spec is not read yet, so that one object that this version cannot read does not hide
/// the others.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = "ProtectedService")]
pub struct ProtectedServiceObject {
    /// Name, namespace, labels, generation.
    pub metadata: ObjectMeta,
    /// The spec as JSON.
    #[serde(default)]
    pub spec: serde_json::Value,
    /// The status as JSON.
    #[serde(default)]
    pub status: serde_json::Value,
}

fn ingress_group() -> String {
    "networking.k8s.io".to_owned()
}

fn ingress_kind() -> String {
    "Ingress".to_owned()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

// === impl TargetRef ===

impl TargetRef {
    /// The Ingress of this name.
    #[must_use]
    pub fn ingress(name: &str) -> Self {
        Self {
            group: ingress_group(),
            kind: ingress_kind(),
            name: name.to_owned(),
        }
    }

    /// Whether it is what a target has to be.
    #[must_use]
    pub fn is_ingress(&self) -> bool {
        self.group == ingress_group() && self.kind == ingress_kind()
    }
}

// === impl HostStatus ===

impl HostStatus {
    /// The states, as labels of metrics.
    pub const STATES: [&str; 4] = ["programmed", "pending", "closed", "not_protected"];

    /// The state as a label of metrics: from a closed set, and what is not in it is the worst of them.
    #[must_use]
    pub fn state_label(&self) -> &'static str {
        match &*self.state {
            "Programmed" => "programmed",
            "Pending" => "pending",
            "Closed" => "closed",
            _ => "not_protected",
        }
    }
}
