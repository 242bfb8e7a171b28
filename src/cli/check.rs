//! `vestibule check`: the folder read as `serve` would, for a person before a commit and for CI after it.

use std::{
    borrow::Borrow,
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    folder::{self, Checked, Finding, FindingDocument, Paths, RefusedByHost, Severity, ToBeNamed},
    provider::{self, Providers},
    resolve::Standalone,
    resource::{ObjectRef, Reason},
    settings::{self, OriginalUriHeader, PublicOptions},
};

/// Say what is wrong with a folder of manifests, or likely so: FILE:LINE:COLUMN, for editors and CI
///
/// Reads them as `serve` would with the same options, and serves nothing. Exits with 0 if nothing is wrong, with 1 if
/// something is.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The folder with manifests
    #[arg(long, env = "VESTIBULE_MANIFESTS", value_name = "DIR")]
    manifests: PathBuf,

    /// The folder with client secrets as files. Not given: secrets that are not among the manifests are not checked
    #[arg(long, env = "VESTIBULE_SECRETS_DIR", value_name = "DIR")]
    secrets_dir: Option<PathBuf>,

    /// As given to `serve`: Vestibule is the proxy too, so it sees all paths, and every host needs an upstream
    #[arg(long, env = "VESTIBULE_FRONT_DOOR", value_name = "ADDRESS")]
    front_door: Option<String>,

    /// As given to `serve`: nginx tells paths, so rules by path can be kept
    #[arg(long, env = "VESTIBULE_ORIGINAL_URI_HEADER", value_name = "NAME", value_parser = settings::original_uri_header)]
    original_uri_header: Option<OriginalUriHeader>,

    /// Ask each identity provider for its discovery document too. It has to be reached from here
    #[arg(long)]
    ask_providers: bool,

    /// Warnings fail the check too
    #[arg(long)]
    strict: bool,

    /// How to say it
    #[arg(long, value_enum, default_value = "text")]
    output: Output,

    #[command(flatten)]
    public: PublicOptions,
}

/// The form of the report.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Output {
    /// A line a finding, as compilers write them.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'c> {
    files: usize,
    services: usize,
    hosts: usize,
    identity_providers: usize,
    errors: usize,
    warnings: usize,
    secrets_not_checked: &'c [Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_by_host: Option<&'c RefusedByHost>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    to_be_named: &'c BTreeSet<ToBeNamed>,
    findings: Vec<FindingDocument<'c>>,
}

/// Checks the folder and reports.
pub(super) fn run(options: Options) -> anyhow::Result<ExitCode> {
    // A folder is an installation of its own, as in `serve`.
    let installation = options.public.installation();
    let installation = Arc::new(installation.map_err(anyhow::Error::msg)?);
    let paths = Paths {
        manifests: empty_is_none(Some(options.manifests)).context("--manifests names no folder")?,
        secrets: empty_is_none(options.secrets_dir),
    };
    let front_door = options
        .front_door
        .is_some_and(|address| !address.is_empty());
    let OriginalUriHeader(original_uri) = options.original_uri_header.unwrap_or_default();
    let standalone = Standalone {
        front_door,
        paths_are_told: front_door || original_uri.is_some(),
        asked_by_host: !front_door,
    };
    let mut checked = folder::check(&paths, &installation, standalone)?;
    if options.ask_providers {
        super::wait(ask_providers(&mut checked))?;
    }
    let count = |severity| {
        let all = checked.findings.iter();
        all.filter(|finding| finding.severity == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut out = io::stdout().lock();
    let written = match options.output {
        Output::Text => write_text(&mut out, &checked, &paths.manifests, errors, warnings),
        Output::Json => write_json(&mut out, &checked, errors, warnings),
    };
    written.context("the report could not be written")?;
    Ok(if errors > 0 || (options.strict && warnings > 0) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Asks every provider that can be asked; one that gives no usable answer is an error where it stands.
async fn ask_providers(checked: &mut Checked) -> anyhow::Result<()> {
    let (observations, _) = mpsc::channel(1);
    let metrics = provider::Metrics::register(&mut Registry::default());
    let providers = Providers::new(Clock::System, observations, metrics);
    let asked = checked.askable.iter().map(async |(settings, file, line)| {
        let failure = providers.discover(settings).await.err()?;
        Some(Finding {
            file: file.clone(),
            line: *line,
            column: u32::from(*line > 0),
            severity: Severity::Error,
            message: failure.to_string(),
            object: Some(ObjectRef::IdentityProvider(Arc::clone(&settings.name))),
            reason: Some(Reason::DiscoveryFailed),
        })
    });
    let failures = futures::future::join_all(asked).await;
    checked.findings.extend(failures.into_iter().flatten());
    checked.findings.sort();
    Ok(())
}

fn write_text(
    out: &mut impl Write,
    checked: &Checked,
    manifests: &Path,
    errors: usize,
    warnings: usize,
) -> io::Result<()> {
    for finding in &checked.findings {
        writeln!(out, "{}", line(finding, manifests))?;
    }
    if !checked.secrets_not_checked.is_empty() {
        writeln!(
            out,
            "Not checked without --secrets-dir: {} {}",
            plural(checked.secrets_not_checked.len(), "Secret", "Secrets"),
            checked.secrets_not_checked.join(", ")
        )?;
    }
    if let Some(refused) = &checked.refused_by_host {
        let hosts: Vec<&str> = refused.hosts.iter().map(String::as_str).collect();
        writeln!(
            out,
            "Until that is mended, checks of nginx that name no service are refused for {}",
            printable(&some(&hosts))
        )?;
    }
    if !checked.to_be_named.is_empty() {
        let named = checked.to_be_named.iter();
        let asks: Vec<String> = named
            .map(|one| format!("{} auth_request {}", one.host, one.check))
            .collect();
        writeln!(
            out,
            "Where nginx asks, let it name the service, so that no other policy decides there once an entry is deleted: {}",
            printable(&some(&asks))
        )?;
    }
    writeln!(
        out,
        "{} {} on {} {}, {} {} in {} {}: {errors} {}, {warnings} {}",
        checked.services,
        plural(checked.services, "service", "services"),
        checked.hosts,
        plural(checked.hosts, "host", "hosts"),
        checked.providers,
        plural(checked.providers, "identity provider", "identity providers"),
        checked.files,
        plural(checked.files, "file", "files"),
        plural(errors, "error", "errors"),
        plural(warnings, "warning", "warnings"),
    )
}

fn write_json(
    out: &mut impl Write,
    checked: &Checked,
    errors: usize,
    warnings: usize,
) -> io::Result<()> {
    let report = Report {
        files: checked.files,
        services: checked.services,
        hosts: checked.hosts,
        identity_providers: checked.providers,
        errors,
        warnings,
        secrets_not_checked: &checked.secrets_not_checked,
        refused_by_host: checked.refused_by_host.as_ref(),
        to_be_named: &checked.to_be_named,
        findings: checked.findings.iter().map(FindingDocument::from).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

/// `FILE:LINE:COLUMN: error: MESSAGE`, with a path that an editor can follow. Whoever names a file, or writes into one,
/// moves nobody's cursor and hides no line.
pub(super) fn line(finding: &Finding, manifests: &Path) -> String {
    let place = match finding.place() {
        Some(place) => manifests.join(place).display().to_string(),
        None => manifests.display().to_string(),
    };
    printable(&format!(
        "{place}: {}: {}",
        finding.severity.as_str(),
        finding.message
    ))
}

/// The text with everything escaped that a terminal obeys, or that shows letters in another order.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The first few of a list, and how many more there are.
fn some<T: Borrow<str>>(all: &[T]) -> String {
    let (shown, rest) = all.split_at(all.len().min(3));
    match rest.len() {
        0 => shown.join(", "),
        more => format!(
            "{} and {more} more (--output json has all)",
            shown.join(", ")
        ),
    }
}

fn plural<'w>(number: usize, one: &'w str, many: &'w str) -> &'w str {
    if number == 1 { one } else { many }
}

fn empty_is_none(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}
