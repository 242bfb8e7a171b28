//! `/start`: where a data plane sends people whom a check refused. Shows why, or sends them to sign in.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http_body_util::BodyExt;

use super::{
    Endpoint,
    asked::Asked,
    audit,
    begin::{self, Wish},
    finish,
    page::{Page, leave},
};
use crate::{
    policy::{Audience, Decision, Host, HostPattern, Identity, Moment, Policy, ReturnTo, SignIn},
    published::{
        Access, Found, HostEntry, NoSessions, ProviderSettings, Service, ServiceId, Table,
    },
    session::{AttemptPurpose, HandOffRequest, Jar, Keys, Landed, OpenSession, random, set_cookie},
};

/// How long a body may take that nobody wants.
const LONGEST_BODY: Duration = Duration::from_secs(60);

/// `/start/NAMESPACE/INGRESS`: the name chooses what is shown, never what is allowed.
pub(super) async fn by_name(
    State(endpoint): State<Arc<Endpoint>>,
    Path((namespace, ingress)): Path<(String, String)>,
    asked: Asked,
    body: Body,
) -> Response {
    read_to_its_end(&asked, body).await;
    start(
        &endpoint,
        &asked,
        Some(ServiceId::new(&namespace, &ingress)),
    )
    .await
}

/// `/start`, and `/sign_in`, where plain nginx takes whoever the check refused (`error_page 401 =`).
pub(super) async fn by_host(
    State(endpoint): State<Arc<Endpoint>>,
    asked: Asked,
    body: Body,
) -> Response {
    read_to_its_end(&asked, body).await;
    start(&endpoint, &asked, None).await
}

/// nginx passes on the body of what met no session, and takes an answer before its end for a failure.
async fn read_to_its_end(asked: &Asked, mut body: Body) {
    if !asked.was_sending() {
        return;
    }
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    if tokio::time::timeout(LONGEST_BODY, reading).await.is_err() {
        tracing::info!(host = %asked.host, request_id = asked.request_id, "the body that met no session did not end in time");
    }
}

async fn start(endpoint: &Endpoint, asked: &Asked, named: Option<ServiceId>) -> Response {
    // A wildcard may cover it: its owner's words have no place there, nor has a session for that service alone.
    if endpoint.gate.is_auth_host(asked.host.as_str()) {
        return at_auth_host(endpoint, asked).await;
    }
    let show = |page: Page| page.answer(endpoint, asked.audience, &asked.request_id);
    let table = endpoint.table.load_full();
    let Some(entry) = table.host(&asked.host) else {
        return show(Page::not_served(&asked.host));
    };
    let return_to = asked.return_to(endpoint);
    let Some(service) = service_shown(&table, entry, named.as_ref(), &return_to) else {
        return show(Page::not_served(&asked.host));
    };
    let keys = endpoint.keys.load_full();
    let Some(keys) = keys.as_ref() else {
        return show(Page::not_ready());
    };
    let switch_account = asked.parameter("switch").is_some();
    // The person asks to be looked at once more: at the auth host they may be somebody else by now.
    let again = switch_account || asked.parameter("again").is_some();
    let now = endpoint.clock.now();

    let session = OpenSession::find(asked.jar(), endpoint.names, keys, asked.host.as_str(), now);
    let who = session.as_ref().and_then(OpenSession::identity);
    let who = who.filter(|who| service.counts(asked.host.as_str(), who.issued_at));
    let decision = match endpoint
        .gate
        .decide(service, return_to.as_str(), who.as_deref())
    {
        Ok(decision) => decision,
        Err(closed) => return show(Page::closed(service, &closed)),
    };
    let landed = Landed::find(asked.jar(), endpoint.names, keys, &asked.host, now);
    let why = match decision {
        Decision::Allow | Decision::Public if !switch_account => {
            return go_back(endpoint, asked, keys, &return_to, landed, now);
        }
        Decision::Deny(denial) if !again => {
            if let Some(who) = &who {
                audit::denied(service, asked.host.as_str(), who, denial);
                let provider = table.provider(&who.provider).map(Arc::as_ref);
                return show(Page::denied(
                    endpoint,
                    service,
                    &asked.host,
                    who,
                    provider,
                    denial,
                    &return_to,
                ));
            }
            SignIn::NoSession
        }
        Decision::SignIn(why) => why,
        Decision::Allow | Decision::Public | Decision::Deny(_) => SignIn::NoSession,
    };

    if asked.audience == Audience::Program {
        return show(Page::sign_in_needed(endpoint, &asked.host));
    }
    if asked.audience == Audience::Frame {
        return show(Page::in_a_frame(endpoint, service, &asked.host, &return_to));
    }
    if asked.was_sending() {
        return show(Page::was_not_sent(service, &asked.host));
    }
    if let Some(reason) = &entry.no_sessions {
        return show(Page::no_sessions(&asked.host, reason));
    }
    let comes_from_a_sign_in = landed.is_some() && !again;
    if comes_from_a_sign_in
        && matches!(
            why,
            SignIn::NoSession
                | SignIn::Expired
                | SignIn::AuthenticationTooOld
                | SignIn::ReadOtherwise
        )
    {
        tracing::warn!(host = %asked.host, request_id = asked.request_id, ?why, "a browser came back right after a sign-in without a session that counts");
        return show(Page::session_lost(
            endpoint,
            service,
            &asked.host,
            why,
            &return_to,
        ));
    }
    let Access::Open(policy) = &service.access else {
        return show(Page::not_ready());
    };
    let provider = match choose(&table, policy, asked.parameter("provider")) {
        Choice::One(provider) => provider,
        Choice::None => return show(Page::no_provider(service)),
        Choice::Several(providers) => {
            return show(Page::choose(
                endpoint,
                service,
                &asked.host,
                &providers,
                who.as_deref(),
                &return_to,
            ));
        }
    };
    let wish = Wish {
        provider: &provider,
        service: Some(service),
        return_to,
        switch_account,
        signed_in_since: good_since(policy, &provider, why, now)
            .max(service.counts_since(asked.host.as_str())),
        max_age: policy.session.max_authentication_age,
    };
    begin::sign_in(endpoint, asked, keys, wish).await
}

/// `/start?request=…` on the auth host: a protected host asks for a hand-off.
async fn at_auth_host(endpoint: &Endpoint, asked: &Asked) -> Response {
    let show = |page: Page| page.answer(endpoint, asked.audience, &asked.request_id);
    let keys = endpoint.keys.load_full();
    let Some(keys) = keys.as_ref() else {
        return show(Page::not_ready());
    };
    let now = endpoint.clock.now();
    let request = asked
        .parameter("request")
        .and_then(|sealed| HandOffRequest::open(sealed, keys, &asked.host, now));
    let Some(request) = request else {
        return show(Page::hand_off_unreadable());
    };
    if asked.audience == Audience::Frame {
        return show(Page::hand_off_unreadable());
    }
    let table = endpoint.table.load_full();
    if let Some(reason) = no_sessions(&table, &asked.host) {
        return show(Page::no_sessions(&asked.host, reason));
    }
    let Some(provider) = table.provider(&request.provider) else {
        return show(Page::provider_gone(&request.provider));
    };
    let session = OpenSession::find(asked.jar(), endpoint.names, keys, asked.host.as_str(), now);
    let who = session.as_ref().and_then(OpenSession::identity);
    if let Some(who) = who.filter(|who| suffices(who, provider, &request, now)) {
        return finish::hand_over(endpoint, asked, keys, &request, who.into_owned(), &[]);
    }
    let max_age = request.max_age.map(Duration::from_secs);
    let switch = request.switch_account;
    begin::ask_provider(
        endpoint,
        asked,
        keys,
        provider,
        AttemptPurpose::Elsewhere(request),
        switch,
        max_age,
    )
    .await
}

/// Why the auth host may have no sessions, if so. A wildcard that covers it is another host's affair.
pub(super) fn no_sessions<'t>(table: &'t Table, auth_host: &Host) -> Option<&'t NoSessions> {
    let entry = table.host(auth_host)?;
    match &entry.pattern {
        HostPattern::Exact(_) => entry.no_sessions.as_ref(),
        HostPattern::Wildcard(_) => None,
    }
}

/// Whether the auth host's own session answers a request without asking the provider.
fn suffices(
    who: &Identity<'_>,
    provider: &ProviderSettings,
    request: &HandOffRequest,
    now: Moment,
) -> bool {
    let recent = request
        .signed_in_since
        .is_none_or(|since| who.issued_at >= since);
    let proven = request
        .max_age
        .is_none_or(|age| now.since(who.authenticated_at).as_secs() < age);
    !request.switch_account
        && *who.provider == *request.provider
        && *who.issuer == *provider.issuer()
        && who
            .reading
            .is_none_or(|reading| reading == provider.reading())
        && now < who.ends_at
        && recent
        && proven
        && who.groups_complete
}

/// The service whose words and rules the page shows: the one that is named, if it serves this host, else that of the
/// page asked for, else the first.
fn service_shown<'t>(
    table: &'t Table,
    entry: &HostEntry,
    named: Option<&ServiceId>,
    return_to: &ReturnTo,
) -> Option<&'t Arc<Service>> {
    let of_the_page = || match entry.route(return_to.as_str()) {
        Found::Route(route) => route.service.as_ref(),
        Found::Nothing | Found::Unclear => None,
    };
    let id = named
        .filter(|id| entry.services.contains(id))
        .or_else(of_the_page)
        .or_else(|| entry.services.first())?;
    table.service(id.as_str())
}

enum Choice {
    None,
    One(Arc<ProviderSettings>),
    Several(Vec<Arc<ProviderSettings>>),
}

fn choose(table: &Table, policy: &Policy, asked: Option<&str>) -> Choice {
    let mut providers: Vec<_> = policy
        .providers
        .iter()
        .filter_map(|terms| table.provider(&terms.provider).cloned())
        .collect();
    providers.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
    if let Some(provider) = asked.and_then(|name| providers.iter().find(|p| *p.name == *name)) {
        return Choice::One(Arc::clone(provider));
    }
    match providers.as_slice() {
        [] => Choice::None,
        [one] => Choice::One(Arc::clone(one)),
        _ => Choice::Several(providers),
    }
}

/// Since when a sign-in must have happened for its session to count here: without this, a host whose sessions are
/// short would get the auth host's old one again and again.
fn good_since(
    policy: &Policy,
    provider: &ProviderSettings,
    why: SignIn,
    now: Moment,
) -> Option<Moment> {
    if why == SignIn::GroupsIncomplete {
        return Some(now);
    }
    let ceiling = policy
        .providers
        .iter()
        .find(|terms| terms.provider == provider.name);
    let longest = [
        policy.session.max_duration,
        ceiling.and_then(|terms| terms.ceiling.max_session),
    ];
    let longest = longest.into_iter().flatten().min()?;
    Some(Moment(
        now.0.saturating_sub(longest.as_secs()).saturating_add(1),
    ))
}

/// The session counts, so the person belongs on the page they asked for. If they keep coming back, something
/// between them and the service does not see what we see.
fn go_back(
    endpoint: &Endpoint,
    asked: &Asked,
    keys: &Keys,
    return_to: &ReturnTo,
    landed: Option<Landed>,
    now: Moment,
) -> Response {
    let landed = landed.unwrap_or(Landed {
        at: now,
        returns: 0,
    });
    if landed.returns >= 3 {
        tracing::warn!(host = %asked.host, request_id = asked.request_id, "a browser with a session that counts keeps coming back to sign in");
        return Page::going_in_circles(&asked.host, return_to).answer(
            endpoint,
            asked.audience,
            &asked.request_id,
        );
    }
    let landed = Landed {
        returns: landed.returns.saturating_add(1),
        ..landed
    };
    let cookie = landed.seal(keys, &asked.host, now, random).map(|value| {
        set_cookie(
            endpoint.names,
            endpoint.names.landed,
            &value,
            Landed::WINDOW,
        )
    });
    leave(return_to.as_str(), cookie.as_slice())
}

/// Whether a jar holds a session of this host: for pages that say which account is in use.
pub(super) fn session_of(endpoint: &Endpoint, jar: Jar<'_>, host: &str) -> Option<OpenSession> {
    let keys = endpoint.keys.load();
    let keys = keys.as_ref().as_ref()?;
    OpenSession::find(jar, endpoint.names, keys, host, endpoint.clock.now())
}
