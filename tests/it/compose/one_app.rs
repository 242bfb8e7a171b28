//! One web app behind Vestibule as the proxy: behind nginx, and without it.

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Method, StatusCode};
use tokio_tungstenite::tungstenite::Message;

use super::{APP, BEHIND_NGINX, WITHOUT_NGINX, before, browser, one_app, sign_in, wire};
use crate::bench::{SetUp, Visitor, WebApp, set_up};

/// nginx's block as the administrator of such a server has it, and nothing more.
const BARE_BLOCK: &str = "
server {
    listen 80;
    return 301 https://$host$request_uri;
}
server {
    listen 443 ssl;
    server_name app.example.com;
    ssl_certificate /etc/nginx/certificates/fullchain.pem;
    ssl_certificate_key /etc/nginx/certificates/privkey.pem;
    location / {
        proxy_pass http://vestibule:4180;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
    }
}
";

/// A person opens the app by a plain link, signs in, and works on the page that was asked for.
async fn a_person_works(name: &str) -> Result<()> {
    let app = WebApp::start().await?;
    let set_up = before(name, app.address()).await?;
    let browser = browser(&set_up).await?;
    browser.goto(&format!("http://{APP}/?board=7")).await?;
    // With one provider there is nothing to choose, and no page in between.
    browser.sign_in_at_provider("ann").await?;
    browser.shows("The app").await?;
    let address = browser.address().await?;
    ensure!(
        address == format!("https://{APP}/?board=7"),
        "back at {address}"
    );
    browser
        .shows("The socket says: hello from the page")
        .await?;
    browser.shows("The feed says: one").await?;
    app.next_event();
    browser.shows("The feed says: two").await?;
    browser.screenshot(&format!("compose-{name}")).await?;

    let socket = app
        .requests()
        .into_iter()
        .find(|(target, _)| target == "/socket");
    let (_, headers) = socket.unwrap_or_default();
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("x-auth-request-email"), Some("ann@example.com"));
    assert_eq!(header("x-forwarded-proto"), Some("https"));
    assert_eq!(header("cookie"), None);
    Ok(())
}

#[tokio::test]
async fn a_person_signs_in_and_works_behind_nginx() -> Result<()> {
    a_person_works(BEHIND_NGINX).await
}

#[tokio::test]
async fn a_person_signs_in_and_works_without_nginx() -> Result<()> {
    a_person_works(WITHOUT_NGINX).await
}

async fn nobody_else_gets_in(set_up: &SetUp, app: &WebApp) -> Result<()> {
    let stranger = wire::web_socket(set_up, APP, "/socket", "").await?;
    assert_eq!(stranger.err(), Some(StatusCode::UNAUTHORIZED));
    let eve = sign_in(set_up, APP, "eve").await?;
    let refused = wire::web_socket(set_up, APP, "/socket", &eve).await?;
    assert_eq!(refused.err(), Some(StatusCode::FORBIDDEN));
    for cookie in ["", &eve] {
        let answer = set_up.visit(APP, "/")?.header("cookie", cookie);
        assert!(answer.send().await?.status.is_client_error());
    }
    let requests = app.requests();
    ensure!(requests.is_empty(), "the app was asked: {requests:?}");
    Ok(())
}

async fn a_socket_says_everything_back(set_up: &SetUp, ann: &str) -> Result<()> {
    let mut socket = match wire::web_socket(set_up, APP, "/socket", ann).await? {
        Ok(socket) => socket,
        Err(status) => anyhow::bail!("the WebSocket is refused: {status}\n{}", set_up.log()),
    };
    let large = Bytes::from(octets(1_000_000));
    for message in [Message::text("hello"), Message::binary(large)] {
        socket.send(message.clone()).await?;
        ensure!(socket.next().await.transpose()? == Some(message));
    }
    socket.close(None).await?;
    ensure!(matches!(
        socket.next().await,
        Some(Ok(Message::Close(_))) | None
    ));
    Ok(())
}

async fn fifty_megabytes_arrive_as_they_are_sent(
    set_up: &SetUp,
    app: &WebApp,
    ann: &str,
) -> Result<()> {
    const SIZE: usize = 50 * 1024 * 1024;
    const HALF: usize = SIZE / 2;
    let sent = Bytes::from(octets(SIZE));
    let length = SIZE.to_string();
    for framing in [
        ("content-length", &*length),
        ("transfer-encoding", "chunked"),
    ] {
        let headers = [("cookie", ann), framing];
        let (body, answer) = wire::request(set_up, APP, Method::POST, "/upload", &headers).await?;
        for part in 0..16 {
            // The first half is there before the second is sent: nothing on the way waits for the whole.
            if part == 8 {
                app.received(HALF).await?;
            }
            let at = part * (SIZE / 16);
            body.send(sent.slice(at..at + SIZE / 16)).await?;
        }
        drop(body);
        let mut answer = answer.await??;
        assert_eq!(answer.status(), 200);
        wire::reads(&mut answer, &length).await?;
        ensure!(app.uploaded() == sent, "something else arrived");
    }
    Ok(())
}

async fn answers_come_bit_by_bit(set_up: &SetUp, app: &WebApp, ann: &str) -> Result<()> {
    let mut slow = wire::get(set_up, APP, "/slow", ann).await?;
    wire::reads(&mut slow, "first").await?;
    app.next_line();
    wire::reads(&mut slow, "second").await?;
    let mut feed = wire::get(set_up, APP, "/feed", ann).await?;
    wire::reads(&mut feed, "data: one\n\n").await?;
    app.next_event();
    wire::reads(&mut feed, "data: two\n\n").await
}

/// Whatever a client says of itself: its address is the one that it came from, and it is who signed in.
async fn a_client_is_who_it_is(set_up: &SetUp, ann: &str) -> Result<()> {
    let mut lies = vec![
        ("cookie", ann),
        ("x-auth-request-user", "root"),
        ("x-auth-request-groups", "admins"),
        ("x-forwarded-user", "root"),
        ("x-real-ip", "6.6.6.6"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "evil.example"),
    ];
    let client = wire::CLIENT.to_string();
    for forwarded in [None, Some(("x-forwarded-for", "6.6.6.6"))] {
        lies.extend(forwarded);
        let (body, answer) = wire::request(set_up, APP, Method::GET, "/any", &lies).await?;
        drop(body);
        let answer = http_body_util::BodyExt::collect(answer.await??.into_body()).await?;
        let said = String::from_utf8(answer.to_bytes().to_vec())?;
        let says = |line: &str| said.lines().any(|said| said == line);
        for line in [
            "host: app.example.com",
            "x-auth-request-user: ann",
            "x-auth-request-groups: ",
            "x-forwarded-proto: https",
            "x-forwarded-host: app.example.com",
            &*format!("x-real-ip: {client}"),
        ] {
            ensure!(says(line), "not '{line}' in\n{said}");
        }
        for lie in ["6.6.6.6", "root", "admins", "evil", "cookie"] {
            ensure!(!said.contains(lie), "'{lie}' in\n{said}");
        }
    }
    Ok(())
}

/// All that a proxy gets wrong.
async fn the_app_works(name: &str) -> Result<()> {
    let app = WebApp::start().await?;
    let set_up = before(name, app.address()).await?;
    nobody_else_gets_in(&set_up, &app).await?;
    let ann = sign_in(&set_up, APP, "ann").await?;
    a_socket_says_everything_back(&set_up, &ann).await?;
    fifty_megabytes_arrive_as_they_are_sent(&set_up, &app, &ann).await?;
    answers_come_bit_by_bit(&set_up, &app, &ann).await?;
    a_client_is_who_it_is(&set_up, &ann).await
}

#[tokio::test]
async fn sockets_uploads_and_streams_pass_behind_nginx() -> Result<()> {
    the_app_works(BEHIND_NGINX).await
}

#[tokio::test]
async fn sockets_uploads_and_streams_pass_without_nginx() -> Result<()> {
    the_app_works(WITHOUT_NGINX).await
}

#[tokio::test]
async fn nginx_is_believed_and_nobody_else() -> Result<()> {
    let app = WebApp::start().await?;
    let set_up = before(BEHIND_NGINX, app.address()).await?;
    let ann = sign_in(&set_up, APP, "ann").await?;
    // Past nginx, which only somebody in its network can go.
    let direct = tokio::net::TcpSocket::new_v4()?;
    direct.bind((wire::CLIENT, 0).into())?;
    let mut stream = direct.connect(set_up.vestibule).await?;
    let request = format!(
        "GET /any HTTP/1.1\r\nhost: {APP}\r\ncookie: {ann}\r\nx-real-ip: 6.6.6.6\r\n\
         x-forwarded-for: 6.6.6.6\r\nx-forwarded-proto: http\r\nconnection: close\r\n\r\n"
    );
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await?;
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut said).await?;
    let client = wire::CLIENT;
    for line in [
        format!("x-real-ip: {client}\n"),
        format!("x-forwarded-for: {client}\n"),
        "x-forwarded-proto: https\n".to_owned(),
    ] {
        ensure!(said.contains(&line), "not '{line}' in\n{said}");
    }
    ensure!(!said.contains("6.6.6.6"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_block_with_four_headers_and_nothing_more_is_enough_to_sign_in_and_read_a_feed()
-> Result<()> {
    let app = WebApp::start().await?;
    let services = [("app:5050", app.address())];
    let set_up = SetUp::start(set_up::Run {
        nginx: Some(BARE_BLOCK),
        ..one_app(BEHIND_NGINX, &services)
    })
    .await?;
    let ann = sign_in(&set_up, APP, "ann").await?;
    let page = set_up.visit(APP, "/")?.header("cookie", &ann);
    let page = page.send().await?;
    ensure!(page.body.contains("The app"), "{}", page.body);
    answers_come_bit_by_bit(&set_up, &app, &ann).await
}

#[tokio::test]
async fn plain_http_is_sent_to_https_at_the_very_page() -> Result<()> {
    let app = WebApp::start().await?;
    for name in [BEHIND_NGINX, WITHOUT_NGINX] {
        let set_up = before(name, app.address()).await?;
        let answer = Visitor::get(set_up.http, APP, "/a?b=c").send().await?;
        assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT, "{name}");
        let there = format!("https://{APP}/a?b=c");
        assert_eq!(answer.location(), Some(&*there), "{name}");
    }
    Ok(())
}

/// Octets in which a piece that is lost, doubled or moved would show.
fn octets(size: usize) -> Vec<u8> {
    let words = (0..=u64::MAX).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    words.flatten().take(size).collect()
}
