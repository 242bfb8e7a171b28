//! Addresses: two readers agree on which are one and on their domain, and a domain covers what its labels say.

use vestibule::policy::{DomainPattern, Email, Host};

/// Lines: an address; a domain, perhaps with `*.`.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (address, pattern) = text.split_once('\n').unwrap_or((text, "corp.example"));
    let email = Email::parse(address);
    let other = second_reading(address);
    assert_eq!(
        email.as_ref().map(Email::domain),
        other.as_deref(),
        "{address:?}"
    );
    let Some(email) = email else {
        return;
    };
    assert_eq!(email.as_str(), address.to_ascii_lowercase());
    assert_eq!(Email::parse(email.as_str()).as_ref(), Some(&email));
    if let Some(pattern) = DomainPattern::parse(pattern) {
        let text = pattern.to_string();
        assert_eq!(
            pattern.covers(email.domain()),
            covers(&text, email.domain()),
            "{text}"
        );
        assert_eq!(DomainPattern::parse(&text), Some(pattern));
    }
}

/// RFC 5321 §4.1.2: the domain of a `Dot-string@Domain`, in lower case, read from the end and character by character.
fn second_reading(address: &str) -> Option<String> {
    let characters: Vec<char> = address.chars().collect();
    if characters.iter().filter(|c| **c == '@').count() != 1 || characters.len() > 254 {
        return None;
    }
    let at = characters.iter().rposition(|c| *c == '@')?;
    let mut expects_atom = true;
    for character in characters.get(..at)? {
        let is_text = matches!(character, 'a'..='z' | 'A'..='Z' | '0'..='9')
            || "!#$%&'*+-/=?^_`{|}~".contains(*character);
        match character {
            '.' if expects_atom => return None,
            '.' => expects_atom = true,
            _ if is_text => expects_atom = false,
            _ => return None,
        }
    }
    let domain: String = characters.get(at + 1..)?.iter().collect();
    (!expects_atom && at <= 64 && Host::parse(&domain).is_some())
        .then(|| domain.to_ascii_lowercase())
}

fn covers(pattern: &str, domain: &str) -> bool {
    let mut pattern: Vec<&str> = pattern.split('.').collect();
    let domain: Vec<&str> = domain.split('.').collect();
    if pattern.first() == Some(&"*") {
        pattern.remove(0);
        return domain.len() > pattern.len() && domain.ends_with(&pattern);
    }
    domain == pattern
}
