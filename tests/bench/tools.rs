//! Where the programs are that `tests/tools/install` installed.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The folder that `tests/tools/install` fills: `$VESTIBULE_TOOLS`, or the user's cache.
pub fn folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("VESTIBULE_TOOLS") {
        return Ok(PathBuf::from(folder));
    }
    let home = env::var_os("HOME").context("neither VESTIBULE_TOOLS nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/vestibule"))
}

/// The path of a program by its name: from `KUBEBUILDER_ASSETS`, from our own folder, or from the system.
pub fn program(name: &str) -> Result<PathBuf> {
    let ours = folder()?;
    let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = assets
        .into_iter()
        .chain([ours.join("bin"), ours.join("python/bin")])
        .chain(env::split_paths(&path))
        // Debian puts daemons here, which is not on everybody's PATH.
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    match found {
        Some(file) => Ok(file),
        None => bail!("{name} is not installed: run tests/tools/install"),
    }
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
