//! The folder looked at once, for `vestibule check`: what would be in force, and what is wrong or likely so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    NoFolder, Paths,
    by_host::{self, RefusedByHost, ToBeNamed},
    contents::Contents,
    files::Snapshot,
    finding::{Finding, Severity, findings},
    status::Current,
};
use crate::{
    policy::Moment,
    published::{Installation, ProviderSettings, Secret},
    resolve::{Change, Place, Resolution, SecretValues, Settings, Standalone},
};

/// What came of a check.
#[derive(Debug)]
pub struct Checked {
    /// What is wrong or likely so, in the order of the files.
    pub findings: Vec<Finding>,
    /// How many manifests there are.
    pub files: usize,
    /// How many services.
    pub services: usize,
    /// On how many hosts.
    pub hosts: usize,
    /// How many identity providers.
    pub providers: usize,
    /// Secrets that are named, and were not looked for because no folder with secrets was given.
    pub secrets_not_checked: Vec<Arc<str>>,
    /// Hosts about which plain nginx would get no answer unless it names the service, until something is mended.
    pub refused_by_host: Option<RefusedByHost>,
    /// Where plain nginx should name the service. Whether it does cannot be seen from here.
    pub to_be_named: BTreeSet<ToBeNamed>,
    /// The providers that could be asked, and the manifests that they stand in.
    pub askable: Vec<(Arc<ProviderSettings>, Option<Arc<str>>, u32)>,
}

/// Reads the folder as `serve` would, and changes nothing. Where no folder with secrets is given, a secret that is not
/// among the manifests is taken for granted: it lies on the server alone.
///
/// # Errors
/// If there is no folder at that path.
pub fn check(
    paths: &Paths,
    installation: &Arc<Installation>,
    standalone: Standalone,
) -> Result<Checked, NoFolder> {
    paths.are_there()?;
    let settings = Settings {
        installation: Arc::clone(installation),
        place: Place::Folder(standalone),
        data_planes: Vec::new(),
    };
    let mut contents = Contents::default();
    let mut resolution = Resolution::new(Arc::new(settings));
    let look = contents.take(Snapshot::take(paths), installation);
    for change in look.changes {
        resolution.apply(change);
    }
    let taken_for_granted = match paths.secrets {
        Some(_) => BTreeMap::new(),
        None => named_secrets(&resolution),
    };
    let secrets_not_checked = taken_for_granted.keys().cloned().collect();
    for (name, values) in taken_for_granted {
        resolution.apply(Change::Secret(name, Some(values)));
    }
    let settled = resolution.settle();
    let mut current = Current::default();
    let mut findings = findings(&contents, &resolution);
    // A path that is wrong should not pass.
    if contents.files() == 0 {
        findings.push(Finding {
            file: None,
            line: 0,
            column: 0,
            severity: Severity::Error,
            message: "there is no manifest in it: no file whose name ends in .yaml or .yml"
                .to_owned(),
            object: None,
            reason: None,
        });
    }
    let unread = contents.unread().cloned().map(Arc::new);
    let refused_by_host = by_host::refused(&resolution, unread.as_ref());
    current.take(&settled, resolution.world(), Vec::new(), None, Moment(0));
    let askable = resolution.table().providers().map(|settings| {
        let provider = resolution.world().provider(&settings.name);
        let source = provider.and_then(|provider| provider.source.as_ref());
        let file = source.map(|source| Arc::clone(&source.file));
        let line = source.map_or(0, |source| source.line);
        (Arc::clone(settings), file, line)
    });
    Ok(Checked {
        askable: askable.collect(),
        findings,
        files: contents.files(),
        services: current.services(),
        hosts: current.host_count(),
        providers: current.providers(),
        secrets_not_checked,
        refused_by_host,
        to_be_named: by_host::to_be_named(&resolution),
    })
}

/// The secrets that providers name and that are not there, with something under every key that is asked for.
fn named_secrets(resolution: &Resolution) -> BTreeMap<Arc<str>, SecretValues> {
    let mut named: BTreeMap<Arc<str>, SecretValues> = BTreeMap::new();
    let world = resolution.world();
    for (_, provider) in world.providers() {
        let spec = provider.spec.read();
        let Some(reference) = spec.and_then(|spec| spec.client_secret_ref.as_ref()) else {
            continue;
        };
        if world.secret(&reference.name).is_none() {
            named
                .entry(reference.name.as_str().into())
                .or_default()
                .insert(reference.key.as_str().into(), Secret::new(b"not-checked"));
        }
    }
    named
}
