//! What came of asking identity providers, as far as anybody had to: shown beside what their manifests say.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::status::time;
use crate::{policy::Moment, published::Observation, resource::Reason};

/// What is known of one provider.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    discovery: Option<Answered>,
    client: Option<Answered>,
}

/// The last answer, and since when it is the same.
#[derive(Clone, Debug)]
struct Answered {
    since: Moment,
    last: Moment,
    failure: Option<Arc<str>>,
}

/// The same, as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnsweredDocument<'s> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_asked: Option<String>,
    message: &'s str,
}

/// Why nobody new can sign in with a provider.
pub(super) struct Fault<'s> {
    pub(super) reason: Reason,
    pub(super) message: &'s str,
    pub(super) since: Timestamp,
}

// === impl Asked ===

impl Asked {
    /// Nobody had to ask.
    pub(super) const NEVER: Self = Self {
        discovery: None,
        client: None,
    };

    pub(super) fn observe(&mut self, observation: &Observation, now: Moment) {
        let (answered, failure) = match observation {
            Observation::Discovery { failure, .. } => (&mut self.discovery, failure),
            Observation::Client { failure, .. } => (&mut self.client, failure),
        };
        let before = answered.take();
        let unchanged = before.filter(|before| before.failure.is_some() == failure.is_some());
        *answered = Some(Answered {
            since: unchanged.map_or(now, |before| before.since),
            last: now,
            failure: failure.clone(),
        });
    }

    /// Why nobody new can sign in, if that is so.
    pub(super) fn fault(&self) -> Option<Fault<'_>> {
        let discovery = (&self.discovery, Reason::DiscoveryFailed);
        let client = (&self.client, Reason::ClientRefused);
        [discovery, client]
            .into_iter()
            .find_map(|(answered, reason)| {
                let answered = answered.as_ref()?;
                Some(Fault {
                    reason,
                    message: answered.failure.as_deref()?,
                    since: time(answered.since),
                })
            })
    }

    pub(super) fn discovery(&self) -> AnsweredDocument<'_> {
        shown(
            self.discovery.as_ref(),
            "its discovery document could be read",
            "nobody has signed in with it since the start, so it was not asked; vestibule check --ask-providers asks",
        )
    }

    pub(super) fn client(&self) -> AnsweredDocument<'_> {
        shown(
            self.client.as_ref(),
            "it knows clientID and client secret",
            "nobody has come back from it since the start, so whether it knows the client secret is not known",
        )
    }
}

fn shown<'s>(
    answered: Option<&'s Answered>,
    good: &'static str,
    unknown: &'static str,
) -> AnsweredDocument<'s> {
    let Some(answered) = answered else {
        return AnsweredDocument {
            status: "Unknown",
            since: None,
            last_asked: None,
            message: unknown,
        };
    };
    AnsweredDocument {
        status: match answered.failure {
            None => "True",
            Some(_) => "False",
        },
        since: Some(time(answered.since).to_string()),
        last_asked: Some(time(answered.last).to_string()),
        message: answered.failure.as_deref().unwrap_or(good),
    }
}
