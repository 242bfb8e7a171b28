//! From claims to a person. Pure. What could break a header is dropped here, so that nobody later has to
//! remember to.

use serde_json::{Map, Value};

use super::{SignedIn, error::ProviderError, id_token::VerifiedToken};
use crate::{
    policy::{Email, HOSTED_DOMAIN},
    published::{ProviderKind, ProviderSettings},
};

/// Claims that speak about the token or the protocol, not about the person.
const PROTOCOL: [&str; 16] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "azp",
    "auth_time",
    "at_hash",
    "c_hash",
    "s_hash",
    "sid",
    "typ",
    "session_state",
];

/// Reads who signed in. `userinfo` fills in what the ID token leaves out (OpenID Connect Core §5.4); its
/// `sub` must have been compared before.
pub(super) fn signed_in(
    settings: &ProviderSettings,
    token: VerifiedToken,
    userinfo: Map<String, Value>,
) -> Result<SignedIn, ProviderError> {
    let names = &settings.claims;
    let VerifiedToken {
        subject,
        authenticated_at,
        claims: token,
    } = token;
    let groups = match &settings.kind {
        ProviderKind::Oidc { .. } => {
            let claim = token.get(&*names.groups).or(userinfo.get(&*names.groups));
            claim.map(strings).unwrap_or_default()
        }
        ProviderKind::Google { hosted_domains } => {
            admit_hosted_domain(settings, hosted_domains, &token)?;
            Vec::new()
        }
    };
    let (email, email_verified) = email(settings, &token, &userinfo);
    let shown = |name: &str| {
        let claim = token.get(name).or(userinfo.get(name));
        claim.and_then(string).map(str::to_owned)
    };
    let (name, username) = (shown(&names.name), shown(&names.username));
    let withheld = [
        &*names.email,
        &*names.email_verified,
        "email",
        "email_verified",
    ];
    let mut all = userinfo;
    all.extend(token);
    let claims = all
        .into_iter()
        .filter(|(name, _)| !PROTOCOL.contains(&&**name) && !withheld.contains(&&**name))
        .map(|(name, value)| (name, texts(&value)))
        .filter(|(_, values)| !values.is_empty())
        .collect();
    Ok(SignedIn {
        issuer: settings.issuer().to_owned(),
        subject,
        email,
        email_verified,
        name,
        username,
        groups,
        claims,
        authenticated_at,
    })
}

/// The address and whether the provider vouches for it, both from one document: a verification never
/// covers the address that another document names. Nor does it cover an address that two readers could read
/// differently: a service that is told of it may take it for another one.
fn email(
    settings: &ProviderSettings,
    token: &Map<String, Value>,
    userinfo: &Map<String, Value>,
) -> (Option<String>, bool) {
    let names = &settings.claims;
    let read = |document: &Map<String, Value>| {
        let address = string(document.get(&*names.email)?)?.to_owned();
        let vouched = document.get(&*names.email_verified) == Some(&Value::Bool(true));
        let is_plain = Email::parse(&address).is_some();
        Some((
            address,
            is_plain && (vouched || settings.trusts_unverified_email),
        ))
    };
    let (token, userinfo) = (read(token), read(userinfo));
    let best = match (token, userinfo) {
        (Some((_, false)), Some(vouched @ (_, true))) => Some(vouched),
        (Some(address), _) => Some(address),
        (None, address) => address,
    };
    best.map_or((None, false), |(address, vouched)| (Some(address), vouched))
}

/// Google vouches for the Workspace domain in `hd`, of the signed token alone; a private account has none.
fn admit_hosted_domain(
    settings: &ProviderSettings,
    admitted: &[std::sync::Arc<str>],
    token: &Map<String, Value>,
) -> Result<(), ProviderError> {
    let domain = token.get(HOSTED_DOMAIN).and_then(Value::as_str);
    let is_admitted =
        domain.is_some_and(|domain| admitted.iter().any(|one| one.eq_ignore_ascii_case(domain)));
    if admitted.is_empty() || is_admitted {
        return Ok(());
    }
    let has = match domain.filter(|domain| is_clean(domain)) {
        Some(domain) => format!("it belongs to the Google Workspace domain {domain}"),
        None => "it belongs to no Google Workspace domain".to_owned(),
    };
    Err(ProviderError::NotAdmitted {
        provider: settings.name.clone(),
        reason: format!("{has}; hostedDomains admits {}", admitted.join(", ")).into(),
    })
}

/// A list of strings or one string, in order, each once.
fn strings(value: &Value) -> Vec<String> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    distinct(items.iter().filter_map(string).map(str::to_owned))
}

/// A claim's values as text: strings as they are, numbers and booleans written out, the rest left out.
fn texts(value: &Value) -> Vec<String> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    distinct(items.iter().filter_map(|item| match item {
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        other => string(other).map(str::to_owned),
    }))
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    values.filter(|value| seen.insert(value.clone())).collect()
}

fn string(value: &Value) -> Option<&str> {
    value
        .as_str()
        .filter(|text| !text.is_empty() && is_clean(text))
}

/// Nothing that breaks a header, and no space around it: whoever reads the header takes that away, and has another
/// person's name left.
fn is_clean(text: &str) -> bool {
    text.trim() == text && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
