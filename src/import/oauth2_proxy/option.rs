//! Every option that oauth2-proxy has, and what becomes of it.

use std::{fmt, sync::LazyLock};

/// An option of oauth2-proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name on the command line, without hyphens in front.
    pub flag: &'static str,
    /// Its names in a configuration file; the first one is the usual one.
    pub keys: &'static str,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
    /// What it is about.
    pub(super) theme: Theme,
    /// What becomes of it.
    pub fate: Fate,
    /// The same in words.
    pub text: &'static str,
}

/// What an option's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Text that must never be shown.
    Secret,
    Switch,
    List,
    Duration,
    Number,
}

/// What an option is about, and so where its comment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Theme {
    Start,
    Provider,
    Access,
    Session,
    Proxy,
    Server,
    Pages,
}

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has a place in our manifests or on our command line.
    Carried,
    /// What it is for is so anyway, or does not arise.
    NotNeeded,
    /// Something like it is there, and means something else.
    Changed,
    /// It is not there, and somebody or something depended on it.
    Lost,
    /// It is not there, and nobody loses access.
    Unsupported,
}

static TABLE: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let rows = include_str!("options.tsv").lines();
    rows.filter(|row| !row.starts_with('#'))
        .filter_map(row)
        .collect()
});

/// All options, those that belong together side by side.
#[must_use]
pub fn table() -> &'static [Known] {
    &TABLE
}

/// The option with this name on the command line.
#[must_use]
pub fn known(flag: &str) -> Option<&'static Known> {
    table().iter().find(|known| known.flag == flag)
}

/// The option with this key in a configuration file, where case does not count.
pub(super) fn by_key(key: &str) -> Option<&'static Known> {
    let is_it = |known: &&Known| known.keys.split(' ').any(|k| k.eq_ignore_ascii_case(key));
    table().iter().find(is_it)
}

fn row(line: &'static str) -> Option<Known> {
    let mut cells = line.split('\t');
    let mut next = || cells.next();
    Some(Known {
        flag: next()?,
        keys: next()?,
        kind: kind(next()?)?,
        default: next().map(|text| if text == "-" { "" } else { text })?,
        theme: theme(next()?)?,
        fate: fate(next()?)?,
        text: next()?,
    })
}

fn kind(text: &str) -> Option<Kind> {
    Some(match text {
        "text" => Kind::Text,
        "secret" => Kind::Secret,
        "switch" => Kind::Switch,
        "list" => Kind::List,
        "duration" => Kind::Duration,
        "number" => Kind::Number,
        _ => return None,
    })
}

fn theme(text: &str) -> Option<Theme> {
    Some(match text {
        "start" => Theme::Start,
        "provider" => Theme::Provider,
        "access" => Theme::Access,
        "session" => Theme::Session,
        "proxy" => Theme::Proxy,
        "server" => Theme::Server,
        "pages" => Theme::Pages,
        _ => return None,
    })
}

fn fate(text: &str) -> Option<Fate> {
    Some(match text {
        "carried" => Fate::Carried,
        "not-needed" => Fate::NotNeeded,
        "changed" => Fate::Changed,
        "lost" => Fate::Lost,
        "unsupported" => Fate::Unsupported,
        _ => return None,
    })
}

// === impl Known ===

impl Known {
    /// Whether these values say what would hold anyway.
    pub(super) fn is_default(&self, values: &[String]) -> bool {
        match (values, self.kind) {
            ([], _) => true,
            ([one], Kind::Switch) => switch(one).is_some_and(|on| on == (self.default == "true")),
            ([one], Kind::Duration) => {
                let (given, usual) = (duration(one), duration(self.default));
                given.is_some() && given == usual
            }
            ([one], _) => one == self.default,
            _ => false,
        }
    }

    /// Heading of its theme.
    #[must_use]
    pub fn heading(&self) -> &'static str {
        match self.theme {
            Theme::Start => "Start-up",
            Theme::Provider => "Identity provider",
            Theme::Access => "Who gets in",
            Theme::Session => "Cookies and sessions",
            Theme::Proxy => "Hosts, services and headers",
            Theme::Server => "Listeners, probes and logs",
            Theme::Pages => "Pages",
        }
    }
}

// === impl Fate ===

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Carried => "carried over",
            Self::NotNeeded => "not needed",
            Self::Changed => "changes meaning",
            Self::Lost => "**not carried over**",
            Self::Unsupported => "not supported",
        })
    }
}

/// A switch as Go reads one.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A duration as Go reads one, in whole seconds rounded down; `0` needs no unit.
pub(super) fn duration(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => {
                let digits = after.bytes().take_while(u8::is_ascii_digit).count();
                after.split_at_checked(digits)?
            }
            None => ("", after),
        };
        let letters = after
            .bytes()
            .take_while(|b| b.is_ascii_alphabetic() || !b.is_ascii())
            .count();
        let (unit, after) = after.split_at_checked(letters)?;
        let unit: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            // Too short to matter for a session.
            "ns" | "us" | "µs" => 0,
            _ => return None,
        };
        let number: u64 = number.parse().ok()?;
        millis = millis.checked_add(number.checked_mul(unit)?)?;
        let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
        let thousandths: u64 = fraction.parse().ok()?;
        millis = millis.checked_add(thousandths.checked_mul(unit)?.checked_div(1000)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(millis.checked_div(1000)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_of_the_table_is_read_and_no_name_stands_there_twice() {
        let rows = include_str!("options.tsv").lines().count() - 1;
        assert_eq!(table().len(), rows);
        // Those of v7.15.3: 167 options, and 5 that only matter when it starts.
        assert_eq!(rows, 172);
        let flags: BTreeSet<&str> = table().iter().map(|known| known.flag).collect();
        let keys: BTreeSet<&str> = table().iter().flat_map(|k| k.keys.split(' ')).collect();
        assert_eq!(flags.len(), rows);
        // google_group is an old name of google_groups.
        assert_eq!(keys.len(), rows + 1);
        for known in table() {
            assert!(!known.text.is_empty(), "{}", known.flag);
            assert!(
                !known.text.contains('|'),
                "breaks the table of docs: {}",
                known.flag
            );
        }
    }

    #[test]
    fn durations_and_switches_are_read_as_go_reads_them() {
        for (text, seconds) in [
            ("168h0m0s", 604_800),
            ("1.5h", 5400),
            ("90m", 5400),
            ("0", 0),
            ("0s", 0),
            ("1500ms", 1),
        ] {
            assert_eq!(duration(text), Some(seconds), "{text}");
        }
        for text in ["", "1", "h", "1d", "-1h", "1h 2m", "99999999999999999999h"] {
            assert_eq!(duration(text), None, "{text:?}");
        }
        assert_eq!(switch("True"), Some(true));
        assert_eq!(switch("yes"), None);
    }

    #[test]
    fn what_is_said_but_would_hold_anyway_is_recognised() {
        let is_default =
            |flag: &str, value: &str| known(flag).unwrap().is_default(&[value.to_owned()]);
        assert!(is_default("cookie-expire", "168h0m0s"));
        assert!(is_default("pass-basic-auth", "true") && !is_default("pass-basic-auth", "false"));
        assert!(!is_default("skip-auth-preflight", "yes"));
        assert!(is_default("oidc-audience-claim", "aud"));
    }
}
