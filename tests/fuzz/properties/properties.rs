//! What must hold of everything that is free-form, said once: the fuzz targets look for an input that breaks it,
//! and `cargo test` tries every committed input (`tests/it/attack/corpora.rs`).
//!
//! Each property compares with a second reading that is slow, plain and written without looking at the first.

pub mod annotations;
pub mod check;
pub mod cookie;
pub mod email;
pub mod host;
pub mod path;
pub mod return_to;
