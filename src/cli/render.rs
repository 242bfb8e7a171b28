//! `vestibule render`: configuration for a proxy, made from a folder of manifests.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::{Args, Subcommand};
use prometheus_client::registry::Registry;

use super::check;
use crate::{
    clock::Clock,
    dataplane::nginx::{self, Address, Site, Size, Upstream, Word},
    folder::{self, Folder, Paths, Severity},
    policy::Scheme,
    resolve::Standalone,
    settings::PublicOptions,
};

/// Print a proxy's configuration for a folder of manifests
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    proxy: Proxy,
}

#[derive(Subcommand, Debug)]
enum Proxy {
    Nginx(Box<Nginx>),
}

/// Print nginx's server blocks: one for each host, which asks Vestibule about every request
#[derive(Args, Debug)]
struct Nginx {
    /// The folder with manifests, as for `vestibule serve`
    #[arg(long, env = "VESTIBULE_MANIFESTS", value_name = "DIR")]
    manifests: PathBuf,

    /// Where nginx reaches Vestibule: `--listen` of `vestibule serve`
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4180", value_parser = upstream)]
    vestibule: Upstream,

    /// The certificate's file; {host} stands for the host
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/letsencrypt/live/{host}/fullchain.pem",
        value_parser = word
    )]
    tls_cert: Word,

    /// The key's file; {host} stands for the host
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/letsencrypt/live/{host}/privkey.pem",
        value_parser = word
    )]
    tls_key: Word,

    /// Where nginx listens: a port, or an address and a port; may be repeated [default: --public-port on all addresses]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = address)]
    listen: Vec<Address>,

    /// Where plain HTTP is redirected to HTTPS; may be repeated, and empty for nowhere
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "80,[::]:80",
        value_parser = address_or_none
    )]
    redirect_listen: Vec<Option<Address>>,

    /// How large a request's body may be; 0 for any
    #[arg(long, value_name = "SIZE", default_value = "50m", value_parser = size)]
    max_body_size: Size,

    #[command(flatten)]
    public: PublicOptions,
}

/// Prints it.
pub(super) fn run(options: Options) -> anyhow::Result<()> {
    let Proxy::Nginx(options) = options.proxy;
    let installation = options.public.installation();
    let installation = Arc::new(installation.map_err(anyhow::Error::msg)?);
    let paths = Paths {
        manifests: options.manifests,
        secrets: None,
    };
    // Every path needs an upstream, and nginx tells the paths: that is what is printed here.
    let standalone = Standalone {
        front_door: true,
        paths_are_told: true,
        // What is printed names the services.
        asked_by_host: false,
    };
    let checked = folder::check(&paths, &installation, standalone).context("--manifests")?;
    let errors: Vec<String> = checked
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| check::line(finding, &paths.manifests))
        .collect();
    let shown = paths.manifests.display().to_string();
    if !errors.is_empty() {
        anyhow::bail!(
            "nothing is printed while the manifests have errors: a service might be missing.\n{}",
            errors.join("\n")
        );
    }
    let metrics = folder::Metrics::register(&mut Registry::default());
    let folder = Folder::open(
        paths,
        Arc::clone(&installation),
        standalone,
        metrics,
        Clock::System,
    )
    .context("--manifests")?;
    let table = folder.table().load();
    if table.hosts().next().is_none() {
        anyhow::bail!(
            "no manifest in {shown} names a host: write spec.hosts into a ProtectedService, or an Ingress"
        );
    }
    let everywhere = |port: u16| [port.to_string(), format!("[::]:{port}")];
    let listen = if options.listen.is_empty() {
        let own = everywhere(installation.origin.port);
        own.iter().filter_map(|text| Address::parse(text)).collect()
    } else {
        options.listen
    };
    let is_https = installation.origin.scheme == Scheme::Https;
    let site = Site {
        vestibule: options.vestibule,
        certificate: options.tls_cert,
        key: options.tls_key,
        listen,
        redirect: if is_https {
            options.redirect_listen.into_iter().flatten().collect()
        } else {
            Vec::new()
        },
        max_body: options.max_body_size,
        command: command_line(),
    };
    print!("{}", nginx::render(&table, &installation, &site)?);
    Ok(())
}

/// What was typed, on one line.
fn command_line() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let joined = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
    let line: String = joined
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("vestibule {line}")
}

fn upstream(text: &str) -> Result<Upstream, String> {
    Upstream::parse(text)
        .ok_or_else(|| "a URL such as http://127.0.0.1:4180, without a path".into())
}

fn word(text: &str) -> Result<Word, String> {
    Word::parse(text).ok_or_else(|| "a file name without $ and control characters".into())
}

fn address(text: &str) -> Result<Address, String> {
    Address::parse(text)
        .ok_or_else(|| "a port, or an address and a port such as 127.0.0.1:443".into())
}

fn address_or_none(text: &str) -> Result<Option<Address>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    address(text).map(Some)
}

fn size(text: &str) -> Result<Size, String> {
    Size::parse(text).ok_or_else(|| "a number of octets such as 50m".into())
}
