//! What must hold of every manifest; unit tests and the fuzz target `yaml` share it.

use std::time::Duration;

use super::*;
use crate::{
    folder::yaml,
    policy::{Origin, Scheme},
};

/// The text of a file.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(documents) = yaml::documents(text) else {
        return;
    };
    let file: Arc<str> = "hostile.yaml".into();
    let lines = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    for document in &documents {
        let json = document.to_json();
        let written = json.to_string();
        assert!(
            written.len() <= MOST_GROWTH * text.len() + 1000,
            "{} octets became {}",
            text.len(),
            written.len()
        );
        assert!(document.place.line <= lines + 1);
        match read(document, &file, &installation()) {
            Ok(Document::Object(object, _)) => check_name(&object.id()),
            Ok(Document::Ignored { .. }) => {}
            Err(fault) => assert!(fault.place.line <= lines + 1 && !fault.message.is_empty()),
        }
    }
}

/// Aliases may repeat what they stand for, but not without bounds.
const MOST_GROWTH: usize = 400;

fn check_name(id: &Id) {
    let names: Vec<&str> = match id {
        Id::Namespace(name) | Id::Secret(name) | Id::IdentityProvider(name) => vec![name],
        Id::ProtectedService(key) | Id::Ingress(key) => vec![&key.namespace, &key.name],
    };
    let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.');
    assert!(
        names
            .iter()
            .all(|name| !name.is_empty() && name.chars().all(plain))
    );
}

fn installation() -> Installation {
    Installation {
        instance: "vestibule".into(),
        namespace: "vestibule".into(),
        origin: Origin {
            scheme: Scheme::Https,
            port: 443,
        },
        endpoint_prefix: "/oauth2".into(),
        auth_host: None,
        identity_headers: Vec::new(),
        max_session: Duration::from_secs(3600),
    }
}
