//! `vestibule import`: other products' configuration as our manifests.

use std::{env, fs, path::Path};

use clap::{Args, Subcommand};

use crate::import::oauth2_proxy::{self, Sources, WishedHost, Wishes};

/// Turn the configuration of another product into manifests
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    from: From,
}

#[derive(Subcommand, Debug)]
enum From {
    Oauth2Proxy(Box<Oauth2Proxy>),
}

/// From oauth2-proxy: prints manifests for `vestibule serve`, with a comment by everything that could not be carried
/// over or that changes meaning
///
/// Nothing becomes more open than it was: what cannot be carried over stays closed, and lines with an exclamation mark
/// say so. The exit code is 1 if there are any. Values of secrets are never printed.
#[derive(Args, Debug)]
#[command(
    name = "oauth2-proxy",
    after_help = "Examples:\n  \
        vestibule import oauth2-proxy --config /etc/oauth2-proxy.cfg --host wiki.corp.example > manifests/vestibule.yaml\n  \
        vestibule import oauth2-proxy --compose compose.yaml\n  \
        vestibule import oauth2-proxy --host wiki.corp.example=http://wiki:8080 -- --provider=google --email-domain=corp.example"
)]
struct Oauth2Proxy {
    /// Its configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<String>,

    /// Its alpha configuration (YAML)
    #[arg(long, value_name = "FILE")]
    alpha_config: Option<String>,

    /// A file with OAUTH2_PROXY_ variables, a NAME=value on each line
    #[arg(long, value_name = "FILE")]
    env_file: Option<String>,

    /// Read the OAUTH2_PROXY_ variables of this command's own environment
    #[arg(long)]
    environment: bool,

    /// A Compose file in which it is a service
    #[arg(long, value_name = "FILE")]
    compose: Option<String>,

    /// Which service of the Compose file it is, if that is not plain
    #[arg(long, value_name = "NAME", requires = "compose")]
    service: Option<String>,

    /// A host behind it, with the service if requests are to pass through the front door; may be repeated
    #[arg(long = "host", value_name = "HOST[=http://NAME:PORT]", value_parser = host)]
    hosts: Vec<WishedHost>,

    /// Say that everyone whom the identity provider knows is one of yours, for email_domains = ["*"]
    #[arg(long)]
    provider_is_closed: bool,

    /// Print every option of oauth2-proxy and what becomes of it
    #[arg(long, exclusive = true)]
    list: bool,

    /// oauth2-proxy's own arguments
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// Prints what another product's configuration becomes.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    match &options.from {
        From::Oauth2Proxy(options) => options.run(),
    }
}

fn host(text: &str) -> Result<WishedHost, String> {
    let (host, upstream) = match text.split_once('=') {
        Some((host, upstream)) => (host, Some(upstream.to_owned())),
        None => (text, None),
    };
    Ok(WishedHost {
        host: host.to_owned(),
        upstream,
    })
}

// === impl Oauth2Proxy ===

impl Oauth2Proxy {
    fn run(&self) -> anyhow::Result<()> {
        if self.list {
            print!("{}", oauth2_proxy::fates().trim_start());
            return Ok(());
        }
        let sources = Sources {
            flags: self.arguments.clone(),
            config: self.config.clone(),
            alpha_config: self.alpha_config.clone(),
            env_file: self.env_file.clone(),
            environment: if self.environment {
                variables()
            } else {
                Vec::new()
            },
            compose: self.compose.clone(),
            service: self.service.clone(),
        };
        let wishes = Wishes {
            hosts: self.hosts.clone(),
            provider_is_closed: self.provider_is_closed,
        };
        let made = oauth2_proxy::import(&sources, &wishes, &read)?;
        print!("{}", made.text);
        match made.decisions {
            0 => Ok(()),
            1 => anyhow::bail!(
                "a line above is marked with an exclamation mark: decide about it before people move"
            ),
            several => anyhow::bail!(
                "{several} lines above are marked with an exclamation mark: decide about them before people move"
            ),
        }
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(Path::new(path)).map_err(|error| error.to_string())
}

/// What the switch asks for is oauth2-proxy's environment; settings of ours come through clap.
fn variables() -> Vec<(String, String)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
