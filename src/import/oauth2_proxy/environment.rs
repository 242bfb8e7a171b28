//! `OAUTH2_PROXY_...` variables, and files that hold them.

use super::{
    given::{Given, Origin},
    option::{Kind, by_key},
};

const PREFIX: &str = "OAUTH2_PROXY_";

/// Takes in variables; those of other programs are passed over, and an empty one counts as not set. Of equal names
/// the last one counts.
pub(super) fn take(given: &mut Given, variables: &[(String, String)]) {
    for (at, (name, value)) in variables.iter().enumerate() {
        let again = variables.iter().skip(at.saturating_add(1));
        let Some(key) = name.strip_prefix(PREFIX).filter(|_| !value.is_empty()) else {
            continue;
        };
        if again.clone().any(|(later, _)| later == name) {
            continue;
        }
        let is_list = by_key(key).is_some_and(|known| known.kind == Kind::List);
        let items = if is_list {
            value.split(',').map(str::to_owned).collect()
        } else {
            vec![value.clone()]
        };
        given.set_key(key, Origin::Environment, name, items);
    }
}

/// The variables of a file with a `NAME=value` on each line.
pub(super) fn file(text: &str) -> Vec<(String, String)> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    let value = value.trim();
    let unquoted = ['"', '\''].iter().find_map(|quote| {
        let inner = value.strip_prefix(*quote)?;
        inner.split_once(*quote).map(|(inner, _)| inner)
    });
    let bare = || match value.find(" #") {
        Some(comment) => value.get(..comment).unwrap_or(value).trim_end(),
        None => value,
    };
    Some((
        name.trim().to_owned(),
        unquoted.unwrap_or_else(bare).to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_file_and_wrong_ones_are_told() {
        let mut given = Given::default();
        let text = "# comment\nexport OAUTH2_PROXY_EMAIL_DOMAINS=a.example,b.example\n\
                    OAUTH2_PROXY_EMAIL_DOMAIN=c.example\nOAUTH2_PROXY_PROVIDER=\"oidc\" # why\n\
                    OAUTH2_PROXY_SCOPE=openid email # not groups\nPATH=/bin\nOAUTH2_PROXY_PROMPT=\n";
        take(&mut given, &file(text));
        assert_eq!(given.list("email-domain"), ["a.example", "b.example"]);
        assert_eq!(given.text("provider"), Some("oidc"));
        assert_eq!(given.text("scope"), Some("openid email"));
        assert!(!given.has("prompt"));
        let unknown: Vec<&String> = given.unknown.iter().collect();
        assert_eq!(unknown, ["OAUTH2_PROXY_EMAIL_DOMAIN"]);
    }

    #[test]
    fn of_two_lines_with_one_name_the_last_one_counts() {
        let mut given = Given::default();
        take(
            &mut given,
            &file("OAUTH2_PROXY_EMAIL_DOMAINS=a.example\nOAUTH2_PROXY_EMAIL_DOMAINS=b.example"),
        );
        assert_eq!(given.list("email-domain"), ["b.example"]);
    }
}
