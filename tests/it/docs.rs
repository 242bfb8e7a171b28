//! What the documentation promises is there: every reason that a condition or an Event may have is explained, and every
//! place that ARCHITECTURE.md names exists.

use std::path::Path;

const REASONS: &str = include_str!("../../src/resource/condition.rs");
const PAGE: &str = include_str!("../../docs/troubleshooting.md");

#[test]
fn every_reason_is_explained_and_every_explanation_has_a_reason() {
    let mut reasons: Vec<&str> = REASONS
        .split("impl Reason {")
        .nth(1)
        .into_iter()
        .flat_map(|rest| rest.split("=> \"").skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(reasons.len() > 20, "the reasons have moved: {reasons:?}");
    let mut explained: Vec<String> = PAGE
        .split("<a id=\"")
        .skip(1)
        .filter_map(|rest| {
            let (id, rest) = rest.split_once("\"></a>`")?;
            let name = rest.split('`').next()?;
            assert_eq!(id, name.to_lowercase());
            Some(name.to_owned())
        })
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    explained.sort_unstable();
    assert_eq!(reasons, explained);
}

#[test]
fn every_place_that_the_architecture_names_exists() {
    let page = include_str!("../../ARCHITECTURE.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for name in page.split('`').skip(1).step_by(2) {
        let is_place = (name.contains('/') || name.ends_with(".rs"))
            // One beside each of several, a pattern, a host, a name yet to be given.
            && name != "metrics.rs"
            && !name.contains(|c: char| c.is_whitespace() || "*=:".contains(c))
            && !name.contains("NAME");
        if !is_place {
            continue;
        }
        named += 1;
        let chart = root.join("charts/vestibule");
        let there = [root.join("src"), root.to_owned(), chart]
            .iter()
            .any(|folder| folder.join(name).exists());
        assert!(there, "ARCHITECTURE.md names {name}, which is not there");
    }
    assert!(named > 40, "{named}");
}
