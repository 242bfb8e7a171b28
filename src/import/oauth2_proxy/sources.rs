//! Where a configuration is read from, and in which order the sources count.

use super::{
    ReadFile, alpha, compose, config_file, environment, flags,
    given::{Given, Origin},
    option::{Theme, by_key},
};

/// What to read. All of it together is one configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Arguments as oauth2-proxy is started with.
    pub flags: Vec<String>,
    /// Its configuration file (TOML).
    pub config: Option<String>,
    /// Its alpha configuration (YAML).
    pub alpha_config: Option<String>,
    /// A file with lines `OAUTH2_PROXY_...=...`.
    pub env_file: Option<String>,
    /// Environment variables, those of other programs too.
    pub environment: Vec<(String, String)>,
    /// A Compose file.
    pub compose: Option<String>,
    /// The service in the Compose file that is oauth2-proxy, if that is not plain.
    pub service: Option<String>,
}

/// Why no manifests could be made, for the person at the terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub(super) String);

// === impl Sources ===

impl Sources {
    pub(super) fn read(&self, read: ReadFile<'_>) -> Result<Given, Unreadable> {
        let mut given = Given::default();
        let mut variables = Vec::new();
        let mut arguments = Vec::new();
        if let Some(path) = &self.compose {
            let service = compose::read(path, self.service.as_deref(), read)?;
            given
                .sources
                .push(format!("{path} (service {})", service.name));
            given.mounts = service.mounts;
            variables.extend(service.environment);
            arguments.extend(service.arguments);
        }
        if let Some(path) = &self.env_file {
            given.sources.push(path.clone());
            variables.extend(environment::file(&text(path, read, "--env-file")?));
        }
        let before = variables.len();
        variables.extend(self.environment.iter().cloned());
        if variables.len() > before {
            given.sources.push("the environment".to_owned());
        }
        environment::take(&mut given, &variables);
        if !self.flags.is_empty() {
            given.sources.push("arguments".to_owned());
        }
        arguments.extend(self.flags.iter().cloned());
        flags::take(&mut given, &arguments);

        if let Some(path) = named(&given, self.config.as_ref(), "config") {
            let text = text(&path, read, "--config")?;
            given.sources.push(path.clone());
            config_file::take(&mut given, &path, &text)?;
        }
        if let Some(path) = named(&given, self.alpha_config.as_ref(), "alpha-config") {
            let text = text(&path, read, "--alpha-config")?;
            given.sources.push(path.clone());
            alpha::take(&mut given, &path, &text)?;
        }
        if given.options().next().is_none() && given.unknown.is_empty() {
            let hint = "Give oauth2-proxy's flags after `--`, or its --config, --alpha-config, --env-file, --environment or --compose.";
            let read = if given.sources.is_empty() {
                "There is nothing to read.".to_owned()
            } else {
                format!(
                    "There is no option of oauth2-proxy in {}.",
                    given.sources.join(", ")
                )
            };
            return Err(Unreadable(format!("{read} {hint}")));
        }
        Ok(given)
    }
}

/// The path given to us, or else the one that oauth2-proxy's own arguments name.
fn named(given: &Given, ours: Option<&String>, flag: &str) -> Option<String> {
    let theirs = || given.text(flag).map(|path| given.here(path));
    ours.cloned().or_else(theirs)
}

fn text(path: &str, read: ReadFile<'_>, option: &str) -> Result<String, Unreadable> {
    read(path).map_err(|why| {
        Unreadable(format!(
            "{path} cannot be read: {why}. Say with {option} where the file is on this machine."
        ))
    })
}

// === impl Given ===

impl Given {
    /// Takes in a value under its name in a configuration file; a name that means nothing is kept as such.
    pub(super) fn set_key(&mut self, key: &str, origin: Origin, named: &str, items: Vec<String>) {
        match by_key(key).filter(|known| known.theme != Theme::Start) {
            Some(known) => self.set(known, origin, items),
            None => {
                self.unknown.insert(named.to_owned());
            }
        }
    }
}
