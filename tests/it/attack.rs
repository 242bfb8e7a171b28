//! Attacks, each with its safe outcome, on the real parts; docs/security.md tells them in a table.

mod corpora;
mod paths;
mod requests;
mod stage;
mod told;
