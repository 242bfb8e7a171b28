//! Plain nginx: the `server` blocks for what a folder protects, as text (`vestibule render nginx`).
//!
//! nginx chooses a `location` by the decoded, normalised path; the service gets the path as the client wrote it. So
//! nobody has to agree on a reading: each location names in its check the service that it leads to, and the policy of
//! that very service is judged, by the path as it was written. A location that is open on a host where others are not
//! takes paths of one reading only. Nothing is written that could end a word or a block early.

mod location;
mod words;

use std::collections::BTreeSet;

use crate::{
    policy::{HostPattern, Scheme},
    published::{HostEntry, IDENTITY_HEADERS, Installation, Table},
};
use location::Locations;
pub use words::{Address, Size, Upstream, Word};

/// What the blocks say besides what the manifests say.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where nginx reaches Vestibule.
    pub vestibule: Upstream,
    /// The certificate's file; `{host}` stands for the host.
    pub certificate: Word,
    /// The key's file; `{host}` stands for the host.
    pub key: Word,
    /// Where people reach nginx.
    pub listen: Vec<Address>,
    /// Where plain HTTP is redirected from; nowhere if empty.
    pub redirect: Vec<Address>,
    /// How large a body may be.
    pub max_body: Size,
    /// The line that prints the same again, for the comment on top.
    pub command: String,
}

/// Something of the manifests that cannot be said to nginx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsayable {
    /// A path that nginx could match otherwise than it reads, or that could end a word.
    #[error(
        "{host}: nginx has no location for the path {path:?}; write it in its one canonical form"
    )]
    Path {
        /// Of which host.
        host: String,
        /// The path.
        path: String,
    },
    /// A path where Vestibule has to answer.
    #[error(
        "{host}: a path under {prefix} is taken, where Vestibule has to answer; move it, or choose another --endpoint-prefix"
    )]
    Taken {
        /// Of which host.
        host: String,
        /// The endpoint prefix.
        prefix: String,
    },
    /// An upstream of another form.
    #[error("{host}: {upstream:?} is not an upstream such as http://NAME:PORT")]
    Upstream {
        /// Of which host.
        host: String,
        /// What stands there.
        upstream: String,
    },
    /// A name that could end a word.
    #[error("{name:?} is not a name that nginx could be told")]
    Name {
        /// The name.
        name: String,
    },
}

/// The blocks for all that a table serves.
///
/// # Errors
/// If something cannot be said to nginx.
pub fn render(
    table: &Table,
    installation: &Installation,
    site: &Site,
) -> Result<String, Unsayable> {
    let mut entries: Vec<&HostEntry> = table.hosts().map(AsRef::as_ref).collect();
    entries.sort_by_key(|entry| entry.pattern.to_string());
    let mut text = header(installation, site);
    let mut names = Vec::new();
    let mut servers = String::new();
    let mut some_are_mixed = false;
    for entry in &entries {
        let locations = Locations::of(entry, &installation.endpoint_prefix)?;
        some_are_mixed |= locations.are_mixed();
        servers.push_str(&server(entry, &locations, installation, site));
        names.push(server_name(&entry.pattern));
    }
    if some_are_mixed {
        text.push_str(&plain_path());
    }
    text.push_str(&servers);
    if let Some(host) = &installation.auth_host {
        let pattern = HostPattern::Exact(host.clone());
        if !entries.iter().any(|entry| entry.pattern == pattern) {
            text.push_str(&auth_host(&pattern, installation, site));
            names.push(server_name(&pattern));
        }
    }
    if installation.origin.scheme == Scheme::Https && !site.redirect.is_empty() {
        text.push_str(&redirect(&names, installation, site));
    }
    Ok(text)
}

fn header(installation: &Installation, site: &Site) -> String {
    let headers = installation.identity_headers.iter();
    let maps: String = headers.map(|name| format!("#   {name}\n")).collect();
    format!(
        r#"# nginx in front of Vestibule. Printed by `vestibule render nginx`: do not edit it, print it again when the manifests
# name other hosts, paths or services (an edit of who may enter counts without):
#   {command}
#
# For the http block, such as a file in /etc/nginx/conf.d. Vestibule must be started with
#   vestibule serve --original-uri-header X-Original-URI{options}
# besides its folders. Nobody but nginx may reach it at {vestibule}.
#
# Each service gets these headers from Vestibule, and never from a client:
{maps}
# A WebSocket asks for an upgrade of the connection. No other is passed on: where a service switched to HTTP/2 (h2c), nobody
# would be asked about what follows.
map $http_upgrade $vestibule_upgrade {{
    default       '';
    ~*^websocket$ websocket;
}}
map $vestibule_upgrade $vestibule_connection {{
    default upgrade;
    ''      '';
}}
"#,
        command = site.command,
        vestibule = site.vestibule,
        options = options(installation),
    )
}

/// What an installation has been told that is not so by default.
fn options(installation: &Installation) -> String {
    let mut options = String::new();
    let origin = installation.origin;
    if origin.scheme == Scheme::Http {
        options.push_str(" --public-scheme http --insecure-http");
    }
    if origin.port != origin.scheme.default_port() {
        options.push_str(&format!(" --public-port {}", origin.port));
    }
    if let Some(host) = &installation.auth_host {
        options.push_str(&format!(" --auth-host {host}"));
    }
    if *installation.endpoint_prefix != *"/oauth2" {
        options.push_str(&format!(
            " --endpoint-prefix {}",
            installation.endpoint_prefix
        ));
    }
    if !installation
        .identity_headers
        .iter()
        .map(AsRef::as_ref)
        .eq(IDENTITY_HEADERS)
    {
        let names: Vec<&str> = installation
            .identity_headers
            .iter()
            .map(AsRef::as_ref)
            .collect();
        options.push_str(&format!(" --identity-header {}", names.join(",")));
    }
    options
}

/// For hosts that are open in part.
fn plain_path() -> String {
    format!(
        r#"
# Whether a path has one reading only: no dot or empty segments, no escaped separators.
map $request_uri $vestibule_plain_path {{
    default 0;
    "{}" 1;
}}
"#,
        words::PLAIN_PATH
    )
}

fn server(
    entry: &HostEntry,
    locations: &Locations,
    installation: &Installation,
    site: &Site,
) -> String {
    let mut text = open(&entry.pattern, site, installation);
    text.push_str(&format!("    client_max_body_size {};\n", site.max_body));
    text.push_str(&endpoint(installation, site));
    for service in locations.services() {
        text.push_str(&check(service, installation, site));
    }
    for location in &locations.all {
        text.push_str(&location.block(installation, locations.are_mixed()));
    }
    text.push_str("}\n");
    text
}

fn auth_host(pattern: &HostPattern, installation: &Installation, site: &Site) -> String {
    let mut text = open(pattern, site, installation);
    text.push_str(&endpoint(installation, site));
    text.push_str("\n    location / {\n        return 404;\n    }\n}\n");
    text
}

/// The beginning of a block.
fn open(pattern: &HostPattern, site: &Site, installation: &Installation) -> String {
    let is_https = installation.origin.scheme == Scheme::Https;
    let ssl = if is_https { " ssl" } else { "" };
    let listen: String = site
        .listen
        .iter()
        .map(|address| format!("    listen {address}{ssl};\n"))
        .collect();
    let name = server_name(pattern);
    let mut text = format!("\nserver {{\n{listen}    server_name {name};\n");
    if is_https {
        // Certificates for a wildcard are mostly filed under the name that follows it.
        let host = match pattern {
            HostPattern::Exact(host) | HostPattern::Wildcard(host) => host.as_str(),
        };
        let (certificate, key) = (site.certificate.of(host), site.key.of(host));
        text.push_str(&format!(
            "    ssl_certificate {certificate};\n    ssl_certificate_key {key};\n"
        ));
    }
    text
}

/// Where people sign in.
fn endpoint(installation: &Installation, site: &Site) -> String {
    let prefix = &installation.endpoint_prefix;
    let vestibule = &site.vestibule;
    format!(
        r#"
    # Where people sign in, and where they are told why they may not enter.
    location {prefix}/ {{
        proxy_pass {vestibule};
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Auth-Request-Redirect $request_uri;
        # A session in a cookie is longer than what nginx has room for.
        proxy_buffer_size 16k;
        proxy_buffers 4 16k;
    }}
"#
    )
}

/// What nginx asks before it lets a request through to a service. Only nginx can ask here, and only for this service.
fn check(service: &str, installation: &Installation, site: &Site) -> String {
    let prefix = &installation.endpoint_prefix;
    let vestibule = &site.vestibule;
    let cleared: String = installation
        .identity_headers
        .iter()
        .map(|name| format!("        proxy_set_header {name} \"\";\n"))
        .collect();
    format!(
        r#"
    location = {prefix}/auth/{service} {{
        internal;
        proxy_pass {vestibule};
        proxy_pass_request_body off;
        proxy_cache off;
        proxy_set_header Content-Length "";
        proxy_set_header Host $host;
        proxy_set_header X-Original-URI $request_uri;
        proxy_set_header X-Original-Method $request_method;
        # What a client says about who it is counts neither here nor there.
{cleared}    }}
"#
    )
}

fn redirect(names: &[String], installation: &Installation, site: &Site) -> String {
    let listen: String = site
        .redirect
        .iter()
        .map(|address| format!("    listen {address};\n"))
        .collect();
    let unique: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let names: Vec<&str> = unique.into_iter().collect();
    let to = installation.origin.of("$host");
    format!(
        "\nserver {{\n{listen}    server_name {};\n    return 308 {to}$request_uri;\n}}\n",
        names.join("\n        ")
    )
}

/// A wildcard covers exactly one label, for nginx as for Vestibule.
fn server_name(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::Wildcard(parent) => {
            let parent = parent.as_str().replace('.', r"\.");
            format!(r#""~^[^.]+\.{parent}$""#)
        }
    }
}

#[cfg(test)]
mod tests;
