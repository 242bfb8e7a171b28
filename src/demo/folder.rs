//! The demo's folder: the manifests, and what must be the same when it is used again.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{GRAFANA_HOST, PROVIDER, StartError, WIKI_HOST, provider};

/// `client_id` of Vestibule at the example provider.
pub(super) const CLIENT_ID: &str = "vestibule-demo";

/// The manifests by file name. `{...}` stands for what differs from start to start.
const MANIFESTS: [(&str, &str); 3] = [
    ("grafana.yaml", include_str!("manifests/grafana.yaml")),
    ("provider.yaml", include_str!("manifests/provider.yaml")),
    ("wiki.yaml", include_str!("manifests/wiki.yaml")),
];

/// A folder that holds the demo.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    temporary: bool,
}

/// What the manifests refer to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Remembered {
    pub(super) ports: Ports,
    pub(super) client_secret: String,
}

/// Where the demo's own parts listen; 0 for any free port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ports {
    pub(super) provider: u16,
    pub(super) wiki: u16,
    pub(super) grafana: u16,
}

// === impl Folder ===

impl Folder {
    /// A folder of the user's; made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn at(path: &Path) -> Result<Self, StartError> {
        let folder = Self {
            path: path.to_owned(),
            temporary: false,
        };
        folder.make()?;
        Ok(folder)
    }

    /// A new folder among the machine's temporary files, which goes when this value goes.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn temporary() -> Result<Self, StartError> {
        let name = format!(
            "vestibule-demo-{}",
            &provider::random_text().get(..8).unwrap_or("x")
        );
        let folder = Self {
            path: std::env::temp_dir().join(name),
            temporary: true,
        };
        folder.make()?;
        Ok(folder)
    }

    /// Where the manifests lie.
    #[must_use]
    pub fn manifests(&self) -> PathBuf {
        self.path.join("manifests")
    }

    /// Where the product keeps its state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    fn make(&self) -> Result<(), StartError> {
        // Session keys and a client secret lie in it.
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        for path in [&self.path, &self.manifests(), &self.state()] {
            private
                .create(path)
                .map_err(|cause| unusable(path, cause))?;
        }
        Ok(())
    }

    /// What an earlier start wrote.
    pub(super) fn remembered(&self) -> Result<Option<Remembered>, StartError> {
        let path = self.memory();
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|cause| unusable(&path, cause.into())),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(unusable(&path, cause)),
        }
    }

    /// Writes whatever is not there yet; what is there may have been edited.
    pub(super) fn write(&self, remembered: &Remembered) -> Result<(), StartError> {
        let memory = self.memory();
        serde_json::to_vec_pretty(remembered)
            .map_err(io::Error::from)
            .and_then(|text| write_new(&memory, &text))
            .map_err(|cause| unusable(&memory, cause))?;
        for (name, template) in MANIFESTS {
            let path = self.manifests().join(name);
            write_new(&path, remembered.filled(template).as_bytes())
                .map_err(|cause| unusable(&path, cause))?;
        }
        Ok(())
    }

    fn memory(&self) -> PathBuf {
        self.state().join("demo.json")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // Nothing depends on it: what stays behind is cleared with the machine's temporary files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

// === impl Remembered ===

impl Remembered {
    fn filled(&self, template: &str) -> String {
        let Ports {
            provider,
            wiki,
            grafana,
        } = self.ports;
        template
            .replace("{provider}", PROVIDER)
            .replace("{provider-port}", &provider.to_string())
            .replace("{wiki-host}", WIKI_HOST)
            .replace("{wiki-port}", &wiki.to_string())
            .replace("{grafana-host}", GRAFANA_HOST)
            .replace("{grafana-port}", &grafana.to_string())
            .replace("{client-id}", CLIENT_ID)
            .replace("{client-secret}", &self.client_secret)
    }
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(mut file) => file.write_all(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn unusable(path: &Path, cause: io::Error) -> StartError {
    StartError::Folder {
        path: path.to_owned(),
        cause,
    }
}
