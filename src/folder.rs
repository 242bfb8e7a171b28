//! The standalone source: the same kinds as in a cluster, read from a folder of YAML and kept up to date.
//!
//! `files` looks at what is there, `yaml` and `object` read it with its places, `contents` follows it from look to
//! look, `live` resolves and publishes, `check` does so once. What cannot be read closes what it holds and is named
//! with line and column (`finding`), and so is what that does to checks that name a host alone (`by_host`); what is in
//! force is shown (`status`, `metrics`). The session keys live in a folder of their own (`key_ring`).

mod asked;
mod by_host;
mod check;
mod contents;
mod files;
mod finding;
mod key_ring;
mod live;
mod metrics;
mod object;
mod status;
mod unread;
mod yaml;

pub use self::{
    by_host::{RefusedByHost, ToBeNamed},
    check::{Checked, check},
    files::Paths,
    finding::{Finding, Severity},
    key_ring::{KeyRingError, key_ring},
    live::{Folder, NoFolder},
    metrics::Metrics,
    status::{FindingDocument, Status},
};

#[cfg(fuzzing)]
pub use self::object::property as yaml_property;
