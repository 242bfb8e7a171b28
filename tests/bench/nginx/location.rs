//! What ingress-nginx makes of Ingresses: a server per host, a location per path, each with the
//! annotations of the Ingress that claimed it first.

use std::{cmp::Reverse, net::SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::{
    core::v1::Service,
    networking::v1::{HTTPIngressPath, Ingress, IngressBackend},
};

const PREFIX: &str = "nginx.ingress.kubernetes.io/";

const BUFFER: &str = "proxy-buffer-size";
const UPSTREAM_VHOST: &str = "upstream-vhost";

/// What a check may be asked with.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE",
];

/// A path that begins like this is never authenticated (`no-auth-locations`).
const NO_AUTH: &str = "/.well-known/acme-challenge";

/// Annotations that change nothing of what is modelled here, or are read elsewhere.
const WITHOUT_EFFECT: [&str; 6] = [
    BUFFER,
    UPSTREAM_VHOST,
    "service-upstream",
    "enable-global-auth",
    "ssl-redirect",
    "force-ssl-redirect",
];

/// One host.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) locations: Vec<Location>,
}

/// One path of a host.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) path: String,
    pub(super) path_type: String,
    /// `None`: the default backend.
    pub(super) backend: Option<SocketAddr>,
    pub(super) auth: Option<ExternalAuth>,
    /// What an answer's headers have to fit in.
    pub(super) buffer: String,
    /// The host that the service is told in place of the one that was asked for.
    pub(super) upstream_host: Option<String>,
}

/// The external authentication of a location.
#[derive(Clone, Debug)]
pub(super) struct ExternalAuth {
    pub(super) url: String,
    /// The host of the URL, without a port.
    pub(super) host: String,
    pub(super) signin: Option<String>,
    pub(super) response_headers: Vec<String>,
    /// How the check is asked; `None`: with GET.
    pub(super) method: Option<String>,
}

pub(super) fn servers(mut ingresses: Vec<Ingress>, services: &[Service]) -> Result<Vec<Server>> {
    // The oldest claims first; of the same second, the alphabetically later name.
    ingresses.sort_by_key(|ingress| {
        let metadata = &ingress.metadata;
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
        (
            created,
            Reverse((metadata.namespace.clone(), metadata.name.clone())),
        )
    });
    let mut servers: Vec<Server> = Vec::new();
    for ingress in &ingresses {
        let namespace = ingress.metadata.namespace.as_deref().unwrap_or_default();
        let name = ingress.metadata.name.as_deref().unwrap_or_default();
        add(&mut servers, ingress, namespace, services)
            .with_context(|| format!("ingress-nginx would not serve Ingress {namespace}/{name}"))?;
    }
    Ok(servers)
}

fn add(
    servers: &mut Vec<Server>,
    ingress: &Ingress,
    namespace: &str,
    services: &[Service],
) -> Result<()> {
    let auth = external_auth(ingress)?;
    let buffer = buffer(ingress)?;
    let rules = ingress
        .spec
        .as_ref()
        .and_then(|spec| spec.rules.as_deref())
        .unwrap_or_default();
    for rule in rules {
        let host = rule.host.clone().unwrap_or_default();
        let at = servers.iter().position(|server| server.host == host);
        let at = at.unwrap_or_else(|| {
            // Until somebody claims `/`, it has the annotations of the host's oldest Ingress.
            let implicit = Location {
                path: "/".to_owned(),
                path_type: "Prefix".to_owned(),
                backend: None,
                auth: auth.clone(),
                buffer: buffer.clone(),
                upstream_host: said(ingress, UPSTREAM_VHOST),
            };
            servers.push(Server {
                host,
                locations: vec![implicit],
            });
            servers.len() - 1
        });
        let Some(server) = servers.get_mut(at) else {
            continue;
        };
        for path in rule.http.iter().flat_map(|http| &http.paths) {
            let location = location(path, namespace, services, auth.as_ref(), &buffer)?;
            server.claim(Location {
                upstream_host: said(ingress, UPSTREAM_VHOST),
                ..location
            });
        }
    }
    Ok(())
}

// === impl Server ===

impl Server {
    fn claim(&mut self, location: Location) {
        let claimed = self
            .locations
            .iter_mut()
            .find(|held| held.path == location.path && held.path_type == location.path_type);
        match claimed {
            Some(implicit) if implicit.backend.is_none() => *implicit = location,
            Some(_) => {}
            None => self.locations.push(location),
        }
    }
}

fn location(
    path: &HTTPIngressPath,
    namespace: &str,
    services: &[Service],
    auth: Option<&ExternalAuth>,
    buffer: &str,
) -> Result<Location> {
    let text = path.path.clone().unwrap_or_else(|| "/".to_owned());
    ensure!(
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte)),
        "path {text} has characters that strict-validate-path-type refuses"
    );
    ensure!(
        text.len() < 175,
        "path {text} makes the name of its authentication location too long for this nginx, which would serve it open"
    );
    let path_type = match path.path_type.as_str() {
        "Exact" => "Exact",
        "Prefix" | "ImplementationSpecific" => "Prefix",
        other => bail!("pathType {other}"),
    };
    let auth = auth.filter(|_| !text.starts_with(NO_AUTH)).cloned();
    let backend = Some(backend(&path.backend, namespace, services)?);
    Ok(Location {
        path: text,
        path_type: path_type.to_owned(),
        backend,
        auth,
        buffer: buffer.to_owned(),
        upstream_host: None,
    })
}

fn said(ingress: &Ingress, key: &str) -> Option<String> {
    let mut all = ingress.metadata.annotations.iter().flatten();
    let found = all.find(|(name, _)| name.strip_prefix(PREFIX) == Some(key))?;
    Some(found.1.clone())
}

/// `proxy-buffer-size`, of a form that nginx takes; 4k unless said otherwise.
fn buffer(ingress: &Ingress) -> Result<String> {
    let size = said(ingress, BUFFER).unwrap_or_else(|| "4k".to_owned());
    let digits = size.trim_end_matches(['k', 'm']);
    ensure!(
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()),
        "{BUFFER} {size}"
    );
    Ok(size)
}

fn backend(backend: &IngressBackend, namespace: &str, services: &[Service]) -> Result<SocketAddr> {
    let wanted = backend
        .service
        .as_ref()
        .context("a backend that is no Service")?;
    let port = wanted.port.as_ref().context("a backend without a port")?;
    let name = Some(wanted.name.as_str());
    let spec = services
        .iter()
        .find(|service| {
            service.metadata.namespace.as_deref() == Some(namespace)
                && service.metadata.name.as_deref() == name
        })
        .and_then(|service| service.spec.as_ref())
        .with_context(|| format!("Service {namespace}/{} does not exist", wanted.name))?;
    let number = spec
        .ports
        .iter()
        .flatten()
        .find(|held| {
            port.number == Some(held.port) || (port.name.is_some() && port.name == held.name)
        })
        .with_context(|| format!("Service {namespace}/{} has no such port", wanted.name))?
        .port;
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let ip = ip.parse().with_context(|| format!("ClusterIP '{ip}'"))?;
    Ok(SocketAddr::new(ip, u16::try_from(number)?))
}

/// Reads the authentication keys as ingress-nginx's parsers do. What they would ignore or drop, and
/// so leave a location open, is an error here.
fn external_auth(ingress: &Ingress) -> Result<Option<ExternalAuth>> {
    let (mut url, mut signin, mut response_headers, mut upstream) = (None, None, Vec::new(), false);
    let mut method = None;
    for (key, value) in ingress.metadata.annotations.iter().flatten() {
        let Some(key) = key.strip_prefix(PREFIX) else {
            continue;
        };
        match key {
            "auth-url" => url = Some(value.clone()),
            "auth-signin" => signin = Some(value.clone()),
            "auth-method" => {
                ensure!(
                    METHODS.contains(&&**value),
                    "auth-method {value} makes it answer 503"
                );
                method = Some(value.clone());
            }
            "auth-response-headers" => {
                response_headers = value
                    .split(',')
                    .map(|name| name.trim().to_owned())
                    .collect();
            }
            "service-upstream" if value == "true" => upstream = true,
            key if WITHOUT_EFFECT.contains(&key) => {}
            key => bail!("annotation {PREFIX}{key} is not modelled by the bench"),
        }
    }
    ensure!(
        upstream,
        "it lacks {PREFIX}service-upstream: \"true\", and the bench has no endpoints"
    );
    let Some(url) = url else {
        ensure!(
            signin.is_none(),
            "auth-signin without auth-url does nothing"
        );
        return Ok(None);
    };
    ensure!(
        !url.is_empty(),
        "an empty auth-url switches authentication off"
    );
    ensure!(
        url.chars().all(url_or_variable),
        "auth-url has characters outside its class: {url}"
    );
    let (scheme, rest) = url.split_once("://").context("auth-url has no scheme")?;
    ensure!(
        ["http", "https"].contains(&scheme),
        "auth-url has scheme {scheme}"
    );
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default().to_owned();
    ensure!(
        !host.is_empty() && !host.contains(".."),
        "auth-url has no proper host: {url}"
    );
    for name in &response_headers {
        let fits = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        ensure!(
            fits && !name.is_empty(),
            "auth-response-headers holds '{name}'"
        );
    }
    if let Some(signin) = &signin {
        ensure!(
            signin.chars().all(url_or_variable),
            "auth-signin has characters outside its class: {signin}"
        );
        ensure!(
            !signin.contains(' '),
            "the space in auth-signin stops every reload"
        );
    }
    ensure!(
        signin.is_some() || !url.contains("$escaped_request_uri"),
        "$escaped_request_uri is empty without auth-signin"
    );
    Ok(Some(ExternalAuth {
        url,
        host,
        signin,
        response_headers,
        method,
    }))
}

/// ingress-nginx's class for URLs with variables.
fn url_or_variable(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~/:,?&=$ ".contains(c)
}
