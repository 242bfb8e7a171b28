use std::sync::Arc;

use super::*;
use crate::{
    policy::Host,
    published::{Published, Route, RoutePath, ServiceId},
};

fn installation() -> Installation {
    Installation {
        auth_host: Host::parse("auth.example"),
        ..Installation::default()
    }
}

fn site() -> Site {
    Site {
        vestibule: Upstream::parse("http://127.0.0.1:4180").unwrap(),
        certificate: Word::parse("/etc/{host}/fullchain.pem").unwrap(),
        key: Word::parse("/etc/{host}/the key.pem").unwrap(),
        listen: vec![Address::parse("443").unwrap()],
        redirect: vec![Address::parse("80").unwrap()],
        max_body: Size::parse("50m").unwrap(),
        command: "vestibule render nginx --manifests DIR".into(),
    }
}

fn route(path: RoutePath, service: Option<&str>, upstream: &str) -> Route {
    Route {
        path,
        service: service.map(|name| ServiceId::new("demo", name)),
        upstream: upstream.into(),
    }
}

fn prefix(path: &str) -> RoutePath {
    RoutePath::Prefix(path.into())
}

fn rendered(host: &str, routes: Vec<Route>) -> Result<String, Unsayable> {
    let entry = HostEntry {
        pattern: HostPattern::parse(host).unwrap(),
        services: vec![],
        no_sessions: None,
        routes,
        named_groups: vec![],
        named_claims: vec![],
    };
    let table = Table::default().with(&Published::Host(Arc::new(entry)));
    render(&table, &installation(), &site())
}

/// The locations, each with where it leads and what it asks.
fn locations(text: &str) -> Vec<String> {
    let block = |rest: &str| {
        let name = rest.split(" {").next().unwrap();
        let line = |key: &str| {
            let found = rest.lines().take_while(|line| *line != "    }");
            let found = found.filter_map(|line| line.trim().strip_prefix(key));
            found
                .last()
                .map_or("", |rest| rest.trim_end_matches(';'))
                .to_owned()
        };
        format!(
            "{name} -> {} {}",
            line("proxy_pass "),
            line("auth_request ")
        )
    };
    text.split("\n    location ").skip(1).map(block).collect()
}

#[test]
fn each_route_asks_about_the_service_that_it_leads_to() {
    let text = rendered(
        "wiki.example",
        vec![
            route(prefix("/"), Some("wiki"), "http://wiki:80"),
            route(prefix("/api"), Some("api"), "http://api:8080"),
            route(RoutePath::Exact("/api".into()), None, "http://open:80"),
            route(prefix("/api"), None, "http://late:80"),
        ],
    )
    .unwrap();
    assert_eq!(
        locations(&text),
        [
            "/oauth2/ -> http://127.0.0.1:4180 ",
            "= /oauth2/auth/demo/api -> http://127.0.0.1:4180 ",
            "= /oauth2/auth/demo/wiki -> http://127.0.0.1:4180 ",
            "= /api -> http://open:80 ",
            "/ -> http://wiki:80 /oauth2/auth/demo/wiki",
            "/api/ -> http://api:8080 /oauth2/auth/demo/api",
            "/oauth2/ -> http://127.0.0.1:4180 ",
            "/ ->  ",
        ]
    );
}

#[test]
fn nothing_in_a_manifest_ends_a_word_or_a_block() {
    for path in [
        "/a;b",
        "/a{b",
        "/a}b",
        "/a\"b",
        "/a\nb",
        "/a b#",
        "/$host",
        "/a%20b",
        "/a//b",
        "/a/../b",
        "a",
        "",
        "/a\\",
        "/oauth2/x",
    ] {
        let refused = rendered(
            "wiki.example",
            vec![route(prefix(path), Some("wiki"), "http://wiki:80")],
        );
        assert!(refused.is_err(), "{path:?} {refused:?}");
    }
    for upstream in [
        "wiki:80",
        "http://wiki:80/path",
        "http://wiki:80;return 200",
        "http://user@wiki",
        "http://$host",
        "http://wiki:0",
        "http://",
        "http://[::1;]:80",
        "unix:/run/wiki",
    ] {
        let refused = rendered(
            "wiki.example",
            vec![route(prefix("/"), Some("wiki"), upstream)],
        );
        assert!(refused.is_err(), "{upstream:?}");
    }
    for service in ["a;b", "a b", "a{", "a\"", "A"] {
        let refused = rendered(
            "wiki.example",
            vec![route(prefix("/"), Some(service), "http://wiki:80")],
        );
        assert!(refused.is_err(), "{service:?}");
    }
    for text in ["", "/a\n", "/$host"] {
        assert!(Word::parse(text).is_none(), "{text:?}");
    }
    assert_eq!(
        Word::parse("/a b/\"{host}\\").unwrap().of("h"),
        r#""/a b/\"h\\""#
    );
    for text in ["", "443 ssl", "0", "65536", "localhost:443", "+443", "443;"] {
        assert!(Address::parse(text).is_none(), "{text:?}");
    }
    for text in ["443", "*:443", "127.0.0.1:443", "[::]:443"] {
        assert!(Address::parse(text).is_some(), "{text:?}");
    }
    for text in ["", "m", "50mb", "1;", "-1"] {
        assert!(Size::parse(text).is_none(), "{text:?}");
    }
}

#[test]
fn the_comment_says_how_vestibule_must_be_started() {
    let mut installation = installation();
    assert_eq!(options(&installation), " --auth-host auth.example");
    installation.auth_host = None;
    assert_eq!(options(&installation), "");
    installation.origin.port = 8443;
    installation.endpoint_prefix = "/auth".into();
    installation.identity_headers = vec!["X-User".into(), "X-Email".into()];
    assert_eq!(
        options(&installation),
        " --public-port 8443 --endpoint-prefix /auth --identity-header X-User,X-Email"
    );
}

#[test]
fn a_host_is_rendered_whole() {
    let text = rendered(
        "*.corp.example",
        vec![route(prefix("/"), Some("wiki"), "http://wiki:80")],
    );
    insta::assert_snapshot!(text.unwrap(), @r##"
    # nginx in front of Vestibule. Printed by `vestibule render nginx`: do not edit it, print it again when the manifests
    # name other hosts, paths or services (an edit of who may enter counts without):
    #   vestibule render nginx --manifests DIR
    #
    # For the http block, such as a file in /etc/nginx/conf.d. Vestibule must be started with
    #   vestibule serve --original-uri-header X-Original-URI --auth-host auth.example
    # besides its folders. Nobody but nginx may reach it at http://127.0.0.1:4180.
    #
    # Each service gets these headers from Vestibule, and never from a client:
    #   X-Auth-Request-User
    #   X-Auth-Request-Email
    #   X-Auth-Request-Preferred-Username
    #   X-Auth-Request-Groups
    #   X-Auth-Request-Access-Token

    # A WebSocket asks for an upgrade of the connection. No other is passed on: where a service switched to HTTP/2 (h2c), nobody
    # would be asked about what follows.
    map $http_upgrade $vestibule_upgrade {
        default       '';
        ~*^websocket$ websocket;
    }
    map $vestibule_upgrade $vestibule_connection {
        default upgrade;
        ''      '';
    }

    server {
        listen 443 ssl;
        server_name "~^[^.]+\.corp\.example$";
        ssl_certificate /etc/corp.example/fullchain.pem;
        ssl_certificate_key "/etc/corp.example/the key.pem";
        client_max_body_size 50m;

        # Where people sign in, and where they are told why they may not enter.
        location /oauth2/ {
            proxy_pass http://127.0.0.1:4180;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Auth-Request-Redirect $request_uri;
            # A session in a cookie is longer than what nginx has room for.
            proxy_buffer_size 16k;
            proxy_buffers 4 16k;
        }

        location = /oauth2/auth/demo/wiki {
            internal;
            proxy_pass http://127.0.0.1:4180;
            proxy_pass_request_body off;
            proxy_cache off;
            proxy_set_header Content-Length "";
            proxy_set_header Host $host;
            proxy_set_header X-Original-URI $request_uri;
            proxy_set_header X-Original-Method $request_method;
            # What a client says about who it is counts neither here nor there.
            proxy_set_header X-Auth-Request-User "";
            proxy_set_header X-Auth-Request-Email "";
            proxy_set_header X-Auth-Request-Preferred-Username "";
            proxy_set_header X-Auth-Request-Groups "";
            proxy_set_header X-Auth-Request-Access-Token "";
        }

        location / {
            auth_request /oauth2/auth/demo/wiki;
            error_page 401 = /oauth2/start/demo/wiki?m=$request_method;
            auth_request_set $vestibule_x_auth_request_user $upstream_http_x_auth_request_user;
            proxy_set_header X-Auth-Request-User $vestibule_x_auth_request_user;
            auth_request_set $vestibule_x_auth_request_email $upstream_http_x_auth_request_email;
            proxy_set_header X-Auth-Request-Email $vestibule_x_auth_request_email;
            auth_request_set $vestibule_x_auth_request_preferred_username $upstream_http_x_auth_request_preferred_username;
            proxy_set_header X-Auth-Request-Preferred-Username $vestibule_x_auth_request_preferred_username;
            auth_request_set $vestibule_x_auth_request_groups $upstream_http_x_auth_request_groups;
            proxy_set_header X-Auth-Request-Groups $vestibule_x_auth_request_groups;
            auth_request_set $vestibule_x_auth_request_access_token $upstream_http_x_auth_request_access_token;
            proxy_set_header X-Auth-Request-Access-Token $vestibule_x_auth_request_access_token;

            proxy_pass http://wiki:80;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Forwarded-Port 443;
            # WebSockets, and answers that are sent bit by bit.
            proxy_http_version 1.1;
            proxy_set_header Upgrade $vestibule_upgrade;
            proxy_set_header Connection $vestibule_connection;
            proxy_buffering off;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }
    }

    server {
        listen 443 ssl;
        server_name auth.example;
        ssl_certificate /etc/auth.example/fullchain.pem;
        ssl_certificate_key "/etc/auth.example/the key.pem";

        # Where people sign in, and where they are told why they may not enter.
        location /oauth2/ {
            proxy_pass http://127.0.0.1:4180;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Auth-Request-Redirect $request_uri;
            # A session in a cookie is longer than what nginx has room for.
            proxy_buffer_size 16k;
            proxy_buffers 4 16k;
        }

        location / {
            return 404;
        }
    }

    server {
        listen 80;
        server_name "~^[^.]+\.corp\.example$"
            auth.example;
        return 308 https://$host$request_uri;
    }
    "##);
}
