//! oauth2-proxy's alpha configuration, which is YAML. Read into the same options as everything else, so that there is
//! one translation.

use serde_json::{Map, Value};

use super::{
    alpha_fields::{METRICS, ONLY, PROVIDER, SERVER, UPSTREAM},
    given::{Given, Header, Origin, Upstream},
    option::known,
    sources::Unreadable,
    yaml,
};

/// Takes in the text of a file.
pub(super) fn take(given: &mut Given, path: &str, text: &str) -> Result<(), Unreadable> {
    let Value::Object(root) = yaml::document(path, text)? else {
        return Err(Unreadable(format!(
            "{path} is not an alpha configuration of oauth2-proxy: at its top are fields such as providers and upstreamConfig."
        )));
    };
    for (field, value) in &root {
        match (field.as_str(), value) {
            ("providers", Value::Array(providers)) => take_providers(given, providers),
            ("upstreamConfig", Value::Object(config)) => {
                for (field, value) in config {
                    match field.as_str() {
                        "upstreams" => take_upstreams(given, value),
                        _ => only(given, &format!("upstreamConfig.{field}")),
                    }
                }
            }
            // As it was before there was upstreamConfig.
            ("upstreams", value) => take_upstreams(given, value),
            ("injectRequestHeaders", Value::Array(headers)) => {
                take_headers(given, headers, "injectRequestHeaders");
            }
            ("injectResponseHeaders", Value::Array(headers)) => {
                take_headers(given, headers, "injectResponseHeaders");
            }
            ("server", value) => take_fields(given, value, "server", SERVER),
            ("metricsServer", value) => take_fields(given, value, "metricsServer", METRICS),
            _ => {
                given.unknown.insert(field.clone());
            }
        }
    }
    Ok(())
}

fn take_providers(given: &mut Given, providers: &[Value]) {
    if providers.len() > 1 {
        only(given, "providers[1]");
    }
    let Some(Value::Object(provider)) = providers.first() else {
        return;
    };
    let mut rest = provider.clone();
    // A name inside, which people never see.
    rest.remove("id");
    for parameter in list(rest.remove("loginURLParameters").as_ref()) {
        take_parameter(given, parameter);
    }
    take_fields(given, &Value::Object(rest), "providers[]", PROVIDER);
}

fn take_parameter(given: &mut Given, parameter: &Value) {
    let name = parameter.get("name").and_then(Value::as_str);
    let option = match name {
        Some("prompt") => known("prompt"),
        Some("acr_values") => known("acr-values"),
        Some("approval_prompt") => known("approval-prompt"),
        _ => None,
    };
    let usual: Vec<String> = list(parameter.get("default"))
        .into_iter()
        .filter_map(yaml::scalar)
        .collect();
    match option.filter(|_| !usual.is_empty()) {
        Some(option) if parameter.get("allow").is_none() => {
            given.set(option, Origin::AlphaConfig, usual);
        }
        Some(option) => {
            given.set(option, Origin::AlphaConfig, usual);
            only(given, "providers[].loginURLParameters");
        }
        None => only(given, "providers[].loginURLParameters"),
    }
}

fn take_upstreams(given: &mut Given, upstreams: &Value) {
    for upstream in list(Some(upstreams)) {
        let text = |key: &str| upstream.get(key).and_then(yaml::scalar).unwrap_or_default();
        let is_static = upstream.get("static") == Some(&Value::Bool(true));
        let code = upstream.get("staticCode").and_then(yaml::scalar);
        let code = code.unwrap_or_else(|| "200".to_owned());
        given.upstreams.push(Upstream {
            path: text("path"),
            uri: if is_static {
                format!("static://{code}")
            } else {
                text("uri")
            },
            is_rewritten: upstream.get("rewriteTarget").is_some(),
        });
        let mut rest = upstream.as_object().cloned().unwrap_or_default();
        for known in ["id", "path", "uri", "rewriteTarget", "static", "staticCode"] {
            rest.remove(known);
        }
        take_fields(given, &Value::Object(rest), "upstreams[]", UPSTREAM);
    }
}

fn take_headers(given: &mut Given, headers: &[Value], place: &str) {
    for header in headers {
        let Some(name) = header.get("name").and_then(Value::as_str) else {
            continue;
        };
        let claims: Vec<Option<String>> = list(header.get("values"))
            .into_iter()
            .map(|value| {
                let source = value.get("claimSource").unwrap_or(value);
                let is_plain =
                    source.get("prefix").is_none() && source.get("basicAuthPassword").is_none();
                let claim = source.get("claim").and_then(Value::as_str);
                claim.filter(|_| is_plain).map(str::to_owned)
            })
            .collect();
        let claim = match claims.as_slice() {
            [one] => one.clone(),
            _ => None,
        };
        let header_given = Header {
            name: name.to_owned(),
            claim,
        };
        if !given.headers.contains(&header_given) {
            given.headers.push(header_given);
        }
        for field in header.as_object().into_iter().flat_map(Map::keys) {
            match field.as_str() {
                "name" | "values" => {}
                _ => only(given, &format!("{place}[].{field}")),
            }
        }
    }
}

/// Takes in fields at any depth by the table that says which options they stand for.
fn take_fields(given: &mut Given, value: &Value, place: &str, fields: &[(&str, &str)]) {
    let mut open = vec![(String::new(), value)];
    while let Some((path, value)) = open.pop() {
        let option = fields.iter().find(|(field, _)| *field == path);
        if let Some(option) = option.and_then(|(_, flag)| known(flag)) {
            let items = list(Some(value)).into_iter().filter_map(yaml::scalar);
            given.set(option, Origin::AlphaConfig, items.collect());
            continue;
        }
        match value {
            Value::Object(inner)
                if path.is_empty() || fields.iter().any(|(field, _)| starts(field, &path)) =>
            {
                for (key, value) in inner {
                    let path = match path.as_str() {
                        "" => key.clone(),
                        path => format!("{path}.{key}"),
                    };
                    open.push((path, value));
                }
            }
            _ => only(given, &format!("{place}.{path}")),
        }
    }
}

fn starts(field: &str, path: &str) -> bool {
    let rest = field.strip_prefix(path);
    rest.is_some_and(|rest| rest.starts_with('.'))
}

/// Notes a field that no option stands for.
fn only(given: &mut Given, path: &str) {
    let is_it = |known: &str| {
        let rest = path.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    match ONLY.iter().find(|only| is_it(only.path)) {
        Some(only) => {
            given.alpha_only.insert((path.to_owned(), only.text));
        }
        None => {
            given.unknown.insert(path.to_owned());
        }
    }
}

fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}
