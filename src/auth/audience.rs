//! Who is asking: a person who navigates, a frame, or a program.

use http::{HeaderMap, HeaderName, header::ACCEPT};

use crate::policy::Audience;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Judged by Fetch Metadata where the browser sends it, else by Accept and X-Requested-With. A client can lie
/// here; it then gets its refusal in another form.
#[must_use]
pub fn audience(headers: &HeaderMap) -> Audience {
    let header = |name: &HeaderName| headers.get(name).map(http::HeaderValue::as_bytes);
    match (header(&SEC_FETCH_MODE), header(&SEC_FETCH_DEST)) {
        (Some(b"navigate"), Some(b"iframe" | b"frame" | b"embed" | b"object" | b"fencedframe")) => {
            Audience::Frame
        }
        (Some(b"navigate"), _) => Audience::Navigation,
        (Some(_), _) => Audience::Program,
        (None, _) => {
            let scripted = header(&X_REQUESTED_WITH)
                .is_some_and(|v| v.eq_ignore_ascii_case(b"XMLHttpRequest"));
            let wants_html = headers
                .get_all(ACCEPT)
                .iter()
                .any(|v| memchr::memmem::find(v.as_bytes(), b"text/html").is_some());
            if wants_html && !scripted {
                Audience::Navigation
            } else {
                Audience::Program
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Audience {
        let map = headers.iter().map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        });
        audience(&map.collect())
    }

    #[test]
    fn people_navigate_and_programs_fetch() {
        assert_eq!(
            of(&[
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document")
            ]),
            Audience::Navigation
        );
        assert_eq!(
            of(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]),
            Audience::Frame
        );
        assert_eq!(
            of(&[("sec-fetch-mode", "cors"), ("accept", "text/html")]),
            Audience::Program
        );
        assert_eq!(of(&[("accept", "text/html,*/*")]), Audience::Navigation);
        assert_eq!(
            of(&[
                ("accept", "text/html"),
                ("x-requested-with", "XMLHttpRequest")
            ]),
            Audience::Program
        );
        assert_eq!(of(&[("accept", "*/*")]), Audience::Program);
        assert_eq!(of(&[]), Audience::Program);
    }
}
