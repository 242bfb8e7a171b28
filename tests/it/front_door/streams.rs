//! Bodies on their way through: large, slow, endless.

use std::time::Duration;

use axum::body::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::bench::{Bench, HOST, Seen, values};

#[tokio::test]
async fn fifty_megabytes_arrive_octet_by_octet_framed_anew() {
    let bench = Bench::start().await;
    let ann = &bench.ann;
    let chunk =
        Bytes::from_iter((0..64 * 1024_u32).map(|n| n.to_be_bytes()[2] ^ n.to_be_bytes()[3]));
    let sum: u64 = chunk.iter().map(|octet| u64::from(*octet)).sum();
    for chunked in [false, true] {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        let framing = if chunked {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {}", 800 * chunk.len())
        };
        let head = format!(
            "POST /upload HTTP/1.1\r\nhost: {HOST}\r\n{ann}\r\nconnection: close\r\n{framing}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..800 {
            if chunked {
                stream
                    .write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
                    .await
                    .unwrap();
            }
            stream.write_all(&chunk).await.unwrap();
            if chunked {
                stream.write_all(b"\r\n").await.unwrap();
            }
        }
        if chunked {
            // A trailer is not a way in for headers.
            stream
                .write_all(b"0\r\nX-Auth-Request-User: root\r\n\r\n")
                .await
                .unwrap();
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let seen = Seen::parse(&answer).upstream();
        assert_eq!(seen["length"], 800 * chunk.len());
        assert_eq!(seen["sum"], 800 * sum);
        assert_eq!(values(&seen, "x-auth-request-user"), ["ann"]);
        let lengths = values(&seen, "content-length").len();
        assert_eq!(lengths + values(&seen, "transfer-encoding").len(), 1);
    }
}

#[tokio::test]
async fn both_directions_stream_while_the_request_is_still_being_sent() {
    let bench = Bench::start().await;
    let ann = &bench.ann;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let head = format!(
        "POST /slow HTTP/1.1\r\nhost: {HOST}\r\n{ann}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    for word in ["first", "second", "third"] {
        stream
            .write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes())
            .await
            .unwrap();
        while !seen.contains(word) {
            let mut buffer = [0; 1024];
            let reading = stream.read(&mut buffer);
            let read = tokio::time::timeout(Duration::from_secs(5), reading)
                .await
                .unwrap()
                .unwrap();
            assert!(read > 0, "the answer ended before {word}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
}
