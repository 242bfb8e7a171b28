//! The words of each page: what happened, to which object, what to do next.

use http::StatusCode;

use super::{Account, Action, ActionKind, Page, denial};
use crate::{
    auth::{Endpoint, audit, callback},
    policy::{Denial, Host, Identity, ReturnTo, SignIn},
    provider::ProviderError,
    published::{Closed, Detail, NoSessions, ProviderSettings, Service},
    session::{Attempt, AttemptPurpose},
};

impl Page {
    /// The Host header is missing, doubled or no host name.
    pub(in crate::auth) fn host_unreadable() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "host_unreadable",
            "This address cannot be read",
        )
        .say(
            "The request does not name exactly one host. Open the service by its ordinary address.",
        )
    }

    /// Nothing of ours is served on this host.
    pub(in crate::auth) fn not_served(host: &Host) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_served", "Nothing to sign in to here")
            .say(format!("{host} is not a host that Vestibule protects."))
            .say("If it should be, its Ingress needs the annotation vestibule.dev/protect: \"true\"; kubectl get psvc -A shows what is protected. Without Kubernetes, spec.hosts of a ProtectedService has to name it.")
    }

    /// A path that we do not have.
    pub(in crate::auth) fn no_such_page(endpoint: &Endpoint, host: &Host) -> Self {
        if endpoint.installation.auth_host.as_ref() == Some(host) {
            return Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing to see here")
                .say(format!("{host} only signs people in, for other addresses. Open the service that you want to use."));
        }
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such page")
            .say(format!(
                "{host} has no page of this name for signing in or out."
            ))
            .link("Open the front page", "/")
    }

    /// A page of ours does not know the method.
    pub(in crate::auth) fn no_such_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This page cannot be asked for in this way",
        )
        .say("Pages for signing in are opened as links are: with GET. Nothing was done.")
        .link("Open the front page", "/")
    }

    /// The key ring or the Table is not in yet.
    pub(in crate::auth) fn not_ready() -> Self {
        let page = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "Sign-in is starting",
        )
        .say("The session keys have not been read yet. Try again in a few seconds.");
        Self {
            retry_after: Some(5),
            ..page
        }
    }

    /// Something about the service's protection is broken.
    pub(in crate::auth) fn closed(service: &Service, closed: &Closed) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "closed",
            format!("{} is closed", name(service, None)),
        )
        .say("Its protection has a problem that its owner must mend, so nobody is let in.")
        .say(format!(
            "Tell its owner: {}. The condition on ProtectedService {} says what to do; without Kubernetes, the log does.",
            closed.reason, service.protected_service
        ))
        .fact(format!("Policy {}", service.protected_service))
    }

    /// No session may be made for the host.
    pub(in crate::auth) fn no_sessions(host: &Host, why: &NoSessions) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_sessions", format!("Nobody can sign in to {host} now"))
            .say(format!("Another Ingress takes part of this host in a way that would let it read sessions. Tell the owner of {host}: {}.", why.reason))
            .fact(why.reason.to_string())
    }

    /// A program came without a session.
    pub(in crate::auth) fn sign_in_needed(endpoint: &Endpoint, host: &Host) -> Self {
        let address = endpoint.installation.origin.of(host.as_str());
        Self::new(StatusCode::UNAUTHORIZED, "login_required", "Sign-in needed")
            .say(format!("Nobody is signed in at {host}, or the session has ended. Open {address} in a browser to sign in."))
    }

    /// Shown where a frame would have to leave for the provider.
    pub(in crate::auth) fn in_a_frame(
        endpoint: &Endpoint,
        service: &Service,
        host: &Host,
        return_to: &ReturnTo,
    ) -> Self {
        let page = Self::new(StatusCode::UNAUTHORIZED, "login_required", "Sign-in needed")
            .say(format!("Your session at {} has ended. Sign in in a window of its own, then reload this page.", name(service, Some(host))));
        let href = start(endpoint, Some(service), return_to, "");
        let action = Action {
            label: "Sign in".into(),
            href,
            kind: ActionKind::TopLink,
        };
        Self {
            actions: vec![action],
            ..page
        }
    }

    /// A form met a session that has ended.
    pub(in crate::auth) fn was_not_sent(service: &Service, host: &Host) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "session_ended", "Your session ended, and this was not sent")
            .say(format!("What you just submitted did not reach {}, because you are not signed in any more.", name(service, Some(host))))
            .say("Go back in your browser to keep what you typed, sign in in another tab, then submit again.")
            .link("Sign in", "/")
    }

    /// The browser came back from a sign-in without a session that counts.
    pub(in crate::auth) fn session_lost(
        endpoint: &Endpoint,
        service: &Service,
        host: &Host,
        why: SignIn,
        return_to: &ReturnTo,
    ) -> Self {
        let cause = match why {
            SignIn::Expired | SignIn::AuthenticationTooOld => {
                "The new session counts as over already. The clocks of the identity provider and of this service may differ, or the session limit of the service is shorter than a sign-in takes."
            }
            SignIn::ReadOtherwise => {
                "The settings of the identity provider were changed a moment ago, and not every part of Vestibule knows them yet. Wait a moment."
            }
            SignIn::NoSession | SignIn::OtherProvider | SignIn::GroupsIncomplete => {
                "Your browser did not send back the session cookie it was given. It may be set to refuse cookies for this site, or something between removes them."
            }
        };
        Self::new(StatusCode::FORBIDDEN, "session_lost", "Signed in, but the session did not last")
            .say(format!("You have just signed in at {host}, and now there is no session that counts. You are not sent round in circles."))
            .say(cause)
            .link("Try once more", start(endpoint, Some(service), return_to, "&switch=1"))
    }

    /// The check refuses what this page would let in.
    pub(in crate::auth) fn going_in_circles(host: &Host, return_to: &ReturnTo) -> Self {
        Self::new(StatusCode::FORBIDDEN, "redirect_loop", "You are signed in, but the way in is blocked")
            .say(format!("Your session at {host} is good, yet the service keeps sending you here. The proxy in front of it may not pass the cookie on, or may ask about another host."))
            .say("Tell the administrator of the ingress; waiting half a minute and trying again does no harm.")
            .link("Try again", return_to.as_str())
    }

    /// The service can be used with several providers.
    pub(in crate::auth) fn choose(
        endpoint: &Endpoint,
        service: &Service,
        host: &Host,
        providers: &[std::sync::Arc<ProviderSettings>],
        who: Option<&Identity<'_>>,
        return_to: &ReturnTo,
    ) -> Self {
        let page = Self::new(
            StatusCode::OK,
            "choose_provider",
            format!("Sign in to {}", name(service, Some(host))),
        )
        .say("Choose how.");
        let page = match who {
            Some(who) => page.signed_in_as(who, None),
            None => page,
        };
        providers.iter().fold(page, |page, provider| {
            page.link(
                &*provider.display_name,
                start(
                    endpoint,
                    Some(service),
                    return_to,
                    &format!("&provider={}", provider.name),
                ),
            )
        })
    }

    /// Signed in, not allowed.
    pub(in crate::auth) fn denied(
        endpoint: &Endpoint,
        service: &Service,
        host: &Host,
        who: &Identity<'_>,
        provider: Option<&ProviderSettings>,
        denial: Denial,
        return_to: &ReturnTo,
    ) -> Self {
        let page = Self::new(
            StatusCode::FORBIDDEN,
            "access_denied",
            format!("You don't have access to {}", name(service, Some(host))),
        )
        .signed_in_as(who, provider);
        let mut page = match service.denied.detail {
            Detail::None => page.say("This account may not enter here."),
            Detail::Reason => {
                let page = page.say(denial::why(denial));
                let page = if denial::was_told_no_groups(who, denial) {
                    page.say("The identity provider named no group of this account. If that is wrong, tell whoever runs this sign-in: it may have to be asked for them.")
                } else {
                    page
                };
                page.fact(format!(
                    "Rule: {} of ProtectedService {}",
                    audit::rule(denial),
                    service.protected_service
                ))
                .fact(audit::reason(denial))
            }
        };
        page.owner_message = service.denied.message.as_deref().map(str::to_owned);
        let page = page.link(
            "Use another account",
            start(endpoint, Some(service), return_to, "&switch=1"),
        );
        let page = match &service.denied.request_access_url {
            Some(url) => page.link("Ask for access", &**url),
            None => page,
        };
        page.link(
            "Try again",
            start(endpoint, Some(service), return_to, "&again=1"),
        )
        .link("Sign out", path(endpoint, "/sign_out"))
    }

    /// None of the service's providers can be used.
    pub(in crate::auth) fn no_provider(service: &Service) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_provider", "There is no way to sign in")
            .say(format!("No identity provider of ProtectedService {} can be used now. kubectl get idp shows why; without Kubernetes, the log does.", service.protected_service))
    }

    /// The provider was removed while somebody was signing in.
    pub(in crate::auth) fn provider_gone(provider: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "provider_gone",
            "This way to sign in does not exist",
        )
        .say(format!(
            "There is no usable identity provider named {}. Open the service again to start over.",
            callback::word(provider)
        ))
    }

    /// The provider was changed while the person was there.
    pub(in crate::auth) fn provider_changed(provider: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "provider_changed",
            "Please sign in again",
        )
        .say(format!(
            "The settings of the identity provider {} were changed while you signed in, so that sign-in does not count. Open the service again to start over.",
            callback::word(provider)
        ))
    }

    /// The provider cannot be reached or used.
    pub(in crate::auth) fn provider_unavailable(
        provider: &ProviderSettings,
        error: &ProviderError,
    ) -> Self {
        let page = |title| {
            Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "provider_unavailable",
                title,
            )
        };
        let name = &provider.display_name;
        if error.is_transient() {
            let page = page(format!("{name} does not answer"))
                .say(format!("Sign-in with {name} is not possible at the moment. Whoever is signed in already is not affected."))
                .say("Try again in a minute.");
            return Self {
                retry_after: Some(30),
                ..page
            };
        }
        page(format!("Sign-in with {name} is set up wrongly"))
            .say("An administrator has to mend it. Whoever is signed in already is not affected.")
            .say(format!(
                "What is wrong with IdentityProvider {} is in the log, with the request's name below.",
                provider.name
            ))
    }

    /// The callback or the hand-off has no attempt in this browser.
    pub(in crate::auth) fn unknown_attempt(endpoint: &Endpoint, host: &Host) -> Self {
        let front_page = if endpoint.installation.auth_host.as_ref() == Some(host) {
            None
        } else {
            Some("/")
        };
        let page = Self::new(StatusCode::BAD_REQUEST, "unknown_attempt", "This sign-in cannot be finished")
            .say("It was finished before, took longer than 15 minutes, was begun in another browser, or this browser does not accept cookies from this site.")
            .say("Open the service again to start over.");
        match front_page {
            Some(front_page) => page.link("Start over", front_page),
            None => page,
        }
    }

    /// The provider sent an error instead of a code.
    pub(in crate::auth) fn provider_said_no(
        endpoint: &Endpoint,
        host: &Host,
        provider: &ProviderSettings,
        error: &str,
        attempt: &Attempt,
    ) -> Self {
        let said = match error {
            "access_denied" => "The sign-in was cancelled or not permitted there.",
            "login_required"
            | "interaction_required"
            | "consent_required"
            | "account_selection_required" => "It needs you to sign in or to agree there first.",
            "temporarily_unavailable" | "server_error" => {
                "It has a problem of its own. Try again in a minute."
            }
            _ => "Its settings for this service may be wrong. Tell an administrator.",
        };
        Self::new(
            StatusCode::FORBIDDEN,
            "provider_refused",
            format!("{} did not sign you in", provider.display_name),
        )
        .say(said)
        .fact(format!("Answer: {}", callback::word(error)))
        .again(endpoint, host, attempt)
    }

    /// The code could not be turned into an identity.
    pub(in crate::auth) fn sign_in_failed(
        endpoint: &Endpoint,
        host: &Host,
        provider: &ProviderSettings,
        error: &ProviderError,
        attempt: &Attempt,
    ) -> Self {
        let name = &provider.display_name;
        let page = match error {
            ProviderError::Unreachable { .. } | ProviderError::Misconfigured { .. } => {
                Self::provider_unavailable(provider, error)
            }
            ProviderError::Refused { .. } => {
                Self::new(StatusCode::FORBIDDEN, "provider_refused", format!("{name} did not accept the sign-in"))
                    .say("The answer may have been used before or have come too late. Signing in again helps; if it does not, the client's registration there is wrong.")
            }
            ProviderError::Untrusted { .. } => {
                Self::new(StatusCode::FORBIDDEN, "answer_untrusted", format!("The answer of {name} could not be verified"))
                    .say("You are not signed in. If this goes on, an administrator has to look at the log with the request's name below.")
            }
            ProviderError::NotAdmitted { .. } => {
                Self::new(StatusCode::FORBIDDEN, "account_not_admitted", format!("{name} does not admit this account here"))
                    .say("Only accounts of certain domains may be used. Choose another account.")
            }
        };
        page.fact(format!("Identity provider {}", provider.name))
            .again(endpoint, host, attempt)
    }

    /// The identity does not fit in a cookie.
    pub(in crate::auth) fn identity_too_large(provider: &ProviderSettings) -> Self {
        Self::new(StatusCode::FORBIDDEN, "identity_too_large", "This account cannot be kept in a session")
            .say(format!("{} describes this account with more text than a browser keeps in a cookie. An administrator can have it send fewer claims.", provider.display_name))
    }

    /// The auth host was opened without a request it can read.
    pub(in crate::auth) fn hand_off_unreadable() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "hand_off_unreadable", "Nothing to sign in to from here")
            .say("This address only helps other services with sign-in, and the request for it is missing or too old. Open the service that you want to use.")
    }

    /// Somebody followed a link to sign out.
    pub(in crate::auth) fn confirm_sign_out(endpoint: &Endpoint, host: &Host) -> Self {
        let page = Self::new(
            StatusCode::OK,
            "confirm_sign_out",
            format!("Sign out of {host}?"),
        )
        .say("You came here from another site, so please confirm.");
        let action = Action {
            label: "Sign out".into(),
            href: path(endpoint, "/sign_out"),
            kind: ActionKind::Post,
        };
        Self {
            actions: vec![action],
            ..page
        }
        .link("Stay signed in", "/")
    }

    /// The session is gone.
    pub(in crate::auth) fn signed_out(endpoint: &Endpoint, host: &Host) -> Self {
        let page = Self::new(StatusCode::OK, "signed_out", "You are signed out")
            .say(format!("Your session at {host} has ended."));
        let page = match &endpoint.installation.auth_host {
            Some(_) => page.say("Signing in again will ask the identity provider. Other services that you have opened keep their own sessions until these end; sign out there as well on a shared computer."),
            None => page,
        };
        page.say("You may still be signed in at the identity provider itself.")
            .link(
                "Sign in again",
                format!("{}/", endpoint.installation.origin.of(host.as_str())),
            )
    }

    fn signed_in_as(mut self, who: &Identity<'_>, provider: Option<&ProviderSettings>) -> Self {
        self.account = Some(Account {
            label: who.label().to_owned(),
            provider: provider.map(|provider| provider.display_name.to_string()),
        });
        self
    }

    /// A way to start over, on the host where the person wanted to go.
    fn again(self, endpoint: &Endpoint, host: &Host, attempt: &Attempt) -> Self {
        match &attempt.purpose {
            AttemptPurpose::Here { return_to } => {
                let return_to = ReturnTo::parse(return_to, host, endpoint.installation.origin);
                let return_to = return_to.unwrap_or_else(|_| ReturnTo::root());
                self.link("Try again", start(endpoint, None, &return_to, ""))
                    .link(
                        "Use another account",
                        start(endpoint, None, &return_to, "&switch=1"),
                    )
            }
            AttemptPurpose::Elsewhere(request) => match Host::parse(&request.host) {
                Some(host) => {
                    let there = endpoint.url(&host, "/start?rd=%2F");
                    self.link("Try again", there.clone())
                        .link("Use another account", format!("{there}&switch=1"))
                }
                None => self,
            },
        }
    }
}

/// What people call a service.
fn name(service: &Service, host: Option<&Host>) -> String {
    match (&service.display_name, host) {
        (Some(name), _) => name.to_string(),
        (None, Some(host)) => host.to_string(),
        (None, None) => service
            .hosts
            .first()
            .map_or_else(|| "This service".to_owned(), ToString::to_string),
    }
}

fn path(endpoint: &Endpoint, path: &str) -> String {
    format!("{}{path}", endpoint.installation.endpoint_prefix)
}

/// A link to sign in, by the rules of that service.
fn start(
    endpoint: &Endpoint,
    service: Option<&Service>,
    return_to: &ReturnTo,
    more: &str,
) -> String {
    let rd: String = url::form_urlencoded::byte_serialize(return_to.as_str().as_bytes()).collect();
    let id = service
        .map(|service| format!("/{}", service.id))
        .unwrap_or_default();
    path(endpoint, &format!("/start{id}?rd={rd}{more}"))
}
