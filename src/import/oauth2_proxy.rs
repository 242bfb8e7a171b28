//! From a configuration of oauth2-proxy to manifests, with a comment by everything that could not be carried over or
//! that changes meaning.
//!
//! `options.tsv` says what becomes of every option that oauth2-proxy has (v7.15); a reader per source fills `Given`,
//! `translate` makes the objects of our own types, `print` writes them as YAML.

mod alpha;
mod alpha_fields;
mod compose;
mod config_file;
mod environment;
mod flags;
mod given;
mod hosts;
mod interpolate;
mod manifests;
mod option;
mod path_rule;
mod people;
mod print;
mod provider;
mod serve;
mod session;
mod sources;
mod translate;
mod yaml;

#[cfg(test)]
mod tests;

pub use self::{
    option::{Fate, Known, known, table},
    print::fates,
    sources::{Sources, Unreadable},
    translate::{Translation, WishedHost, Wishes},
};

#[cfg(fuzzing)]
pub use self::path_rule::property as skip_auth_route_property;

use self::given::Given;

/// Reads a file by its path; an error is the reason, without the path.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Reads a configuration and says what it becomes.
///
/// # Errors
/// With a sentence that says which source could not be read and where, or what is missing to make manifests of it. No
/// value stands in it, since any value may be a secret.
pub fn import(
    sources: &Sources,
    wishes: &Wishes,
    read: ReadFile<'_>,
) -> Result<Translation, Unreadable> {
    let given: Given = sources.read(read)?;
    let manifests = translate::translate(&given, wishes, read)?;
    Ok(print::print(&given, &manifests))
}
