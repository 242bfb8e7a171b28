//! Vestibule as its users meet it, on real components.
//!
//! One binary, a module per subject. `bench_*` prove the components themselves, so that a failure
//! elsewhere is Vestibule's.

#[path = "../bench/bench.rs"]
mod bench;

#[cfg(test)]
mod admission;
#[cfg(test)]
mod attack;
mod bench_cluster;
mod bench_data_planes;
#[cfg(test)]
mod bench_plain_nginx;
mod bench_provider;
mod bench_traefik;
#[cfg(test)]
mod borders;
mod chart;
#[cfg(test)]
mod compose;
#[cfg(test)]
mod controller;
// Clippy lets helpers of tests unwrap only where it sees this.
#[cfg(test)]
mod demo;
#[cfg(test)]
mod demo_cluster_story;
#[cfg(test)]
mod demo_story;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod front_door;
#[cfg(test)]
mod import;
mod lease;
#[cfg(test)]
mod old_sessions;
#[cfg(test)]
mod people;
#[cfg(test)]
mod plain_nginx;
mod product;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod running;
#[cfg(test)]
mod story;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod wrong_turns;
