//! Who gets in: entries that nobody can satisfy, and entries that anybody can.

use super::{InUse, Notes};
use crate::{
    policy::{DomainPattern, Email},
    resource::Allow,
};

/// Domains where anybody in the world gets an address.
const PUBLIC_MAIL: &[&str] = &[
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "msn.com",
    "yahoo.com",
    "icloud.com",
    "me.com",
    "aol.com",
    "proton.me",
    "protonmail.com",
    "gmx.de",
    "gmx.net",
    "gmx.com",
    "web.de",
    "mail.com",
    "mail.ru",
    "yandex.ru",
    "yandex.com",
    "qq.com",
    "163.com",
    "zoho.com",
    "fastmail.com",
    "tutanota.com",
    "tuta.com",
];

/// Looks at a list of entries; `place` is its field.
pub(super) fn look_at(entries: &[Allow], place: &str, providers: &[InUse<'_>], notes: &mut Notes) {
    for (number, entry) in entries.iter().enumerate() {
        look_at_entry(entry, &format!("{place}[{number}]"), providers, notes);
    }
}

/// Looks at one domain, of an entry or of a provider's ceiling.
pub(super) fn look_at_domain(domain: &str, field: &str, notes: &mut Notes) {
    let Some(pattern) = DomainPattern::parse(domain) else {
        return;
    };
    let (DomainPattern::Exact(name) | DomainPattern::Below(name)) = &pattern;
    if !name.as_str().contains('.') {
        notes.add(field, without_a_dot(domain));
    } else if PUBLIC_MAIL.contains(&name.as_str()) {
        notes.add(
            field,
            format!("anybody in the world can have an address of {name}. List the people in emails instead"),
        );
    }
}

fn look_at_entry(entry: &Allow, place: &str, providers: &[InUse<'_>], notes: &mut Notes) {
    let meant: Vec<&InUse<'_>> = match entry.provider.as_deref() {
        Some(named) => providers
            .iter()
            .filter(|(name, _)| **name == *named)
            .collect(),
        None => providers.iter().collect(),
    };
    if let Some(named) = entry.provider.as_deref()
        && meant.is_empty()
        && !providers.is_empty()
    {
        notes.add(
            format!("{place}.provider"),
            format!("the service does not use IdentityProvider {named}, so the entry admits nobody. Name it in spec.identityProviders, or leave the entry out"),
        );
        return;
    }
    let domains: Vec<(usize, &str, DomainPattern)> = entry
        .email_domains
        .iter()
        .enumerate()
        .filter_map(|(number, text)| Some((number, &**text, DomainPattern::parse(text)?)))
        .collect();
    for (number, text, pattern) in &domains {
        let field = format!("{place}.emailDomains[{number}]");
        look_at_domain(text, &field, notes);
        if let Some(why) = outside(&meant, |ceiling| overlap(pattern, ceiling)) {
            notes.add(field, format!("{text} admits nobody: {why}"));
        }
    }
    for (number, text) in entry.emails.iter().enumerate() {
        let Some(email) = Email::parse(text) else {
            continue;
        };
        let field = format!("{place}.emails[{number}]");
        if !email.domain().contains('.') {
            notes.add(&*field, without_a_dot(email.domain()));
        }
        let in_domains = domains.is_empty()
            || domains
                .iter()
                .any(|(_, _, pattern)| pattern.covers(email.domain()));
        if !in_domains {
            notes.add(
                &*field,
                format!("{text} admits nobody: emailDomains of the same entry asks for another domain, and both must match. Give it an entry of its own"),
            );
        } else if let Some(why) = outside(&meant, |ceiling| ceiling.covers(email.domain())) {
            notes.add(field, format!("{text} admits nobody: {why}"));
        }
    }
}

/// Why none of the providers lets somebody in, if none of their ceilings does.
fn outside(meant: &[&InUse<'_>], admits: impl Fn(&DomainPattern) -> bool) -> Option<String> {
    let mut limits = Vec::new();
    for (name, provider) in meant {
        let domains = &provider.as_ref()?.email_domains;
        let ceiling: Vec<DomainPattern> = domains
            .iter()
            .filter_map(|text| DomainPattern::parse(text))
            .collect();
        if ceiling.is_empty() || ceiling.iter().any(&admits) {
            return None;
        }
        limits.push(format!(
            "IdentityProvider {name} lets in addresses of {} only",
            domains.join(", ")
        ));
    }
    (!limits.is_empty()).then(|| format!("{} (its spec.emailDomains)", limits.join(", ")))
}

/// Whether an address can be of both.
fn overlap(one: &DomainPattern, other: &DomainPattern) -> bool {
    match (one, other) {
        (DomainPattern::Exact(host), pattern) | (pattern, DomainPattern::Exact(host)) => {
            pattern.covers(host.as_str())
        }
        (DomainPattern::Below(one), DomainPattern::Below(other)) => {
            let within = |inner: &str, outer: &str| {
                let rest = inner.strip_suffix(outer);
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            within(one.as_str(), other.as_str()) || within(other.as_str(), one.as_str())
        }
    }
}

fn without_a_dot(domain: &str) -> String {
    format!(
        "{domain} is a domain without a dot, and no address on the internet ends so. Write all of it, such as {domain}.example"
    )
}
