//! Vestibule: single sign-on in front of services that are already exposed.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod dataplane;
pub mod demo;
pub mod file_watch;
pub mod folder;
pub mod front_door;
pub mod import;
pub mod notices;
pub mod policy;
pub mod provider;
pub mod published;
pub mod resolve;
pub mod resource;
pub mod server;
pub mod session;
pub mod settings;
pub mod telemetry;
