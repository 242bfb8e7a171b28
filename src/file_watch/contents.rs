//! What is in a file that somebody else writes: so much at most, and nothing that would keep us waiting.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// The octets of a file that has no more than so many MiB. Blocks.
///
/// # Errors
/// If it cannot be read, is no file, or is larger.
pub fn contents(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // A pipe would keep us waiting.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let octets = most * 1024 * 1024;
    let mut bytes = Vec::new();
    File::open(path)?.take(octets + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > octets) {
        return Err(io::Error::other(format!("it is larger than {most} MiB")));
    }
    Ok(bytes)
}
