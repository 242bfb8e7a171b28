//! `vestibule crd`: the definitions of our kinds, as YAML.

use std::{fs, path::PathBuf};

use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::resource::{IdentityProvider, ProtectedService};

/// Print the CustomResourceDefinitions, or write them into a folder.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Write one file for each kind into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The definitions: file name and YAML of each.
///
/// # Errors
/// If one cannot be written as YAML.
fn crds_yaml() -> anyhow::Result<Vec<(String, String)>> {
    [ProtectedService::crd(), IdentityProvider::crd()]
        .iter()
        .map(|crd| {
            let name = crd.metadata.name.as_deref().unwrap_or_default();
            Ok((format!("{name}.yaml"), to_yaml(crd)?))
        })
        .collect()
}

/// Prints or writes them.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let files = crds_yaml()?;
    let Some(dir) = &options.dir else {
        let documents: Vec<String> = files.into_iter().map(|(_, yaml)| yaml).collect();
        print!("{}", documents.join("---\n"));
        return Ok(());
    };
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    for (name, yaml) in files {
        let path = dir.join(name);
        fs::write(&path, yaml).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn to_yaml(crd: &CustomResourceDefinition) -> anyhow::Result<String> {
    serde_saphyr::to_string(crd).context("a definition cannot be written as YAML")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_definitions_are_those_of_the_source() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        for (name, yaml) in crds_yaml().unwrap() {
            let committed = fs::read_to_string(root.join(&name)).unwrap_or_default();
            assert!(
                committed == yaml,
                "crds/{name} is not what src/resource says: run make generate"
            );
        }
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_definition() {
        for (_, yaml) in crds_yaml().unwrap() {
            let read: CustomResourceDefinition = serde_saphyr::from_str(&yaml).unwrap();
            let same = [ProtectedService::crd(), IdentityProvider::crd()].contains(&read);
            assert!(same, "{yaml}");
        }
    }
}
