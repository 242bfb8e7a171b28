//! `${NAME}` in a Compose file, as the Compose specification has it.

/// Puts in the values of variables. One that is not known and has no default stays as it stands.
pub(super) fn interpolate(text: &str, variables: &[(String, String)]) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        rest = match after.chars().next() {
            Some('$') => {
                done.push('$');
                after.get(1..).unwrap_or_default()
            }
            Some('{') => match closing(after) {
                Some((inner, tail)) => {
                    done.push_str(&braced(inner, variables));
                    tail
                }
                None => {
                    done.push('$');
                    after
                }
            },
            _ => {
                let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
                let name: String = after.chars().take_while(is_name).collect();
                match name.as_str() {
                    "" => done.push('$'),
                    name => done.push_str(&braced(name, variables)),
                }
                after.get(name.len()..).unwrap_or_default()
            }
        };
    }
    done.push_str(rest);
    done
}

/// Whether something in it could not be put in.
pub(super) fn is_open(text: &str) -> bool {
    text.contains("${")
}

/// What stands between `{` and the `}` that belongs to it, and what follows.
fn closing(text: &str) -> Option<(&str, &str)> {
    let mut depth: usize = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth = depth.saturating_add(1),
            '}' if depth == 1 => {
                return Some((text.get(1..at)?, text.get(at.saturating_add(1)..)?));
            }
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn braced(inner: &str, variables: &[(String, String)]) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = inner.find(|c| !is_name(c)).unwrap_or(inner.len());
    let (name, rule) = inner.split_at_checked(end).unwrap_or((inner, ""));
    let value = variables.iter().rev().find(|(known, _)| known == name);
    let value = value.map(|(_, value)| value.as_str());
    let filled = value.filter(|value| !value.is_empty());
    let open = || format!("${{{name}}}");
    let or = |value: Option<&str>, fallback: &str| match value {
        Some(value) => value.to_owned(),
        None => interpolate(fallback, variables),
    };
    match rule.split_at_checked(2) {
        Some((":-", fallback)) => or(filled, fallback),
        Some((":?", _)) => filled.map_or_else(open, str::to_owned),
        Some((":+", other)) => or(filled.is_none().then_some(""), other),
        _ => match rule.split_at_checked(1) {
            Some(("-", fallback)) => or(value, fallback),
            Some(("+", other)) => or(value.is_none().then_some(""), other),
            _ => value.map_or_else(open, str::to_owned),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_and_unknown_ones_stay() {
        let variables = [("A", "1"), ("EMPTY", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        for (text, expected) in [
            ("$A-${A}", "1-1"),
            ("${B:-x}${B-y}", "xy"),
            ("${EMPTY:-x}${EMPTY-y}", "x"),
            ("${A:-x}", "1"),
            ("${B}${B:?say}$B", "${B}${B}${B}"),
            ("$$A $ ${", "$A $ ${"),
            ("${B:-${A}}", "1"),
            ("${A:+yes}${B:+no}", "yes"),
        ] {
            assert_eq!(interpolate(text, &variables), expected, "{text}");
        }
    }
}
