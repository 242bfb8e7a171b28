//! What a service is told about people, and what people are told who may not enter.

use std::sync::Arc;

use super::{Failure, World, policy::Owner};
use crate::{
    published::{DeniedTexts, Detail, HeaderSource, UpstreamHeader},
    resource::{DeniedDetail, DeniedSpec, HeaderFrom, ProtectedServiceSpec, Reason, UpstreamSpec},
};

/// Reads both from a spec.
pub(super) fn read(
    world: &World,
    object: Owner<'_>,
    spec: &ProtectedServiceSpec,
) -> Result<(Arc<[UpstreamHeader]>, DeniedTexts), Failure> {
    let invalid = |message: String| {
        Failure::accepted(
            Reason::Invalid,
            format!("{object}: {message}. The service is closed until that is mended."),
        )
    };
    let headers = headers(world, spec.upstream.as_ref()).map_err(invalid)?;
    let denied = denied(spec.denied.as_ref()).map_err(invalid)?;
    Ok((headers.into(), denied))
}

fn headers(world: &World, upstream: Option<&UpstreamSpec>) -> Result<Vec<UpstreamHeader>, String> {
    let known = &world.settings().installation.identity_headers;
    let find = |name: &str| {
        known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .map(Arc::clone)
    };
    let listed = upstream
        .map(|upstream| upstream.headers.as_slice())
        .unwrap_or_default();
    if listed.is_empty() {
        let usual = [
            ("X-Auth-Request-User", HeaderSource::Subject),
            ("X-Auth-Request-Email", HeaderSource::Email),
            ("X-Auth-Request-Preferred-Username", HeaderSource::Username),
            ("X-Auth-Request-Groups", HeaderSource::Groups),
        ];
        let header = |(name, source)| {
            Some(UpstreamHeader {
                name: find(name)?,
                source,
            })
        };
        return Ok(usual.into_iter().filter_map(header).collect());
    }
    let mut headers: Vec<UpstreamHeader> = Vec::with_capacity(listed.len());
    for header in listed {
        let Some(name) = find(&header.name) else {
            return Err(format!(
                "spec.upstream.headers: {:?} is not one of this installation's identity headers ({}); write one of them, or name all with --identity-header",
                header.name,
                known.join(", ")
            ));
        };
        if headers.iter().any(|header| header.name == name) {
            return Err(format!("spec.upstream.headers: {name} stands there twice"));
        }
        let source = match (header.from, header.claim.as_deref()) {
            (HeaderFrom::Claim, Some(claim)) if !claim.is_empty() => {
                HeaderSource::Claim(claim.into())
            }
            (HeaderFrom::Claim, _) | (_, Some(_)) => {
                return Err(format!(
                    "spec.upstream.headers: {name}: claim is given with from: Claim, and only then"
                ));
            }
            (HeaderFrom::Subject, None) => HeaderSource::Subject,
            (HeaderFrom::Email, None) => HeaderSource::Email,
            (HeaderFrom::Username, None) => HeaderSource::Username,
            (HeaderFrom::Name, None) => HeaderSource::Name,
            (HeaderFrom::Groups, None) => HeaderSource::Groups,
        };
        headers.push(UpstreamHeader { name, source });
    }
    Ok(headers)
}

fn denied(spec: Option<&DeniedSpec>) -> Result<DeniedTexts, String> {
    let Some(spec) = spec else {
        return Ok(DeniedTexts::default());
    };
    let url = spec.request_access_url.as_deref();
    let is_safe = |url: &str| {
        (url.starts_with("https://") || url.starts_with("mailto:"))
            && url::Url::parse(url).is_ok()
            && url.bytes().all(|b| b.is_ascii_graphic())
    };
    if url.is_some_and(|url| !is_safe(url)) {
        return Err("spec.denied.requestAccessURL is not an https or mailto URL".to_owned());
    }
    Ok(DeniedTexts {
        message: spec.message.as_deref().map(Arc::from),
        request_access_url: url.map(Arc::from),
        detail: match spec.detail {
            DeniedDetail::None => Detail::None,
            DeniedDetail::Reason => Detail::Reason,
        },
    })
}
