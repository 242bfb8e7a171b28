//! Moving over from other products: their configuration in, our manifests out.
//!
//! Nothing here opens a file or a connection: what a configuration refers to is read through a function that the
//! command hands in. The rule is that whatever cannot be carried over leaves the result more closed, never more open,
//! and that nothing is left out silently.

pub mod oauth2_proxy;
