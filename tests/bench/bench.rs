//! The bench: the real components that Vestibule is tested against.
//!
//! Each part is a process (or, for [`Echo`], a listener of this one) on a loopback address that
//! belongs to this run alone, and lives as long as its value. Whatever happens to the test binary,
//! the processes end with it. Nothing here knows Vestibule's own code: the bench starts what a user
//! would have started, and asks it what a user would have asked.
//!
//! `tests/tools/install` puts the programs where [`tools`] looks for them.

#![expect(
    unreachable_pub,
    reason = "every test program that starts components has this module of its own"
)]

pub mod browser;
pub mod certificate;
pub mod cluster;
pub mod echo;
pub mod helm;
pub mod installation;
pub mod jupyterlab;
pub mod loopback;
pub mod nginx;
pub mod oidc_provider;
pub mod plain_nginx;
pub mod process;
pub mod raw;
pub mod set_up;
pub mod tools;
pub mod traefik;
pub mod visitor;
pub mod wait;
pub mod web_app;

pub use browser::Browser;
pub use certificate::Certificate;
pub use cluster::Cluster;
pub use echo::Echo;
pub use installation::Installation;
pub use jupyterlab::JupyterLab;
pub use loopback::Loopback;
pub use nginx::Nginx;
pub use oidc_provider::OidcProvider;
pub use plain_nginx::PlainNginx;
pub use process::Process;
pub use set_up::SetUp;
pub use traefik::Traefik;
pub use visitor::{Answer, Visitor};
pub use wait::Wait;
pub use web_app::WebApp;
