//! The three values that are written on a protected Ingress: a pure function of its name and of the settings, so
//! that admission can write them in the creating request (charts/vestibule/templates/stamp-policy.yaml).

use std::sync::Arc;

use crate::{published::Installation, resource::Key};

/// What stands behind the Ingress's name in `auth-url`. nginx fills in the variables; `h` comes last because a
/// client can put `&` and `=` into it where a server without a name matches.
const QUESTION: &str = "?m=$request_method&u=$escaped_request_uri&h=$host";

/// The three annotations of a protected Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// `auth-url`.
    pub url: Arc<str>,
    /// `auth-signin`.
    pub signin: Arc<str>,
    /// `auth-response-headers`.
    pub headers: Arc<str>,
}

/// The settings make a value that ingress-nginx would drop, and the host would be open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ingress-nginx would not accept {value:?}: {octet:?} is not allowed in it; change the option {option}"
)]
pub struct Unwritable {
    /// The value.
    pub value: String,
    /// The character.
    pub octet: char,
    /// Where it comes from.
    pub option: &'static str,
}

/// The values for an Ingress.
///
/// # Errors
/// If ingress-nginx would not accept one of them.
pub fn values(
    ingress: &Key,
    installation: &Installation,
    check_url: &str,
) -> Result<Values, Unwritable> {
    let base = check_url.trim_end_matches('/');
    let url = format!("{base}{}", question(ingress));
    let origin = installation.origin.of("$host");
    let prefix = &installation.endpoint_prefix;
    let signin = format!("{origin}{prefix}/start/{ingress}?m=$request_method");
    let headers = installation.identity_headers.join(",");
    fits(&url, "--check-url", is_url_octet)?;
    fits(&signin, "--endpoint-prefix", is_url_octet)?;
    fits(&headers, "--identity-header", is_header_octet)?;
    Ok(Values {
        url: url.into(),
        signin: signin.into(),
        headers: headers.into(),
    })
}

/// Whether an `auth-url` was written by Vestibule for this very Ingress, whatever the base URL was then.
#[must_use]
pub fn are_ours(auth_url: &str, ingress: &Key) -> bool {
    auth_url.ends_with(&question(ingress))
}

fn question(ingress: &Key) -> String {
    format!("/verify/nginx/{ingress}{QUESTION}")
}

fn fits(value: &str, option: &'static str, allowed: fn(char) -> bool) -> Result<(), Unwritable> {
    match value.chars().find(|c| !allowed(*c)) {
        None => Ok(()),
        Some(octet) => Err(Unwritable {
            value: value.to_owned(),
            octet,
            option,
        }),
    }
}

/// ingress-nginx's class for URLs with variables, without the space, which breaks `auth-signin`.
fn is_url_octet(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~/:,?&=$".contains(c)
}

fn is_header_octet(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_,".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Origin;

    fn installation(port: u16) -> Installation {
        Installation {
            origin: Origin {
                port,
                ..Origin::default()
            },
            ..Installation::default()
        }
    }

    #[test]
    fn the_three_values_name_the_ingress_and_let_nginx_fill_in_the_rest() {
        let base = "http://vestibule-auth.vestibule.svc.cluster.local:4181";
        let values = values(&Key::new("docs", "wiki"), &installation(443), base).unwrap();
        assert_eq!(
            &*values.url,
            "http://vestibule-auth.vestibule.svc.cluster.local:4181/verify/nginx/docs/wiki?m=$request_method&u=$escaped_request_uri&h=$host"
        );
        assert_eq!(
            &*values.signin,
            "https://$host/oauth2/start/docs/wiki?m=$request_method"
        );
        assert_eq!(
            &*values.headers,
            "X-Auth-Request-User,X-Auth-Request-Email,X-Auth-Request-Preferred-Username,X-Auth-Request-Groups,X-Auth-Request-Access-Token"
        );
        assert!(are_ours(&values.url, &Key::new("docs", "wiki")));
        assert!(!are_ours(&values.url, &Key::new("docs", "other")));
    }

    #[test]
    fn a_port_of_the_settings_stands_in_the_signin_url() {
        let values = values(
            &Key::new("docs", "wiki"),
            &installation(8443),
            "http://127.0.0.1:4181/",
        )
        .unwrap();
        assert_eq!(
            &*values.signin,
            "https://$host:8443/oauth2/start/docs/wiki?m=$request_method"
        );
        assert!(
            values
                .url
                .starts_with("http://127.0.0.1:4181/verify/nginx/docs/wiki?")
        );
    }

    #[test]
    fn what_ingress_nginx_would_drop_is_refused() {
        for base in [
            "http://user@auth",
            "http://[::1]:4181",
            "http://a b",
            "http://a;",
            "http://a#",
            "http://a%20",
        ] {
            assert!(
                values(&Key::new("docs", "wiki"), &installation(443), base).is_err(),
                "{base}"
            );
        }
        let mut odd = installation(443);
        odd.identity_headers = vec!["X User".into()];
        assert!(values(&Key::new("docs", "wiki"), &odd, "http://auth").is_err());
    }
}
