//! oauth2-proxy's configuration file, which is TOML.

use toml::{Table, Value};

use super::{
    given::{Given, Origin},
    option::{Kind, by_key},
    sources::Unreadable,
};

/// Takes in the text of a file.
pub(super) fn take(given: &mut Given, path: &str, text: &str) -> Result<(), Unreadable> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        // The error's own text would quote the line, which may hold a secret.
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count().saturating_add(1));
        Unreadable(format!(
            "{path}:{line}: this is not TOML: {}. Values are written as name = \"value\", lists as name = [\"one\", \"two\"].",
            error.message()
        ))
    })?;
    for (key, value) in table {
        let is_list = by_key(&key).is_some_and(|known| known.kind == Kind::List);
        match items(&value, is_list) {
            Some(items) => given.set_key(&key, Origin::ConfigFile, &key, items),
            None => {
                given.unknown.insert(key);
            }
        }
    }
    Ok(())
}

fn items(value: &Value, is_list: bool) -> Option<Vec<String>> {
    match value {
        Value::String(text) if is_list => Some(text.split(',').map(str::to_owned).collect()),
        Value::String(text) => Some(vec![text.clone()]),
        Value::Boolean(value) => Some(vec![value.to_string()]),
        Value::Integer(value) => Some(vec![value.to_string()]),
        Value::Float(value) => Some(vec![value.to_string()]),
        Value::Array(values) => {
            let one = |value: &Value| items(value, false)?.pop();
            values.iter().map(one).collect()
        }
        Value::Table(_) | Value::Datetime(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_file_whatever_their_case_and_lists_may_be_one_text() {
        let mut given = Given::default();
        let text = "Provider = 'oidc'\nemail_domains = 'a.example,b.example'\nreverse_proxy = true\n\
                    google_group = ['x']\nallowed_groups = ['y, z']\nemail-domain = 'no'\n[section]\n";
        take(&mut given, "x.cfg", text).unwrap();
        assert_eq!(given.text("provider"), Some("oidc"));
        assert_eq!(given.list("email-domain"), ["a.example", "b.example"]);
        assert_eq!(given.list("google-group"), ["x"]);
        assert_eq!(given.list("allowed-group"), ["y, z"]);
        let unknown: Vec<&String> = given.unknown.iter().collect();
        assert_eq!(unknown, ["email-domain", "section"]);
    }

    #[test]
    fn a_broken_file_is_named_with_its_line_and_quotes_nothing() {
        let text = "provider = \"oidc\"\nclient_secret = hush-hush\n";
        let error = take(&mut Given::default(), "x.cfg", text)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("x.cfg:2: this is not TOML"), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}
