//! When to look at files again: told by the kernel, and every now and then all the same, since file systems that are
//! mounted over a network or shared with a virtual machine tell nothing.
//!
//! Folders are watched, never single files: editors, certbot and Kubernetes all replace a file or a link by a rename,
//! and a watch on the file itself would stay with the old one. A file that is being written is waited for, as far as
//! the kernel tells that. What a look finds is the caller's business; how much of a file is read, and that nothing else
//! is, stands here (`contents`).

mod contents;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

pub use self::contents::contents;

/// A watch on folders.
pub struct FileWatch {
    folders: Vec<Watched>,
    told: mpsc::Receiver<()>,
    tell: mpsc::Sender<()>,
    watcher: Option<RecommendedWatcher>,
    watched: Places,
    complained: bool,
    half_written: HalfWritten,
    /// How long a change stays unseen of which the kernel tells nothing.
    anyway: Duration,
}

/// A folder to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The folder, or a link to it: a link that is swapped is a change too.
    pub path: PathBuf,
    /// With the folders in it.
    pub with_folders_in_it: bool,
}

/// The folders to watch, with those in them or without, and which folder each path leads to: after a link is swapped
/// it is another one.
type Places = BTreeMap<PathBuf, (bool, Option<Identity>)>;

/// Device and inode.
type Identity = (u64, u64);

/// Files that somebody has begun to write and has not closed.
#[derive(Clone, Default)]
struct HalfWritten(Arc<Mutex<BTreeSet<PathBuf>>>);

/// An editor writes a file in several steps; a step seldom takes longer.
const QUIET: Duration = Duration::from_millis(30);
/// A folder that never comes to rest is read all the same.
const RESTLESS: Duration = Duration::from_millis(300);
/// So long a file that is being written is waited for: its first half may look like a whole.
const PATIENCE: Duration = Duration::from_secs(5);
/// So often it is looked although nothing was told.
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
            watched: Places::new(),
            complained: false,
            half_written: HalfWritten::default(),
            anyway: ANYWAY,
        };
        watch.renew();
        watch
    }

    /// Waits until it is worth looking: something has changed, or has not been heard of for two seconds.
    pub async fn changed(&mut self) {
        let told = timeout(self.anyway, self.told.recv()).await.is_ok();
        if told {
            self.rest().await;
        }
        let patience = Instant::now() + PATIENCE;
        while self.half_written.is_any() && Instant::now() < patience {
            let _ = timeout_at(patience, self.told.recv()).await;
            self.rest().await;
        }
        // Whoever still holds a file open has had their time.
        self.half_written.forget();
        if self.places() != self.watched {
            self.renew();
        }
    }

    /// Waits until nothing happens for a moment.
    async fn rest(&mut self) {
        let end = Instant::now() + RESTLESS;
        loop {
            let quiet = (Instant::now() + QUIET).min(end);
            if timeout_at(quiet, self.told.recv()).await.is_err() || Instant::now() >= end {
                return;
            }
        }
    }

    fn renew(&mut self) {
        self.watched = self.places();
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
                        self.anyway.as_secs()
                    );
                    self.complained = true;
                }
            }
        }
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let tell = self.tell.clone();
        let half_written = self.half_written.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Ok(event) = &event {
                half_written.note(event);
                if is_no_change(event) {
                    return;
                }
            }
            // A full channel has the message already.
            let _ = tell.try_send(());
        })?;
        for (path, (with_folders_in_it, _)) in &self.watched {
            let mode = if *with_folders_in_it {
                RecursiveMode::Recursive
            } else {
                RecursiveMode::NonRecursive
            };
            let watching = watcher.watch(path, mode);
            // Where a link leads may be out of sight; the folders themselves may not.
            if self.folders.iter().any(|folder| folder.path == *path) {
                watching?;
            }
        }
        Ok(watcher)
    }

    /// The folders; the one that holds a folder which is a link, since the link may be swapped; and those that hold
    /// the files to which links in the folders lead.
    fn places(&self) -> Places {
        let mut places: BTreeMap<PathBuf, bool> = BTreeMap::new();
        for Watched { path, .. } in &self.folders {
            if let Some(parent) = link_parent(path) {
                places.entry(parent.to_owned()).or_default();
            }
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            let links = entries
                .map(|entry| entry.path())
                .filter(|path| path.is_symlink());
            let targets = links.filter_map(|link| fs::canonicalize(link).ok());
            let here = fs::canonicalize(path).ok();
            for target in targets {
                if let Some(holder) = target
                    .parent()
                    .filter(|holder| Some(*holder) != here.as_deref())
                {
                    places.entry(holder.to_owned()).or_default();
                }
            }
        }
        for folder in &self.folders {
            places.insert(folder.path.clone(), folder.with_folders_in_it);
        }
        places
            .into_iter()
            .map(|(path, with_folders_in_it)| {
                let identity = identity(&path);
                (path, (with_folders_in_it, identity))
            })
            .collect()
    }
}

// === impl HalfWritten ===

impl HalfWritten {
    /// Only Linux tells when a file is closed; elsewhere there is nothing to wait for.
    fn note(&self, event: &Event) {
        let Ok(mut files) = self.0.lock() else { return };
        for path in &event.paths {
            match event.kind {
                EventKind::Modify(ModifyKind::Data(_)) if cfg!(target_os = "linux") => {
                    files.insert(path.clone());
                }
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(_))
                | EventKind::Remove(_) => {
                    files.remove(path);
                }
                _ => {}
            }
        }
    }

    fn is_any(&self) -> bool {
        self.0.lock().is_ok_and(|files| !files.is_empty())
    }

    fn forget(&self) {
        if let Ok(mut files) = self.0.lock() {
            files.clear();
        }
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

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write, os::unix::fs::symlink};

    use tempfile::TempDir;

    use super::*;

    /// Longer than any machine is busy.
    const LIMIT: Duration = Duration::from_secs(60);

    /// A folder with a file, and a watch on it that looks only when it is told.
    fn told_only(of: impl Fn(&Path) -> PathBuf) -> (TempDir, FileWatch) {
        let folder = TempDir::new().unwrap();
        for name in ["one", "two"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("file"), "first").unwrap();
        }
        let path = of(folder.path());
        let mut watch = FileWatch::new(vec![Watched {
            path,
            with_folders_in_it: false,
        }]);
        watch.anyway = LIMIT * 60;
        (folder, watch)
    }

    async fn is_told(watch: &mut FileWatch) -> bool {
        timeout(LIMIT, watch.changed()).await.is_ok()
    }

    /// Until nothing of what was done so far is told any more.
    async fn comes_to_rest(watch: &mut FileWatch) {
        while timeout(RESTLESS * 2, watch.changed()).await.is_ok() {}
    }

    fn rename_over(path: &Path, text: &str) {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, path).unwrap();
    }

    fn relink(target: &Path, link: &Path) {
        let new = link.with_extension("new");
        symlink(target, &new).unwrap();
        fs::rename(&new, link).unwrap();
    }

    #[tokio::test]
    async fn the_kernel_tells_of_files_written_renamed_and_deleted() {
        let steps: [fn(&Path); 3] = [
            |file| fs::write(file, "second").unwrap(),
            |file| rename_over(file, "second"),
            |file| fs::remove_file(file).unwrap(),
        ];
        for step in steps {
            let (folder, mut watch) = told_only(|folder| folder.join("one"));
            step(&folder.path().join("one/file"));
            assert!(is_told(&mut watch).await);
        }
    }

    #[tokio::test]
    async fn our_own_reading_is_no_change() {
        let (folder, mut watch) = told_only(|folder| folder.join("one"));
        fs::read(folder.path().join("one/file")).unwrap();
        let changed = timeout(RESTLESS, watch.changed()).await;
        assert!(changed.is_err());
    }

    #[tokio::test]
    async fn a_folder_is_followed_to_where_its_link_leads_from_now_on() {
        let (folder, mut watch) = told_only(|folder| {
            symlink("one", folder.join("current")).unwrap();
            folder.join("current")
        });
        relink(Path::new("two"), &folder.path().join("current"));
        assert!(is_told(&mut watch).await);
        comes_to_rest(&mut watch).await;
        fs::write(folder.path().join("two/file"), "second").unwrap();
        assert!(is_told(&mut watch).await);
    }

    /// As a mounted Secret, and as certbot's `live` folder, which leads to files outside.
    #[tokio::test]
    async fn links_in_the_folder_and_what_they_lead_to_are_watched() {
        let outside = TempDir::new().unwrap();
        let target = outside.path().join("target");
        fs::write(&target, "first").unwrap();
        let steps: [fn(&Path, &Path); 3] = [
            |_, target| fs::write(target, "second").unwrap(),
            |_, target| rename_over(target, "second"),
            |link, _| relink(Path::new("file"), link),
        ];
        for step in steps {
            let (folder, mut watch) = told_only(|folder| {
                symlink(&target, folder.join("one/link")).unwrap();
                folder.join("one")
            });
            step(&folder.path().join("one/link"), &target);
            assert!(is_told(&mut watch).await);
        }
    }

    #[tokio::test]
    async fn a_file_that_is_being_written_is_waited_for() {
        let (folder, mut watch) = told_only(|folder| folder.join("one"));
        let mut file = File::create(folder.path().join("one/file")).unwrap();
        file.write_all(b"one half").unwrap();
        let half = timeout(PATIENCE / 2, watch.changed()).await;
        assert!(half.is_err());
        file.write_all(b", and the other").unwrap();
        drop(file);
        assert!(is_told(&mut watch).await);
    }

    #[tokio::test]
    async fn it_is_looked_every_now_and_then_although_nothing_was_told() {
        let (_folder, mut watch) = told_only(|folder| folder.join("one"));
        watch.anyway = Duration::from_millis(10);
        assert!(is_told(&mut watch).await);
    }
}
