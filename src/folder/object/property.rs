//! What must hold of every manifest; unit tests and the fuzz target `yaml` share it.

use super::*;
use crate::folder::yaml;

/// The text of a file.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(documents) = yaml::documents(text) else {
        return;
    };
    let file: Arc<str> = "hostile.yaml".into();
    // YAML ends a line at a CR alone as well.
    let lines = text.split(['\n', '\r']).count();
    let lines = u32::try_from(lines).unwrap_or(u32::MAX);
    for document in &documents {
        let json = document.to_json();
        let written = json.to_string();
        assert!(
            written.len() <= MOST_GROWTH * text.len() + 1000,
            "{} octets became {}",
            text.len(),
            written.len()
        );
        assert!(document.place.line <= lines + 1);
        match read(document, &file, &Installation::default()) {
            Ok(Document::Object(object, _)) => check_name(&object.id()),
            Ok(Document::Ignored { .. }) => {}
            Err(fault) => assert!(fault.place.line <= lines + 1 && !fault.message.is_empty()),
        }
    }
}

/// Aliases may repeat what they stand for, but not without bounds.
const MOST_GROWTH: usize = 400;

fn check_name(id: &Id) {
    let names: Vec<&str> = match id {
        Id::Namespace(name) | Id::Secret(name) | Id::IdentityProvider(name) => vec![name],
        Id::ProtectedService(key) | Id::Ingress(key) => vec![&key.namespace, &key.name],
    };
    let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.');
    assert!(
        names
            .iter()
            .all(|name| !name.is_empty() && name.chars().all(plain))
    );
}

#[test]
fn every_committed_manifest_holds_the_property() {
    let inputs = std::fs::read_dir("tests/fuzz/corpus/yaml").unwrap();
    let held = inputs.map(|input| holds(&std::fs::read(input.unwrap().path()).unwrap()));
    assert!(held.count() > 10);
}

#[test]
fn a_manifest_of_many_levels_or_of_repeated_aliases_is_read_or_refused_within_seconds() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        let list = vec![format!("*a{below}"); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    for text in [
        laughs,
        "- ".repeat(100_000),
        "[".repeat(100_000),
        format!("a: \"{}\"", "\\\"".repeat(50_000)),
        "a: &a [*a]\n".to_owned(),
        "---\n".repeat(25_000),
        (0..5_000).map(|n| format!("k{n}: v\n")).collect(),
    ] {
        let start: String = text.chars().take(40).collect();
        let started = std::time::Instant::now();
        // Without optimization, 64 levels take more than the 2 MiB that a test has.
        let reading = std::thread::Builder::new().stack_size(16 << 20);
        let reading =
            reading.spawn(move || yaml::documents(&text).map(|documents| documents.len()));
        drop(reading.unwrap().join().unwrap());
        let took = started.elapsed();
        assert!(took.as_secs() < 60, "{took:?} for {start}");
    }
}
