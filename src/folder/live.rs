//! The folder in force: read, resolved, published; and again whenever it changes.

use std::{io, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::{
    Paths,
    contents::{Contents, Look},
    files::Snapshot,
};
use crate::{
    file_watch::{FileWatch, Watched},
    published::{Installation, Table},
    resolve::{Place, Problem, Resolution, Settings, Source},
    resource::ObjectRef,
};

/// What a folder holds, published in a Table.
pub struct Folder {
    paths: Paths,
    installation: Arc<Installation>,
    contents: Contents,
    resolution: Resolution,
    table: Arc<ArcSwap<Table>>,
}

/// The folder is not there.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}. Name a folder with manifests that Vestibule can read", path = path.display())]
pub struct NoFolder {
    path: PathBuf,
    cause: io::Error,
}

// === impl Folder ===

impl Folder {
    /// Reads the folder for the first time. Blocks for as long as that takes. What is wrong with a file is logged,
    /// and closes what it covers. `paths_are_told`: somebody says which path a request asks for.
    ///
    /// # Errors
    /// If there is no folder at that path.
    pub fn open(
        paths: Paths,
        installation: Arc<Installation>,
        paths_are_told: bool,
    ) -> Result<Self, NoFolder> {
        for path in [Some(&paths.manifests), paths.secrets.as_ref()]
            .into_iter()
            .flatten()
        {
            std::fs::read_dir(path).map_err(|cause| NoFolder {
                path: path.clone(),
                cause,
            })?;
        }
        let settings = Settings {
            installation: Arc::clone(&installation),
            place: Place::Folder { paths_are_told },
        };
        let snapshot = Snapshot::take(&paths);
        let mut folder = Self {
            paths,
            installation,
            contents: Contents::default(),
            resolution: Resolution::new(Arc::new(settings)),
            table: Arc::default(),
        };
        folder.take(snapshot);
        Ok(folder)
    }

    /// The Table, kept up to date by `follow`.
    #[must_use]
    pub fn table(&self) -> &Arc<ArcSwap<Table>> {
        &self.table
    }

    /// Follows the folder until `stop`.
    pub async fn follow(mut self, stop: CancellationToken) {
        let mut watch = FileWatch::new(watched(&self.paths));
        loop {
            // First a look: something may have changed between reading and watching.
            let paths = self.paths.clone();
            let snapshot = tokio::task::spawn_blocking(move || Snapshot::take(&paths));
            match snapshot.await {
                Ok(snapshot) => self.take(snapshot),
                Err(error) => {
                    tracing::error!(%error, "the folder could not be read; what was read before stays in force")
                }
            }
            if stop.run_until_cancelled(watch.changed()).await.is_none() {
                return;
            }
        }
    }

    fn take(&mut self, snapshot: Snapshot) {
        let look = self.contents.take(snapshot, &self.installation);
        log_look(&look);
        for change in look.changes {
            self.resolution.apply(change);
        }
        let settled = self.resolution.settle();
        let problems = &settled.problems;
        for problem in problems {
            if !is_echo(problem, problems) {
                log_problem(problem);
            }
        }
        if settled.table_changed {
            self.table.store(Arc::new(self.resolution.table().clone()));
        }
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
    for complaint in &look.complaints {
        let place = complaint.to_string();
        let file = complaint.file.as_deref().unwrap_or_default();
        if complaint.closes {
            tracing::error!(
                manifest.file = file,
                manifest.line = complaint.line,
                manifest.column = complaint.column,
                "{place}. What it covers is closed until that is mended"
            );
        } else {
            tracing::warn!(
                manifest.file = file,
                manifest.line = complaint.line,
                "{place}"
            );
        }
    }
    for file in &look.mended {
        tracing::info!(
            manifest.file = &**file,
            "{file} can be read again, and counts"
        );
    }
}

/// Whether the same sentence is told of the object that it names, so that a log needs it no second time: what is wrong
/// with a ProtectedService is told to the owner of its Ingress as well.
fn is_echo(problem: &Problem, all: &[Problem]) -> bool {
    let names = |object: &ObjectRef| problem.message.contains(&object.to_string());
    let is_told_there = |other: &Problem| other.message == problem.message && names(&other.object);
    !names(&problem.object) && all.iter().any(is_told_there)
}

fn log_problem(problem: &Problem) {
    let (file, line, place) = match &problem.source {
        Some(Source { file, line }) => (&**file, *line, format!("{file}:{line}: ")),
        None => ("", 0, String::new()),
    };
    tracing::warn!(
        manifest.file = file,
        manifest.line = line,
        reason = problem.reason.as_str(),
        "{place}{}",
        problem.message
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{Key, Reason};

    #[test]
    fn a_log_says_a_sentence_once_where_it_belongs() {
        let service = ObjectRef::ProtectedService(Key::new("demo", "grafana"));
        let ingress = ObjectRef::Ingress(Key::new("demo", "grafana"));
        let told = |object: &ObjectRef, message: &str| Problem {
            object: object.clone(),
            reason: Reason::Invalid,
            message: message.to_owned(),
            source: None,
        };
        let of_service = "ProtectedService demo/grafana: spec.allow is wrong.";
        let of_both = "ProtectedService demo/grafana targets Ingress demo/grafana.";
        let of_neither = "The protection is on hold.";
        let all = [of_service, of_both, of_neither]
            .map(|message| [told(&ingress, message), told(&service, message)])
            .concat();
        let echoes: Vec<&Problem> = all.iter().filter(|one| is_echo(one, &all)).collect();
        assert_eq!(echoes, [&told(&ingress, of_service)]);
        assert!(!is_echo(&all[0], &all[..1]));
    }
}
