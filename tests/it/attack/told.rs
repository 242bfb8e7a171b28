//! docs/security.md names the tests that guard what must hold, and says how many cases some have: they exist, and have
//! as many.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Fails unless docs/security.md says that this test has so many cases: ``` `a_test` (12) ```.
pub(crate) fn cases(test: &str, count: usize) {
    let page = fs::read_to_string(page()).unwrap();
    let said = format!("`{test}` ({})", in_words(count));
    assert!(page.contains(&said), "docs/security.md does not say {said}");
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")
}

/// `5256` as the page writes it: `5,256`.
fn in_words(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8(groups.join(&b","[..])).unwrap()
}

#[test]
fn the_cases_of_an_attack_are_those_of_its_tests_together() {
    let page = fs::read_to_string(page()).unwrap();
    let rows = page.split("| attack |").nth(1).unwrap();
    let rows = rows.split("\n\n").next().unwrap().lines().skip(2);
    let mut counted = 0;
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (cases, tests) = (cells[cells.len() - 3], cells[cells.len() - 1]);
        let counts = tests.split("` (").skip(1);
        let counts: Vec<usize> = counts
            .map(|rest| {
                rest.split(')')
                    .next()
                    .unwrap()
                    .replace(',', "")
                    .parse()
                    .unwrap()
            })
            .collect();
        if !counts.is_empty() {
            let sum: usize = counts.iter().sum();
            assert_eq!(cases, in_words(sum), "{row}");
            counted += 1;
        }
    }
    assert!(counted >= 5, "{counted} rows are counted by their tests");
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for folder in ["src", "tests/it"] {
        collect(&root.join(folder), &mut tests);
    }
    let page = fs::read_to_string(page()).unwrap();
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
