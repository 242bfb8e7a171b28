//! What each data plane needs written, and how it asks. Two flows meet one contract per file.

pub mod check;
pub mod ingress_nginx;
pub mod nginx;
pub mod traefik;

/// A proxy that reads the annotations which the controller writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlane {
    /// ingress-nginx.
    IngressNginx,
    /// Traefik, with its provider for ingress-nginx's annotations.
    Traefik,
}
