//! `skip_auth_routes`: from a regular expression to paths, where it is plain enough that nobody can read it in two
//! ways. What comes out never covers a path that the expression does not match.

#[cfg(any(test, fuzzing))]
#[cfg_attr(
    test,
    expect(
        unreachable_pub,
        clippy::panic,
        reason = "a test of its own kind: the fuzz target calls it from outside"
    )
)]
pub mod property;

use crate::{
    policy::PathMatch,
    resource::{PathType, RulePath},
};

/// More alternatives than this in one expression are not spelled out.
const MOST: usize = 32;

/// What came of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) paths: Vec<RulePath>,
    /// What the expression matched beside these paths, if it did.
    pub(super) narrower: Option<String>,
}

/// Reads `METHOD=REGEX`, `METHOD!=REGEX` or `REGEX`; otherwise the reason why everything it opened stays protected.
pub(super) fn open(route: &str, has_method: bool) -> Result<Opened, String> {
    let mut regex = route;
    if has_method {
        if route.contains("!=") {
            return Err("everything but a path would be open".to_owned());
        }
        if let Some((method, rest)) = route.split_once('=') {
            if !method.is_empty() {
                return Err(format!(
                    "rules know no methods, and {method} alone was open"
                ));
            }
            regex = rest;
        }
    }
    let mut opened = Opened {
        paths: Vec::new(),
        narrower: None,
    };
    for branch in branches(regex)? {
        let anchored = branch.strip_prefix('^').ok_or_else(|| {
            "it does not begin with ^, and so matches in the middle of a path too".to_owned()
        })?;
        for literal in spelled_out(anchored)? {
            one(&literal, &mut opened)?;
        }
    }
    opened.paths.dedup();
    Ok(opened)
}

/// A literal from the beginning of a path, with how it ends.
struct Literal {
    text: String,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// `$`
    Here,
    /// Nothing, or `.*`: whatever follows.
    Open,
    /// `/?$`
    PerhapsSlash,
}

fn one(literal: &Literal, opened: &mut Opened) -> Result<(), String> {
    let text = literal.text.as_str();
    // oauth2-proxy compares a decoded path, where it stands for itself; in a rule it begins an escape.
    if text.contains('%') {
        return Err(unclear("%"));
    }
    let mut add = |kind: PathType, value: &str| {
        let is_path = match kind {
            PathType::Exact => PathMatch::exact(value).is_ok(),
            PathType::Prefix => value != "/" && PathMatch::prefix(value).is_ok(),
        };
        let path = RulePath {
            kind,
            value: value.to_owned(),
        };
        if is_path {
            opened.paths.push(path);
            Ok(())
        } else if value == "/" {
            Err("the whole service would be open".to_owned())
        } else {
            Err(format!("{value} is no path in its one canonical form"))
        }
    };
    match literal.end {
        End::Here => add(PathType::Exact, text),
        End::PerhapsSlash => {
            add(PathType::Exact, text)?;
            add(PathType::Exact, &format!("{text}/"))
        }
        End::Open if text.ends_with('/') => add(PathType::Prefix, text),
        End::Open => {
            add(PathType::Exact, text)?;
            add(PathType::Prefix, &format!("{text}/"))?;
            opened.narrower = Some(format!(
                "paths that go on within the segment, such as {text}x, need a session now"
            ));
            Ok(())
        }
    }
}

/// The alternatives at the top of an expression.
fn branches(regex: &str) -> Result<Vec<&str>, String> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    let mut letters = regex.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            '[' => return Err(unclear("[")),
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.checked_sub(1).ok_or_else(|| unclear(")"))?,
            '|' if depth == 0 => {
                found.push(regex.get(start..at).unwrap_or_default());
                start = at.saturating_add(1);
            }
            _ => {}
        }
    }
    found.push(regex.get(start..).unwrap_or_default());
    Ok(found)
}

/// All literals that an expression without its `^` stands for.
fn spelled_out(expression: &str) -> Result<Vec<Literal>, String> {
    let (body, end) = ending(expression);
    let mut texts = vec![String::new()];
    let mut rest = body;
    while let Some(letter) = rest.chars().next() {
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        let choices: Vec<String> = match letter {
            '\\' => {
                let escaped = rest.chars().next();
                let escaped = escaped.filter(|c| c.is_ascii_punctuation());
                let escaped = escaped.ok_or_else(|| unclear("\\"))?;
                rest = rest.get(1..).unwrap_or_default();
                vec![escaped.to_string()]
            }
            '(' => {
                let (inner, after) = rest.split_once(')').ok_or_else(|| unclear("("))?;
                rest = after;
                let inner = inner.strip_prefix("?:").unwrap_or(inner);
                let choices = inner.split('|').map(plain);
                choices.collect::<Result<_, _>>()?
            }
            // A dot that means any character matches itself as well.
            '.' => vec![".".to_owned()],
            other if "*+?[]{}^$|)".contains(other) => return Err(unclear(&other.to_string())),
            other => vec![other.to_string()],
        };
        // A quantifier would belong to what stands before it.
        if rest.starts_with(['*', '+', '?', '{']) {
            return Err(unclear(rest.get(..1).unwrap_or_default()));
        }
        texts = texts
            .iter()
            .flat_map(|text| choices.iter().map(move |choice| format!("{text}{choice}")))
            .collect();
        if texts.len() > MOST {
            return Err("it has too many alternatives".to_owned());
        }
    }
    Ok(texts
        .into_iter()
        .map(|text| Literal { text, end })
        .collect())
}

/// One of several choices in brackets.
fn plain(choice: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut letters = choice.chars();
    while let Some(letter) = letters.next() {
        let literal = match letter {
            '\\' => letters.next().filter(char::is_ascii_punctuation),
            other => Some(other).filter(|c| !"*+?[]{}^$(".contains(*c)),
        };
        text.push(literal.ok_or_else(|| unclear(&letter.to_string()))?);
    }
    Ok(text)
}

fn ending(expression: &str) -> (&str, End) {
    for (tail, end) in [
        ("/?$", End::PerhapsSlash),
        (".*$", End::Open),
        (".*", End::Open),
    ] {
        if let Some(body) = expression.strip_suffix(tail)
            && !body.ends_with('\\')
        {
            return (body, end);
        }
    }
    match expression.strip_suffix('$') {
        Some(body) if !body.ends_with('\\') => (body, End::Here),
        _ => (expression, End::Open),
    }
}

fn unclear(what: &str) -> String {
    format!("{what} makes it more than a plain path")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(route: &str) -> String {
        match open(route, true) {
            Ok(opened) => {
                let paths = opened.paths.iter().map(|path| match path.kind {
                    PathType::Exact => format!("={}", path.value),
                    PathType::Prefix => path.value.clone(),
                });
                paths.collect::<Vec<_>>().join(" ")
            }
            Err(_) => "protected".to_owned(),
        }
    }

    #[test]
    fn plain_paths_from_the_beginning_become_public() {
        for (route, expected) in [
            ("^/healthz$", "=/healthz"),
            ("=^/healthz$", "=/healthz"),
            ("^/assets/", "/assets/"),
            ("^/assets/.*", "/assets/"),
            ("^/assets/.*$", "/assets/"),
            ("^/api", "=/api /api/"),
            ("^/api/?$", "=/api =/api/"),
            ("^/favicon\\.ico$", "=/favicon.ico"),
            ("^/favicon.ico$", "=/favicon.ico"),
            ("^/(health|ready)z$", "=/healthz =/readyz"),
            ("^/(?:a|b)/", "/a/ /b/"),
            (
                "^/(favicon\\.ico|robots\\.txt)$",
                "=/favicon.ico =/robots.txt",
            ),
            ("^/a$|^/b/", "=/a /b/"),
            ("^/$", "=/"),
            ("^\\/x\\-y$", "=/x-y"),
        ] {
            assert_eq!(read(route), expected, "{route}");
        }
    }

    #[test]
    fn what_is_not_plain_stays_protected() {
        for route in [
            "",
            ".*",
            "^/",
            "^/.*",
            "^",
            "/healthz",
            "healthz$",
            "GET=^/healthz$",
            "GET!=^/admin",
            "!=^/admin",
            "^/a/[0-9]+$",
            "^/a/.+$",
            "^/a/.+/b$",
            "^/ab?$",
            "^/a{2}$",
            "^/\\d+$",
            "^/(a$",
            "^/(a|b)?/c$",
            "^/(a|b+)/c$",
            "^/(a\\|b)$",
            "^/(a\\)b)$",
            "^/(a\\w|b)$",
            "^/a/../b$",
            "^/a$|/b",
            "^/a$|",
            "(?i)^/a$",
            "^(?i)/a$",
            "^/a?b=c$",
            "^/a\\/?.*\\$",
            "^/a//b$",
            "^a$",
            "^/a#$",
            "^/%61/",
            "^/(a|%62)$",
            "(^/a|^/b)$",
        ] {
            assert_eq!(read(route), "protected", "{route}");
        }
    }

    #[test]
    fn a_deprecated_regex_may_hold_an_equals_sign() {
        assert!(open("^/a=b$", false).is_ok());
        assert_eq!(read("^/a=b$"), "protected");
    }
}
