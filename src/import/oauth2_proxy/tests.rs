//! What holds for every configuration, whatever is in it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    Fate, Sources, WishedHost, Wishes,
    alpha_fields::{METRICS, PROVIDER, SERVER, UPSTREAM},
    import, known,
    option::{Kind, Theme, table},
};

const CANARY: &str = "canary-7f3a";

fn made(flags: Vec<String>, upstream: Option<&str>) -> super::Translation {
    let sources = Sources {
        flags,
        ..Sources::default()
    };
    let wishes = Wishes {
        hosts: vec![WishedHost {
            host: "wiki.corp.example".to_owned(),
            upstream: upstream.map(str::to_owned),
        }],
        provider_is_closed: false,
    };
    import(&sources, &wishes, &|_| Err("it is not there".to_owned())).unwrap()
}

/// The flags that the text names, in comments.
fn named(text: &str) -> BTreeSet<String> {
    let comments: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once('#'))
        .map(|(_, c)| c)
        .collect();
    let comments = comments.join("\n");
    let words = comments.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words
        .filter_map(|word| word.strip_prefix("--"))
        .map(str::to_owned)
        .collect()
}

fn value(kind: Kind) -> BoxedStrategy<String> {
    let odd = prop_oneof![
        Just("oidc".to_owned()),
        Just("${VARIABLE}".to_owned()),
        Just("a: b # \"c' [{\u{2028}\r\n- x: y\n---\n".to_owned()),
        Just("https://user:x@h.example/a/b?c#d".to_owned()),
        Just("true".to_owned()),
        "\\PC{0,12}",
    ];
    match kind {
        Kind::Secret => Just(CANARY.to_owned()).boxed(),
        Kind::Switch => prop_oneof![Just("true"), Just("false"), Just("perhaps")]
            .prop_map(str::to_owned)
            .boxed(),
        Kind::Duration => prop_oneof![Just("1h"), Just("0"), Just("200h"), Just("soon")]
            .prop_map(str::to_owned)
            .boxed(),
        Kind::Text | Kind::List | Kind::Number => odd.boxed(),
    }
}

fn flags() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let options: Vec<_> = table()
        .iter()
        .filter(|known| known.theme != Theme::Start)
        .collect();
    let some = proptest::sample::subsequence(options, 1..40);
    some.prop_flat_map(|some| {
        let each: Vec<_> = some
            .into_iter()
            .map(|known| value(known.kind).prop_map(|v| (known.flag, v)))
            .collect();
        each
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn nothing_that_is_given_is_left_out_silently_and_no_secret_is_printed(
        given in flags(),
        passes_through: bool,
    ) {
        let arguments = given.iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
        let made = made(arguments, passes_through.then_some("http://wiki:8080"));
        let named = named(&made.text);
        for (flag, _) in &given {
            prop_assert!(named.contains(*flag), "{flag} is not in:\n{}", made.text);
        }
        prop_assert!(!made.text.contains(CANARY), "{}", made.text);
        // Whatever stands in a value, it stays YAML of our kinds.
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&made.text).unwrap();
        for document in &documents {
            prop_assert_eq!(&document["apiVersion"], "vestibule.dev/v1alpha1", "{}", made.text);
        }
    }
}

#[test]
fn every_option_alone_has_the_fate_that_the_table_says() {
    for option in table().iter().filter(|known| known.theme != Theme::Start) {
        let text = match option.kind {
            Kind::Switch => (option.default != "true").to_string(),
            Kind::Duration => "77m".to_owned(),
            _ => "something-else".to_owned(),
        };
        let base = [
            "--email-domain=corp.example",
            "--client-id=x",
            "--client-secret=x",
            "--provider=google",
        ];
        let base = base.map(str::to_owned).to_vec();
        let before = made(base.clone(), Some("http://wiki:8080")).decisions;
        let mut with = base;
        with.push(format!("--{}={text}", option.flag));
        let made = made(with, Some("http://wiki:8080"));
        assert!(named(&made.text).contains(option.flag), "{}", option.flag);
        match option.fate {
            Fate::Lost => assert!(made.decisions > before, "{}: {}", option.flag, made.text),
            Fate::NotNeeded | Fate::Unsupported => {
                assert_eq!(made.decisions, before, "{}", option.flag)
            }
            Fate::Carried | Fate::Changed => {}
        }
    }
}

#[test]
fn every_field_of_the_alpha_configuration_stands_for_an_option_that_exists() {
    for (field, flag) in [PROVIDER, UPSTREAM, SERVER, METRICS].concat() {
        assert!(known(flag).is_some(), "{field}");
    }
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let sources = Sources {
        flags: vec!["--client-id=flag".to_owned()],
        config: Some("x.cfg".to_owned()),
        environment: vec![
            ("OAUTH2_PROXY_CLIENT_ID".to_owned(), "variable".to_owned()),
            (
                "OAUTH2_PROXY_SCOPE".to_owned(),
                "openid variable".to_owned(),
            ),
        ],
        ..Sources::default()
    };
    let wishes = Wishes {
        hosts: vec![WishedHost {
            host: "a.example".to_owned(),
            upstream: None,
        }],
        provider_is_closed: false,
    };
    let file = "client_id = 'file'\nscope = 'file'\nprovider_display_name = 'From the file'\n";
    let text = import(&sources, &wishes, &|_| Ok(file.to_owned()))
        .unwrap()
        .text;
    for expected in [
        "clientID: flag",
        "scopes: [variable]",
        "displayName: \"From the file\"",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
}
