//! Whose word on a client's address counts.

use vestibule::front_door::Settings;

use super::bench::{Bench, values};

const CLAIMS: [&str; 6] = [
    "host: open.example",
    "x-forwarded-for: 1.1.1.1, 192.0.2.1",
    "x-forwarded-for: 127.0.0.2",
    "x-real-ip: 3.3.3.3",
    "x-forwarded-proto: https",
    "x-forwarded-host: evil.example",
];

#[tokio::test]
async fn an_untrusted_peer_is_the_client() {
    let settings = Settings {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..Settings::default()
    };
    let bench = Bench::echoing(settings).await;
    let seen = bench.get("/", &CLAIMS).await.upstream();
    assert_eq!(values(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(values(&seen, "x-real-ip"), ["127.0.0.1"]);
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_and_nothing_else() {
    let settings = Settings {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Settings::default()
    };
    let bench = Bench::echoing(settings).await;
    let seen = bench.get("/", &CLAIMS).await.upstream();
    let chain = "192.0.2.1, 127.0.0.2, 127.0.0.1";
    assert_eq!(values(&seen, "x-forwarded-for"), [chain]);
    assert_eq!(values(&seen, "x-real-ip"), ["192.0.2.1"]);
    assert_eq!(values(&seen, "x-forwarded-proto"), ["http"]);
    assert_eq!(values(&seen, "x-forwarded-host"), ["open.example"]);
    assert_eq!(values(&seen, "x-forwarded-port"), ["8080"]);

    let lines = ["host: open.example", "x-real-ip: 2001:db8::1"];
    let seen = bench.get("/", &lines).await.upstream();
    assert_eq!(values(&seen, "x-forwarded-for"), ["2001:db8::1, 127.0.0.1"]);
    assert_eq!(values(&seen, "x-real-ip"), ["2001:db8::1"]);

    let lines = ["host: open.example", "x-forwarded-for: 192.0.2.1, unknown"];
    let seen = bench.get("/", &lines).await.upstream();
    assert_eq!(values(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(values(&seen, "x-real-ip"), ["127.0.0.1"]);
}
