//! Every committed input of the fuzz targets, tried on every `cargo test`.

use std::{fs, path::Path};

#[expect(
    unreachable_pub,
    reason = "the fuzz targets use them as a crate of its own"
)]
#[path = "../../fuzz/properties/properties.rs"]
mod properties;

use properties::{annotations, check, cookie, email, host, path, return_to};

#[test]
fn every_committed_input_of_the_fuzz_targets_holds_its_property() {
    for (target, holds) in [
        ("annotations", annotations::holds as fn(&[u8])),
        ("check", check::holds),
        ("cookie", cookie::holds),
        ("email", email::holds),
        ("host", host::holds),
        ("path", path::holds),
        ("return_to", return_to::holds),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fuzz/corpus")
            .join(target);
        let inputs: Vec<_> = fs::read_dir(folder).unwrap().collect();
        assert!(inputs.len() > 10, "{target} has {} inputs", inputs.len());
        for input in inputs {
            holds(&fs::read(input.unwrap().path()).unwrap());
        }
    }
}
