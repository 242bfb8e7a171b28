//! YAML without types, for files that others wrote.

use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter};

use super::sources::Unreadable;

/// Reads a file of one document.
pub(super) fn document(path: &str, text: &str) -> Result<Value, Unreadable> {
    let options = serde_saphyr::options! {
        // Snippets would quote the neighbourhood, which may be a secret.
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        Unreadable(format!(
            "{path}:{line}: this is not YAML: {}",
            DefaultMessageFormatter.format_message(&error)
        ))
    })
}

/// A scalar as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
