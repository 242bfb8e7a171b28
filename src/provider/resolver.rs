//! Names of the outgoing client. `localhost` and all below it are this machine (RFC 6761 §6.3), whatever a name server
//! says: plain http is let pass there, so nobody may point it elsewhere. Many systems know `localhost` alone.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Asks the system, but about this machine.
pub(super) struct Resolver;

// === impl Resolver ===

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses: Addrs = if is_this_machine(name.as_str()) {
                Box::new(loopback().into_iter())
            } else {
                Box::new(
                    tokio::net::lookup_host((name.as_str(), 0))
                        .await?
                        .collect::<Vec<_>>()
                        .into_iter(),
                )
            };
            Ok(addresses)
        })
    }
}

/// Port 0 stands for the port of the URL.
fn loopback() -> [SocketAddr; 2] {
    [
        (Ipv4Addr::LOCALHOST, 0).into(),
        (Ipv6Addr::LOCALHOST, 0).into(),
    ]
}

/// Whether a name is `localhost` or below it.
pub(super) fn is_this_machine(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_and_what_is_below_it_are_this_machine() {
        for name in [
            "localhost",
            "id.localhost",
            "a.b.localhost",
            "ID.LocalHost",
            "localhost.",
        ] {
            assert!(is_this_machine(name), "{name}");
        }
        for name in [
            "mylocalhost",
            "localhost.example",
            "id.localhost.example",
            "",
        ] {
            assert!(!is_this_machine(name), "{name}");
        }
    }
}
