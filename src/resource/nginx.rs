//! The keys of ingress-nginx that we write; Traefik's ingress-nginx provider reads the same.

/// The prefix of all of ingress-nginx's keys.
pub const NGINX_PREFIX: &str = "nginx.ingress.kubernetes.io/";
/// Whom ingress-nginx asks about each request.
pub const AUTH_URL: &str = "nginx.ingress.kubernetes.io/auth-url";
/// Where it sends people who are not signed in.
pub const AUTH_SIGNIN: &str = "nginx.ingress.kubernetes.io/auth-signin";
/// Which headers of the answer it passes on, and takes from clients.
pub const AUTH_RESPONSE_HEADERS: &str = "nginx.ingress.kubernetes.io/auth-response-headers";
