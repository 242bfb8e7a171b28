//! What lies in the folder at a moment: the text of every manifest, the values of every mounted secret.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{file_watch::contents, published::Secret};

/// Where to read.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The folder with manifests: `*.yaml` and `*.yml`, not those of folders in it.
    pub manifests: PathBuf,
    /// A folder with secrets as files, as container engines mount them: `NAME/KEY`, or `NAME` for the key
    /// `client-secret`.
    pub secrets: Option<PathBuf>,
}

/// Everything that was there. What could not be read is in it too, with a sentence that says why.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// The manifests by file name.
    pub(super) manifests: BTreeMap<Arc<str>, Result<String, String>>,
    /// Why the folder itself could not be read.
    pub(super) unreadable: Option<String>,
    /// The mounted secrets by name.
    pub(super) secrets: BTreeMap<Arc<str>, Result<SecretFiles, String>>,
    /// Why the folder with secrets could not be read.
    pub(super) secrets_unreadable: Option<String>,
}

/// The values of a mounted secret by key.
pub(super) type SecretFiles = BTreeMap<Arc<str>, Secret>;

/// In MiB. What an object in Kubernetes may measure at most is 1.5; a file may hold several.
const LARGEST: u64 = 8;
/// The key that a Secret is asked for where nothing else is said.
const USUAL_KEY: &str = "client-secret";

// === impl Snapshot ===

impl Snapshot {
    /// Reads everything. Blocks.
    pub(super) fn take(paths: &Paths) -> Self {
        let mut snapshot = Self::default();
        match entries(&paths.manifests) {
            Ok(entries) => {
                for (name, path) in entries {
                    if is_manifest(&path) {
                        snapshot.manifests.insert(name, read_text(&path));
                    }
                }
            }
            Err(error) => snapshot.unreadable = Some(sentence(&paths.manifests, &error)),
        }
        if let Some(secrets) = &paths.secrets {
            snapshot.take_secrets(secrets);
        }
        snapshot
    }

    fn take_secrets(&mut self, folder: &Path) {
        let entries = match entries(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.secrets_unreadable = Some(sentence(folder, &error));
                return;
            }
        };
        for (name, path) in entries {
            let read = if path.is_dir() {
                read_keys(&path)
            } else {
                read_single(&path)
            };
            let read = read.map_err(|error| sentence(&path, &error));
            self.secrets.insert(name, read);
        }
    }
}

/// The visible entries of a folder. Hidden ones are how Kubernetes swaps a mounted folder, and what editors leave
/// beside a file.
fn entries(folder: &Path) -> io::Result<Vec<(Arc<str>, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str()
            && !name.starts_with('.')
        {
            entries.push((Arc::from(name), entry.path()));
        }
    }
    Ok(entries)
}

fn is_manifest(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end == "yaml" || end == "yml")
}

fn read_text(path: &Path) -> Result<String, String> {
    let bytes = read(path).map_err(|error| why(&error))?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

fn read_keys(folder: &Path) -> io::Result<SecretFiles> {
    let mut values = SecretFiles::new();
    for (key, path) in entries(folder)? {
        if !path.is_dir() {
            values.insert(key, secret(&path)?);
        }
    }
    Ok(values)
}

fn read_single(path: &Path) -> io::Result<SecretFiles> {
    Ok(SecretFiles::from([(USUAL_KEY.into(), secret(path)?)]))
}

/// Without the line break that editors and `echo` put at the end.
fn secret(path: &Path) -> io::Result<Secret> {
    let bytes = read(path)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Ok(Secret::new(line.strip_suffix(b"\r").unwrap_or(line)))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_dir() {
        return Err(io::Error::other(
            "it is a folder. Container engines make one where the file to be mounted is missing",
        ));
    }
    contents(path, LARGEST)
}

fn sentence(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), why(error))
}

fn why(error: &io::Error) -> String {
    let mend = match error.kind() {
        io::ErrorKind::PermissionDenied => ": let the account that Vestibule runs as read it",
        _ => "",
    };
    format!("cannot be read: {error}{mend}")
}
