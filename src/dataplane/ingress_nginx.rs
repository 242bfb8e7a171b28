//! ingress-nginx, and Traefik's provider for its annotations: the three values on a protected Ingress, and what else
//! on it weakens them. The question that comes of the values is read by `check`.

mod values;
mod weakness;

pub use values::{Unwritable, Values, are_ours, values};
pub use weakness::{
    Weakness, is_of_concern, passes_tls_through, rewrites_paths, server_aliases, weaknesses,
};
