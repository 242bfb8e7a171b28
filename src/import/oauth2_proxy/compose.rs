//! oauth2-proxy as a service of a Compose file: its command, its environment, and which of its files lie where.
//!
//! `${NAME}` is put in from the `.env` beside the file, as Compose does; this process's own environment is not looked
//! at, so that the result is the same everywhere.

use serde_json::Value;

use super::{ReadFile, environment, interpolate::interpolate, sources::Unreadable, yaml};

/// What a Compose file says of one service.
#[derive(Debug, Default)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// Where files of the container are on this machine: there, here.
    pub(super) mounts: Vec<(String, String)>,
}

/// Reads the service that is oauth2-proxy.
pub(super) fn read(
    path: &str,
    wanted: Option<&str>,
    read: ReadFile<'_>,
) -> Result<Service, Unreadable> {
    let unreadable = |why: String| {
        Unreadable(format!(
            "{path} cannot be read: {why}. Say with --compose where the Compose file is."
        ))
    };
    let text = read(path).map_err(unreadable)?;
    let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
    let variables =
        read(&beside(folder, ".env")).map_or_else(|_| Vec::new(), |text| environment::file(&text));
    let mut file = yaml::document(path, &text)?;
    put_in(&mut file, &variables);
    let (name, service) = choose(path, &file, wanted)?;
    let mut found = Service {
        name: name.to_owned(),
        mounts: mounts(folder, service, &file),
        ..Service::default()
    };
    for entry in list(service.get("env_file")) {
        let named = entry.get("path").unwrap_or(entry);
        let Some(name) = named.as_str() else { continue };
        let is_required = entry.get("required") != Some(&Value::Bool(false));
        match read(&beside(folder, name)) {
            Ok(text) => found.environment.extend(environment::file(&text)),
            Err(why) if is_required => {
                return Err(Unreadable(format!(
                    "{path}: the env_file {name} of service {} cannot be read: {why}. Put it beside the Compose file, or give its variables with --env-file and take it out.",
                    found.name
                )));
            }
            Err(_) => {}
        }
    }
    found.environment.extend(variables_of(service, &variables));
    let mut words = arguments(path, &found.name, service.get("entrypoint"))?;
    words.extend(arguments(path, &found.name, service.get("command"))?);
    let is_program = |word: &String| word.rsplit('/').next() == Some("oauth2-proxy");
    if words.first().is_some_and(is_program) {
        words.remove(0);
    }
    found.arguments = words;
    Ok(found)
}

fn put_in(value: &mut Value, variables: &[(String, String)]) {
    match value {
        Value::String(text) => *text = interpolate(text, variables),
        Value::Array(items) => items.iter_mut().for_each(|item| put_in(item, variables)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| put_in(field, variables)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn choose<'f>(
    path: &str,
    file: &'f Value,
    wanted: Option<&str>,
) -> Result<(&'f str, &'f Value), Unreadable> {
    let services = file.get("services").and_then(Value::as_object);
    let Some(services) = services else {
        return Err(Unreadable(format!(
            "{path} has no services: is it a Compose file?"
        )));
    };
    let names = |found: &[(&'f str, &'f Value)]| {
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let all: Vec<(&str, &Value)> = services.iter().map(|(n, s)| (n.as_str(), s)).collect();
    if let Some(wanted) = wanted {
        let found = all.iter().find(|(name, _)| *name == wanted);
        return found.copied().ok_or_else(|| {
            Unreadable(format!(
                "{path} has no service {wanted}; it has {}. Name one of them with --service.",
                names(&all)
            ))
        });
    }
    let is_it = |(_, service): &&(&str, &Value)| {
        let image = service.get("image").and_then(Value::as_str);
        image.is_some_and(|image| image.contains("oauth2-proxy") || image.contains("oauth2_proxy"))
            || service.to_string().contains("OAUTH2_PROXY_")
    };
    let found: Vec<(&str, &Value)> = all.iter().filter(is_it).copied().collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Unreadable(format!(
            "No service of {path} looks like oauth2-proxy; it has {}. Name the one that is with --service.",
            names(&all)
        ))),
        several => Err(Unreadable(format!(
            "Several services of {path} are oauth2-proxy: {}. Import one after the other: name it with --service.",
            names(several)
        ))),
    }
}

fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

fn variables_of(service: &Value, known: &[(String, String)]) -> Vec<(String, String)> {
    let inherited = |name: &str| {
        let value = known.iter().rev().find(|(known, _)| known == name);
        let value = value.map_or_else(|| format!("${{{name}}}"), |(_, value)| value.clone());
        (name.to_owned(), value)
    };
    match service.get("environment") {
        Some(Value::Object(fields)) => fields
            .iter()
            .map(|(name, value)| match yaml::scalar(value) {
                Some(value) => (name.clone(), value),
                None => inherited(name),
            })
            .collect(),
        Some(Value::Array(lines)) => lines
            .iter()
            .filter_map(Value::as_str)
            .map(|line| match line.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => inherited(line),
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn arguments(path: &str, name: &str, value: Option<&Value>) -> Result<Vec<String>, Unreadable> {
    match value {
        Some(Value::String(line)) => shlex::split(line).ok_or_else(|| {
            Unreadable(format!(
                "{path}: the command of service {name} has a quote that nothing closes. Mend it, or write the command as a list."
            ))
        }),
        Some(Value::Array(words)) => Ok(words.iter().filter_map(yaml::scalar).collect()),
        _ => Ok(Vec::new()),
    }
}

/// Bind mounts and secrets.
fn mounts(folder: &str, service: &Value, file: &Value) -> Vec<(String, String)> {
    let mut mounts = Vec::new();
    for volume in list(service.get("volumes")) {
        let text = |key: &str| volume.get(key).and_then(Value::as_str).map(str::to_owned);
        let pair = match volume.as_str() {
            Some(line) => {
                let mut parts = line.split(':').map(str::to_owned);
                (parts.next(), parts.next())
            }
            None => (text("source"), text("target")),
        };
        // A volume by name is no folder of this machine.
        if let (Some(here), Some(there)) = pair
            && (here.starts_with(['.', '/', '~']))
        {
            mounts.push((there, beside(folder, &here)));
        }
    }
    for secret in list(service.get("secrets")) {
        let source = secret.get("source").unwrap_or(secret).as_str();
        let target = secret.get("target").and_then(Value::as_str).or(source);
        let of = |name: &str| file.get("secrets")?.get(name)?.get("file")?.as_str();
        if let (Some(here), Some(there)) = (source.and_then(of), target) {
            let there = if there.starts_with('/') {
                there.to_owned()
            } else {
                format!("/run/secrets/{there}")
            };
            mounts.push((there, beside(folder, here)));
        }
    }
    mounts
}

/// A path that a file in `folder` names.
fn beside(folder: &str, path: &str) -> String {
    if path.starts_with(['/', '~']) {
        return path.to_owned();
    }
    let path = path.strip_prefix("./").unwrap_or(path);
    match folder {
        "." => path.to_owned(),
        folder => format!("{}/{path}", folder.trim_end_matches('/')),
    }
}
