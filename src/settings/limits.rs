//! What every listener puts up with, and how long providers may take: bounds that keep one client, or one provider,
//! from taking what others need.

use std::{ops::RangeInclusive, time::Duration};

use clap::Args;

use super::{size, span};
use crate::{provider, server};

/// Limits of listeners and of requests to identity providers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits (docs/limits.md)")]
pub struct LimitOptions {
    /// How many connections each listener serves at once; when more come, those between requests give way
    #[arg(
        long,
        env = "VESTIBULE_MAX_CONNECTIONS",
        value_name = "NUMBER",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    max_connections: u32,

    /// How long a client may take to send a request's headers, and how long an idle connection is kept
    #[arg(
        long,
        env = "VESTIBULE_HEADER_TIMEOUT",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = between(1..=600)
    )]
    header_timeout: Duration,

    /// How large a request's line and headers may be; more than the proxy in front passes
    #[arg(
        long,
        env = "VESTIBULE_MAX_HEADER_SIZE",
        value_name = "SIZE",
        default_value = "96K",
        value_parser = header_size
    )]
    max_header_size: usize,

    /// How long a client may take nothing of what is sent to it
    #[arg(
        long,
        env = "VESTIBULE_WRITE_TIMEOUT",
        value_name = "DURATION",
        default_value = "60s",
        value_parser = between(1..=3600)
    )]
    write_timeout: Duration,

    /// How long requests in flight may take once the process stops
    #[arg(
        long,
        env = "VESTIBULE_DRAIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "20s",
        value_parser = between(1..=3600)
    )]
    drain_timeout: Duration,

    /// How long an identity provider may take for an answer
    #[arg(
        long,
        env = "VESTIBULE_PROVIDER_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = between(1..=60)
    )]
    provider_timeout: Duration,

    /// How many sign-ins are put to one identity provider at once; further ones wait for half of its time
    #[arg(
        long,
        env = "VESTIBULE_PROVIDER_MAX_REQUESTS",
        value_name = "NUMBER",
        default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=10_000)
    )]
    provider_max_requests: u16,
}

// === impl LimitOptions ===

impl LimitOptions {
    /// What each listener puts up with.
    #[must_use]
    pub fn of_listeners(&self) -> server::Limits {
        server::Limits {
            header_timeout: self.header_timeout,
            write_timeout: self.write_timeout,
            header_bytes: self.max_header_size,
            connections: usize::try_from(self.max_connections).unwrap_or(usize::MAX),
            drain: self.drain_timeout,
            ..server::Limits::default()
        }
    }

    /// What each provider may take.
    #[must_use]
    pub fn of_providers(&self) -> provider::Limits {
        provider::Limits {
            timeout: self.provider_timeout,
            at_once: usize::from(self.provider_max_requests),
        }
    }
}

/// Reads a duration of so many seconds, of whole milliseconds.
pub(super) fn between(
    seconds: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    let (least, most) = seconds.into_inner();
    move |text| {
        let allowed = Duration::from_secs(least)..=Duration::from_secs(most);
        span(text)
            .ok()
            .filter(|span| allowed.contains(span))
            .ok_or_else(|| format!("a duration between {least}s and {most}s, such as 30s or 1m"))
    }
}

/// Less than this and browsers with a session and a few cookies of a service were refused; more is of use to floods.
fn header_size(text: &str) -> Result<usize, String> {
    size(text)
        .ok()
        .and_then(|octets| usize::try_from(octets).ok())
        .filter(|octets| (16 * 1024..=1024 * 1024).contains(octets))
        .ok_or_else(|| "a size between 16K and 1M, such as 96K".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        limits: LimitOptions,
    }

    fn parsed(options: &str) -> Result<LimitOptions, String> {
        let all = std::iter::once("test").chain(options.split_whitespace());
        let options = Options::try_parse_from(all).map_err(|e| e.to_string())?;
        Ok(options.limits)
    }

    #[test]
    fn the_defaults_are_those_of_the_listeners_and_of_the_providers() {
        let limits = parsed("").unwrap();
        let (listeners, default) = (limits.of_listeners(), server::Limits::default());
        assert_eq!(listeners.connections, default.connections);
        assert_eq!(listeners.header_timeout, default.header_timeout);
        assert_eq!(listeners.header_bytes, default.header_bytes);
        assert_eq!(listeners.write_timeout, default.write_timeout);
        assert_eq!(listeners.drain, default.drain);
        assert_eq!(limits.of_providers(), provider::Limits::default());
    }

    #[test]
    fn limits_are_read_with_their_units() {
        let limits = parsed(
            "--max-connections=5 --header-timeout=1500ms --max-header-size=32k --write-timeout=1m --drain-timeout=1h \
             --provider-timeout=2s --provider-max-requests=1",
        );
        let limits = limits.unwrap();
        let listeners = limits.of_listeners();
        assert_eq!(listeners.connections, 5);
        assert_eq!(listeners.header_timeout, Duration::from_millis(1500));
        assert_eq!(listeners.header_bytes, 32 * 1024);
        assert_eq!(listeners.write_timeout, Duration::from_secs(60));
        assert_eq!(listeners.drain, Duration::from_secs(3600));
        let providers = provider::Limits {
            timeout: Duration::from_secs(2),
            at_once: 1,
        };
        assert_eq!(limits.of_providers(), providers);
    }

    #[test]
    fn limits_that_let_nobody_in_or_everything_are_refused() {
        for option in [
            "--max-connections=0",
            "--max-connections=1000001",
            "--header-timeout=0s",
            "--header-timeout=11m",
            "--header-timeout=30",
            "--max-header-size=8K",
            "--max-header-size=2M",
            "--write-timeout=0s",
            "--drain-timeout=2h",
            "--provider-timeout=2m",
            "--provider-max-requests=0",
        ] {
            assert!(parsed(option).is_err(), "{option}");
        }
    }
}
