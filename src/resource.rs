//! The Kubernetes vocabulary: our two kinds, our annotations, the keys of ingress-nginx, conditions and their
//! reasons, and the names we give to what we make. No client, no I/O.

mod annotations;
mod condition;
mod duration;
mod identity_provider;
mod names;
mod nginx;
mod protected_service;

pub(crate) use annotations::edits;
pub use annotations::{AnnotationError, Annotations, OptIn};
pub use condition::{ConditionType, Reason, Verdict, with_times};
pub use duration::parse_duration;
pub use identity_provider::{
    AllowedNamespaces, ClaimMapping, EmailVerification, GoogleProvider, IdentityProvider,
    IdentityProviderObject, IdentityProviderSpec, IdentityProviderStatus, NamespaceSelector,
    OidcProvider, ProviderType, SecretKeyRef,
};
pub use names::{
    DERIVED_FROM_LABEL, ENDPOINT_HOST_LABEL, INSTANCE_LABEL, Key, MANAGED_BY, MANAGED_BY_LABEL,
    ObjectRef, endpoint_ingress_name, fingerprint, host_label,
};
pub use nginx::{AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL, NGINX_PREFIX};
pub use protected_service::{
    Allow, ClaimRequirement, DeniedDetail, DeniedSpec, FolderHost, HeaderFrom, HostStatus,
    PathType, ProtectedService, ProtectedServiceObject, ProtectedServiceSpec,
    ProtectedServiceStatus, RuleAccessSpec, RulePath, RuleSpec, SessionSpec, Summary, TargetRef,
    UpstreamHeaderSpec, UpstreamSpec,
};

/// The API group of our kinds.
pub const GROUP: &str = "vestibule.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";
