//! How long a session counts.

use super::{
    given::Given,
    manifests::{Manifests, Place},
    option::duration,
};
use crate::resource::SessionSpec;

/// The ceiling of `vestibule serve`, unless it is told another.
const CEILING: u64 = 24 * 3600;

/// Limits, and the ceiling that has to be raised for them.
pub(super) fn session(
    given: &Given,
    made: &mut Manifests,
) -> (Option<SessionSpec>, Option<String>) {
    let max = Place::Service("session.maxDuration");
    let read = |flag: &str, made: &mut Manifests| {
        let text = given.text(flag)?;
        let seconds = duration(text);
        if seconds.is_none() {
            made.decide(max, &[flag], "is no duration such as 12h, and was left out");
        }
        seconds.filter(|seconds| *seconds > 0)
    };
    let expire = read("cookie-expire", made);
    let refresh = read("cookie-refresh", made);
    if let Some(seconds) = expire {
        match refresh {
            Some(_) => made.tell(
                max,
                &["cookie-expire"],
                format!("{} was the end in any case", written(seconds)),
            ),
            None => {
                made.from(max, &["cookie-expire"]);
                made.tell(max, &[], "counted from signing in; it does not slide");
            }
        }
    } else if given.has("cookie-expire") && !made.mentions("cookie-expire") {
        made.decide(max, &["cookie-expire"], "a session that ends with the browser is not there: it ends after 24h, or what --max-session says");
    }
    if let Some(seconds) = refresh {
        made.decide(
            max,
            &["cookie-refresh"],
            format!(
                "oauth2-proxy asked the provider again after {0}, and somebody cut off there was out. There is no refresh yet, so a session ends after {0} and signing in again is silent while the provider's own session lasts; a form sent at that moment has to be sent again. If people who are cut off may stay in longer, raise it",
                written(seconds)
            ),
        );
    }
    let max_duration = refresh.or(expire);
    let ceiling = max_duration
        .filter(|seconds| *seconds > CEILING)
        .map(written);
    let mut spec = SessionSpec {
        max_duration: max_duration.map(written),
        max_authentication_age: None,
    };
    match given.text("prompt") {
        Some("login") => {
            let age = written(max_duration.unwrap_or(CEILING).min(CEILING));
            made.decide(
                Place::Service("session.maxAuthenticationAge"),
                &["prompt"],
                format!("login had the provider ask for a password at every sign-in; here it asks when the last time was more than {age} ago"),
            );
            spec.max_authentication_age = Some(age);
        }
        Some(_) => made.tell(
            Place::Provider(""),
            &["prompt"],
            "is not sent: the provider decides what it shows",
        ),
        None => {}
    }
    let is_empty = spec == SessionSpec::default();
    ((!is_empty).then_some(spec), ceiling)
}

/// As Kubernetes writes durations.
fn written(seconds: u64) -> String {
    let (hours, rest) = (seconds / 3600, seconds % 3600);
    let (minutes, seconds) = (rest / 60, rest % 60);
    let parts = [(hours, "h"), (minutes, "m"), (seconds, "s")];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    parts
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect()
}
