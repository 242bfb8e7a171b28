//! When to look at files again: told by the kernel, and every now and then all the same, since file systems that are
//! mounted over a network or shared with a virtual machine tell nothing.
//!
//! Folders are watched, never single files: editors, certbot and Kubernetes all replace a file or a link by a rename,
//! and a watch on the file itself would stay with the old one. What a look finds is the caller's business.

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

/// A watch on folders.
pub struct FileWatch {
    folders: Vec<Watched>,
    told: mpsc::Receiver<()>,
    tell: mpsc::Sender<()>,
    watcher: Option<RecommendedWatcher>,
    watched: Vec<Option<Identity>>,
    complained: bool,
}

/// A folder to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The folder, or a link to it: a link that is swapped is a change too.
    pub path: PathBuf,
    /// With the folders in it.
    pub with_folders_in_it: bool,
}

/// Which folder a path leads to: after a link is swapped it is another one.
type Identity = (u64, u64);

/// An editor writes a file in several steps; a step seldom takes longer.
const QUIET: Duration = Duration::from_millis(30);
/// A folder that never comes to rest is read all the same.
const RESTLESS: Duration = Duration::from_millis(300);
/// How long a change stays unseen of which the kernel tells nothing.
const ANYWAY: Duration = Duration::from_secs(2);

// === impl FileWatch ===

impl FileWatch {
    /// Watches folders. One that cannot be watched is looked at in intervals, and a log line says so.
    #[must_use]
    pub fn new(folders: Vec<Watched>) -> Self {
        // One message says it all: there is something new.
        let (tell, told) = mpsc::channel(1);
        let mut watch = Self {
            folders,
            told,
            tell,
            watcher: None,
            watched: Vec::new(),
            complained: false,
        };
        watch.renew();
        watch
    }

    /// Waits until it is worth looking: something has changed, or has not been heard of for two seconds.
    pub async fn changed(&mut self) {
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
                        "the folders with Vestibule's files cannot be watched; they are read every {} seconds instead",
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
        for folder in &self.folders {
            let mode = if folder.with_folders_in_it {
                RecursiveMode::Recursive
            } else {
                RecursiveMode::NonRecursive
            };
            watcher.watch(&folder.path, mode)?;
            if let Some(parent) = link_parent(&folder.path) {
                watcher.watch(parent, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(watcher)
    }

    fn identities(&self) -> Vec<Option<Identity>> {
        let folders = self.folders.iter();
        folders.map(|folder| identity(&folder.path)).collect()
    }
}

/// Where a link lies.
fn link_parent(path: &Path) -> Option<&Path> {
    let parent = path.parent().filter(|_| path.is_symlink())?;
    (!parent.as_os_str().is_empty()).then_some(parent)
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
