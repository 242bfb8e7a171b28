//! Paths: whoever reads a canonical target reads the same, so a rule means what is served.
//!
//! The readers are those that differ in the wild: nginx (decodes once, merges slashes, removes dot segments), a service
//! that takes the target as it stands, one that decodes twice, one that drops `;` parameters, one that reads `\` as `/`, one
//! that folds case.

use vestibule::policy::{CanonicalPath, PathMatch};

/// Lines: the value of a rule, a prefix if it ends in `/`; a request target.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (value, target) = text.split_once('\n').unwrap_or(("/admin/", text));
    let rule = if value.ends_with('/') {
        PathMatch::prefix(value)
    } else {
        PathMatch::exact(value)
    };
    let Ok(path) = CanonicalPath::parse(target) else {
        return;
    };
    let read = path.as_bytes().to_vec();
    let raw = target.split('?').next().unwrap_or_default().as_bytes();
    let readings = [
        ("nginx", nginx(raw)),
        ("nginx without merge_slashes", dots_removed(&decoded(raw))),
        ("a double decoder", decoded(&decoded(raw))),
        ("a servlet", without_parameters(&decoded(raw))),
        (
            "a servlet before decoding",
            decoded(&without_parameters(raw)),
        ),
        ("Windows", dots_removed(&slashed(&decoded(raw)))),
        ("a C string", until_nul(&decoded(raw))),
        (
            "a proxy that encodes and decodes again",
            decoded(&encoded(&read)),
        ),
    ];
    for (reader, reading) in &readings {
        assert_eq!(reading, &read, "{reader} reads {target:?} differently");
    }
    let text = std::str::from_utf8(&read).expect("UTF-8");
    assert!(!text.chars().any(char::is_control));
    let again = String::from_utf8(encoded(&read)).expect("ASCII");
    assert_eq!(
        CanonicalPath::parse(&again)
            .expect("what is decoded can be written")
            .as_bytes(),
        read
    );

    let Ok(rule) = rule else {
        return;
    };
    let value = decoded(value.as_bytes());
    let bare = value.strip_suffix(b"/").unwrap_or(&value);
    let is_prefix = matches!(rule, PathMatch::Prefix(_));
    let opens = if is_prefix {
        read.starts_with(&value)
    } else {
        read == value
    };
    assert_eq!(rule.opens(&path), opens);
    // What a service that folds ASCII case or ignores a slash at the end would serve for the rule's path.
    let (read, value, bare) = (
        read.to_ascii_lowercase(),
        value.to_ascii_lowercase(),
        bare.to_ascii_lowercase(),
    );
    let served = read == value
        || read.strip_suffix(b"/").unwrap_or(&read) == bare
        || is_prefix && read.starts_with(&value);
    assert_eq!(rule.closes(&path), served, "{target:?}");
    assert!(!opens || rule.closes(&path));
}

/// As `ngx_http_parse_complex_uri` with `merge_slashes on`.
fn nginx(path: &[u8]) -> Vec<u8> {
    let mut merged: Vec<u8> = Vec::new();
    for octet in decoded(path) {
        if octet != b'/' || merged.last() != Some(&b'/') {
            merged.push(octet);
        }
    }
    dots_removed(&merged)
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut place = 0;
    while let Some(octet) = path.get(place) {
        let digits = path
            .get(place + 1..place + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) if *octet == b'%' => {
                octets.push(value);
                place += 3;
            }
            _ => {
                octets.push(*octet);
                place += 1;
            }
        }
    }
    octets
}

fn encoded(path: &[u8]) -> Vec<u8> {
    let plain =
        |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,=[]".contains(octet);
    let each = path.iter().map(|octet| {
        if plain(octet) {
            char::from(*octet).to_string()
        } else {
            format!("%{octet:02x}")
        }
    });
    each.collect::<String>().into_bytes()
}

fn dots_removed(path: &[u8]) -> Vec<u8> {
    let segments: Vec<&[u8]> = path.split(|b| *b == b'/').skip(1).collect();
    let mut kept: Vec<&[u8]> = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        let is_last = number + 1 == segments.len();
        match *segment {
            b"." | b".." => {
                if *segment == b".." {
                    kept.pop();
                }
                if is_last {
                    kept.push(b"");
                }
            }
            other => kept.push(other),
        }
    }
    let mut path = Vec::new();
    for segment in kept {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    path
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|b| *b == b'/');
    let bare: Vec<&[u8]> = segments
        .map(|s| s.split(|b| *b == b';').next().unwrap_or_default())
        .collect();
    bare.join(&b'/')
}

fn slashed(path: &[u8]) -> Vec<u8> {
    path.iter()
        .map(|b| if *b == b'\\' { b'/' } else { *b })
        .collect()
}

fn until_nul(path: &[u8]) -> Vec<u8> {
    path.split(|b| *b == 0).next().unwrap_or_default().to_vec()
}
