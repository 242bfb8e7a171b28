//! The options that commands share: what one installation is, how people reach it, how it logs, its limits (`limits`);
//! and those of the front door (`front_door`).
//!
//! Each is also an environment variable, `VESTIBULE_` and its name. `controller` and `auth` must be given
//! the same ones; the Helm chart writes them once for both.

mod front_door;
mod limits;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::{Args, ValueEnum};
use http::HeaderName;

pub use self::{
    front_door::{FrontDoorOptions, FrontDoorSettings},
    limits::LimitOptions,
};
use crate::{
    dataplane::DataPlane,
    policy::{Host, Origin, Scheme},
    published::{IDENTITY_HEADERS, Installation},
    server::AdminNames,
};

/// What one installation is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Installation (the same for controller and auth)")]
pub struct InstallationOptions {
    /// Name of the installation: part of its field manager, labels and Lease
    #[arg(long, env = "VESTIBULE_INSTANCE", default_value = "vestibule", value_parser = label_value)]
    pub instance: String,

    /// The namespace Vestibule lives in; it is Vestibule's alone
    #[arg(long, env = "VESTIBULE_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// The same, as pods are told it
    #[arg(long, env = "POD_NAMESPACE", hide = true)]
    pub pod_namespace: Option<String>,

    /// An IngressClass to protect; may be repeated. Default: every class whose controller is k8s.io/ingress-nginx
    #[arg(
        long = "ingress-class",
        env = "VESTIBULE_INGRESS_CLASS",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub ingress_classes: Vec<String>,

    /// A proxy that reads the annotations; may be repeated. Traefik prefers the longest rule, so with it an Ingress that
    /// does not name a host can be sent requests for it: such a host has no sessions
    #[arg(
        long = "data-plane",
        env = "VESTIBULE_DATA_PLANE",
        value_name = "PROXY",
        value_delimiter = ',',
        value_enum,
        default_values_t = [DataPlaneName::IngressNginx, DataPlaneName::Traefik]
    )]
    pub data_planes: Vec<DataPlaneName>,

    /// How people reach what it protects
    #[command(flatten)]
    pub public: PublicOptions,

    /// The Secret with the session keys [default: INSTANCE-session-keys]
    #[arg(long, env = "VESTIBULE_SESSION_KEYS_SECRET", value_name = "NAME")]
    pub session_keys_secret: Option<String>,
}

/// How people reach what is protected, and what services are told about them.
#[derive(Args, Clone, Debug)]
pub struct PublicOptions {
    /// The scheme people use to reach protected hosts
    #[arg(
        long,
        env = "VESTIBULE_PUBLIC_SCHEME",
        value_enum,
        default_value = "https"
    )]
    pub public_scheme: PublicScheme,

    /// Say yes to --public-scheme=http: sessions then cross the network readable by anyone on it
    #[arg(
        long,
        env = "VESTIBULE_INSECURE_HTTP",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub insecure_http: bool,

    /// The port people use to reach protected hosts [default: that of the scheme]
    #[arg(long, env = "VESTIBULE_PUBLIC_PORT", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub public_port: Option<u16>,

    /// Where people meet the auth endpoint on each protected host
    #[arg(long, env = "VESTIBULE_ENDPOINT_PREFIX", default_value = "/oauth2", value_parser = endpoint_prefix)]
    pub endpoint_prefix: String,

    /// The host that signs people in once for all protected hosts; without it each host does so itself
    #[arg(long, env = "VESTIBULE_AUTH_HOST", value_name = "HOST", value_parser = host)]
    pub auth_host: Option<Host>,

    /// A header that tells services who is there; may be repeated, and the list is closed
    #[arg(
        long = "identity-header",
        env = "VESTIBULE_IDENTITY_HEADER",
        value_name = "NAME",
        value_delimiter = ',',
        default_values = IDENTITY_HEADERS,
        value_parser = header_name
    )]
    pub identity_headers: Vec<String>,

    /// No session lives longer, whatever providers and policies say
    #[arg(long, env = "VESTIBULE_MAX_SESSION", default_value = "24h", value_name = "DURATION", value_parser = duration)]
    pub max_session: Duration,
}

/// Who may ask the admin listener.
#[derive(Args, Clone, Debug)]
pub struct AdminOptions {
    /// A name by which the admin listener is asked for, besides addresses, names without a dot and Services' (.svc); may
    /// be repeated
    #[arg(
        long = "admin-host",
        env = "VESTIBULE_ADMIN_HOST",
        value_name = "HOST",
        value_delimiter = ',',
        value_parser = host
    )]
    admin_hosts: Vec<Host>,
}

/// How to log.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs")]
pub struct LogOptions {
    /// One JSON object a line, or text for people
    #[arg(long, env = "VESTIBULE_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,

    /// What to log, such as info or vestibule=debug,warn
    #[arg(
        long,
        env = "VESTIBULE_LOG_LEVEL",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log_level: String,
}

/// The form of a log line.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For machines.
    Json,
    /// For people.
    Text,
}

/// `http` or `https`.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicScheme {
    /// Encrypted.
    Https,
    /// In the clear.
    Http,
}

/// A proxy that reads the annotations.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlaneName {
    /// ingress-nginx, which prefers the exact host.
    IngressNginx,
    /// Traefik with its provider for ingress-nginx's annotations.
    Traefik,
}

// === impl AdminOptions ===

impl AdminOptions {
    /// By which names the admin listener is asked for.
    #[must_use]
    pub fn names(&self) -> AdminNames {
        AdminNames::new(&self.admin_hosts)
    }
}

// === impl InstallationOptions ===

impl InstallationOptions {
    /// The options as one value.
    ///
    /// # Errors
    /// With a sentence, if two options contradict each other or one is missing.
    pub fn installation(&self) -> Result<Installation, String> {
        let namespace = self.namespace.as_ref().or(self.pod_namespace.as_ref());
        let namespace = namespace
            .filter(|name| !name.is_empty())
            .ok_or("--namespace is missing: say which namespace Vestibule lives in")?;
        Ok(Installation {
            instance: self.instance.as_str().into(),
            namespace: namespace.as_str().into(),
            ..self.public.installation()?
        })
    }

    /// The proxies that read the annotations.
    #[must_use]
    pub fn data_planes(&self) -> Vec<DataPlane> {
        let of = |name: &DataPlaneName| match name {
            DataPlaneName::IngressNginx => DataPlane::IngressNginx,
            DataPlaneName::Traefik => DataPlane::Traefik,
        };
        self.data_planes.iter().map(of).collect()
    }

    /// The Secret with the session keys.
    #[must_use]
    pub fn session_keys_secret(&self) -> Arc<str> {
        self.session_keys_secret
            .as_deref()
            .filter(|name| !name.is_empty())
            .map_or_else(
                || format!("{}-session-keys", self.instance).into(),
                Into::into,
            )
    }
}

// === impl PublicOptions ===

impl PublicOptions {
    /// The options as one value, for a folder, which is an installation of its own.
    ///
    /// # Errors
    /// With a sentence, if two options contradict each other.
    pub fn installation(&self) -> Result<Installation, String> {
        let headers = self.identity_headers.iter();
        Ok(Installation {
            origin: self.origin()?,
            endpoint_prefix: self.endpoint_prefix.as_str().into(),
            auth_host: self.auth_host.clone(),
            identity_headers: headers.map(|name| name.as_str().into()).collect(),
            max_session: self.max_session,
            ..Installation::default()
        })
    }

    fn origin(&self) -> Result<Origin, String> {
        let scheme = match (self.public_scheme, self.insecure_http) {
            (PublicScheme::Https, false) => Scheme::Https,
            (PublicScheme::Http, true) => Scheme::Http,
            (PublicScheme::Http, false) => {
                return Err(
                    "--public-scheme=http lets sessions cross the network readable by anyone on it; \
                     if that is meant, add --insecure-http"
                        .into(),
                );
            }
            (PublicScheme::Https, true) => {
                return Err(
                    "--insecure-http contradicts --public-scheme=https: leave one out".into(),
                );
            }
        };
        Ok(Origin {
            scheme,
            port: self.public_port.unwrap_or(scheme.default_port()),
        })
    }
}

/// The value of `--original-uri-header`; none if it is empty, as an unset variable of a Compose file is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginalUriHeader(pub Option<HeaderName>);

/// Reads where to listen.
///
/// # Errors
/// With a sentence, if it is not an address and a port.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "an address and a port, such as 0.0.0.0:443 or 127.0.0.1:4180".into())
}

/// Reads `--original-uri-header`.
///
/// # Errors
/// With a sentence, if nginx cannot tell a target in such a header.
pub fn original_uri_header(text: &str) -> Result<OriginalUriHeader, String> {
    if text.is_empty() {
        return Ok(OriginalUriHeader(None));
    }
    HeaderName::try_from(header_name(text)?)
        .map(|name| OriginalUriHeader(Some(name)))
        .map_err(|error| error.to_string())
}

fn host(text: &str) -> Result<Host, String> {
    Host::parse(text).ok_or_else(|| "not a host name such as auth.corp.example".into())
}

fn endpoint_prefix(text: &str) -> Result<String, String> {
    let segments = text.strip_prefix('/').filter(|rest| {
        rest.split('/').all(|segment| {
            !segment.is_empty()
                && !matches!(segment, "." | "..")
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        })
    });
    segments.map(|_| text.to_owned()).ok_or_else(|| {
        "a path such as /oauth2: it begins with a slash and does not end with one".into()
    })
}

/// Names that HTTP itself, or a proxy, reads: a person's name there would break messages or be taken for a credential.
const TAKEN_HEADERS: [&str; 15] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn header_name(text: &str) -> Result<String, String> {
    let is_token = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_token {
        return Err("a header name: letters, digits and hyphens".into());
    }
    if TAKEN_HEADERS.contains(&text.to_ascii_lowercase().as_str()) {
        return Err("this header has a meaning of its own to browsers, proxies or services, and cannot carry anything else".into());
    }
    Ok(text.to_owned())
}

/// The instance name becomes the value of a label and part of names.
fn label_value(text: &str) -> Result<String, String> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let well_formed = (1..=40).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if well_formed {
        Ok(text.to_owned())
    } else {
        Err("at most 40 lower-case letters, digits and inner hyphens".into())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    span(text)
        .ok()
        .filter(|span| span.as_secs() >= 60)
        .ok_or_else(|| "a duration of a minute or more, such as 12h or 90m".into())
}

/// A duration that is not over at once.
fn span(text: &str) -> Result<Duration, String> {
    let parsed: Option<jiff::SignedDuration> = text.parse().ok();
    parsed
        .and_then(|span| Duration::try_from(span).ok())
        .filter(|span| !span.is_zero())
        .ok_or_else(|| "a duration such as 5s or 2m".into())
}

/// Octets; K, M and G are powers of 1024, as in nginx's client_max_body_size.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text.get(digits.len()..) {
        Some("") => Some(1),
        Some("k" | "K" | "Ki" | "KiB") => Some(1 << 10),
        Some("m" | "M" | "Mi" | "MiB") => Some(1 << 20),
        Some("g" | "G" | "Gi" | "GiB") => Some(1_u64 << 30),
        _ => None,
    };
    let count: Option<u64> = digits.parse().ok();
    count
        .zip(unit)
        .and_then(|(count, unit)| count.checked_mul(unit))
        .filter(|octets| *octets > 0)
        .ok_or_else(|| "a size such as 50M or 1G; for no limit, leave the option out".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        installation: InstallationOptions,
    }

    fn parsed(options: &[&str]) -> Result<Installation, String> {
        let all = ["test", "--namespace", "vestibule"].iter().chain(options);
        let options = Options::try_parse_from(all).map_err(|e| e.to_string())?;
        options.installation.installation()
    }

    #[test]
    fn the_defaults_are_https_on_its_own_port_and_the_closed_list() {
        let installation = parsed(&[]).unwrap();
        assert_eq!(installation.origin.of("a.example"), "https://a.example");
        assert_eq!(installation, Installation::default());
    }

    #[test]
    fn plain_http_is_said_twice() {
        assert!(parsed(&["--public-scheme=http"]).is_err());
        assert!(parsed(&["--insecure-http"]).is_err());
        let installation = parsed(&["--public-scheme=http", "--insecure-http"]).unwrap();
        assert_eq!(installation.origin.port, 80);
    }

    #[test]
    fn values_that_could_not_work_are_refused() {
        for option in [
            "--endpoint-prefix=oauth2",
            "--endpoint-prefix=/oauth2/",
            "--endpoint-prefix=/",
            "--endpoint-prefix=/a//b",
            "--endpoint-prefix=/a/../b",
            "--identity-header=Authorization",
            "--identity-header=X Y",
            "--identity-header=Content-Length",
            "--identity-header=transfer-encoding",
            "--auth-host=auth.example:8443",
            "--instance=Mine",
            "--instance=",
            "--max-session=1",
            "--max-session=5s",
            "--public-port=0",
        ] {
            assert!(parsed(&[option]).is_err(), "{option}");
        }
        assert_eq!(original_uri_header(""), Ok(OriginalUriHeader(None)));
        assert!(original_uri_header("X-Original-URI").is_ok_and(|header| header.0.is_some()));
        assert!(original_uri_header("Host").is_err() && original_uri_header("X Y").is_err());
        for option in [
            "--endpoint-prefix=/auth/v1",
            "--identity-header=X-Email,X-User",
        ] {
            assert!(parsed(&[option]).is_ok(), "{option}");
        }
    }
}
