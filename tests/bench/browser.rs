//! Chromium, driven through chromedriver, with host names of our choice.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use thirtyfour::{
    By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, error::WebDriverError,
    prelude::ElementQueryable,
};

use crate::bench::{Process, Wait, loopback, process::Start, process::data_folder, tools};

/// A browser with a profile of its own. All of [`WebDriver`] can be called on it.
#[derive(Debug)]
pub struct Browser {
    driver: WebDriver,
    // Ends chromedriver, and Chromium with it.
    _process: Process,
}

/// Where a name and port that a person types really lead.
#[derive(Clone, Debug)]
pub struct HostRule {
    /// `wiki.test:443`, or `*.test`.
    pub from: String,
    /// The listener.
    pub to: SocketAddr,
}

// === impl Browser ===

impl Browser {
    /// Starts a headless Chromium that finds hosts by these rules, and nothing outside loopback.
    pub async fn start(rules: &[HostRule]) -> Result<Self> {
        // chromedriver listens on 127.0.0.1 and nowhere else.
        let address = loopback::free_address(Ipv4Addr::LOCALHOST.into())?;
        let home = data_folder("chromium-home")?;
        let process = Start::tool("chromedriver")?
            .argument(format!("--port={}", address.port()))
            // Without a home of its own, Chromium keeps crash reports and fonts in the user's.
            .environment("HOME", home.to_string_lossy())
            .environment("TMPDIR", home.to_string_lossy())
            .start()?;
        let url = format!("http://{address}");
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_binary(&tools::program("chromium")?.to_string_lossy())?;
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
            "--no-first-run",
            "--ignore-certificate-errors",
            "--window-size=1100,800",
            "--hide-scrollbars",
        ] {
            capabilities.add_arg(argument)?;
        }
        capabilities.add_arg(&format!(
            "--user-data-dir={}",
            data_folder("profile")?.display()
        ))?;
        capabilities.add_arg(&format!("--host-resolver-rules={}", host_rules(rules)))?;
        let driver = Wait::seconds(60)
            .watching(&process)
            .every(Duration::from_millis(200))
            .until("Chromium is there", async || {
                Ok(WebDriver::new(&url, capabilities.clone()).await?)
            })
            .await?;
        driver
            .set_page_load_timeout(Duration::from_secs(30))
            .await?;
        Ok(Self {
            driver,
            _process: process,
        })
    }

    /// Saves what the person sees to `artifacts/NAME.png`.
    pub async fn screenshot(&self, name: &str) -> Result<PathBuf> {
        let folder = tools::repository().join("artifacts");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{name}.png"));
        self.driver.screenshot(&file).await?;
        Ok(file)
    }

    /// The address in the address bar.
    pub async fn address(&self) -> Result<String> {
        Ok(self.driver.current_url().await?.to_string())
    }

    /// The text that a person can read on the page.
    pub async fn text(&self) -> Result<String> {
        Ok(self.driver.find(By::Tag("body")).await?.text().await?)
    }

    /// Waits until the page's text contains this.
    pub async fn shows(&self, text: &str) -> Result<()> {
        Wait::seconds(60)
            .until(&format!("the page shows '{text}'"), async || {
                let shown = match self.text().await {
                    Ok(shown) => shown,
                    // Between two pages there is no body.
                    Err(error) if error.is::<WebDriverError>() => String::new(),
                    Err(error) => return Err(error),
                };
                let address = self.address().await?;
                ensure!(shown.contains(text), "{address} shows: {shown}");
                Ok(())
            })
            .await
    }

    /// Clicks the link or button with this text.
    pub async fn click(&self, text: &str) -> Result<()> {
        let path = format!(
            "//a[normalize-space()='{text}'] | //button[normalize-space()='{text}'] | //input[@value='{text}']"
        );
        let element = self
            .driver
            .query(By::XPath(path))
            .wait(Duration::from_secs(60), Duration::from_millis(50))
            .first()
            .await;
        let element = match element {
            Ok(element) => element,
            Err(error) => {
                let (address, shown) = (self.address().await?, self.text().await?);
                return Err(error)
                    .with_context(|| format!("no '{text}' at {address}, which shows: {shown}"));
            }
        };
        Ok(element.click().await?)
    }

    /// Types into the field of this name.
    pub async fn fill(&self, field: &str, text: &str) -> Result<()> {
        let element = self.driver.query(By::Name(field)).first().await?;
        element.clear().await?;
        Ok(element.send_keys(text).await?)
    }

    /// Fills the form of [`crate::bench::OidcProvider`].
    pub async fn sign_in_at_provider(&self, account: &str) -> Result<()> {
        self.shows("Test provider").await?;
        self.fill("login", account).await?;
        self.click("Sign in").await
    }
}

impl Deref for Browser {
    type Target = WebDriver;

    fn deref(&self) -> &WebDriver {
        &self.driver
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ending chromedriver ends the session; the driver's own way would block the test's thread,
        // which its connections need.
        drop(self.driver.clone().leak());
    }
}

fn host_rules(rules: &[HostRule]) -> String {
    let mapped = rules
        .iter()
        .map(|rule| format!("MAP {} {}", rule.from, rule.to));
    // Whatever is not mapped and not loopback does not exist.
    let rest = [
        "MAP * ~NOTFOUND",
        "EXCLUDE 127.*",
        "EXCLUDE localhost",
        "EXCLUDE *.localhost",
    ];
    mapped
        .chain(rest.map(str::to_owned))
        .collect::<Vec<_>>()
        .join(", ")
}
