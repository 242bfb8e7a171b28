//! What the documentation promises is there: every reason that a condition or an Event may have is explained.

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
