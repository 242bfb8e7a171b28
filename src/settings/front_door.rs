//! The options of the front door of `serve`, and what they come to.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use http::HeaderValue;
use ipnet::IpNet;

use super::{limits::between, size, span};
use crate::{
    front_door::Settings,
    policy::{Origin, Scheme},
    server::CertificateFiles,
};

/// The front door: `serve` as the proxy too.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Front door")]
pub struct FrontDoorOptions {
    /// Be the proxy too: route each host to the service behind it, on this address
    #[arg(long, env = "VESTIBULE_FRONT_DOOR", value_name = "ADDRESS", value_parser = super::address)]
    pub front_door: Option<SocketAddr>,

    /// Speak TLS with this certificate: PEM, with its chain (certbot's fullchain.pem). Read again when it changes. May
    /// be repeated, each with its --tls-key: a client gets the one for the host it asks for, else the first
    #[arg(
        long,
        env = "VESTIBULE_TLS_CERT",
        value_name = "FILE",
        value_delimiter = ','
    )]
    tls_cert: Vec<PathBuf>,

    /// The certificate's private key: PEM, without passphrase
    #[arg(
        long,
        env = "VESTIBULE_TLS_KEY",
        value_name = "FILE",
        value_delimiter = ','
    )]
    tls_key: Vec<PathBuf>,

    /// Listen for plain HTTP here, and send whoever comes to the same address at https (308)
    #[arg(long, env = "VESTIBULE_REDIRECT_LISTEN", value_name = "ADDRESS", value_parser = super::address)]
    redirect_listen: Option<SocketAddr>,

    /// Tell browsers to use https alone for so long, such as 365d (Strict-Transport-Security on every answer, in place
    /// of the services' own). They remember it; 0s takes it back [default: not told]
    #[arg(long, env = "VESTIBULE_HSTS", value_name = "DURATION", value_parser = hsts)]
    hsts: Option<Duration>,

    /// Proxies before the front door, as addresses or networks: what they say of a client in X-Forwarded-For or
    /// X-Real-IP is believed and passed on [default: nobody]
    #[arg(
        long,
        env = "VESTIBULE_TRUSTED_PROXIES",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = network
    )]
    trusted_proxies: Vec<IpNet>,

    /// How long a service may take to accept a connection
    #[arg(
        long,
        env = "VESTIBULE_UPSTREAM_CONNECT_TIMEOUT",
        value_name = "DURATION",
        default_value = "5s",
        value_parser = span
    )]
    upstream_connect_timeout: Duration,

    /// How long a service may take to begin its answer; a body that is still being sent to it starts this anew
    #[arg(
        long,
        env = "VESTIBULE_UPSTREAM_TIMEOUT",
        value_name = "DURATION",
        default_value = "60s",
        value_parser = span
    )]
    upstream_timeout: Duration,

    /// How large a request's body may be, in octets or as nginx writes it: 50M is 50 MiB [default: no limit]
    #[arg(long, env = "VESTIBULE_MAX_BODY_SIZE", value_name = "SIZE", value_parser = size)]
    max_body_size: Option<u64>,

    /// How long a client may take to agree on TLS
    #[arg(
        long,
        env = "VESTIBULE_HANDSHAKE_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = between(1..=600)
    )]
    handshake_timeout: Duration,

    /// How often a WebSocket, an event feed, or a download or upload under way is judged again: it ends when its session does
    #[arg(
        long,
        env = "VESTIBULE_RECHECK_INTERVAL",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = between(1..=3600)
    )]
    recheck_interval: Duration,
}

/// What the options come to: they fit together and with the public origin.
#[derive(Clone, Debug)]
pub struct FrontDoorSettings {
    /// Where it listens.
    pub address: SocketAddr,
    /// With which certificates; none: plain HTTP, behind a proxy that terminates TLS.
    pub certificates: Vec<CertificateFiles>,
    /// Where plain HTTP is redirected.
    pub redirect: Option<SocketAddr>,
    /// How long TLS may take to be agreed on.
    pub handshake_timeout: Duration,
    /// What it does with requests.
    pub requests: Settings,
}

// === impl FrontDoorOptions ===

impl FrontDoorOptions {
    /// The options as one value; `None` if no front door is asked for.
    ///
    /// # Errors
    /// With a sentence, if two options contradict each other or one has no effect.
    pub fn settings(&self, origin: Origin) -> Result<Option<FrontDoorSettings>, String> {
        let Some(address) = self.front_door else {
            return match self.first_given() {
                Some(option) => Err(format!(
                    "{option} belongs to the front door, and there is none: add --front-door, or leave it out"
                )),
                None => Ok(None),
            };
        };
        if origin.scheme == Scheme::Http {
            let of_https = [
                ("--tls-cert", !self.tls_cert.is_empty()),
                ("--redirect-listen", self.redirect_listen.is_some()),
                ("--hsts", self.hsts.is_some()),
            ];
            if let Some((option, _)) = of_https.iter().find(|(_, given)| *given) {
                return Err(format!(
                    "{option} is for https and contradicts --public-scheme=http: leave one out"
                ));
            }
        }
        Ok(Some(FrontDoorSettings {
            address,
            certificates: self.certificates()?,
            redirect: self.redirect_listen,
            handshake_timeout: self.handshake_timeout,
            requests: Settings {
                trusted_proxies: self.trusted_proxies.clone(),
                connect_timeout: self.upstream_connect_timeout,
                response_timeout: self.upstream_timeout,
                max_body: self.max_body_size,
                recheck: self.recheck_interval,
                hsts: self.hsts.and_then(|span| {
                    HeaderValue::try_from(format!("max-age={}", span.as_secs())).ok()
                }),
            },
        }))
    }

    fn certificates(&self) -> Result<Vec<CertificateFiles>, String> {
        let (certificates, keys) = (self.tls_cert.len(), self.tls_key.len());
        if certificates != keys {
            return Err(format!(
                "--tls-cert names {certificates} and --tls-key {keys} {}: each certificate needs its key, in the same \
                 order",
                if keys == 1 { "file" } else { "files" }
            ));
        }
        let pairs = self.tls_cert.iter().zip(&self.tls_key);
        Ok(pairs
            .map(|(certificate, key)| CertificateFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            })
            .collect())
    }

    /// The first option, of those without a default, that was given.
    fn first_given(&self) -> Option<&'static str> {
        let options = [
            ("--tls-cert", !self.tls_cert.is_empty()),
            ("--tls-key", !self.tls_key.is_empty()),
            ("--redirect-listen", self.redirect_listen.is_some()),
            ("--hsts", self.hsts.is_some()),
            ("--trusted-proxies", !self.trusted_proxies.is_empty()),
            ("--max-body-size", self.max_body_size.is_some()),
        ];
        let given = options.into_iter().find(|(_, given)| *given);
        given.map(|(option, _)| option)
    }
}

/// A duration in days or weeks too, whole ones; browsers are told in seconds.
fn hsts(text: &str) -> Result<Duration, String> {
    let days = |count: &str, days: u64| {
        let count: u64 = count.parse().ok()?;
        count.checked_mul(days)?.checked_mul(24 * 3600)
    };
    let seconds = if let Some(count) = text.strip_suffix('d') {
        days(count, 1)
    } else if let Some(count) = text.strip_suffix('w') {
        days(count, 7)
    } else if text == "0s" {
        Some(0)
    } else {
        span(text).ok().map(|span| span.as_secs())
    };
    seconds.map(Duration::from_secs).ok_or_else(|| {
        "a duration such as 365d, 52w or 1h; 0s takes back what browsers remember".into()
    })
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = || {
        text.parse()
            .ok()
            .map(|address: std::net::IpAddr| address.into())
    };
    text.parse::<IpNet>()
        .ok()
        .or_else(address)
        .filter(|network| network.addr() == network.network())
        .ok_or_else(|| {
            "an address such as 192.0.2.1, or a network whose address ends with the prefix, such as 10.0.0.0/8".into()
        })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        front_door: FrontDoorOptions,
    }

    const HTTP: Origin = Origin {
        scheme: Scheme::Http,
        port: 80,
    };

    fn parsed(origin: Origin, options: &str) -> Result<Option<FrontDoorSettings>, String> {
        let all = std::iter::once("test").chain(options.split_whitespace());
        let options = Options::try_parse_from(all).map_err(|e| e.to_string())?;
        options.front_door.settings(origin)
    }

    fn opened(options: &str) -> FrontDoorSettings {
        let all = format!("--front-door=0.0.0.0:4180 {options}");
        parsed(Origin::default(), &all).unwrap().unwrap()
    }

    fn refused(origin: Origin, options: &str) -> String {
        parsed(origin, options).map(|_| ()).unwrap_err()
    }

    #[test]
    fn without_options_there_is_no_front_door_and_with_its_address_alone_there_is_a_whole_one() {
        assert!(parsed(Origin::default(), "").unwrap().is_none());
        let door = opened("");
        assert!(door.certificates.is_empty());
        assert_eq!(door.redirect, None);
        assert_eq!(door.handshake_timeout, Duration::from_secs(10));
        assert_eq!(door.requests.recheck, Duration::from_secs(30));
        assert_eq!(door.requests.connect_timeout, Duration::from_secs(5));
        assert_eq!(door.requests.response_timeout, Duration::from_secs(60));
        assert_eq!((door.requests.max_body, door.requests.hsts), (None, None));
        assert!(door.requests.trusted_proxies.is_empty());
    }

    #[test]
    fn certificates_and_keys_belong_together_in_their_order() {
        let door =
            opened("--tls-cert a.pem --tls-key a.key --tls-cert b.pem,c.pem --tls-key b.key,c.key");
        let pairs = door.certificates.iter();
        let pairs: Vec<_> = pairs
            .map(|pair| {
                (
                    pair.certificate.to_str().unwrap(),
                    pair.key.to_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            pairs,
            [("a.pem", "a.key"), ("b.pem", "b.key"), ("c.pem", "c.key")]
        );
        let missing = refused(
            Origin::default(),
            "--front-door=[::]:1 --tls-cert a.pem,b.pem --tls-key a.key",
        );
        assert_eq!(
            missing,
            "--tls-cert names 2 and --tls-key 1 file: each certificate needs its key, in the same order"
        );
        assert!(
            refused(Origin::default(), "--front-door=[::]:1 --tls-key a.key")
                .contains("--tls-key 1 file")
        );
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        for option in [
            "--tls-cert=a",
            "--tls-key=a",
            "--redirect-listen=[::]:80",
            "--hsts=1d",
            "--trusted-proxies=::1",
            "--max-body-size=1",
        ] {
            let name = option.split('=').next().unwrap();
            let without_door = refused(Origin::default(), option);
            assert!(without_door.starts_with(name), "{without_door}");
        }
        for option in [
            "--tls-cert=a --tls-key=a",
            "--redirect-listen=[::]:80",
            "--hsts=1d",
        ] {
            let with_http = refused(HTTP, &format!("--front-door=[::]:1 {option}"));
            assert!(
                with_http.contains("contradicts --public-scheme=http"),
                "{with_http}"
            );
        }
        let enough = parsed(
            HTTP,
            "--front-door=[::]:1 --trusted-proxies=::1 --max-body-size=1",
        );
        assert!(enough.unwrap().is_some());
    }

    #[test]
    fn how_long_browsers_keep_to_https_is_said_in_days_and_told_in_seconds() {
        for (text, value) in [
            ("365d", "max-age=31536000"),
            ("2w", "max-age=1209600"),
            ("1h", "max-age=3600"),
            ("0s", "max-age=0"),
            ("0d", "max-age=0"),
        ] {
            let hsts = opened(&format!("--hsts={text}")).requests.hsts;
            assert_eq!(hsts.unwrap(), value, "{text}");
        }
        for text in ["365", "d", "-1d", "1y", "99999999999999999d"] {
            assert!(hsts(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_nginx_reads_them() {
        for (text, octets) in [
            ("1", 1),
            ("8k", 8 * 1024),
            ("50M", 50 * 1024 * 1024),
            ("50MiB", 50 * 1024 * 1024),
            ("2g", 2 * 1024 * 1024 * 1024),
        ] {
            assert_eq!(size(text), Ok(octets), "{text}");
        }
        for text in [
            "",
            "0",
            "M",
            "1MB",
            "1T",
            "-1",
            "1.5M",
            "1 M",
            "99999999999G",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn trusted_proxies_are_addresses_and_networks() {
        let proxies = opened("--trusted-proxies=10.0.0.0/8,192.0.2.1 --trusted-proxies=fd00::/8")
            .requests
            .trusted_proxies;
        let texts: Vec<_> = proxies.iter().map(IpNet::to_string).collect();
        assert_eq!(texts, ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]);
        for text in ["10.0.0.1/8", "proxy.example", "10.0.0.0/33", "*"] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_that_let_nobody_in_are_refused() {
        for option in [
            "--handshake-timeout=0s",
            "--recheck-interval=2h",
            "--upstream-timeout=60",
            "--upstream-connect-timeout=-1s",
        ] {
            let text = format!("--front-door=[::]:1 {option}");
            assert!(parsed(Origin::default(), &text).is_err(), "{option}");
        }
    }
}
