//! The folder in force: read, resolved, published; and again whenever it changes.

use std::{collections::BTreeSet, io, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{
    Metrics, Paths, Status, by_host,
    contents::{Contents, Look},
    files::Snapshot,
    finding::{Finding, Severity, findings},
    object,
    status::Current,
};
use crate::{
    clock::Clock,
    file_watch::{FileWatch, Watched},
    published::{Installation, Published, Table},
    resolve::{Place, Resolution, Settings, Standalone},
};

/// What a folder holds, published in a Table.
pub struct Folder {
    paths: Paths,
    installation: Arc<Installation>,
    contents: Contents,
    resolution: Resolution,
    current: Current,
    table: Arc<ArcSwap<Table>>,
    status: Status,
    metrics: Metrics,
    clock: Clock,
    /// The redirect URIs that the log has named, and the wildcards, which have none.
    redirect_uris: BTreeSet<String>,
}

/// The folder is not there.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}. Name a folder that Vestibule can read", path = path.display())]
pub struct NoFolder {
    path: PathBuf,
    cause: io::Error,
}

// === impl Folder ===

impl Folder {
    /// Reads the folder for the first time. Blocks for as long as that takes. What is wrong with a file is logged,
    /// and closes what it covers.
    ///
    /// # Errors
    /// If there is no folder at that path.
    pub fn open(
        paths: Paths,
        installation: Arc<Installation>,
        standalone: Standalone,
        metrics: Metrics,
        clock: Clock,
    ) -> Result<Self, NoFolder> {
        paths.are_there()?;
        let settings = Settings {
            installation: Arc::clone(&installation),
            place: Place::Folder(standalone),
            data_planes: Vec::new(),
        };
        let snapshot = Snapshot::take(&paths);
        let mut folder = Self {
            paths,
            installation,
            contents: Contents::default(),
            resolution: Resolution::new(Arc::new(settings)),
            current: Current::default(),
            table: Arc::default(),
            status: Status::default(),
            metrics,
            clock,
            redirect_uris: BTreeSet::new(),
        };
        folder.take(snapshot);
        folder.log_what_is_in_force("the manifests have been read");
        folder.log_what_is_missing();
        folder.log_redirect_uris();
        Ok(folder)
    }

    /// The Table, kept up to date by `follow`.
    #[must_use]
    pub fn table(&self) -> &Arc<ArcSwap<Table>> {
        &self.table
    }

    /// The status, kept up to date by `follow`.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Follows the folder until `stop`.
    pub async fn follow(self, stop: CancellationToken) {
        let mut watch = FileWatch::new(watched(&self.paths));
        let mut folder = self;
        loop {
            // First a look: something may have changed between reading and watching. On a thread of its own: to work
            // out thousands of services takes longer than a request may wait.
            let look = spawn_blocking(move || {
                folder.look();
                folder
            });
            folder = match look.await {
                Ok(folder) => folder,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => return,
                },
            };
            if stop.run_until_cancelled(watch.changed()).await.is_none() {
                return;
            }
        }
    }

    fn look(&mut self) {
        let snapshot = Snapshot::take(&self.paths);
        if self.take(snapshot) {
            self.log_what_is_in_force("the manifests have changed");
            self.log_redirect_uris();
        }
    }

    /// Takes in what is there now; says whether that is another state of affairs.
    fn take(&mut self, snapshot: Snapshot) -> bool {
        let now = self.clock.now();
        let look = self.contents.take(snapshot, &self.installation);
        log_look(&look);
        let is_news = !look.complaints.is_empty() || !look.mended.is_empty();
        for change in look.changes {
            self.resolution.apply(change);
        }
        let mut settled = self.resolution.settle();
        let unread = self.contents.unread().cloned().map(Arc::new);
        let refused_by_host = by_host::refused(&self.resolution, unread.as_ref());
        let unread = Published::Unread(unread);
        settled.table_changed |= !self.table.load().says(&unread);
        let findings = findings(&self.contents, &self.resolution);
        let has_changed = settled.table_changed
            || !settled.plans.is_empty()
            || is_news
            || findings != self.current.findings();
        if has_changed {
            log_findings(&findings, self.current.findings());
            self.current.take(
                &settled,
                self.resolution.world(),
                findings,
                refused_by_host,
                now,
            );
            self.status.show(&self.current);
            self.metrics.show(&self.current);
        }
        if settled.table_changed {
            let table = self.resolution.table().with(&unread);
            self.table.store(Arc::new(table));
        }
        self.status.looked(now);
        self.metrics.looked(now);
        has_changed
    }

    fn log_what_is_in_force(&self, what: &str) {
        let (services, providers) = (self.current.services(), self.current.providers());
        let hosts = self.current.host_count();
        let closed = self.current.hosts_that(|host| host.state != "Programmed");
        let of = |severity| {
            let all = self.current.findings().iter();
            all.filter(|finding| finding.severity == severity).count()
        };
        tracing::info!(
            manifest.files = self.contents.files(),
            services,
            hosts,
            hosts.closed = closed,
            providers,
            errors = of(Severity::Error),
            warnings = of(Severity::Warning),
            "{what}"
        );
    }

    /// What a beginner needs to hear first.
    fn log_what_is_missing(&self) {
        let manifests = self.paths.manifests.display();
        if self.current.services() == 0 {
            tracing::warn!(
                "nothing is protected, and every host is refused: {manifests} holds no ProtectedService and no Ingress that can be read. Write one into a file there that ends in .yaml; it counts at once"
            );
        } else if self.current.providers() == 0 {
            tracing::warn!(
                "nobody can sign in: {manifests} holds no IdentityProvider. Write one into a file there that ends in .yaml; it counts at once"
            );
        }
    }

    /// Those that it has not named before: a provider sends nobody back to one that it does not know.
    fn log_redirect_uris(&mut self) {
        let mut all = BTreeSet::new();
        for host in self.current.hosts() {
            all.extend(host.callback_urls.iter().cloned());
            // Providers take no wildcards, so there is no URI to name.
            if host.callback_urls.is_empty() && host.host.starts_with("*.") {
                all.insert(host.host.clone());
            }
        }
        for one in all.difference(&self.redirect_uris) {
            if one.starts_with("*.") {
                tracing::info!(
                    host = one,
                    "each host that a wildcard covers needs a redirect URI of its own: {origin}{prefix}/callback/PROVIDER. With --auth-host a single one does for all",
                    origin = self.installation.origin.of("HOST"),
                    prefix = self.installation.endpoint_prefix
                );
            } else {
                tracing::info!(
                    redirect_uri = one,
                    "register this redirect URI with the identity provider, if it does not know it yet"
                );
            }
        }
        self.redirect_uris.append(&mut all);
    }
}

/// Manifests lie in the folder itself, mounted secrets may be folders of keys.
fn watched(paths: &Paths) -> Vec<Watched> {
    let manifests = Watched {
        path: paths.manifests.clone(),
        with_folders_in_it: false,
    };
    let secrets = paths.secrets.clone().map(|path| Watched {
        path,
        with_folders_in_it: true,
    });
    std::iter::once(manifests).chain(secrets).collect()
}

fn log_look(look: &Look) {
    for file in &look.mended {
        tracing::info!(
            manifest.file = &**file,
            "{file} is in order again, and counts"
        );
    }
    for (id, place) in &look.gone {
        let what = match id {
            object::Id::ProtectedService(_) | object::Id::Ingress(_) => {
                "; the hosts that it named are not served any more, unless something else names them"
            }
            object::Id::IdentityProvider(_) => "; nobody can sign in with it any more",
            object::Id::Secret(_) | object::Id::Namespace(_) => "",
        };
        tracing::info!(
            manifest.file = &**place,
            object = %id,
            "{id} is gone from {place}{what}"
        );
    }
}

/// Each once, for as long as it lasts. Both lists are in their order.
fn log_findings(now: &[Finding], before: &[Finding]) {
    let is_news = |finding: &&Finding| before.binary_search(finding).is_err();
    for finding in now.iter().filter(is_news) {
        let file = finding.file.as_deref();
        // There is no line 0.
        let line = (finding.line > 0).then_some(finding.line);
        let column = line.map(|_| finding.column);
        let place = finding.place().map(|place| format!("{place}: "));
        let place = place.unwrap_or_default();
        let object = finding.object.as_ref().map(ToString::to_string);
        let reason = finding.reason.map(|reason| reason.as_str());
        let message = &finding.message;
        match finding.severity {
            Severity::Error => {
                // An object's message says itself what follows.
                let follows = match object {
                    Some(_) => "",
                    None => ". What it covers is closed until that is mended",
                };
                tracing::error!(
                    manifest.file = file,
                    manifest.line = line,
                    manifest.column = column,
                    object,
                    reason,
                    "{place}{message}{follows}"
                );
            }
            Severity::Warning => tracing::warn!(
                manifest.file = file,
                manifest.line = line,
                manifest.column = column,
                object,
                reason,
                "{place}{message}"
            ),
        }
    }
}

// === impl Paths ===

impl Paths {
    /// Whether the folders can be read at all.
    pub(super) fn are_there(&self) -> Result<(), NoFolder> {
        for path in [Some(&self.manifests), self.secrets.as_ref()]
            .into_iter()
            .flatten()
        {
            std::fs::read_dir(path).map_err(|cause| NoFolder {
                path: path.clone(),
                cause,
            })?;
        }
        Ok(())
    }
}
