//! The forms of values that ingress-nginx accepts. Of any other it refuses the whole Ingress, and goes on with the last
//! version that it accepted.

use std::net::IpAddr;

/// What a value must be, so that ingress-nginx does not refuse the Ingress.
pub(super) enum Form {
    /// No value at all is let pass.
    Absent,
    /// A boolean, as Go reads it.
    Boolean,
    /// A whole number.
    Integer,
    /// A size in nginx's units.
    Size,
    /// Addresses and networks, separated by commas.
    Networks,
    /// Status codes from 400 to 599, separated by commas.
    ErrorCodes,
    /// The name of a Service.
    ServiceName,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Letters, digits, `-._~/:` and these.
    Characters(&'static str),
}

const SERVER_NAME: &str = "^$[](){}*+?|&=\\, ";

/// The forms by what follows the prefix.
pub(super) const FORMS: [(&str, Form); 32] = [
    ("auth-snippet", Form::Absent),
    ("configuration-snippet", Form::Absent),
    ("modsecurity-snippet", Form::Absent),
    ("server-snippet", Form::Absent),
    ("stream-snippet", Form::Absent),
    ("auth-tls-secret", Form::Characters("")),
    ("auth-type", Form::Word(&["basic", "digest"])),
    ("client-body-buffer-size", Form::Size),
    (
        "connection-proxy-header",
        Form::Word(&["close", "keep-alive"]),
    ),
    ("custom-http-errors", Form::ErrorCodes),
    ("default-backend", Form::ServiceName),
    ("fastcgi-index", Form::Characters("")),
    ("from-to-www-redirect", Form::Boolean),
    ("http2-push-preload", Form::Boolean),
    ("limit-allowlist", Form::Networks),
    ("limit-connections", Form::Integer),
    ("limit-rpm", Form::Integer),
    ("limit-rps", Form::Integer),
    ("limit-whitelist", Form::Networks),
    (
        "load-balance",
        Form::Word(&[
            "round_robin",
            "chash",
            "chashsubset",
            "sticky_balanced",
            "sticky_persistent",
            "ewma",
        ]),
    ),
    ("permanent-redirect", Form::Characters("?&=")),
    ("permanent-redirect-code", Form::Integer),
    ("proxy-ssl-secret", Form::Characters("")),
    ("relative-redirects", Form::Boolean),
    ("server-alias", Form::Characters(SERVER_NAME)),
    ("ssl-ciphers", Form::Characters("+!@=, ")),
    ("ssl-passthrough", Form::Boolean),
    ("temporal-redirect", Form::Characters("?&=")),
    ("upstream-hash-by", Form::Characters("${}?&=")),
    ("upstream-hash-by-subset", Form::Boolean),
    ("upstream-vhost", Form::Characters(SERVER_NAME)),
    ("x-forwarded-prefix", Form::Characters("")),
];

/// As Go's strconv.ParseBool.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether a text has only letters, digits, `-._~/:` and these.
pub(super) fn has_only(text: &str, further: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || "-._~/:".contains(c) || further.contains(c))
}

/// Whether a text lists addresses and networks, separated by commas.
pub(super) fn are_networks(text: &str) -> bool {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .all(|part| {
            let (address, bits) = part
                .split_once('/')
                .map_or((part, None), |(address, bits)| (address, Some(bits)));
            let most = match address.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
        })
}

// === impl Form ===

impl Form {
    /// An empty value is not looked at, except where the key alone is too much.
    pub(super) fn accepts(&self, text: &str) -> bool {
        if text.is_empty() {
            return !matches!(self, Self::Absent);
        }
        let trimmed = text.trim();
        match self {
            Self::Absent => false,
            Self::Boolean => boolean(text).is_some(),
            Self::Integer => text.parse::<i64>().is_ok(),
            Self::Size => {
                let number = trimmed.trim_end_matches(['b', 'k', 'm', 'g', 'B', 'K', 'M', 'G']);
                trimmed.len().saturating_sub(number.len()) <= 1
                    && !number.is_empty()
                    && number.bytes().all(|b| b.is_ascii_digit())
            }
            Self::Networks => are_networks(text),
            Self::ErrorCodes => trimmed.split(',').map(str::trim).all(|code| {
                code.len() == 3
                    && code.starts_with(['4', '5'])
                    && code.bytes().all(|b| b.is_ascii_digit())
            }),
            Self::ServiceName => {
                text.len() <= 63
                    && text.starts_with(|c: char| c.is_ascii_lowercase())
                    && !text.ends_with('-')
                    && text
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            }
            Self::Word(words) => words.contains(&trimmed),
            Self::Characters(further) => has_only(trimmed, further),
        }
    }
}
