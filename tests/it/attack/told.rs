//! docs/security.md names the tests that guard what must hold; they exist.

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn every_test_that_the_security_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for folder in ["src", "tests/it"] {
        collect(&root.join(folder), &mut tests);
    }
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let code: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let is_sentence = |name: &&&str| {
        name.matches('_').count() >= 3
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let named: Vec<&str> = code.iter().filter(is_sentence).copied().collect();
    assert!(named.len() > 60, "{} tests are named", named.len());
    let missing: Vec<&&str> = named
        .iter()
        .filter(|name| !tests.contains(**name))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/security.md names tests that do not exist: {missing:#?}"
    );
}

fn collect(folder: &Path, tests: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| {
                line.trim_start()
                    .strip_prefix("fn ")
                    .or(line.trim_start().strip_prefix("async fn "))
            });
            tests.extend(
                names
                    .filter_map(|rest| rest.split('(').next())
                    .map(str::to_owned),
            );
        }
    }
}
