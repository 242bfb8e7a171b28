//! Arguments, as oauth2-proxy's command line reads them.

use super::{
    given::{Given, Origin},
    option::{Kind, known},
};

/// Takes in arguments.
pub(super) fn take(given: &mut Given, arguments: &[String]) {
    let mut rest = arguments.iter().enumerate();
    while let Some((at, argument)) = rest.next() {
        let place = at.saturating_add(1);
        let Some(bare) = argument.strip_prefix('-').filter(|bare| !bare.is_empty()) else {
            // Whatever it is may be a secret that lost its option.
            let what = format!("argument {place}, which belongs to no option");
            given.unknown.insert(what);
            continue;
        };
        let bare = bare.strip_prefix('-').unwrap_or(bare);
        let (name, value) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        let Some(known) = known(name) else {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            given.unknown.insert(if name.chars().all(is_name) {
                format!("--{name}")
            } else {
                format!("argument {place}, which is no option")
            });
            continue;
        };
        let value = match (value, known.kind) {
            (Some(value), _) => value,
            (None, Kind::Switch) => "true".to_owned(),
            (None, _) => match rest.next() {
                Some((_, value)) => value.clone(),
                None => String::new(),
            },
        };
        let items = match known.kind {
            Kind::List => comma_separated(&value),
            _ => vec![value],
        };
        given.set(known, Origin::Flags, items);
    }
}

/// A line of comma-separated values, in which quotes hold an item together (RFC 4180).
fn comma_separated(line: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut item = String::new();
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => item.extend(letters.next()),
            '"' if quoted || item.is_empty() => quoted = !quoted,
            ',' if !quoted => items.push(std::mem::take(&mut item)),
            other => item.push(other),
        }
    }
    items.push(item);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Given {
        let mut given = Given::default();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        take(&mut given, &arguments);
        given
    }

    #[test]
    fn values_stand_behind_an_equals_sign_or_in_the_next_argument() {
        let given = read(&["--provider=oidc", "--client-id", "abc", "-scope=openid a=b"]);
        assert_eq!(given.text("provider"), Some("oidc"));
        assert_eq!(given.text("client-id"), Some("abc"));
        assert_eq!(given.text("scope"), Some("openid a=b"));
    }

    #[test]
    fn lists_add_up_and_split_at_commas_and_the_last_of_one_value_counts() {
        let given = read(&[
            "--email-domain=a.example,b.example",
            "--email-domain=c.example",
            "--allowed-group=\"x, y\",z",
            "--provider=google",
            "--provider=oidc",
        ]);
        assert_eq!(
            given.list("email-domain"),
            ["a.example", "b.example", "c.example"]
        );
        assert_eq!(given.list("allowed-group"), ["x, y", "z"]);
        assert_eq!(given.text("provider"), Some("oidc"));
    }

    #[test]
    fn a_switch_takes_no_value_from_the_next_argument() {
        let given = read(&["--reverse-proxy", "stray", "--skip-auth-preflight=false"]);
        assert!(given.is_on("reverse-proxy") && !given.is_on("skip-auth-preflight"));
        let unknown: Vec<&String> = given.unknown.iter().collect();
        assert_eq!(unknown, ["argument 2, which belongs to no option"]);
    }

    #[test]
    fn what_is_not_known_is_named_without_its_value() {
        let given = read(&["--cookie-secretx=hush", "--", "hush"]);
        assert!(!format!("{given:?}").contains("hush"), "{given:?}");
        assert!(given.unknown.contains("--cookie-secretx"));
    }
}
