//! The session keys of an installation without Kubernetes: made once, kept in the state folder, for its owner's
//! eyes only.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    published::{KeyRing, UnreadableRing},
    session,
};

/// The session keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The state folder or the file in it cannot be read or written.
    #[error("{path}: {cause}. Vestibule keeps its session keys there, so it must be able to read and write it", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// There is a file, and no key ring in it.
    #[error("{path}: {cause}. Put the right file back, or delete it: new keys are made then, and everybody signs in again", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: UnreadableRing,
    },
}

const FILE: &str = "keyring.json";
/// How often a file that another process is just making is looked at again.
const LOOKS: u32 = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// The key ring of the state folder; made if there is none. Blocks for a moment if another process makes it just
/// now.
///
/// # Errors
/// If the folder cannot be used, or holds something else under the name of the key ring.
pub fn key_ring(state: &Path) -> Result<KeyRing, KeyRingError> {
    let path = state.join(FILE);
    let failed = |cause| KeyRingError::Io {
        path: path.clone(),
        cause,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .map_err(failed)?;
    // With `create_new` (O_EXCL) only one of several processes makes the keys, and no link is followed.
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
    {
        Ok(file) => make(file, &path).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(&path),
        Err(error) => Err(failed(error)),
    }
}

fn make(mut file: File, path: &Path) -> io::Result<KeyRing> {
    let (mut id, mut secret) = ([0; 4], [0; 32]);
    session::random(&mut id);
    session::random(&mut secret);
    let ring = KeyRing::first(u32::from_be_bytes(id), secret);
    let written = file
        .write_all(&ring.to_stored())
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a key ring would keep the next start from making one.
        fs::remove_file(path)?;
        return Err(error);
    }
    Ok(ring)
}

fn read(path: &Path) -> Result<KeyRing, KeyRingError> {
    let failed = |cause| KeyRingError::Io {
        path: path.to_owned(),
        cause,
    };
    let mut looks = 0;
    loop {
        let mut text = Vec::new();
        let mut file = File::open(path).map_err(failed)?;
        file.read_to_end(&mut text).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        match KeyRing::parse(&text) {
            Ok(ring) => {
                let owner = metadata.uid();
                if owner != 0 && owner != rustix::process::geteuid().as_raw() {
                    tracing::warn!(
                        path = %path.display(),
                        "the session keys belong to user {owner}, who can make sessions with them; if that is not meant, delete the file and start again: everybody signs in anew"
                    );
                }
                if metadata.permissions().mode() & 0o077 != 0 {
                    tracing::warn!(
                        path = %path.display(),
                        "others can read the session keys, and so make sessions; run: chmod 600 {}",
                        path.display()
                    );
                }
                return Ok(ring);
            }
            Err(_) if text.is_empty() && looks < LOOKS => {
                looks += 1;
                thread::sleep(PAUSE);
            }
            Err(cause) => {
                return Err(KeyRingError::Unreadable {
                    path: path.to_owned(),
                    cause,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("made/on/demand");
        let first = key_ring(&state).unwrap();
        assert_eq!(key_ring(&state).unwrap(), first);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state.join(FILE)), mode(&state)), (0o600, 0o700));
    }

    #[test]
    fn processes_that_start_at_once_agree_on_one_ring() {
        let folder = tempfile::tempdir().unwrap();
        let rings: Vec<_> = thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| key_ring(folder.path()).unwrap()))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        assert!(rings.iter().all(|ring| *ring == rings[0]));
    }

    #[test]
    fn a_file_that_is_no_key_ring_is_left_alone_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, "{}").unwrap();
        let error = key_ring(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("keyring.json") && error.contains("delete it"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
        fs::write(&path, "").unwrap();
        let error = key_ring(folder.path()).unwrap_err().to_string();
        assert!(error.contains("it is empty"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = key_ring(&file).unwrap_err().to_string();
        assert!(error.contains("file/keyring.json"), "{error}");
    }
}
