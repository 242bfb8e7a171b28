//! The fields of oauth2-proxy's alpha configuration: most stand for an option, some are there alone.

/// What becomes of a field that no option stands for.
pub(super) struct Only {
    pub(super) path: &'static str,
    pub(super) text: &'static str,
}

/// Fields of the first provider, and the options that they stand for.
pub(super) const PROVIDER: &[(&str, &str)] = &[
    ("provider", "provider"),
    ("name", "provider-display-name"),
    ("clientID", "client-id"),
    ("clientSecret", "client-secret"),
    ("clientSecretFile", "client-secret-file"),
    ("caFiles", "provider-ca-file"),
    ("useSystemTrustStore", "use-system-trust-store"),
    ("loginURL", "login-url"),
    ("redeemURL", "redeem-url"),
    ("profileURL", "profile-url"),
    ("validateURL", "validate-url"),
    ("skipClaimsFromProfileURL", "skip-claims-from-profile-url"),
    ("resource", "resource"),
    ("scope", "scope"),
    ("allowedGroups", "allowed-group"),
    ("code_challenge_method", "code-challenge-method"),
    ("authRequestResponseMode", "auth-request-response-mode"),
    ("backendLogoutURL", "backend-logout-url"),
    ("oidcConfig.issuerURL", "oidc-issuer-url"),
    (
        "oidcConfig.insecureAllowUnverifiedEmail",
        "insecure-oidc-allow-unverified-email",
    ),
    (
        "oidcConfig.insecureSkipIssuerVerification",
        "insecure-oidc-skip-issuer-verification",
    ),
    ("oidcConfig.insecureSkipNonce", "insecure-oidc-skip-nonce"),
    ("oidcConfig.skipDiscovery", "skip-oidc-discovery"),
    ("oidcConfig.jwksURL", "oidc-jwks-url"),
    ("oidcConfig.publicKeyFiles", "oidc-public-key-file"),
    ("oidcConfig.emailClaim", "oidc-email-claim"),
    ("oidcConfig.groupsClaim", "oidc-groups-claim"),
    ("oidcConfig.userIDClaim", "user-id-claim"),
    ("oidcConfig.audienceClaims", "oidc-audience-claim"),
    ("oidcConfig.extraAudiences", "oidc-extra-audience"),
    ("oidcConfig.enabledSigningAlgs", "oidc-enabled-signing-alg"),
    ("keycloakConfig.groups", "keycloak-group"),
    ("keycloakConfig.roles", "allowed-role"),
    ("azureConfig.tenant", "azure-tenant"),
    ("azureConfig.graphGroupField", "azure-graph-group-field"),
    (
        "microsoftEntraIDConfig.allowedTenants",
        "entra-id-allowed-tenant",
    ),
    (
        "microsoftEntraIDConfig.federatedTokenAuth",
        "entra-id-federated-token-auth",
    ),
    ("bitbucketConfig.team", "bitbucket-team"),
    ("bitbucketConfig.repository", "bitbucket-repository"),
    ("githubConfig.org", "github-org"),
    ("githubConfig.team", "github-team"),
    ("githubConfig.repo", "github-repo"),
    ("githubConfig.token", "github-token"),
    ("githubConfig.users", "github-user"),
    ("gitlabConfig.group", "gitlab-group"),
    ("gitlabConfig.projects", "gitlab-project"),
    ("googleConfig.group", "google-group"),
    ("googleConfig.adminEmail", "google-admin-email"),
    (
        "googleConfig.serviceAccountJson",
        "google-service-account-json",
    ),
    (
        "googleConfig.useApplicationDefaultCredentials",
        "google-use-application-default-credentials",
    ),
    ("googleConfig.targetPrincipal", "google-target-principal"),
    (
        "googleConfig.useOrganizationID",
        "google-use-organization-id",
    ),
    (
        "googleConfig.adminAPIUserScope",
        "google-admin-api-user-scope",
    ),
    ("loginGovConfig.jwtKey", "jwt-key"),
    ("loginGovConfig.jwtKeyFile", "jwt-key-file"),
    ("loginGovConfig.pubjwkURL", "pubjwk-url"),
];

/// Fields of an upstream beside its path and URI.
pub(super) const UPSTREAM: &[(&str, &str)] = &[
    ("insecureSkipTLSVerify", "ssl-upstream-insecure-skip-verify"),
    ("flushInterval", "flush-interval"),
    ("passHostHeader", "pass-host-header"),
    ("proxyWebSockets", "proxy-websockets"),
    ("timeout", "upstream-timeout"),
    ("disableKeepAlives", "disable-keep-alives"),
];

/// Fields of the listeners.
pub(super) const SERVER: &[(&str, &str)] = &[
    ("bindAddress", "http-address"),
    ("secureBindAddress", "https-address"),
    ("tls.cert.fromFile", "tls-cert-file"),
    ("tls.key.fromFile", "tls-key-file"),
    ("tls.minVersion", "tls-min-version"),
    ("tls.cipherSuites", "tls-cipher-suite"),
];

/// Fields of the listeners for metrics.
pub(super) const METRICS: &[(&str, &str)] = &[
    ("bindAddress", "metrics-address"),
    ("secureBindAddress", "metrics-secure-address"),
    ("tls.cert.fromFile", "metrics-tls-cert-file"),
    ("tls.key.fromFile", "metrics-tls-key-file"),
];

/// Fields without an option that need a decision when they are used.
pub(super) const ONLY: &[Only] = &[
    Only {
        path: "providers[].loginURLParameters",
        text: "no further parameters are sent to the provider, and none are taken from a request",
    },
    Only {
        path: "providers[].additionalClaims",
        text: "a session keeps the claims that rules and headers name, and no others",
    },
    Only {
        path: "providers[].ADFSConfig",
        text: "scopes are always sent",
    },
    Only {
        path: "providers[1]",
        text: "oauth2-proxy uses its first provider only; several IdentityProviders are possible here: add them by hand",
    },
    Only {
        path: "upstreamConfig.proxyRawPath",
        text: "paths are always passed on as they came",
    },
    Only {
        path: "injectRequestHeaders[].preserveRequestValue",
        text: "a client's own identity headers are always removed",
    },
    Only {
        path: "injectRequestHeaders[].InsecureSkipHeaderNormalization",
        text: "a client's own identity headers are removed in every spelling",
    },
    Only {
        path: "server.tls",
        text: "certificate and key are files: write them out and name them with --tls-cert and --tls-key",
    },
];
