//! Providers that are down, slow or without measure, and how often they are asked.

use super::*;

#[tokio::test]
async fn a_hundred_people_at_once_are_one_discovery() {
    let (bench, _key, lying, settings) = honest().await;
    let all = join_all((0..100).map(|_| bench.redeem(&settings))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!((lying.count(DISCOVERY), lying.count(JWKS)), (1, 1));
    bench.pass(3599);
    bench.url(&settings).await.unwrap();
    assert_eq!(lying.count(DISCOVERY), 1);
    bench.pass(1);
    bench.url(&settings).await.unwrap();
    assert_eq!(lying.count(DISCOVERY), 2);
}

#[tokio::test]
async fn an_answer_without_measure_is_given_up() {
    for path in [DISCOVERY, JWKS, TOKEN, USERINFO] {
        for answer in [Answer::Huge, Answer::Endless] {
            let (bench, _key, lying, settings) = honest().await;
            with_userinfo(&lying);
            lying.answers(path, answer);
            let started = Instant::now();
            let error = bench.redeem(&settings).await.unwrap_err();
            assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
            assert!(started.elapsed() < Duration::from_secs(8));
            tells_nothing(&error);
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_ten_seconds() {
    let waits = [DISCOVERY, JWKS, TOKEN, USERINFO].map(|path| async move {
        let (bench, _key, lying, settings) = honest().await;
        with_userinfo(&lying);
        lying.answers(path, Answer::Silent);
        let started = Instant::now();
        let error = bench.redeem(&settings).await.unwrap_err();
        let took = started.elapsed();
        assert!(
            took > Duration::from_secs(9) && took < Duration::from_secs(20),
            "{took:?}"
        );
        assert!(error.is_transient(), "{error}");
        tells_nothing(&error);
    });
    join_all(waits).await;
}

#[tokio::test]
async fn a_provider_that_is_down_is_found_when_it_comes_up_and_not_hammered_before() {
    let (mut bench, key) = (Bench::new(), Key::new("k1"));
    let lying = Lying::stopped(&key).await;
    let settings = Arc::new(settings(&lying.issuer()));
    let down = bench.url(&settings).await.unwrap_err();
    assert!(down.is_transient(), "{down}");
    assert!(down.to_string().contains("onnection refused"), "{down}");

    lying.listen().await;
    assert!(bench.url(&settings).await.is_err());
    assert_eq!(
        lying.count(DISCOVERY),
        0,
        "the pause after a failure was not kept"
    );
    bench.pass(1);
    bench.url(&settings).await.unwrap();
    let failures = |observation| match observation {
        Observation::Discovery { failure, .. } | Observation::Client { failure, .. } => {
            failure.is_some()
        }
    };
    assert!(failures(bench.observations.try_recv().unwrap()));
    assert!(!failures(bench.observations.try_recv().unwrap()));

    // Ten minutes of an outage, with somebody who wants to sign in every second.
    let other = Arc::new(ProviderSettings {
        name: "other".into(),
        ..(*settings).clone()
    });
    lying.answers(DISCOVERY, Answer::Status(503, String::new()));
    let before = lying.count(DISCOVERY);
    for _ in 0..600 {
        assert!(bench.url(&other).await.unwrap_err().is_transient());
        // The one that was known stays known.
        bench.url(&settings).await.unwrap();
        bench.pass(1);
    }
    let attempts = lying.count(DISCOVERY) - before;
    assert!(
        (12..=30).contains(&attempts),
        "{attempts} attempts in ten minutes"
    );
}

#[tokio::test]
async fn a_new_key_is_found_by_its_id_and_unknown_ids_cool_down() {
    let (bench, old, lying, settings) = honest().await;
    bench.redeem(&settings).await.unwrap();
    let new = Key::new("k2");
    let signed_by =
        |key: &Key| lying.answers(TOKEN, tokens(&key.signs(&lying.claims(bench.now()))));
    bench.pass(10);
    lying.answers(JWKS, keys(&[&old, &new]));
    signed_by(&new);
    bench.redeem(&settings).await.unwrap();
    assert_eq!(lying.count(JWKS), 2);

    // Ids that nobody has, every second for a minute.
    let stranger = Key::new("k3");
    for _ in 0..60 {
        signed_by(&stranger);
        let error = bench.redeem(&settings).await.unwrap_err();
        let unknown = matches!(
            error,
            ProviderError::Untrusted {
                reason: Distrust::UnknownKey,
                ..
            }
        );
        assert!(unknown, "{error}");
        bench.pass(1);
    }
    let refreshes = lying.count(JWKS) - 2;
    assert!(
        (5..=6).contains(&refreshes),
        "{refreshes} refreshes in a minute"
    );

    // A provider that restarts with a new key under the old id.
    let restarted = Key::new("k1");
    bench.pass(10);
    lying.answers(JWKS, keys(&[&restarted]));
    signed_by(&restarted);
    bench.redeem(&settings).await.unwrap();
}

#[tokio::test]
async fn known_keys_count_while_newer_ones_cannot_be_had() {
    let (bench, key, lying, settings) = honest().await;
    bench.redeem(&settings).await.unwrap();
    for broken in [
        Answer::Status(503, String::new()),
        Answer::Status(404, String::new()),
        Answer::Json(json!({ "keys": [] })),
        Answer::Json(json!({ "keys": [{ "kty": "oct", "kid": "k1", "k": "c2VjcmV0" }] })),
        Answer::Json(json!([])),
    ] {
        lying.answers(JWKS, broken);
        bench.pass(3600);
        lying.answers(TOKEN, tokens(&key.signs(&lying.claims(bench.now()))));
        bench.redeem(&settings).await.unwrap();
    }
    assert_eq!(lying.count(JWKS), 6);
}
