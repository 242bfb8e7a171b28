//! WebSockets that a page of another origin opens with a person's cookies: browsers ask nobody before they do so, and
//! the page can read what comes back.

use anyhow::{Result, ensure};

use super::{stage::Stage, told};
use crate::bench::raw;

#[tokio::test]
async fn a_page_of_another_origin_opens_no_web_socket_with_a_persons_session() -> Result<()> {
    let host = "sockets.story.test";
    let stage = Stage::new("sockets", host).await?;
    let session = stage.session(host, &stage.person(&[]))?;
    let handshake = |target: &str, origin: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}\
             Cookie: __Host-vestibule={session}\r\n\r\n"
        )
    };
    let mut tried = 0;
    for (door, address) in &stage.doors {
        for (target, origin, arrives) in [
            ("/socket", "Origin: https://sockets.story.test\r\n", true),
            ("/socket", "", true),
            ("/pub/socket", "Origin: https://evil.example\r\n", true),
            ("/socket", "Origin: https://evil.example\r\n", false),
            ("/socket", "Origin: https://evil.story.test\r\n", false),
            ("/socket", "Origin: http://sockets.story.test\r\n", false),
            ("/socket", "Origin: null\r\n", false),
            (
                "/socket",
                "Origin: https://sockets.story.test\r\nOrigin: https://evil.example\r\n",
                false,
            ),
        ] {
            let request = handshake(target, origin);
            // A service that does not switch leaves the connection open; what it noted counts.
            let answer = raw::send(*address, request.as_bytes()).await?;
            let arrived = stage.service.take_heads();
            ensure!(
                arrived.is_empty() != arrives,
                "{door}: {target} {origin:?} was answered {} and {} times passed on",
                answer.status,
                arrived.len()
            );
            tried += 1;
        }
    }
    told::cases(
        "a_page_of_another_origin_opens_no_web_socket_with_a_persons_session",
        tried,
    );
    Ok(())
}

/// Where a service speaks HTTP/2 in clear text (`h2c`), everything behind the switch would reach it unjudged. nginx
/// passes on the switch as it passes on a WebSocket's.
#[tokio::test]
async fn nobody_has_a_service_switch_to_http_2_where_nobody_is_asked() -> Result<()> {
    let host = "switches.story.test";
    let stage = Stage::new("switches", host).await?;
    let bob = stage.session(host, &stage.person(&[]))?;
    let mut tried = 0;
    let switches = async |address, target: &str, lines: &str| {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade, HTTP2-Settings, close\r\n{lines}\r\n"
        );
        raw::send(address, request.as_bytes()).await?;
        let arrived = stage.service.take_heads();
        let mut arrived = arrived.iter().map(|head| String::from_utf8_lossy(head));
        Ok::<_, anyhow::Error>(arrived.any(|head| head.to_lowercase().contains("\r\nupgrade:")))
    };
    for (door, address) in &stage.doors {
        ensure!(
            switches(*address, "/pub/x", "Upgrade: websocket\r\n").await?,
            "{door} passes on no WebSocket"
        );
        for (target, cookie) in [
            ("/pub/x", String::new()),
            ("/x", format!("Cookie: __Host-vestibule={bob}\r\n")),
        ] {
            for upgrade in ["h2c", "H2C", "websocket, h2c"] {
                let lines = format!(
                    "Upgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n{cookie}"
                );
                let passed_on = switches(*address, target, &lines).await?;
                ensure!(!passed_on, "{door} passes on {upgrade} for {target}");
                tried += 1;
            }
        }
    }
    told::cases(
        "nobody_has_a_service_switch_to_http_2_where_nobody_is_asked",
        tried,
    );
    Ok(())
}
