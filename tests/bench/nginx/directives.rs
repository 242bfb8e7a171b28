//! The text of nginx.conf, as ingress-nginx's template writes it.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Listeners,
    location::{ExternalAuth, Location, Server},
};

pub(super) fn configuration(servers: &[Server], listeners: Listeners, generation: u32) -> String {
    let Listeners {
        http,
        status,
        default_backend,
    } = listeners;
    let mut text = format!(
        r#"
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_set_misc_module.so;
load_module /usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so;
daemon off;
worker_processes 1;
worker_shutdown_timeout 5s;
pid nginx.pid;
error_log stderr notice;
events {{ multi_accept on; worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  aio threads;
  tcp_nopush on;
  tcp_nodelay on;
  reset_timedout_connection on;
  keepalive_timeout 75s;
  keepalive_requests 1000;
  client_header_buffer_size 1k;
  client_header_timeout 60s;
  large_client_header_buffers 4 8k;
  client_body_buffer_size 8k;
  client_body_timeout 60s;
  types_hash_max_size 2048;
  server_names_hash_max_size 1024;
  server_names_hash_bucket_size 128;
  proxy_headers_hash_max_size 512;
  proxy_headers_hash_bucket_size 64;
  variables_hash_bucket_size 256;
  underscores_in_headers off;
  ignore_invalid_headers on;
  server_tokens off;
  more_clear_headers Server;
  uninitialized_variable_warn off;
  server_name_in_redirect off;
  port_in_redirect off;
  proxy_ssl_session_reuse on;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  map $http_x_request_id $req_id {{ default $http_x_request_id; "" $request_id; }}
  server {{ listen {status}; location / {{ return 200 "{generation}"; }} }}
  server {{ listen {default_backend}; location / {{ return 404; }} }}
  server {{
    listen {http} default_server reuseport backlog=4096;
    server_name _;
    location / {{ proxy_pass http://{default_backend}; }}
  }}
"#
    );
    for server in servers {
        write_server(&mut text, server, listeners);
    }
    text.push_str("}\n");
    text
}

fn write_server(text: &mut String, server: &Server, listeners: Listeners) {
    let Server { host, locations } = server;
    let name = server_name(host);
    let _ = write!(
        text,
        "  ## start server {host}\n  server {{\n    server_name {name};\n    listen {};\n",
        listeners.http
    );
    // The longest path first, as ingress-nginx orders them.
    let mut ordered: Vec<&Location> = locations.iter().collect();
    ordered.sort_by_key(|location| std::cmp::Reverse(location.path.len()));
    for (number, location) in ordered.into_iter().enumerate() {
        if let Some(auth) = &location.auth {
            write_auth_location(text, location, auth);
            if let Some(signin) = &auth.signin {
                write_signin_location(text, number, signin);
            }
        }
        for matched in nginx_paths(location) {
            write_location(text, number, &matched, location, listeners);
        }
    }
    text.push_str("  }\n");
}

/// A wildcard covers exactly one label.
fn server_name(host: &str) -> String {
    match host.strip_prefix("*.") {
        Some(parent) => format!(
            r#""~^(?<subdomain>[\w-]+)\.{}$""#,
            parent.replace('.', r"\.")
        ),
        None if host.is_empty() => "\"\"".to_owned(),
        None => host.to_owned(),
    }
}

fn nginx_paths(location: &Location) -> Vec<String> {
    let path = &location.path;
    match location.path_type.as_str() {
        "Exact" => vec![format!("= {path}")],
        _ if path == "/" => vec!["/".to_owned()],
        _ => {
            let bare = path.trim_end_matches('/');
            vec![format!("{bare}/"), format!("= {bare}")]
        }
    }
}

fn auth_location_name(location: &Location) -> String {
    let encoded = URL_SAFE_NO_PAD.encode(&location.path);
    format!("/_external-auth-{encoded}-{}", location.path_type)
}

fn write_auth_location(text: &mut String, location: &Location, auth: &ExternalAuth) {
    let (name, ExternalAuth { host, url, .. }) = (auth_location_name(location), auth);
    let method = auth.method.as_ref().map_or_else(String::new, |method| {
        format!(
            "
      proxy_method {method};
      proxy_set_header X-Original-URI $request_uri;
      proxy_set_header X-Scheme $pass_access_scheme;"
        )
    });
    let _ = write!(
        text,
        r#"
    location = {name} {{
      internal;
      access_log off;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header X-Forwarded-Proto "";
      proxy_set_header X-Request-ID $req_id;{method}
      proxy_set_header Host {host};
      proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
      proxy_set_header X-Original-Method $request_method;
      proxy_set_header X-Sent-From "nginx-ingress-controller";
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Auth-Request-Redirect $request_uri;
      proxy_buffering off;
      proxy_buffer_size 4k;
      proxy_buffers 4 4k;
      proxy_request_buffering on;
      proxy_ssl_server_name on;
      proxy_pass_request_headers on;
      client_max_body_size 1m;
      set $target "{url}";
      proxy_pass $target;
    }}
"#
    );
}

fn write_signin_location(text: &mut String, number: usize, signin: &str) {
    let url = signin_with_return(signin);
    let _ = write!(
        text,
        "
    location @signin-{number} {{
      internal;
      add_header Set-Cookie $auth_cookie;
      return 302 {url};
    }}
"
    );
}

/// Appends the return target, unless the address has a non-empty one already.
fn signin_with_return(signin: &str) -> String {
    let query = signin.split_once('?').map(|(_, query)| query);
    let has_return = query.is_some_and(|query| {
        query.split('&').any(|pair| {
            pair.strip_prefix("rd=")
                .is_some_and(|value| !value.is_empty())
        })
    });
    match query {
        _ if has_return => signin.to_owned(),
        None | Some("") => format!("{signin}?{RETURN}"),
        Some(_) => format!("{signin}&{RETURN}"),
    }
}

const RETURN: &str = "rd=$pass_access_scheme://$http_host$escaped_request_uri";

fn write_location(
    text: &mut String,
    number: usize,
    matched: &str,
    location: &Location,
    listeners: Listeners,
) {
    let backend = location.backend.unwrap_or(listeners.default_backend);
    let buffer = &location.buffer;
    let upstream_host = location.upstream_host.as_deref();
    let upstream_host = upstream_host.map_or_else(
        || "$best_http_host".to_owned(),
        |host| format!("\"{host}\""),
    );
    let auth = location
        .auth
        .as_ref()
        .map_or_else(String::new, |auth| auth_lines(number, location, auth));
    let _ = write!(
        text,
        r#"
    location {matched} {{
      set $pass_access_scheme $scheme;
      set $pass_server_port $server_port;
      set $best_http_host $http_host;
      set $pass_port $pass_server_port;
{auth}
      client_max_body_size 1m;
      proxy_set_header Host {upstream_host};
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Request-ID $req_id;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $best_http_host;
      proxy_set_header X-Forwarded-Port $pass_port;
      proxy_set_header X-Forwarded-Proto $pass_access_scheme;
      proxy_set_header X-Forwarded-Scheme $pass_access_scheme;
      proxy_set_header X-Scheme $pass_access_scheme;
      proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
      proxy_set_header Proxy "";
      proxy_connect_timeout 5s;
      proxy_send_timeout 60s;
      proxy_read_timeout 60s;
      proxy_buffering off;
      proxy_buffer_size {buffer};
      proxy_buffers 4 {buffer};
      proxy_max_temp_file_size 1024m;
      proxy_request_buffering on;
      proxy_http_version 1.1;
      proxy_cookie_domain off;
      proxy_cookie_path off;
      proxy_next_upstream error timeout;
      proxy_next_upstream_tries 3;
      proxy_pass http://{backend};
      proxy_redirect off;
    }}
"#
    );
}

fn auth_lines(number: usize, location: &Location, auth: &ExternalAuth) -> String {
    let name = auth_location_name(location);
    let check = [
        format!("auth_request {name};"),
        "auth_request_set $auth_cookie $upstream_http_set_cookie;".to_owned(),
        "add_header Set-Cookie $auth_cookie;".to_owned(),
    ];
    let headers = auth
        .response_headers
        .iter()
        .enumerate()
        .flat_map(|(index, header)| {
            let variable = header.to_ascii_lowercase().replace('-', "_");
            [
                format!("auth_request_set $authHeader{index} $upstream_http_{variable};"),
                format!("proxy_set_header '{header}' $authHeader{index};"),
            ]
        });
    let signin = auth.signin.iter().flat_map(|_| {
        [
            "set_escape_uri $escaped_request_uri $request_uri;".to_owned(),
            format!("error_page 401 = @signin-{number};"),
        ]
    });
    let lines = check.into_iter().chain(headers).chain(signin);
    lines.map(|line| format!("      {line}\n")).collect()
}
