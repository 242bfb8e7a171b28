//! ingress-nginx, and Traefik's provider for its annotations: the three values on a protected Ingress, and what else
//! on it weakens them or alters the check. The question that comes of the values is read by `check`.

mod alteration;
mod form;
mod values;
mod weakness;

pub use alteration::alterations;
pub use values::{Unwritable, Values, are_ours, values};
pub use weakness::{
    Weakness, is_of_concern, passes_tls_through, rewrites_paths, server_aliases, weaknesses,
};
