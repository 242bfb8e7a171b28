//! Every committed input of the fuzz targets, tried on every `cargo test`.

use std::{collections::BTreeSet, fs, path::Path};

#[expect(
    unreachable_pub,
    reason = "the fuzz targets use them as a crate of its own"
)]
#[path = "../../fuzz/properties/properties.rs"]
mod properties;

use properties::{annotations, check, cookie, email, host, path, return_to};

type Property = fn(&[u8]);

#[test]
fn every_committed_input_of_the_fuzz_targets_holds_its_property() {
    let targets: [(&str, Property); 7] = [
        ("annotations", annotations::holds),
        ("check", check::holds),
        ("cookie", cookie::holds),
        ("email", email::holds),
        ("host", host::holds),
        ("path", path::holds),
        ("return_to", return_to::holds),
    ];
    for (target, holds) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fuzz/corpus")
            .join(target);
        let inputs: Vec<_> = fs::read_dir(folder).unwrap().collect();
        assert!(inputs.len() > 10, "{target} has {} inputs", inputs.len());
        for input in inputs {
            let input = input.unwrap();
            // The fuzzer names what it found by its hash, and has been in its neighbourhood.
            let is_found = input.file_name().len() == 40;
            let input = fs::read(input.path()).unwrap();
            holds(&input);
            if !is_found {
                neighbours(&input).for_each(|input| holds(&input));
            }
        }
    }
}

/// A target that is forgotten somewhere is built, run, told of or kept by nobody.
#[test]
fn every_fuzz_target_is_built_run_told_of_and_has_inputs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let entries = |name: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root.join(name)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .map(|name| name.trim_end_matches(".rs").to_owned())
            .collect()
    };
    let targets = entries("tests/fuzz/targets");
    assert_eq!(entries("tests/fuzz/corpus"), targets, "tests/fuzz/corpus");
    let (build, run) = (read("tests/fuzz/Cargo.toml"), read("tests/fuzz/run"));
    let (page, readme) = (read("docs/security.md"), read("README.md"));
    let run: Vec<&str> = run.split("\nall=(").nth(1).unwrap().split(')').collect();
    let run: BTreeSet<String> = run[0].split_whitespace().map(str::to_owned).collect();
    assert_eq!(run, targets, "tests/fuzz/run");
    for target in &targets {
        let path = format!("path = \"targets/{target}.rs\"");
        assert!(
            build.contains(&path),
            "tests/fuzz/Cargo.toml lacks {target}"
        );
        let row = format!("\n| `{target}` | ");
        assert!(page.contains(&row), "docs/security.md lacks {target}");
    }
    let said = format!("({} targets,", targets.len());
    assert!(readme.contains(&said), "README.md does not say {said}");
}

/// What differs from an input in one place: an octet gone, doubled, or another that some reader finds special.
fn neighbours(input: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let places = 0..input.len().min(100);
    places.flat_map(move |place| {
        let (front, back) = input.split_at(place);
        let rest = back.get(1..).unwrap_or_default();
        let replaced = b"/.%\\;@A\n \xff".map(|octet| [front, &[octet], rest].concat());
        let others = [
            [front, rest].concat(),
            [front, back.get(..1).unwrap_or_default(), back].concat(),
        ];
        replaced.into_iter().chain(others)
    })
}
