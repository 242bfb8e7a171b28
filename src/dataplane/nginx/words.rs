//! What can stand in nginx's configuration without being read as something else.

use std::fmt;

/// A path of one reading, with or without a query: what `policy::CanonicalPath` calls canonical, or less. Quoted, since
/// braces and semicolons end words.
pub(super) const PLAIN_PATH: &str = concat!(
    r"~^(?:/(?!\.\.?(?:[/?]|$))",
    r"(?:[!$&'()*+,.0-9:=@A-Z_a-z~\[\]-]++",
    // Escaped ASCII, but for controls and # % . / ; ? \
    r"|%(?:2[0-2467-9A-Da-d]|3[0-9ACDEacde]|[46][0-9A-Fa-f]|5[0-9ABDEFabdef]|7[0-9A-Ea-e])",
    // Escaped UTF-8, but for C1 controls.
    r"|%[Cc]2%[ABab][0-9A-Fa-f]|%(?:[Cc][3-9A-Fa-f]|[Dd][0-9A-Fa-f])%[89ABab][0-9A-Fa-f]",
    r"|%[Ee]0%[ABab][0-9A-Fa-f]%[89ABab][0-9A-Fa-f]",
    r"|%[Ee][1-9A-Ca-cEeFf](?:%[89ABab][0-9A-Fa-f]){2}",
    r"|%[Ff]0%[9ABab][0-9A-Fa-f](?:%[89ABab][0-9A-Fa-f]){2}",
    r")++)*+/?(?:\?.*)?$",
);

/// A file name or the like, quoted where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(String);

/// `http://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream(String);

/// Where nginx listens: a port, or an address and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

/// An amount of octets: `50m`; 0 for no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size(String);

// === impl Word ===

impl Word {
    /// Reads a text. A `$` would begin a variable, and nothing can escape it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = !text.is_empty() && !text.chars().any(|c| c.is_control() || c == '$');
        is_plain.then(|| Self(text.to_owned()))
    }

    /// The text with a host in place of `{host}`, as one word of nginx's.
    pub(super) fn of(&self, host: &str) -> String {
        quoted(&self.0.replace("{host}", host))
    }
}

// === impl Upstream ===

impl Upstream {
    /// Reads a URL without user, path and query.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let authority = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((address, rest)) => {
                address.parse::<std::net::Ipv6Addr>().ok()?;
                (None, rest)
            }
            None => {
                let end = authority.find(':').unwrap_or(authority.len());
                let (host, port) = authority.split_at_checked(end)?;
                (Some(host), port)
            }
        };
        let is_name = |host: &str| {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        };
        let is_port = |port: &str| match port.strip_prefix(':') {
            Some(number) => {
                number.parse::<u16>().is_ok_and(|number| number > 0) && !number.starts_with('+')
            }
            None => port.is_empty(),
        };
        let is_good = host.is_none_or(is_name) && is_port(port);
        is_good.then(|| Self(text.strip_suffix('/').unwrap_or(text).to_owned()))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Address ===

impl Address {
    /// Reads `443`, `127.0.0.1:443`, `[::]:443` or `*:443`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_port = |text: &str| {
            text.bytes().all(|b| b.is_ascii_digit())
                && text.parse::<u16>().is_ok_and(|port| port > 0)
        };
        let is_good = is_port(text)
            || text.strip_prefix("*:").is_some_and(is_port)
            || text.parse::<std::net::SocketAddr>().is_ok();
        is_good.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Size ===

impl Size {
    /// Reads a number, perhaps with `k`, `m` or `g`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = text
            .strip_suffix(['k', 'm', 'g', 'K', 'M', 'G'])
            .unwrap_or(text);
        let is_good = (1..=9).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        is_good.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One word of nginx's configuration.
pub(super) fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~:@+=,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}
