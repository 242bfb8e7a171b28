//! When to look at the folder again: told by the kernel, and every now and then all the same, since file systems
//! that are mounted over a network or shared with a virtual machine tell nothing.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::Paths;

/// A watch on the folders.
pub(super) struct Watch {
    paths: Paths,
    told: mpsc::Receiver<()>,
    tell: mpsc::Sender<()>,
    watcher: Option<RecommendedWatcher>,
    watched: Vec<Option<Identity>>,
    complained: bool,
}

/// Which folder a path leads to: after a link is swapped it is another one.
type Identity = (u64, u64);

/// An editor writes a file in several steps; a step seldom takes longer.
const QUIET: Duration = Duration::from_millis(30);
/// A folder that never comes to rest is read all the same.
const RESTLESS: Duration = Duration::from_millis(300);
/// How long a change stays unseen of which the kernel tells nothing.
const ANYWAY: Duration = Duration::from_secs(2);

// === impl Watch ===

impl Watch {
    pub(super) fn new(paths: Paths) -> Self {
        // One message says it all: there is something new.
        let (tell, told) = mpsc::channel(1);
        let mut watch = Self {
            paths,
            told,
            tell,
            watcher: None,
            watched: Vec::new(),
            complained: false,
        };
        watch.renew();
        watch
    }

    /// Waits until it is worth looking.
    pub(super) async fn changed(&mut self) {
        let told = timeout(ANYWAY, self.told.recv()).await.is_ok();
        if told {
            let restless = Instant::now() + RESTLESS;
            loop {
                let quiet = (Instant::now() + QUIET).min(restless);
                if timeout_at(quiet, self.told.recv()).await.is_err() || Instant::now() >= restless
                {
                    break;
                }
            }
        }
        if self.identities() != self.watched {
            self.renew();
        }
    }

    fn renew(&mut self) {
        self.watched = self.identities();
        match self.watcher() {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                self.complained = false;
            }
            Err(error) => {
                self.watcher = None;
                // Again at the next look, without saying it again.
                self.watched.clear();
                if !self.complained {
                    tracing::warn!(
                        error = %error,
                        "the folder cannot be watched; it is read every {} seconds instead",
                        ANYWAY.as_secs()
                    );
                    self.complained = true;
                }
            }
        }
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let tell = self.tell.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.as_ref().is_ok_and(is_no_change) {
                return;
            }
            // A full channel has the message already.
            let _ = tell.try_send(());
        })?;
        watcher.watch(&self.paths.manifests, RecursiveMode::NonRecursive)?;
        if let Some(secrets) = &self.paths.secrets {
            watcher.watch(secrets, RecursiveMode::Recursive)?;
        }
        for link in self.folders().filter(|path| path.is_symlink()) {
            if let Some(parent) = link
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                watcher.watch(parent, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(watcher)
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        [Some(&self.paths.manifests), self.paths.secrets.as_ref()]
            .into_iter()
            .flatten()
    }

    fn identities(&self) -> Vec<Option<Identity>> {
        self.folders().map(|path| identity(path)).collect()
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let folder = fs::metadata(path).ok()?;
    Some((folder.dev(), folder.ino()))
}

/// Our own reading is no change.
fn is_no_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(kind) => kind != AccessKind::Close(AccessMode::Write),
        _ => false,
    }
}
