//! Requests made to be read in two ways. Each has its one safe outcome, at the client and at the service, which
//! records every octet.

use super::{
    bench::{Bench, HOST, Seen},
    recorder::{OK, Recorder, Then},
};

const CLOSE: &str = "host: open.example\r\nconnection: close\r\n";
const CHUNKS: &str = "3\r\nabc\r\n0\r\n\r\n";

struct Range {
    service: Recorder,
    bench: Bench,
}

impl Range {
    async fn start() -> Self {
        let service = Recorder::start(&[Then::Answer(OK)]).await;
        let bench = Bench::before(&service.address.to_string()).await;
        Self { service, bench }
    }

    /// Sends octets of which nothing may reach the service as a whole request.
    async fn refuses(&self, request: impl AsRef<[u8]>, status: u16) {
        let (request, before) = (request.as_ref(), self.service.requests().len());
        let answer = Seen::parse(&self.bench.octets(request).await);
        let shown = String::from_utf8_lossy(&request[..request.len().min(300)]).into_owned();
        assert_eq!(answer.status, status, "{shown:?} {}", answer.head);
        let requests = self.service.requests();
        assert_eq!(requests.len(), before, "{shown:?} {requests:?}");
    }

    /// Sends octets that are one request to the service, and returns that.
    async fn passes(&self, request: impl AsRef<[u8]>) -> String {
        let (request, before) = (request.as_ref(), self.service.requests().len());
        let answer = Seen::parse(&self.bench.octets(request).await);
        let shown = String::from_utf8_lossy(&request[..request.len().min(300)]).into_owned();
        assert_eq!(answer.status, 200, "{shown:?} {}", answer.head);
        assert!(
            !answer.body.contains("HTTP/1.1"),
            "{shown:?} {}",
            answer.body
        );
        let requests = self.service.requests();
        assert_eq!(requests.len(), before + 1, "{shown:?} {requests:?}");
        assert!(self.service.fragments().is_empty(), "{shown:?}");
        requests[before].clone()
    }
}

fn post(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\n{CLOSE}{lines}\r\n{body}")
}

#[tokio::test]
async fn a_body_has_one_length() {
    let range = Range::start().await;
    let smuggled = format!("{CHUNKS}GET /smuggled HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    for lines in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
        "content-length: 4\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: open.example\r\n{lines}\r\n{smuggled}");
        let seen = range.passes(request).await;
        assert!(seen.contains("transfer-encoding: chunked\r\n"), "{seen}");
        assert!(
            !seen.contains("content-length") && !seen.contains("smuggled"),
            "{seen}"
        );
    }
    let seen = range
        .passes(post("content-length: 3\r\nContent-Length: 3\r\n", "abc"))
        .await;
    assert_eq!(seen.matches("content-length").count(), 1);
    for lines in [
        "content-length: 3\r\ncontent-length: 4\r\n",
        "content-length: 3, 3\r\n",
        "content-length: 3, 4\r\n",
        "content-length: +3\r\n",
        "content-length: -3\r\n",
        "content-length: 0x3\r\n",
        "content-length: 3a\r\n",
        "content-length: 3 3\r\n",
        "content-length: 3.0\r\n",
        "content-length: \r\n",
        "content-length: 18446744073709551619\r\n",
        "content-length: 99999999999999999999999999\r\n",
        "content-length: \u{663}\r\n",
    ] {
        range.refuses(post(lines, "abc"), 400).await;
    }
    range
        .refuses(post("content-length: 18446744073709551615\r\n", "abc"), 431)
        .await;
}

#[tokio::test]
async fn a_body_is_chunked_and_nothing_else() {
    let range = Range::start().await;
    for lines in [
        "transfer-encoding: chunked\r\n",
        "transfer-encoding:  Chunked \r\n",
        "Transfer-Encoding:\tCHUNKED\r\n",
        "connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n",
    ] {
        let seen = range.passes(post(lines, CHUNKS)).await;
        assert_eq!(
            seen.matches("transfer-encoding: chunked\r\n").count(),
            1,
            "{seen}"
        );
        assert!(seen.ends_with("3\r\nabc\r\n0\r\n\r\n"));
    }
    for lines in [
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunkedx\r\n",
        "transfer-encoding: chunked;q=1\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding: \r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: \u{b}chunked\r\n",
        "transfer-encoding: \0chunked\r\n",
        "transfer-encoding:\r\n chunked\r\n",
        "transfer-encoding : chunked\r\n",
        " transfer-encoding: chunked\r\n",
        "transfer-encoding\r\n: chunked\r\n",
    ] {
        range.refuses(post(lines, CHUNKS), 400).await;
    }
    for lines in [
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: , chunked\r\n",
    ] {
        range.refuses(post(lines, CHUNKS), 501).await;
    }
    let old = format!("POST / HTTP/1.0\r\n{CLOSE}transfer-encoding: chunked\r\n\r\n{CHUNKS}");
    range.refuses(old, 400).await;
}

#[tokio::test]
async fn a_chunk_that_is_none_ends_the_request_and_not_the_body() {
    let range = Range::start().await;
    let extended = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(1 << 17));
    let trailers: String = (0..2000).map(|n| format!("x-{n}: 1\r\n")).collect();
    let trailed = format!("3\r\nabc\r\n0\r\n{trailers}\r\n");
    for chunks in [
        "-3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "3g\r\nabc\r\n0\r\n\r\n",
        "3,\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\r\nzero\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        &extended,
        &trailed,
    ] {
        let request = post("transfer-encoding: chunked\r\n", chunks);
        range.refuses(request, 400).await;
    }
    // What is allowed is undone: extensions and trailers do not go on.
    let request = post(
        "transfer-encoding: chunked\r\ntrailer: x-auth-request-user\r\n",
        "03;ext=1\r\nabc\r\n000\r\nx-auth-request-user: root\r\n\r\n",
    );
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    assert_eq!(bench.raw(&request).await.status, 200);
    let seen = service.requests().concat();
    assert!(seen.ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), "{seen}");
    assert!(
        !seen.contains("trailer") && !seen.contains("root"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_line_ends_where_everybody_sees_it_end() {
    let range = Range::start().await;
    for lines in [
        "x-folded: 1\r\n 2\r\n",
        "x-folded: 1\r\n\t2\r\n",
        "x-return: 1\rx-auth-request-user: root\r\n",
        "x-nul: a\0b\r\n",
        "x-space : 1\r\n",
        " x-leading: 1\r\n",
        "x-no-colon\r\n",
        ": nameless\r\n",
        "x(y): 1\r\n",
        "x@y: 1\r\n",
        "x y: 1\r\n",
        "x\u{e4}: 1\r\n",
        "x\0: 1\r\n",
        "x: 1\nhost: wiki.example\r\n",
        "x: 1\r\n\rhost: wiki.example\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\n{CLOSE}{lines}\r\n");
        range.refuses(request, 400).await;
    }
    // A bare LF is a line's end (RFC 9112 §2.2), here as for whoever is asked next: it goes on as CR LF.
    let seen = range
        .passes("GET /a HTTP/1.1\nhost: open.example\nconnection: close\nx: 1\n\n")
        .await;
    assert!(seen.starts_with("GET /a HTTP/1.1\r\n") && seen.contains("x: 1\r\n"));
    assert_eq!(seen.matches('\n').count(), seen.matches("\r\n").count());
}

#[tokio::test]
async fn a_request_line_has_three_words_and_a_version_that_is_spoken_here() {
    let range = Range::start().await;
    for line in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/1.1 x",
        "GET / x HTTP/1.1",
        "GET / HTTP/2.0",
        "GET / HTTP/1.2",
        "GET / HTTP/01.1",
        "GET / http/1.1",
        "GET / HTTPS/1.1",
        "GET HTTP/1.1",
        " GET / HTTP/1.1",
        "G\0T / HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET open.example HTTP/1.1",
        "GET open.example/ HTTP/1.1",
        "GET wiki.example:80 HTTP/1.1",
        "GET ftp://open.example/ HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET * HTTP/1.1",
        "CONNECT open.example:80 HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT http://open.example/ HTTP/1.1",
    ] {
        range.refuses(format!("{line}\r\n{CLOSE}\r\n"), 400).await;
    }
    range.refuses("GET / HTTP/1.0\r\n\r\n", 400).await;
    range
        .refuses("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", 400)
        .await;
    let seen = range
        .passes("GET /a HTTP/1.0\r\nhost: open.example\r\n\r\n")
        .await;
    assert!(
        seen.starts_with("GET /a HTTP/1.1\r\nhost: open.example\r\n"),
        "{seen}"
    );
    for (target, expected) in [
        ("http://OPEN.example./a?b", "/a?b"),
        ("http://open.example", "/"),
        ("https://open.example?b", "/?b"),
        ("//wiki.example/a", "//wiki.example/a"),
        ("/a?b?c//..%2f", "/a?b?c//..%2f"),
        ("/a#b", "/a"),
    ] {
        let seen = range
            .passes(format!("GET {target} HTTP/1.1\r\n{CLOSE}\r\n"))
            .await;
        assert!(
            seen.starts_with(&format!("GET {expected} HTTP/1.1\r\n")),
            "{seen}"
        );
        assert!(seen.contains("host: open.example\r\n"), "{seen}");
    }
}

#[tokio::test]
async fn what_is_too_long_is_said_to_be_and_goes_no_further() {
    let range = Range::start().await;
    let long = |n| "a".repeat(n);
    range
        .refuses(
            format!("GET /{} HTTP/1.1\r\n{CLOSE}\r\n", long(70_000)),
            414,
        )
        .await;
    for lines in [
        format!("x: {}\r\n", long(100_000)),
        format!("x-{}: 1\r\n", long(100_000)),
        (0..200).map(|n| format!("x-{n}: 1\r\n")).collect(),
    ] {
        range
            .refuses(format!("GET / HTTP/1.1\r\n{CLOSE}{lines}\r\n"), 431)
            .await;
    }
    let seen = range
        .passes(format!(
            "GET /{} HTTP/1.1\r\n{CLOSE}x: {}\r\n\r\n",
            long(30_000),
            long(30_000)
        ))
        .await;
    assert!(seen.len() > 60_000);
}

#[tokio::test]
async fn requests_that_follow_each_other_are_judged_each_on_its_own() {
    let range = Range::start().await;
    let open = "GET /1 HTTP/1.1\r\nhost: open.example\r\n\r\n";
    let body = "POST /2 HTTP/1.1\r\nhost: open.example\r\ncontent-length: 3\r\n\r\nabc";
    let ann = format!(
        "GET /3 HTTP/1.1\r\nhost: {HOST}\r\n{}\r\n\r\n",
        range.bench.ann
    );
    let nobody = format!("GET /4 HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    let answer = range
        .bench
        .octets(format!("{open}{body}{ann}{nobody}").as_bytes())
        .await;
    let answer = String::from_utf8(answer).unwrap();
    let statuses: Vec<&str> = answer
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &answer[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "200", "200", "401"]);
    let requests = range.service.requests();
    assert_eq!(requests.len(), 3);
    for (request, target) in requests.iter().zip(["/1", "/2", "/3"]) {
        assert_eq!(request.split(' ').nth(1), Some(target));
        assert_eq!(request.contains("x-auth-request-user: ann"), target == "/3");
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_no_request() {
    let range = Range::start().await;
    let hidden = "GET /hidden HTTP/1.1\r\nhost: open.example\r\n\r\n";
    // Refused before its body is read.
    let refused = format!(
        "POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {}\r\n\r\n{hidden}",
        hidden.len()
    );
    let next = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    let answer = range
        .bench
        .octets(format!("{refused}{next}").as_bytes())
        .await;
    assert!(answer.starts_with(b"HTTP/1.1 401"));
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    assert!(range.service.requests().is_empty());
    // A body that is one octet longer than it says: what is left over is no request line.
    let longer = "POST / HTTP/1.1\r\nhost: open.example\r\ncontent-length: 2\r\n\r\nabc GET / HTTP/1.1\r\n\r\n";
    let answer = range.bench.octets(longer.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert!(String::from_utf8_lossy(&answer).contains("HTTP/1.1 400"));
    assert_eq!(range.service.requests().len(), 1);
}

#[tokio::test]
async fn no_header_takes_another_away() {
    let range = Range::start().await;
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {HOST}\r\n{}\r\ncontent-length: 3\r\n\
         connection: close, host, content-length, x-auth-request-user, x-forwarded-for, x-real-ip, via, x-app\r\n\
         x-app: 1\r\n\r\nabc",
        range.bench.ann
    );
    let seen = range.passes(request).await;
    for line in [
        "host: wiki.example\r\n",
        "content-length: 3\r\n",
        "x-auth-request-user: ann\r\n",
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-real-ip: 127.0.0.1\r\n",
        "via: 1.1 vestibule-",
    ] {
        assert!(seen.contains(line), "{line} {seen}");
    }
    assert!(!seen.contains("x-app"), "{seen}");
}
