//! YAML with places: a file becomes documents whose every node knows its line and column, so that whatever is
//! found wrong later can be pointed at.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Error, Location, MessageFormatter, Spanned, UserMessageFormatter};

/// Where something stands in a file; both counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) message: String,
}

/// A document or a part of one.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
struct Key {
    place: Place,
    text: String,
}

/// Reads the documents of a file; those without content are left out.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Fault> {
    let options = serde_saphyr::options! {
        // `yes` and `off` are words: Kubernetes would read them as booleans, and refuse them where text belongs.
        strict_booleans: true,
        // Snippets would quote the neighbourhood, which may be a Secret.
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| Fault {
        place: error.location().map_or(Place::START, Place::from),
        message: explain(&error),
    })
}

/// The parser's words, and what to do where they do not say it.
fn explain(error: &Error) -> String {
    let said = UserMessageFormatter.format_message(error);
    if let Error::DuplicateMappingKey { key: Some(key), .. } = error {
        return match key.as_str() {
            "apiVersion" | "kind" | "metadata" | "spec" => format!(
                "{key} stands there twice. Two objects in a file have a line between them with --- and nothing else"
            ),
            _ => format!("{key} stands there twice. Leave one"),
        };
    }
    let advice = if said.contains("tabs disallowed") {
        "indent with spaces"
    } else if said.contains("block mapping") || said.contains("block collection") {
        "what belongs together begins in the same column"
    } else if said.contains("illegal placement of ':'") {
        "is a bracket, brace or quote not closed above? A text with a colon and a blank in it has to be quoted"
    } else if said.contains("unexpected character") {
        "a text with it in front has to be quoted"
    } else {
        return said.into_owned();
    };
    format!("{said}: {advice}")
}

// === impl Place ===

impl Place {
    const START: Self = Self { line: 1, column: 1 };
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let counted = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self {
            line: counted(location.line()),
            column: counted(location.column()),
        }
    }
}

// === impl Node ===

impl Node {
    /// The value of a key, if this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Content::Map(entries) = &self.content else {
            return None;
        };
        entries
            .iter()
            .find(|(k, _)| k.text == key)
            .map(|(_, node)| node)
    }

    /// The text, if this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// All the texts in it, each in a line.
    pub(super) fn texts(&self) -> String {
        match &self.content {
            Content::Text(text) => text.clone(),
            Content::List(items) => items.iter().map(|item| item.texts() + "\n").collect(),
            Content::Map(entries) => entries
                .iter()
                .map(|(key, node)| format!("{}\n{}\n", key.text, node.texts()))
                .collect(),
            Content::Null | Content::Bool(_) | Content::Number(_) => String::new(),
        }
    }

    /// The same without places.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, node)| (key.text.clone(), node.to_json()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// Reads it as a type. A fault stands at the field that is wrong and names it.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_path_to_error::deserialize(self.to_json()).map_err(|error| {
            let path: Vec<String> = error.path().iter().map(ToString::to_string).collect();
            self.fault_at(&path, &unquoted(&error.inner().to_string()))
        })
    }

    /// A fault at the part that a path of keys and indexes leads to, or as near to it as there is something.
    pub(super) fn fault_at(&self, path: &[String], message: &str) -> Fault {
        let field = path.iter().map(|step| match step.strip_prefix('[') {
            Some(_) => step.clone(),
            None => format!(".{step}"),
        });
        let field: String = field.collect();
        let message = match field.strip_prefix('.') {
            Some(field) if !field.is_empty() => format!("{field}: {message}"),
            _ => message.to_owned(),
        };
        Fault {
            place: self.place_of(path),
            message,
        }
    }

    /// Where a field stands, such as `spec.allow[0].emails`, or what is nearest to it.
    pub(super) fn place_of_field(&self, field: &str) -> Place {
        let steps = field.split('.').flat_map(|step| {
            let (name, indexes) = step.split_at(step.find('[').unwrap_or(step.len()));
            let indexes = indexes.split_inclusive(']');
            std::iter::once(name).chain(indexes)
        });
        let path: Vec<String> = steps
            .filter(|step| !step.is_empty())
            .map(str::to_owned)
            .collect();
        self.place_of(&path)
    }

    fn place_of(&self, path: &[String]) -> Place {
        let Some((step, rest)) = path.split_first() else {
            return self.place;
        };
        match &self.content {
            Content::Map(entries) => match entries.iter().find(|(key, _)| key.text == *step) {
                Some((key, _)) if rest.is_empty() => key.place,
                Some((_, node)) => node.place_of(rest),
                None => self.place,
            },
            Content::List(items) => {
                let index = step.trim_matches(['[', ']']).parse::<usize>().ok();
                let item = index.and_then(|index| items.get(index));
                item.map_or(self.place, |item| item.place_of(rest))
            }
            _ => self.place,
        }
    }
}

/// A complaint about a type without the value that has the wrong one: it may be a secret that somebody wrote where its
/// name belongs.
fn unquoted(complaint: &str) -> Cow<'_, str> {
    let Some((found, expected)) = complaint
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return Cow::Borrowed(complaint);
    };
    let kind = found.split(['"', '`']).next().unwrap_or_default();
    let expected = match expected {
        "a sequence" => "a list, such as [one, two]",
        expected if expected.starts_with("struct ") => "fields, such as {name: value}",
        expected => expected,
    };
    Cow::Owned(format!(
        "invalid type: {}, expected {expected}",
        kind.trim_end()
    ))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            place: spanned.referenced.into(),
            content: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self {
            place: spanned.referenced.into(),
            text: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has too")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        Number::from_f64(value)
            .map(Content::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Content::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, column: u32) -> Place {
        Place { line, column }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read counts")]
    struct Sample {
        name: String,
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read counts")]
    struct Item {
        port: u16,
    }

    #[test]
    fn documents_know_where_they_stand_and_empty_ones_are_left_out() {
        let text = "# a comment\n---\nname: a\n---\n---\n  # nothing\n---\nname: \"yes\"\nb: yes\nc: 012\n";
        let documents = documents(text).unwrap();
        let places: Vec<_> = documents
            .iter()
            .map(|d| (d.place.line, d.place.column))
            .collect();
        assert_eq!(places, [(3, 1), (8, 1)]);
        assert_eq!(documents[1].get("name").unwrap().text(), Some("yes"));
        assert_eq!(documents[1].get("b").unwrap().text(), Some("yes"));
        assert!(super::documents("").unwrap().is_empty());
    }

    #[test]
    fn usual_slips_are_told_with_what_to_do() {
        let said = |text: &str| documents(text).unwrap_err().message;
        for (text, advice) in [
            ("a:\n\tb: 1\n", "indent with spaces"),
            ("a: 1\n b: 2\n", ""),
            ("spec:\n  a: 1\n b: 2\n", "begins in the same column"),
            ("a: [@b]\n", "has to be quoted"),
            ("a: [{b: 1}\nc:\n- d\n", "not closed above"),
            ("a: 1\na: 2\n", "a stands there twice. Leave one"),
            (
                "kind: A\nspec: {}\nkind: B\n",
                "a line between them with ---",
            ),
        ] {
            assert!(said(text).contains(advice), "{text:?}: {}", said(text));
            assert!(!said(text).contains("Options"), "{text:?}: {}", said(text));
        }
    }

    #[test]
    fn a_wrong_field_is_pointed_at_and_named() {
        let read = |text: &str| documents(text).unwrap()[0].read::<Sample>().unwrap_err();
        let unknown = read("name: a\nitems:\n- port: 1\n- prot: 2\n");
        assert_eq!(unknown.place, at(4, 3));
        assert!(
            unknown.message.starts_with("items[1].prot: unknown field"),
            "{unknown:?}"
        );
        let wrong = read("name: a\nitems:\n  - port: many\n");
        assert_eq!(wrong.place, at(3, 5));
        assert!(
            wrong.message.starts_with("items[0].port: invalid type"),
            "{wrong:?}"
        );
        let missing = read("# x\nname: a\n");
        assert_eq!(
            (missing.place, &*missing.message),
            (at(2, 1), "missing field `items`")
        );
    }

    #[test]
    fn what_was_expected_is_told_in_words_of_yaml() {
        let fault = documents("name: a\nitems: [/healthz]\n").unwrap()[0]
            .read::<Sample>()
            .unwrap_err();
        assert_eq!(
            fault.message,
            "items[0]: invalid type: string, expected fields, such as {name: value}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_quoted() {
        for value in ["hunter2", "'hunter2, expected b'", "27182818", "2.7182818"] {
            let text = format!("name: a\nitems: {value}\n");
            let fault = documents(&text).unwrap()[0].read::<Sample>().unwrap_err();
            let (kind, expected) = fault.message.split_once(", ").unwrap();
            assert!(kind.starts_with("items: invalid type: "), "{fault:?}");
            assert_eq!(expected, "expected a list, such as [one, two]");
            assert!(!kind.contains(['2', '"', '`']), "{fault:?}");
        }
    }

    #[test]
    fn broken_yaml_is_pointed_at_and_not_quoted() {
        for (text, line) in [
            ("a: 1\nb: [1, 2\nc: 3\n", 3),
            ("a: 1\n b: s3cret\n", 2),
            ("a: 1\na: s3cret\n", 2),
            ("a: 's3cret\n", 2),
            ("a: *s3cret\n", 1),
        ] {
            let fault = documents(text).unwrap_err();
            assert_eq!(fault.place.line, line, "{text:?} {fault:?}");
            assert!(
                !fault.message.is_empty() && !fault.message.contains('\n'),
                "{fault:?}"
            );
        }
    }
}
