//! The standalone source: the same kinds as in a cluster, read from a folder of YAML and kept up to date.
//!
//! `files` looks at what is there, `yaml` and `object` read it with its places, `contents` follows it from look to
//! look, `live` resolves and publishes. A file that cannot be read closes what it holds and is named with line and
//! column. The session keys live in a folder of their own (`key_ring`).

mod contents;
mod files;
mod key_ring;
mod live;
mod object;
mod yaml;

pub use self::{
    files::Paths,
    key_ring::{KeyRingError, key_ring},
    live::{Folder, NoFolder},
};
