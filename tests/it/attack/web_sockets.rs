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
