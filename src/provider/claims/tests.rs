use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{policy::Moment, published::ClaimNames};

fn settings() -> ProviderSettings {
    ProviderSettings {
        name: "corp".into(),
        display_name: "Corp".into(),
        order: 0,
        kind: ProviderKind::Oidc {
            issuer: "https://id.corp.example".into(),
            insecure_http: false,
        },
        client_id: "vestibule".into(),
        client_secret: None,
        scopes: Vec::new(),
        claims: ClaimNames::default(),
        trusts_unverified_email: false,
        max_session: None,
    }
}

fn google(hosted_domains: &[&str]) -> ProviderSettings {
    let hosted_domains = hosted_domains.iter().map(|one| Arc::from(*one)).collect();
    ProviderSettings {
        kind: ProviderKind::Google { hosted_domains },
        ..settings()
    }
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

fn read(
    settings: &ProviderSettings,
    token: Value,
    userinfo: Value,
) -> Result<SignedIn, ProviderError> {
    let token = VerifiedToken {
        subject: "24400320".into(),
        authenticated_at: Some(Moment(5)),
        claims: members(token),
    };
    signed_in(settings, token, members(userinfo))
}

fn person(token: Value) -> SignedIn {
    read(&settings(), token, json!({})).unwrap()
}

fn claim<'a>(person: &'a SignedIn, name: &str) -> Option<&'a [String]> {
    let found = person.claims.iter().find(|(one, _)| one == name);
    found.map(|(_, values)| values.as_slice())
}

#[test]
fn a_person_is_read_from_the_claims_that_the_settings_name() {
    let ann = person(json!({
        "iss": "https://id.corp.example", "sub": "24400320", "aud": "vestibule", "nonce": "x",
        "email": "Ann@Corp.Example", "email_verified": true, "name": "Ann Example",
        "preferred_username": "ann", "groups": ["it", "wiki-admins", "it"], "department": "it",
    }));
    assert_eq!(ann.issuer, "https://id.corp.example");
    assert_eq!(ann.subject, "24400320");
    assert_eq!(ann.email.as_deref(), Some("Ann@Corp.Example"));
    assert!(ann.email_verified);
    assert_eq!(ann.name.as_deref(), Some("Ann Example"));
    assert_eq!(ann.username.as_deref(), Some("ann"));
    assert_eq!(ann.groups, ["it", "wiki-admins"]);
    assert_eq!(claim(&ann, "department").unwrap(), ["it"]);
    assert_eq!(ann.authenticated_at, Some(Moment(5)));
    for protocol in ["iss", "sub", "aud", "nonce"] {
        assert_eq!(claim(&ann, protocol), None);
    }

    let mut settings = settings();
    settings.claims.groups = "roles".into();
    settings.claims.username = "upn".into();
    let token =
        json!({ "groups": ["no"], "roles": "admin", "upn": "ann@ad", "preferred_username": "no" });
    let ann = read(&settings, token, json!({})).unwrap();
    assert_eq!(ann.groups, ["admin"]);
    assert_eq!(ann.username.as_deref(), Some("ann@ad"));
}

#[test]
fn only_the_boolean_true_vouches_for_an_address() {
    for said in [
        json!("true"),
        json!(1),
        json!(false),
        json!(null),
        json!([true]),
        json!("yes"),
        json!({}),
    ] {
        let token = json!({ "email": "ann@corp.example", "email_verified": said });
        let ann = person(token.clone());
        assert_eq!(ann.email.as_deref(), Some("ann@corp.example"));
        assert!(!ann.email_verified, "{said}");
        let trusting = ProviderSettings {
            trusts_unverified_email: true,
            ..settings()
        };
        assert!(read(&trusting, token, json!({})).unwrap().email_verified);
    }
    assert!(!person(json!({ "email": "ann@corp.example" })).email_verified);
    assert!(!person(json!({ "email_verified": true })).email_verified);
}

#[test]
fn a_verification_covers_the_address_beside_it_alone() {
    let (mine, theirs) = (json!("mallory@evil.example"), json!("ann@corp.example"));
    let both = |token, userinfo| {
        let person = read(&settings(), token, userinfo).unwrap();
        (person.email.unwrap(), person.email_verified)
    };
    // The token's address, vouched for by UserInfo only: not vouched for.
    assert_eq!(
        both(
            json!({ "email": theirs }),
            json!({ "email_verified": true })
        ),
        ("ann@corp.example".into(), false)
    );
    assert_eq!(
        both(
            json!({ "email": theirs }),
            json!({ "email": mine, "email_verified": true })
        ),
        ("mallory@evil.example".into(), true)
    );
    assert_eq!(
        both(
            json!({ "email_verified": true }),
            json!({ "email": theirs })
        ),
        ("ann@corp.example".into(), false)
    );
    assert_eq!(
        both(
            json!({ "email": mine, "email_verified": true }),
            json!({ "email": theirs, "email_verified": true })
        ),
        ("mallory@evil.example".into(), true)
    );
}

#[test]
fn userinfo_fills_in_what_the_token_leaves_out_and_overrides_nothing() {
    let ann = read(
        &settings(),
        json!({ "groups": [], "department": "it" }),
        json!({ "sub": "24400320", "groups": ["admin"], "department": "hr", "name": "Ann", "floor": 3 }),
    )
    .unwrap();
    assert!(ann.groups.is_empty());
    assert_eq!(claim(&ann, "department").unwrap(), ["it"]);
    assert_eq!(claim(&ann, "floor").unwrap(), ["3"]);
    assert_eq!(ann.name.as_deref(), Some("Ann"));
    assert_eq!(claim(&ann, "sub"), None);
}

#[test]
fn claims_become_text_and_what_has_none_is_left_out() {
    let ann = person(json!({
        "level": 3, "ratio": 0.5, "staff": true, "list": ["a", 1, false, null, {"x": 1}, ["y"], "a"],
        "nothing": null, "object": {"a": 1}, "empty": [], "blank": "",
    }));
    assert_eq!(claim(&ann, "level").unwrap(), ["3"]);
    assert_eq!(claim(&ann, "ratio").unwrap(), ["0.5"]);
    assert_eq!(claim(&ann, "staff").unwrap(), ["true"]);
    assert_eq!(claim(&ann, "list").unwrap(), ["a", "1", "false"]);
    for name in ["nothing", "object", "empty", "blank"] {
        assert_eq!(claim(&ann, name), None, "{name}");
    }
}

#[test]
fn no_rule_on_claims_can_reach_an_address() {
    let mut settings = settings();
    settings.claims.email = "upn".into();
    let token =
        json!({ "upn": "ann@corp.example", "email": "root@corp.example", "email_verified": false });
    let ann = read(&settings, token, json!({})).unwrap();
    assert!(ann.claims.is_empty(), "{:?}", ann.claims);
}

#[test]
fn a_value_with_control_characters_is_dropped_and_the_rest_stays() {
    let ann = person(json!({
        "email": "ann@corp.example\r\nX-Admin: 1", "email_verified": true,
        "name": "Ann\u{0}", "preferred_username": "ann\u{85}",
        "groups": ["it", "wiki\nadmins", "hr"], "department": ["a\tb", "c"],
    }));
    assert_eq!((ann.email, ann.email_verified), (None, false));
    assert_eq!((&ann.name, &ann.username), (&None, &None));
    assert_eq!(ann.groups, ["it", "hr"]);
    assert_eq!(
        ann.claims
            .iter()
            .find(|(name, _)| name == "department")
            .unwrap()
            .1,
        ["c"]
    );
}

#[test]
fn a_value_with_space_around_it_is_dropped_since_a_reader_of_the_header_takes_the_space_away() {
    let ann = person(json!({
        "email": " root@corp.example", "email_verified": true, "name": "Root ",
        "preferred_username": "\u{a0}root", "groups": ["it", " admins", "admins\u{3000}"], "department": [" it"],
    }));
    assert_eq!((ann.email, ann.email_verified), (None, false));
    assert_eq!((ann.name, ann.username), (None, None));
    assert_eq!(ann.groups, ["it"]);
    assert_eq!(ann.claims, [("groups".to_owned(), vec!["it".to_owned()])]);
}

#[test]
fn an_address_that_two_readers_could_read_differently_is_shown_and_never_vouched_for() {
    for address in [
        "\"ann@corp.example\"@evil.example",
        "ann@evil.example@corp.example",
        "ann@corp.example(x)",
        "\u{ff41}nn@corp.example",
    ] {
        let token = json!({ "email": address, "email_verified": true });
        for trusts_unverified_email in [false, true] {
            let settings = ProviderSettings {
                trusts_unverified_email,
                ..settings()
            };
            let ann = read(&settings, token.clone(), json!({})).unwrap();
            assert_eq!(
                (ann.email.as_deref(), ann.email_verified),
                (Some(address), false)
            );
        }
    }
}

#[test]
fn google_admits_its_hosted_domains_and_sends_no_groups() {
    let token = json!({ "hd": "corp.example", "groups": ["admin"] });
    for domains in [
        &[][..],
        &["corp.example"],
        &["other.example", "Corp.Example"],
    ] {
        let ann = read(&google(domains), token.clone(), json!({})).unwrap();
        assert!(ann.groups.is_empty());
        assert_eq!(ann.issuer, "https://accounts.google.com");
    }
    for (token, named) in [
        (json!({ "hd": "evil.example" }), "evil.example"),
        (json!({ "hd": "eu.corp.example" }), "eu.corp.example"),
        (
            json!({ "hd": ["corp.example"] }),
            "no Google Workspace domain",
        ),
        (
            json!({ "email": "ann@corp.example" }),
            "no Google Workspace domain",
        ),
    ] {
        // Nobody signed UserInfo.
        let userinfo = json!({ "hd": "corp.example" });
        let refusal = read(&google(&["corp.example"]), token, userinfo).unwrap_err();
        assert!(matches!(refusal, ProviderError::NotAdmitted { .. }));
        let text = refusal.to_string();
        assert!(
            text.contains(named) && text.contains("admits corp.example"),
            "{text}"
        );
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_claims() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "email",
        "email_verified",
        "name",
        "preferred_username",
        "groups",
        "department",
        "hd",
        "sub",
    ]);
    prop::collection::btree_map(names.prop_map(str::to_owned), any_value(), 0..8)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn whatever_claims_hold_nothing_that_breaks_a_header_comes_out(token in any_claims(), userinfo in any_claims()) {
        let person = read(&settings(), token.clone(), userinfo.clone()).unwrap();
        let texts = person.email.iter().chain(&person.name).chain(&person.username).chain(&person.groups)
            .chain(person.claims.iter().flat_map(|(_, values)| values));
        for text in texts {
            prop_assert!(!text.is_empty() && !text.chars().any(char::is_control));
            prop_assert_eq!(text.trim(), text);
        }
        let vouches = |document: &Value| document["email_verified"] == json!(true)
            && document["email"].as_str() == person.email.as_deref();
        let is_plain = person.email.as_deref().is_some_and(|email| Email::parse(email).is_some());
        prop_assert_eq!(
            person.email_verified,
            is_plain && (vouches(&token) || vouches(&userinfo))
        );
    }
}
