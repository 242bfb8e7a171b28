//! The module borders of ARCHITECTURE.md, held: who may `use crate::` whom.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What each module may use of the crate. A module that is not listed may use everything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("policy", &[]),
    ("file_watch", &[]),
    ("notices", &["policy"]),
    ("server", &["policy", "clock", "file_watch", "notices"]),
    ("published", &["policy"]),
    ("resource", &["policy"]),
    ("dataplane", &["policy", "published", "resource"]),
    ("resolve", &["policy", "published", "resource", "dataplane"]),
    ("session", &["policy", "published"]),
    ("import", &["policy", "resource"]),
    ("provider", &["policy", "published", "notices"]),
    (
        "cluster",
        &["resource", "resolve", "dataplane", "policy", "published"],
    ),
    (
        "folder",
        &[
            "resource",
            "resolve",
            "dataplane",
            "policy",
            "published",
            "session",
            "file_watch",
        ],
    ),
    (
        "auth",
        &[
            "policy",
            "published",
            "session",
            "provider",
            "dataplane",
            "notices",
        ],
    ),
    ("front_door", &["policy", "published", "session", "auth"]),
];

/// Modules that do I/O, and what all of them may use besides.
const IO: &[&str] = &["provider", "cluster", "folder", "auth", "front_door"];
const FOR_IO: &[&str] = &["clock", "settings", "telemetry", "server"];

/// Crates that the pure modules do without.
const IMPURE: &[&str] = &[
    "tokio",
    "kube_runtime",
    "axum",
    "hyper",
    "reqwest",
    "tracing",
];
const PURE: &[&str] = &[
    "policy",
    "published",
    "resource",
    "dataplane",
    "resolve",
    "import",
];

#[test]
fn modules_use_only_what_lies_below_them() {
    let mut breaches = Vec::new();
    for (module, allowed) in MAY_USE {
        let for_io = if IO.contains(module) { FOR_IO } else { &[] };
        let may_use =
            |used: &str| used == *module || allowed.contains(&used) || for_io.contains(&used);
        for file in files_of(module) {
            let text = code_of(&file);
            for used in used_modules(&text) {
                if !may_use(&used) {
                    breaches.push(format!("{} uses crate::{used}", file.display()));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn pure_modules_do_no_io() {
    let mut breaches = Vec::new();
    for module in PURE {
        for file in files_of(module) {
            let text = code_of(&file);
            for crate_name in IMPURE {
                if text.contains(&format!("{crate_name}::")) {
                    breaches.push(format!("{} uses {crate_name}", file.display()));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

/// `src/MODULE.rs` and everything below `src/MODULE/`, but for tests.
fn files_of(module: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = vec![src.join(format!("{module}.rs"))];
    let mut folders = vec![src.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.components().any(|c| c.as_os_str() == "tests")
            {
                found.push(path);
            }
        }
    }
    found.retain(|path| path.exists() && path.file_name().is_some_and(|name| name != "tests.rs"));
    assert!(!found.is_empty(), "src has no module {module}");
    found
}

/// The file without comments and without the unit tests at its end.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The first segment behind each `crate::`, braces opened.
fn used_modules(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let names: Vec<&str> = match rest.strip_prefix('{') {
            None => vec![rest],
            Some(group) => top_level(group),
        };
        for name in names {
            let name: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if !name.is_empty() {
                used.push(name);
            }
        }
    }
    used
}

/// The members of a `{...}` group, without what stands in inner groups.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&group[start..at]);
                return members;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members
}
