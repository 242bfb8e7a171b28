//! The check's question: what is accepted is exactly what our own annotation makes a data plane ask, and whatever
//! a client could put into it stays in its place.

use vestibule::dataplane::check;

/// Lines: path; query. One line: what a client writes into Host.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (path, query) = match text.split_once('\n') {
        Some((path, query)) => (path.to_owned(), query.to_owned()),
        None => {
            let query = format!("m=POST&u=%2Fsecret%3Fx%3D1&h={text}");
            ("/verify/nginx/team-a/wiki".to_owned(), query)
        }
    };
    let Ok(question) = check::parse(&path, &query) else {
        return;
    };
    assert_eq!(format!("/verify/nginx/{}", question.service), path);
    assert_eq!(path.matches('/').count(), 4);
    assert_eq!(
        (query.matches('&').count(), query.matches('=').count()),
        (2, 3),
        "{query:?}"
    );
    // Read as a form, as another reader would.
    let pairs: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["m", "u", "h"]);
    assert_eq!(
        (pairs[0].1.as_str(), pairs[2].1.as_str()),
        (question.method, question.host)
    );
    assert_eq!(
        String::from_utf8_lossy(&unescaped(&pairs[1].1)),
        question.target
    );
    assert!(
        !question
            .host
            .contains(['%', '&', '=', '#', '?', '/', '@', ':', ' '])
    );
    if !text.contains('\n') {
        assert_eq!(
            (question.method, &*question.target, question.host),
            ("POST", "/secret?x=1", text)
        );
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character == '%' {
            let digits: String = rest.by_ref().take(2).collect();
            octets.push(u8::from_str_radix(&digits, 16).expect("two digits"));
        } else {
            octets.extend(character.to_string().bytes());
        }
    }
    octets
}
