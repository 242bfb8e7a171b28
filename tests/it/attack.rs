//! Attacks, each with its safe outcome, on the real parts; docs/security.md tells them in a table.

mod altered;
mod check_parameters;
mod cookies;
mod corpora;
mod floods;
mod ground;
mod idle;
mod kubernetes;
mod paths;
mod races;
mod requests;
mod serve;
mod sign_in;
mod stage;
mod tenants;
mod texts;
pub(crate) mod told;
mod tossed;
mod traefik;
mod traefik_routes;
mod web_sockets;
