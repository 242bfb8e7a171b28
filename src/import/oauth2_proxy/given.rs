//! What a configuration says, from whichever sources, by the option's name on the command line.

use std::collections::{BTreeMap, BTreeSet};

use super::option::{Kind, Known, known, switch};

/// Where a value comes from. Later ones win, as in oauth2-proxy; its alpha configuration excludes the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    ConfigFile,
    Environment,
    Flags,
    AlphaConfig,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: BTreeMap<&'static str, Value>,
    /// The sources that were read, for people.
    pub(super) sources: Vec<String>,
    /// Names that oauth2-proxy does not know, with the place. Their values are not kept.
    pub(super) unknown: BTreeSet<String>,
    /// Fields of the alpha configuration that no option stands for: name and what becomes of them.
    pub(super) alpha_only: BTreeSet<(String, &'static str)>,
    /// Upstreams of the alpha configuration.
    pub(super) upstreams: Vec<Upstream>,
    /// Headers of the alpha configuration.
    pub(super) headers: Vec<Header>,
    /// Folders and files of the machine as a container sees them: there, here.
    pub(super) mounts: Vec<(String, String)>,
}

#[derive(Debug)]
struct Value {
    origin: Origin,
    items: Vec<String>,
}

/// A service behind oauth2-proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) path: String,
    pub(super) uri: String,
    pub(super) is_rewritten: bool,
}

/// A header that services get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: String,
    /// The claim it carries; none: a fixed or secret value.
    pub(super) claim: Option<String>,
}

// === impl Given ===

impl Given {
    /// Takes in what a source says of an option. Items of a list in one source add up, as they do in flags.
    pub(super) fn set(&mut self, known: &Known, origin: Origin, items: Vec<String>) {
        let Some(known) = super::option::known(known.flag) else {
            return;
        };
        match self.values.get_mut(known.flag) {
            Some(value) if value.origin > origin => {}
            Some(value) if value.origin == origin && known.kind == Kind::List => {
                value.items.extend(items);
            }
            _ => {
                self.values.insert(known.flag, Value { origin, items });
            }
        }
    }

    /// The options that are given, in the order of the table.
    pub(super) fn options(&self) -> impl Iterator<Item = (&'static Known, &[String])> {
        super::option::table().iter().filter_map(|known| {
            let value = self.values.get(known.flag)?;
            Some((known, value.items.as_slice()))
        })
    }

    /// Whether an option is given and says something.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.list(flag).iter().any(|item| !item.is_empty())
    }

    /// The values of an option; none of a secret, which nobody may see.
    pub(super) fn list(&self, flag: &str) -> &[String] {
        let is_secret = known(flag).is_some_and(|known| known.kind == Kind::Secret);
        match self.values.get(flag) {
            Some(value) if !is_secret => &value.items,
            _ => &[],
        }
    }

    /// Whether a secret is given.
    pub(super) fn has_secret(&self, flag: &str) -> bool {
        let value = self.values.get(flag);
        value.is_some_and(|value| value.items.iter().any(|item| !item.is_empty()))
    }

    /// The value of an option that has one.
    pub(super) fn text(&self, flag: &str) -> Option<&str> {
        let last = self.list(flag).last().map(String::as_str);
        last.filter(|text| !text.is_empty())
    }

    /// The value, or the one that holds if none is given.
    pub(super) fn text_or_default(&self, flag: &str) -> &str {
        let usual = known(flag).map_or("", |known| known.default);
        self.text(flag).unwrap_or(usual)
    }

    /// Whether a switch is on, given or not. One that cannot be read counts as given so that it is spoken of.
    pub(super) fn is_on(&self, flag: &str) -> bool {
        switch(self.text_or_default(flag)).unwrap_or(true)
    }

    /// The path that a path of the configuration has on this machine.
    pub(super) fn here(&self, path: &str) -> String {
        let below = |there: &str| {
            let rest = path.strip_prefix(there.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let mounts = self.mounts.iter();
        let longest = mounts
            .filter_map(|(there, here)| Some((there.len(), here, below(there)?)))
            .max_by_key(|(length, ..)| *length);
        longest.map_or_else(
            || path.to_owned(),
            |(_, here, rest)| format!("{}{rest}", here.trim_end_matches('/')),
        )
    }
}
