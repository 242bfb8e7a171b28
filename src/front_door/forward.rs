//! One request that may pass, to its service and back.

use std::sync::Arc;

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{ACCEPT, CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING, UPGRADE},
};
use hyper::body::{Body as _, Incoming};

use super::{
    Inner,
    admission::Admission,
    asked::Asked,
    body::{Download, Upload},
    forwarded::{self, Path},
    headers, kept,
    upgrade::Offer,
    upstream::Failure,
};
use crate::{
    auth::IdentityHeaders,
    server::{Connection, Peer},
};

impl Inner {
    pub(super) async fn forward(
        self: &Arc<Self>,
        request: Request<Body>,
        asked: Asked,
        upstream: Arc<str>,
        identity: Option<IdentityHeaders>,
    ) -> Response<Body> {
        let accepted = request.headers().get(ACCEPT).cloned();
        let host = asked.host.clone();
        let exchanged = self.exchange(request, asked, &upstream, identity).await;
        exchanged.unwrap_or_else(|failure| {
            match failure.advice() {
                Some(advice) => {
                    tracing::warn!(%host, upstream = &*upstream, error = %failure, "{advice}");
                }
                None => tracing::debug!(%host, error = %failure, "a request did not arrive whole"),
            }
            self.stop(&failure.problem(host), accepted.as_ref())
        })
    }

    async fn exchange(
        self: &Arc<Self>,
        mut request: Request<Body>,
        asked: Asked,
        upstream: &Arc<str>,
        identity: Option<IdentityHeaders>,
    ) -> Result<Response<Body>, Failure> {
        let is_too_long = self.is_too_long(request.headers());
        let offer = Offer::take(&mut request);
        let connection = request.extensions().get::<Connection>().cloned();
        let admission = Admission::of(&request, self, &asked, upstream);

        let is_of_somebody = identity
            .as_ref()
            .is_some_and(IdentityHeaders::are_of_somebody);
        let mut request = Upload::of(request, self.settings.max_body);
        self.rewrite(&mut request, &asked, identity);
        if let Some(offer) = &offer {
            offer.write(request.headers_mut());
        }
        // What was noted on the way here is not the service's connection's.
        request.extensions_mut().clear();
        if is_too_long {
            return Err(Failure::TooLong);
        }
        let mut response = self.upstreams.send(request, &admission).await?;

        *response.version_mut() = Version::HTTP_11;
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let protocol = offer
            .as_ref()
            .and_then(|offer| offer.accepted(response.headers()));
        headers::strip_hop_by_hop(response.headers_mut());
        headers::strip_our_set_cookies(response.headers_mut());
        kept::keep_sessions(response.headers_mut());
        if !switched {
            if is_of_somebody {
                kept::keep_from_shared_caches(response.headers_mut());
            }
            if !response.body().is_end_stream() {
                headers::ask_for_no_buffering(response.headers_mut());
            }
            return Ok(Download::of(response, admission));
        }
        let (Some(offer), Some(protocol), Some(connection)) = (offer, protocol, connection) else {
            return Err(Failure::Switched);
        };
        Ok(switch(response, offer, protocol, admission, &connection))
    }

    /// Everything in the request's headers that the service must see otherwise than the client sent it.
    fn rewrite(
        &self,
        request: &mut Request<Upload>,
        asked: &Asked,
        identity: Option<IdentityHeaders>,
    ) {
        let peer = request.extensions().get::<Peer>().copied();
        let has_a_body = !request.body().is_end_stream();
        let headers = request.headers_mut();
        let trusted = &self.settings.trusted_proxies;
        let path = peer.map(|Peer(peer)| Path::of(headers, peer.ip(), trusted));
        let is_trusted = peer.is_some_and(|Peer(peer)| forwarded::is_trusted(peer.ip(), trusted));
        let takes_trailers = headers::takes_trailers(headers);
        headers::strip_hop_by_hop(headers);
        headers::strip_claims(headers, self.gate.identity_header_names(), is_trusted);
        headers::strip_our_cookies(headers);
        // It is met here: the body is asked for when the service is there to take it.
        headers.remove(EXPECT);
        // hyper would drop the body of a GET whose length nobody said.
        if has_a_body && !headers.contains_key(CONTENT_LENGTH) {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if takes_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
        let origin = self.gate.installation().origin;
        forwarded::tell(headers, path.as_ref(), &asked.authority, origin);
        if let Some(identity) = identity {
            identity.replace_in(headers);
        }
    }

    fn is_too_long(&self, headers: &HeaderMap) -> bool {
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let limit = self.settings.max_body;
        announced
            .zip(limit)
            .is_some_and(|(announced, limit)| announced > limit)
    }
}

/// The 101 to the client; what follows it goes from one connection to the other.
fn switch(
    mut response: Response<Incoming>,
    offer: Offer,
    protocol: HeaderValue,
    admission: Admission,
    connection: &Connection,
) -> Response<Body> {
    let service = hyper::upgrade::on(&mut response);
    connection.hand_over(offer.join(service, admission));
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
    response.map(|_| Body::empty())
}
