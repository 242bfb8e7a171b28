//! The one outgoing HTTP client. It follows no redirect, reads no more than a megabyte, waits no longer than its limits
//! say and speaks https, so that neither a broken nor a lying provider can hold or mislead this process.

use std::{error::Error, pin::Pin, sync::Arc, time::Duration};

use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, StatusCode, redirect};
use serde_json::{Map, Value};
use tokio::{sync::SemaphorePermit, time::Instant};
use url::Url;

use super::{
    error::ProviderError,
    json,
    limits::{Limits, Turns},
    metrics::{Metrics, Operation, Outcome},
    resolver::Resolver,
};

const IDLE_TIMEOUT: Duration = Duration::from_secs(3);
const LARGEST_BODY: usize = 1024 * 1024;
const USER_AGENT: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));

/// The way to one provider.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    client: Client,
    metrics: Metrics,
    provider: Arc<str>,
    /// Its administrator lets plain http pass.
    plain_http: bool,
    turns: Arc<Turns>,
}

/// No usable answer. Names the URL without its query.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpFailure {
    #[error("{0} is not an https URL")]
    Scheme(String),
    #[error("{url}: {cause}")]
    Connection { url: String, cause: String },
    #[error("{url} did not finish its answer within {limit:?} (--provider-timeout)")]
    Timeout { url: String, limit: Duration },
    #[error("{at_once} requests to it were under way, which is the most (--provider-max-requests)")]
    Busy { at_once: usize },
    #[error("{url} answered {status}")]
    Unavailable { url: String, status: StatusCode },
    #[error("{url} answered {status}")]
    Status { url: String, status: StatusCode },
    #[error(
        "{url} answered with a redirect ({status}), which is not followed; name the place itself"
    )]
    Redirect { url: String, status: StatusCode },
    #[error("the answer of {0} is larger than 1 MiB")]
    TooLarge(String),
    #[error("the answer of {0} is not a JSON object with each member once")]
    NotJson(String),
}

/// The client that all providers share.
pub(super) fn client(limits: Limits) -> Client {
    let builder = || {
        Client::builder()
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            .referer(false)
            .dns_resolver(Resolver)
            .connect_timeout(limits.timeout / 2)
            // Sooner than servers close idle connections (Node after 5 s): a code cannot be sent twice.
            .pool_idle_timeout(IDLE_TIMEOUT)
            .timeout(limits.timeout)
    };
    builder().build().unwrap_or_else(|error| {
        let error = innermost(&error);
        tracing::warn!(
            error,
            "no certificate authorities found on this machine: identity providers are trusted over https only \
             once there are some (install ca-certificates, or set SSL_CERT_FILE) and this process is restarted"
        );
        let trusting_nobody = builder().tls_certs_only([]).build();
        trusting_nobody.expect("a client that trusts no authority needs nothing from the machine")
    })
}

// === impl Outgoing ===

impl Outgoing {
    pub(super) fn new(
        client: Client,
        metrics: Metrics,
        provider: Arc<str>,
        plain_http: bool,
        limits: Limits,
    ) -> Self {
        Self {
            turns: Arc::new(Turns::new(limits)),
            client,
            metrics,
            provider,
            plain_http,
        }
    }

    pub(super) fn provider(&self) -> &Arc<str> {
        &self.provider
    }

    pub(super) fn lets_plain_http_pass(&self) -> bool {
        self.plain_http
    }

    /// Fetches a document; anything but a 200 is a failure.
    pub(super) async fn document(
        &self,
        operation: Operation,
        url: &Url,
    ) -> Result<Vec<u8>, HttpFailure> {
        let request =
            http::Request::get(url.as_str()).header(http::header::ACCEPT, "application/json");
        self.ok(operation, request).await
    }

    /// Fetches claims with an access token (OpenID Connect Core §5.3.1).
    pub(super) async fn userinfo(
        &self,
        url: &Url,
        access_token: &str,
    ) -> Result<Map<String, Value>, HttpFailure> {
        let request = http::Request::get(url.as_str())
            .header(http::header::ACCEPT, "application/json")
            .header(
                http::header::AUTHORIZATION,
                format!("Bearer {access_token}"),
            );
        let document = self.ok(Operation::UserInfo, request).await?;
        json::object(&document).ok_or_else(|| HttpFailure::NotJson(shown(url)))
    }

    async fn ok(
        &self,
        operation: Operation,
        request: http::request::Builder,
    ) -> Result<Vec<u8>, HttpFailure> {
        let request = request
            .body(Vec::new())
            .map_err(|error| HttpFailure::Connection {
                url: self.provider.to_string(),
                cause: format!("the request cannot be written: {error}"),
            })?;
        let url = request.uri().to_string();
        let response = self.send(operation, request).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(HttpFailure::Status {
                url: without_query(&url),
                status,
            }),
        }
    }

    /// Sends a request and reads the answer, within the limits. An answer says yes or no (2xx, 4xx); all
    /// others are failures.
    pub(super) async fn send(
        &self,
        operation: Operation,
        request: HttpRequest,
    ) -> Result<HttpResponse, HttpFailure> {
        let _turn = match operation {
            // For one person's sign-in; the others are for everybody's.
            Operation::Token | Operation::UserInfo => Some(self.turn(operation).await?),
            Operation::Discovery | Operation::Keys => None,
        };
        let started = Instant::now();
        let _under_way = self.metrics.under_way(&self.provider);
        let answer = self.exchange(request).await;
        let outcome = match &answer {
            Ok(response) if response.status().is_success() => Outcome::Success,
            Ok(_) | Err(HttpFailure::Redirect { .. } | HttpFailure::Scheme(_)) => Outcome::Refused,
            Err(_) => Outcome::Failed,
        };
        self.metrics
            .record(&self.provider, operation, outcome, started.elapsed());
        answer
    }

    /// Waits to be one of so many at once.
    async fn turn(&self, operation: Operation) -> Result<SemaphorePermit<'_>, HttpFailure> {
        let turn = self.turns.take(&self.provider).await;
        turn.ok_or_else(|| {
            self.metrics.not_sent(&self.provider, operation);
            HttpFailure::Busy {
                at_once: self.turns.limits().at_once,
            }
        })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let url = without_query(&request.uri().to_string());
        let scheme = request.uri().scheme_str();
        if scheme != Some("https") && !(self.plain_http && scheme == Some("http")) {
            return Err(HttpFailure::Scheme(url));
        }
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                HttpFailure::Timeout {
                    url: url.clone(),
                    limit: self.turns.limits().timeout,
                }
            } else {
                HttpFailure::Connection {
                    url: url.clone(),
                    cause: innermost(&error),
                }
            }
        };
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut answer = self.client.execute(request).await.map_err(failed)?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(HttpFailure::Redirect { url, status });
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(HttpFailure::Unavailable { url, status });
        }
        let mut response = http::Response::new(Vec::new());
        *response.status_mut() = status;
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if response.body().len() + chunk.len() > LARGEST_BODY {
                return Err(HttpFailure::TooLarge(url));
            }
            response.body_mut().extend_from_slice(&chunk);
        }
        Ok(response)
    }
}

/// The token endpoint's side of the `oauth2` crate.
impl<'c> AsyncHttpClient<'c> for Outgoing {
    type Error = HttpFailure;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpFailure>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let url = without_query(&request.uri().to_string());
            let response = self.send(Operation::Token, request).await?;
            // What is neither tokens nor an error of RFC 6749 §5.2 is somebody else's answer.
            match (response.status(), json::object(response.body())) {
                (StatusCode::OK, Some(_)) => Ok(response),
                (StatusCode::OK, None) => Err(HttpFailure::NotJson(url)),
                (_, Some(body)) if body.contains_key("error") => Ok(response),
                (status, _) => Err(HttpFailure::Status { url, status }),
            }
        })
    }
}

// === impl HttpFailure ===

impl HttpFailure {
    /// Whether the provider said no, as opposed to nothing.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Status { .. } | Self::NotJson(_))
    }

    pub(super) fn of(self, provider: &Arc<str>) -> ProviderError {
        let (provider, reason) = (provider.clone(), self.to_string().into());
        match self {
            Self::Connection { .. }
            | Self::Timeout { .. }
            | Self::Busy { .. }
            | Self::Unavailable { .. } => ProviderError::Unreachable { provider, reason },
            _ => ProviderError::Misconfigured { provider, reason },
        }
    }
}

/// A URL as it may stand in a log.
pub(super) fn shown(url: &Url) -> String {
    without_query(url.as_str())
}

fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// The cause that says something: wrappers say "error sending request".
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[tokio::test]
    async fn plain_http_does_not_leave_this_process_without_the_switch() {
        let metrics = Metrics::register(&mut Registry::default());
        for (plain_http, url) in [
            (false, "http://127.0.0.1:1/"),
            (false, "HTTP://localhost:1/"),
            (true, "ftp://127.0.0.1:1/"),
        ] {
            let outgoing = Outgoing::new(
                client(Limits::default()),
                metrics.clone(),
                "corp".into(),
                plain_http,
                Limits::default(),
            );
            let url = Url::parse(url).unwrap();
            let failure = outgoing
                .document(Operation::Discovery, &url)
                .await
                .unwrap_err();
            assert!(matches!(failure, HttpFailure::Scheme(_)), "{failure}");
        }
    }
}
