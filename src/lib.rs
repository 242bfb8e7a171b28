//! Vestibule: single sign-on in front of services that are already exposed.
//!
//! ARCHITECTURE.md is the map: the two flows, what each module may use, and where to change what. `cli` wires the parts
//! together.

// What is decided, and what follows from the objects: pure.
pub mod dataplane;
pub mod policy;
pub mod published;
pub mod resolve;
pub mod resource;

// Where the objects come from.
pub mod cluster;
pub mod folder;

// Requests, and who sends them.
pub mod auth;
pub mod front_door;
pub mod provider;
pub mod session;

// What these stand on.
pub mod clock;
pub mod file_watch;
pub mod notices;
pub mod server;
pub mod settings;
pub mod telemetry;

// Commands.
pub mod cli;
pub mod demo;
pub mod import;
