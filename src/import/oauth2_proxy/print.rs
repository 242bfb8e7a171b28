//! Manifests as YAML that is pleasant to read: every field as a person would write it, every note where it belongs.

use serde_json::Value;

use super::{
    given::Given,
    manifests::{Manifests, Note, Place, Rest},
    option::known,
    translate::Translation,
};

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

/// What `vestibule check` has to be told as `serve` is.
const CHECKED: [&str; 8] = [
    "--manifests",
    "--secrets-dir",
    "--front-door",
    "--public-port",
    "--auth-host",
    "--endpoint-prefix",
    "--identity-header",
    "--max-session",
];

/// Fields that people look for even when they say nothing.
const MISSED: [&str; 7] = [
    "anyAuthenticated",
    "allow",
    "rules",
    "emailVerification",
    "hosts",
    "claims",
    "scopes",
];

/// Writes it.
pub(super) fn print(given: &Given, made: &Manifests) -> Translation {
    let mut page = Page::default();
    page.comment(
        0,
        &format!(
            "Made by `vestibule import oauth2-proxy` from {}.",
            given.sources.join(", ")
        ),
    );
    let strange = given.unknown.len().saturating_add(given.alpha_only.len());
    let decisions = made.notes.iter().filter(|note| note.decide).count();
    let decisions = decisions.saturating_add(strange);
    page.comment(0, match decisions {
        0 => "Who got in before gets in now, and nobody else.",
        _ => "Nothing is more open than it was. Lines with an exclamation mark want a decision before people move:\nsomething is closed that was not, or means something else.",
    });
    let provider = made.provider.as_ref();
    let provider = provider.and_then(|(_, spec)| serde_json::to_value(spec).ok());
    let service = made.services.first();
    let service = service.and_then(|(_, spec)| serde_json::to_value(spec).ok());
    let provider_notes = |field: &str| {
        notes(
            made,
            |place| matches!(place, Place::Provider(at) if near(at, provider.as_ref()) == field),
        )
    };
    let service_notes = |field: &str| {
        notes(
            made,
            |place| matches!(place, Place::Service(at) if near(at, service.as_ref()) == field),
        )
    };

    page.blank();
    if let Some((name, spec)) = &made.provider {
        page.head("IdentityProvider", name);
        page.notes(2, &provider_notes(""));
        page.fields(
            2,
            "",
            &serde_json::to_value(spec).unwrap_or_default(),
            &provider_notes,
        );
    } else {
        page.notes(0, &provider_notes(""));
    }
    for (number, (name, spec)) in made.services.iter().enumerate() {
        page.line(0, "---");
        page.head("ProtectedService", name);
        let spec = serde_json::to_value(spec).unwrap_or_default();
        if number == 0 {
            page.notes(2, &service_notes(""));
            page.fields(2, "", &spec, &service_notes);
        } else {
            page.fields(2, "", &spec, &|_| Vec::new());
        }
    }
    serve(&mut page, made);
    rest(&mut page, made);
    unknown(&mut page, given);
    Translation {
        text: page.text,
        decisions,
    }
}

/// The field, or the top if there is no such field and nobody would look for it.
fn near<'a>(at: &'a str, spec: Option<&Value>) -> &'a str {
    let found = spec.and_then(|spec| at.split('.').try_fold(spec, |value, key| value.get(key)));
    if found.is_some() || MISSED.contains(&at) {
        at
    } else {
        ""
    }
}

fn notes(made: &Manifests, is_there: impl Fn(&Place) -> bool) -> Vec<&Note> {
    made.notes
        .iter()
        .filter(|note| is_there(&note.place))
        .collect()
}

fn serve(page: &mut Page, made: &Manifests) {
    page.blank();
    page.comment(0, "How to run it, with this file in ./manifests:");
    page.comment(0, "");
    let mut step = |text: &str| {
        page.text.push_str("#   ");
        page.text.push_str(&printable(text));
        page.text.push('\n');
    };
    step("install -d -m 0700 secrets state");
    if let Some(secret) = &made.serve.secret {
        step(secret);
    }
    let all: Vec<&String> = made.serve.arguments.iter().collect();
    let checked =
        |argument: &&String| CHECKED.contains(&argument.split(' ').next().unwrap_or_default());
    let checked: Vec<&String> = all.iter().copied().filter(checked).collect();
    for (command, arguments) in [("vestibule check", checked), ("vestibule serve", all)] {
        step(&format!("{command} \\"));
        for (number, argument) in arguments.iter().enumerate() {
            let is_last = number.saturating_add(1) == arguments.len();
            step(&format!("  {argument}{}", if is_last { "" } else { " \\" }));
        }
    }
    page.comment(0, "");
    let (short, long): (Vec<&Note>, Vec<&Note>) = notes(made, |place| *place == Place::Serve)
        .into_iter()
        .partition(|note| note.text.is_empty() && !note.decide);
    let carried: Vec<&str> = short
        .iter()
        .flat_map(|note| &note.about)
        .map(String::as_str)
        .collect();
    if !carried.is_empty() {
        page.comment(0, &format!("Carried over from {}.", carried.join(", ")));
    }
    page.notes(0, &long);
    page.comment(
        0,
        "At the identity provider, add to the redirect URIs of the client, beside the old one:",
    );
    for uri in &made.serve.redirect_uris {
        match uri.split_once("*.") {
            Some((scheme, rest)) => page.comment(
                0,
                &format!("  {scheme}NAME.{rest} for each host, since providers take no wildcard"),
            ),
            None => page.comment(0, &format!("  {uri}")),
        }
    }
}

fn rest(page: &mut Page, made: &Manifests) {
    for (kind, heading) in [
        (Rest::NotNeeded, "Not needed any more:"),
        (Rest::Unsupported, "Not supported; nobody loses access:"),
        (Rest::NoEffect, "Without effect in this configuration:"),
        (Rest::Usual, "Given as it is by default:"),
    ] {
        let those = notes(made, |place| *place == Place::End(kind));
        if those.is_empty() {
            continue;
        }
        page.blank();
        page.comment(0, heading);
        let flags: Vec<&String> = those.iter().flat_map(|note| &note.about).collect();
        if matches!(kind, Rest::Usual | Rest::NoEffect) {
            let flags: Vec<&str> = flags.iter().map(|flag| flag.as_str()).collect();
            page.comment(0, &format!("  {}", flags.join(", ")));
            continue;
        }
        // One line for all that have the same reason.
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for flag in flags {
            let text = flag
                .strip_prefix("--")
                .and_then(known)
                .map_or("", |known| known.text);
            match reasons.iter_mut().find(|(reason, _)| *reason == text) {
                Some((_, flags)) => flags.push(flag),
                None => reasons.push((text, vec![flag])),
            }
        }
        for (reason, flags) in reasons {
            page.comment(0, &format!("  {}: {reason}", flags.join(", ")));
        }
    }
}

fn unknown(page: &mut Page, given: &Given) {
    if !given.alpha_only.is_empty() {
        page.blank();
        page.comment(0, "Of the alpha configuration:");
        for (path, text) in &given.alpha_only {
            page.comment(0, &format!("! {path}: {text}"));
        }
    }
    if !given.unknown.is_empty() {
        page.blank();
        page.comment(0, "oauth2-proxy 7.15 knows nothing of these, so nothing was made of them. A name that is almost right has no effect there either: lists are flags in the singular and keys and variables in the plural.");
        for name in &given.unknown {
            page.comment(0, &format!("! {name}"));
        }
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

// === impl Page ===

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        self.text.push_str(&" ".repeat(indent));
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A comment, broken at words; what stands before its text is kept as indent.
    fn comment(&mut self, indent: usize, text: &str) {
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

    fn notes(&mut self, indent: usize, notes: &[&Note]) {
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

    fn head(&mut self, kind: &str, name: &str) {
        self.line(0, "apiVersion: vestibule.dev/v1alpha1");
        self.line(0, &format!("kind: {kind}"));
        self.line(0, &format!("metadata: {{name: {}}}", plain(name)));
        self.line(0, "spec:");
    }

    /// The fields of a map, with what there is to say of each.
    fn fields<'n>(
        &mut self,
        indent: usize,
        at: &str,
        value: &Value,
        notes: &impl Fn(&str) -> Vec<&'n Note>,
    ) {
        let Value::Object(fields) = value else {
            return;
        };
        let place = |key: &str| {
            ORDER
                .iter()
                .position(|known| *known == key)
                .unwrap_or(ORDER.len())
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

/// A value in YAML's flow style.
fn one_line(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let place = |key: &str| {
                ORDER
                    .iter()
                    .position(|known| *known == key)
                    .unwrap_or(ORDER.len())
            };
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
    match starts && text.chars().all(inner) && !is_word {
        true => text.to_owned(),
        // JSON's form is YAML too.
        false => Value::String(text.to_owned()).to_string(),
    }
}

/// Every option and what becomes of it, as tables for people.
#[must_use]
pub fn fates() -> String {
    let mut text = String::new();
    let mut heading = "";
    for known in super::option::table() {
        if known.heading() != heading {
            heading = known.heading();
            text.push_str(&format!(
                "\n### {heading}\n\n| option | fate | what becomes of it |\n|---|---|---|\n"
            ));
        }
        text.push_str(&format!(
            "| `--{}` | {} | {} |\n",
            known.flag, known.fate, known.text
        ));
    }
    text
}
