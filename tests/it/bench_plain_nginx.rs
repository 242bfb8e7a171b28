//! Proves the plain nginx of the bench: what a site's text says is what is served, and mistakes are told.

use crate::bench::{Certificate, Echo, PlainNginx, Visitor, loopback, plain_nginx};
use anyhow::Result;

#[tokio::test]
async fn a_site_is_served_inside_tls_and_reloaded() -> Result<()> {
    let echo = Echo::start().await?;
    let listen = loopback::free_component_address()?;
    let certificate = Certificate::new(&["wiki.example"])?;
    let site = |location: &str| {
        format!(
            "server {{ listen {listen} ssl; server_name wiki.example;
               ssl_certificate {}; ssl_certificate_key {};
               location {location} {{ proxy_pass http://{}; }} }}",
            certificate.certificate.display(),
            certificate.key.display(),
            echo.address()
        )
    };
    let mut nginx = PlainNginx::start(&site("/")).await?;
    let ask = async || {
        Visitor::get(listen, "wiki.example", "/a//b?x=%2F")
            .trusting(&certificate)?
            .send()
            .await
    };
    assert_eq!(ask().await?.echoed()?.target, "/a//b?x=%2F");
    assert!(nginx.access_log().contains("wiki.example"));
    nginx.reload(&site("= /elsewhere")).await?;
    assert_eq!(ask().await?.status, 404);
    assert!(!nginx.error_log().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_mistake_in_a_site_is_told() {
    let told = plain_nginx::accepts("server { lisen 127.0.0.1:1; }").await;
    let told = format!("{:#}", told.expect_err("nginx knows no lisen"));
    assert!(told.contains("unknown directive \"lisen\""), "{told}");
    let block = "server { listen 127.0.0.1:1; server_name a.example; }";
    let told = plain_nginx::accepts(&block.repeat(2)).await;
    let told = format!("{:#}", told.expect_err("two blocks claim one name"));
    assert!(told.contains("conflicting server name"), "{told}");
}
