//! The end of a sign-in: a session for this host, or a ticket for the host that asked (`/finish`).

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};

use super::{
    Endpoint,
    asked::Asked,
    audit,
    page::{Page, leave},
};
use crate::{
    policy::{Host, Identity, Moment, ReturnTo},
    session::{
        Attempt, AttemptPurpose, HandOffRequest, Keys, Landed, NamedFacts, Ticket, issue, random,
        restrict, set_cookie,
    },
};

/// nginx reads the head of an answer into 4 KiB unless told otherwise, and makes a 502 of a longer one: what is left
/// for a session and where it leads, beside everything else that the answer says.
const SESSION_AND_LOCATION: usize = 3250;

/// `/finish?ticket=…`: receives a hand-off from the auth host.
pub(super) async fn finish(State(endpoint): State<Arc<Endpoint>>, asked: Asked) -> Response {
    let show = |page: Page| page.answer(&endpoint, asked.audience, &asked.request_id);
    let keys = endpoint.keys.load_full();
    let Some(keys) = keys.as_ref() else {
        return show(Page::not_ready());
    };
    let now = endpoint.clock.now();
    let plain = asked
        .parameter("ticket")
        .and_then(|sealed| Ticket::unseal(sealed, keys, &asked.host, now));
    let ticket = plain.as_deref().and_then(|plain| Ticket::read(plain, now));
    let found = ticket.and_then(|ticket| {
        let state = ticket.state.as_str();
        let (attempt, cookie) =
            Attempt::find(asked.jar(), endpoint.names, keys, &asked.host, state, now)?;
        (attempt.provider == *ticket.who.provider).then_some((ticket, attempt, cookie))
    });
    let Some((ticket, attempt, cookie)) = found else {
        return show(Page::unknown_attempt(&endpoint, &asked.host));
    };
    let AttemptPurpose::Here { return_to } = &attempt.purpose else {
        return show(Page::unknown_attempt(&endpoint, &asked.host));
    };
    let used = set_cookie(endpoint.names, &cookie, "", Duration::ZERO);
    land(&endpoint, &asked, keys, &ticket.who, return_to, used, true)
}

/// Gives the browser a session for the host that was asked and sends it where it wanted to go.
pub(super) fn land(
    endpoint: &Endpoint,
    asked: &Asked,
    keys: &Keys,
    who: &Identity<'_>,
    return_to: &str,
    used: String,
    by_hand_off: bool,
) -> Response {
    let show = |page: Page| {
        page.with_cookie(used.clone())
            .answer(endpoint, asked.audience, &asked.request_id)
    };
    let table = endpoint.table.load();
    let Some(entry) = table.host(&asked.host) else {
        return show(Page::not_served(&asked.host));
    };
    if let Some(reason) = &entry.no_sessions {
        return show(Page::no_sessions(&asked.host, reason));
    }
    let now = endpoint.clock.now();
    let named = NamedFacts {
        groups: entry.named_groups.clone(),
        claims: entry.named_claims.clone(),
    };
    let fits = |session: &String| session.len() + return_to.len() <= SESSION_AND_LOCATION;
    let session = issue(who, &named, keys, &asked.host, now, random)
        .filter(|session| fits(session))
        // Groups that no rule of the host names can go; where the person wanted to go matters more.
        .or_else(|| {
            let mut who = who.clone();
            who.groups_complete = false;
            who.groups
                .retain(|group| named.groups.iter().any(|name| **name == **group));
            issue(&who, &named, keys, &asked.host, now, random)
        });
    let Some(session) = session else {
        return show(match table.provider(&who.provider) {
            Some(provider) => Page::identity_too_large(provider),
            None => Page::provider_gone(&who.provider),
        });
    };
    let landed = Landed {
        at: now,
        returns: 0,
    }
    .seal(keys, &asked.host, now, random);
    let mut cookies = vec![used, session_cookie(endpoint, &session, who, now)];
    cookies.extend(landed.map(|value| {
        set_cookie(
            endpoint.names,
            endpoint.names.landed,
            &value,
            Landed::WINDOW,
        )
    }));
    audit::signed_in(&asked.host, who, by_hand_off);
    // Checked again: the settings may have changed since the sign-in began.
    let to = ReturnTo::parse(return_to, &asked.host, endpoint.installation.origin)
        .ok()
        .filter(|_| fits(&session))
        .unwrap_or_else(ReturnTo::root);
    leave(to.as_str(), &cookies)
}

/// Sends the person from the auth host back to the host that asked, with a ticket.
pub(super) fn hand_over(
    endpoint: &Endpoint,
    asked: &Asked,
    keys: &Keys,
    request: &HandOffRequest,
    who: Identity<'_>,
    cookies: &[String],
) -> Response {
    let show = |page: Page| page.answer(endpoint, asked.audience, &asked.request_id);
    let table = endpoint.table.load();
    let host = Host::parse(&request.host);
    let Some((host, entry)) = host.and_then(|host| table.host(&host).map(|entry| (host, entry)))
    else {
        return show(Page::hand_off_unreadable());
    };
    // Whoever holds the prefix there now would receive the ticket.
    if let Some(reason) = &entry.no_sessions {
        return show(Page::no_sessions(&host, reason));
    }
    let named = NamedFacts {
        groups: entry.named_groups.clone(),
        claims: entry.named_claims.clone(),
    };
    let mut who = restrict(who, &named);
    let now = endpoint.clock.now();
    // The ticket travels in a URL: groups that would not fit in a cookie do not fit there either.
    if who
        .groups
        .iter()
        .map(|group| group.len() + 1)
        .sum::<usize>()
        > 1500
    {
        who.groups
            .retain(|group| named.groups.iter().any(|name| **name == **group));
        who.groups_complete = false;
    }
    let Some(sealed) = Ticket::answer(request, who, now).seal(keys, &host, now, random) else {
        return show(Page::not_ready());
    };
    leave(
        &endpoint.url(&host, &format!("/finish?ticket={sealed}")),
        cookies,
    )
}

/// The Set-Cookie line of a session; the browser forgets it when it ends.
pub(super) fn session_cookie(
    endpoint: &Endpoint,
    sealed: &str,
    who: &Identity<'_>,
    now: Moment,
) -> String {
    set_cookie(
        endpoint.names,
        endpoint.names.session,
        sealed,
        who.ends_at.since(now),
    )
}
