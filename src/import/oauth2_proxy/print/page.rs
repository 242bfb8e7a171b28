//! A page of manifests: fields in the order in which one reads them, with notes by them, and comments broken at words.

use serde_json::Value;

use crate::import::oauth2_proxy::manifests::Note;

const WIDTH: usize = 112;

/// Fields in the order in which one reads them; others follow as they come.
const ORDER: &[&str] = &[
    "type",
    "value",
    "host",
    "displayName",
    "default",
    "closed",
    "oidc",
    "google",
    "clientID",
    "clientSecretRef",
    "scopes",
    "emailVerification",
    "hosts",
    "identityProviders",
    "anyAuthenticated",
    "allow",
    "emailDomains",
    "emails",
    "groups",
    "claims",
    "rules",
    "paths",
    "access",
    "session",
    "name",
    "key",
    "from",
    "claim",
    "values",
];

/// Fields that people look for even when they say nothing.
pub(super) const MISSED: [&str; 7] = [
    "anyAuthenticated",
    "allow",
    "rules",
    "emailVerification",
    "hosts",
    "claims",
    "scopes",
];

/// A page of YAML and comments, written line by line.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

// === impl Page ===

impl Page {
    pub(super) fn line(&mut self, indent: usize, text: &str) {
        self.text.push_str(&" ".repeat(indent));
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A command in a comment, which must stay on one line.
    pub(super) fn command(&mut self, text: &str) {
        self.text.push_str("#   ");
        self.text.push_str(&printable(text));
        self.text.push('\n');
    }

    /// A comment, broken at words; what stands before its text is kept as indent.
    pub(super) fn comment(&mut self, indent: usize, text: &str) {
        for paragraph in text.split('\n').map(printable) {
            let paragraph = paragraph.as_str();
            let inner = paragraph.chars().take_while(|c| " !".contains(*c)).count();
            let mut line = String::new();
            let mut is_first = true;
            for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
                let width = indent
                    .saturating_add(line.chars().count())
                    .saturating_add(word.chars().count());
                if !line.is_empty() && width.saturating_add(3) > WIDTH && word != "!" {
                    self.line(indent, &format!("# {line}"));
                    line = " ".repeat(inner);
                    is_first = false;
                }
                if line.is_empty() && is_first {
                    let margin = paragraph.chars().take_while(|c| *c == ' ').count();
                    line = " ".repeat(margin);
                } else if !line.trim().is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            self.line(indent, &format!("# {line}"));
        }
    }

    pub(super) fn notes(&mut self, indent: usize, notes: &[&Note]) {
        for note in notes {
            let mark = if note.decide { "! " } else { "" };
            let about = note.about.join(", ");
            let text = match (about.as_str(), note.text.as_str()) {
                ("", text) => text.to_owned(),
                (about, "") => about.to_owned(),
                (about, text) => format!("{about}: {text}"),
            };
            self.comment(indent, &format!("{mark}{text}"));
        }
    }

    pub(super) fn head(&mut self, kind: &str, name: &str) {
        self.line(0, "apiVersion: vestibule.dev/v1alpha1");
        self.line(0, &format!("kind: {kind}"));
        self.line(0, &format!("metadata: {{name: {}}}", plain(name)));
        self.line(0, "spec:");
    }

    /// The fields of a map, with what there is to say of each.
    pub(super) fn fields<'n>(
        &mut self,
        indent: usize,
        at: &str,
        value: &Value,
        notes: &impl Fn(&str) -> Vec<&'n Note>,
    ) {
        let Value::Object(fields) = value else {
            return;
        };
        let mut fields: Vec<(&str, &Value)> = fields.iter().map(|(k, v)| (k.as_str(), v)).collect();
        // Notes by fields that say nothing stand where the field would be.
        for missing in MISSED {
            if at.is_empty()
                && !notes(missing).is_empty()
                && !fields.iter().any(|(key, _)| *key == missing)
            {
                fields.push((missing, &Value::Null));
            }
        }
        fields.sort_by_key(|(key, _)| place(key));
        for (key, value) in fields {
            let path = if at.is_empty() {
                key.to_owned()
            } else {
                format!("{at}.{key}")
            };
            let said = notes(&path);
            let (short, long): (Vec<&Note>, Vec<&Note>) = said
                .into_iter()
                .partition(|note| note.text.is_empty() && !note.decide);
            let long_is_empty = long.is_empty();
            self.notes(indent, &long);
            let mut behind: Vec<&str> = short
                .iter()
                .flat_map(|note| &note.about)
                .map(String::as_str)
                .collect();
            behind.dedup();
            let behind = if behind.is_empty() {
                String::new()
            } else {
                format!("   # {}", behind.join(", "))
            };
            match value {
                // An empty list is what is meant, not an omission.
                Value::Null if key == "allow" => self.line(indent, &format!("allow: []{behind}")),
                Value::Null => {}
                // What holds anyway, unless there is something to say about it.
                Value::String(text) if text == "Required" && long_is_empty => {}
                Value::Object(_)
                    if one_line(value).len() > 60 || has_notes(&path, value, notes) =>
                {
                    self.line(indent, &format!("{key}:{behind}"));
                    self.fields(indent.saturating_add(2), &path, value, notes);
                }
                Value::Array(items) if key != "scopes" && key != "identityProviders" => {
                    self.line(indent, &format!("{key}:{behind}"));
                    for item in items {
                        self.item(indent, item);
                    }
                }
                _ => self.line(indent, &format!("{key}: {}{behind}", one_line(value))),
            }
        }
    }

    fn item(&mut self, indent: usize, value: &Value) {
        let flat = one_line(value);
        match value {
            Value::Object(_) if flat.len() > 90 => {
                let mut inner = Self::default();
                inner.fields(indent.saturating_add(2), "item", value, &|_| Vec::new());
                let (before, after) = inner
                    .text
                    .split_at_checked(indent)
                    .unwrap_or(("", &inner.text));
                let after = after.strip_prefix("  ").unwrap_or(after);
                self.text.push_str(before);
                self.text.push_str("- ");
                self.text.push_str(after);
            }
            _ => self.line(indent, &format!("- {flat}")),
        }
    }
}

/// Without what could end a comment.
fn printable(text: &str) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.replace(is_break, " ")
}

fn has_notes<'n>(at: &str, value: &Value, notes: &impl Fn(&str) -> Vec<&'n Note>) -> bool {
    let fields = value.as_object().into_iter().flatten();
    let mut paths = fields.map(|(key, _)| format!("{at}.{key}"));
    paths.any(|path| !notes(&path).is_empty())
}

/// Where a field stands among others.
fn place(key: &str) -> usize {
    let place = ORDER.iter().position(|known| *known == key);
    place.unwrap_or(ORDER.len())
}

/// A value in YAML's flow style.
fn one_line(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| place(key));
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{key}: {}", one_line(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(one_line).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// A text without quotes where nobody could read it as something else.
fn plain(text: &str) -> String {
    // Letters that no form of a number, a date or infinity has.
    let is_no_number = text
        .chars()
        .any(|c| matches!(c, 'g' | 'h' | 'j'..='m' | 'p'..='s' | 'u'..='w' | 'y'));
    let starts = text.chars().next().is_some_and(|c| {
        c.is_ascii_alphabetic() || c == '/' || (c.is_ascii_digit() && is_no_number)
    });
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_./@+".contains(c);
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
    );
    if starts && text.chars().all(inner) && !is_word {
        text.to_owned()
    } else {
        // JSON's form is YAML too.
        Value::String(text.to_owned()).to_string()
    }
}
