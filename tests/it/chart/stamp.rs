//! The policy that stamps Ingresses in the request that opts them in.

use crate::bench::Wait;
use anyhow::{Context, Result};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use vestibule::{
    dataplane::ingress_nginx::{Values, values},
    resource::{AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL, Annotations, Key, OptIn},
};

use super::{
    ControllerOptions, controller_options, object, objects,
    place::{Place, annotation},
    text,
};

#[tokio::test]
async fn an_ingress_that_opts_in_is_stamped_in_the_request_that_creates_it() -> Result<()> {
    let place = Place::new("stamp").await?;
    let made = place
        .create("wiki", "nginx", json!({"vestibule.dev/protect": "true"}))
        .await?;
    place.assert_stamped(&made);
    // By server-side apply, as GitOps tools do.
    let applied = place.ingress("applied", "nginx", json!({"vestibule.dev/protect": "true"}));
    let by = PatchParams::apply("gitops");
    place.assert_stamped(
        &place
            .ingresses
            .patch("applied", &by, &Patch::Apply(applied))
            .await?,
    );
    // With the class in the annotation that came before the field.
    let legacy = json!({"vestibule.dev/protect": "true", "kubernetes.io/ingress.class": "nginx"});
    place.assert_stamped(&place.create("legacy", "", legacy).await?);
    Ok(())
}

#[tokio::test]
async fn an_ingress_that_is_not_ours_to_protect_is_left_as_it_is() -> Result<()> {
    let place = Place::new("leave").await?;
    for (name, class, annotations) in [
        ("plain", "nginx", json!({})),
        ("out", "nginx", json!({"vestibule.dev/protect": "false"})),
        (
            "other-class",
            "other",
            json!({"vestibule.dev/protect": "true"}),
        ),
        ("no-class", "", json!({"vestibule.dev/protect": "true"})),
    ] {
        let made = place.create(name, class, annotations).await?;
        assert!(
            [AUTH_URL, AUTH_SIGNIN, AUTH_RESPONSE_HEADERS]
                .iter()
                .all(|key| annotation(&made, key).is_none()),
            "{name}"
        );
    }
    let theirs =
        json!({"vestibule.dev/protect": "true", AUTH_URL: "https://auth.corp.example/check"});
    let made = place.create("foreign", "nginx", theirs).await?;
    assert_eq!(
        annotation(&made, AUTH_URL),
        Some("https://auth.corp.example/check")
    );
    assert_eq!(annotation(&made, AUTH_SIGNIN), None);
    Ok(())
}

#[tokio::test]
async fn the_stamp_comes_with_the_opt_in_and_cannot_be_taken_off_while_that_stands() -> Result<()> {
    let place = Place::new("late").await?;
    place.create("wiki", "nginx", json!({})).await?;
    place.assert_stamped(
        &place
            .annotate("wiki", json!({"vestibule.dev/protect": "true"}))
            .await?,
    );
    place.assert_stamped(
        &place
            .annotate(
                "wiki",
                json!({AUTH_URL: null, AUTH_SIGNIN: "https://elsewhere.example"}),
            )
            .await?,
    );
    // A manifest copied from another Ingress brings that one's name along.
    let of_another = "http://vestibule-auth.vestibule.svc.cluster.local:4181/verify/nginx/other/app?m=$request_method&u=$escaped_request_uri&h=$host";
    place.assert_stamped(
        &place
            .annotate("wiki", json!({AUTH_URL: of_another}))
            .await?,
    );
    // Removing the opt-in opens nothing by itself: an explicit ProtectedService may name this Ingress.
    place.assert_stamped(
        &place
            .annotate("wiki", json!({"vestibule.dev/protect": null}))
            .await?,
    );
    let opened = place
        .annotate(
            "wiki",
            json!({AUTH_URL: null, AUTH_SIGNIN: null, AUTH_RESPONSE_HEADERS: null}),
        )
        .await?;
    assert_eq!(annotation(&opened, AUTH_URL), None);
    Ok(())
}

#[tokio::test]
async fn the_controller_adopts_the_stamp_and_takes_it_off_once_the_opt_in_is_gone() -> Result<()> {
    let place = Place::new("adopt").await?;
    let made = place
        .create("wiki", "nginx", json!({"vestibule.dev/protect": "true"}))
        .await?;
    let stamped: Value = [AUTH_URL, AUTH_SIGNIN, AUTH_RESPONSE_HEADERS]
        .iter()
        .map(|key| ((*key).to_owned(), json!(annotation(&made, key))))
        .collect();
    let controller: Api<Ingress> =
        Api::namespaced(place.controller().await?, place.namespace.name());
    // Without force: nobody owns what was stamped.
    let by = PatchParams::apply("vestibule-vestibule");
    let with = |annotations: Value| {
        Patch::Apply(
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "wiki", "annotations": annotations}}),
        )
    };
    place.assert_stamped(&controller.patch("wiki", &by, &with(stamped)).await?);
    // While the opt-in stands, the API server puts back what the controller drops.
    place.assert_stamped(&controller.patch("wiki", &by, &with(json!({}))).await?);
    place
        .annotate("wiki", json!({"vestibule.dev/protect": "false"}))
        .await?;
    let stamped = place.ingresses.get("wiki").await?;
    let values: Value = [AUTH_URL, AUTH_SIGNIN, AUTH_RESPONSE_HEADERS]
        .iter()
        .map(|key| ((*key).to_owned(), json!(annotation(&stamped, key))))
        .collect();
    controller.patch("wiki", &by, &with(values)).await?;
    let opened = controller.patch("wiki", &by, &with(json!({}))).await?;
    assert_eq!(annotation(&opened, AUTH_URL), None);
    Ok(())
}

#[tokio::test]
async fn the_policy_stamps_the_very_ingresses_and_values_that_the_controller_would_write()
-> Result<()> {
    let place = Place::new("equal").await?;
    let other_settings = [
        "admission.mode=policy",
        "fullnameOverride=blue",
        "ingressClasses={blue}",
        "publicPort=8443",
        "endpointPrefix=/sign-in",
        "checkUrl=http://127.0.0.1:4181",
        "identityHeaders={X-User,X-Email}",
    ];
    let blue = objects(&other_settings).await?;
    let stamp = blue
        .iter()
        .filter(|object| text(object, "/kind").starts_with("MutatingAdmissionPolicy"));
    for object in stamp {
        place.cluster.apply(&object.to_string()).await?;
    }
    Wait::seconds(60)
        .until("the second policy is in force", async || {
            let probe = place
                .dry_run("blue", &json!({"vestibule.dev/protect": "true"}))
                .await?;
            annotation(&probe, AUTH_URL).context("nothing is stamped")?;
            Ok(())
        })
        .await?;
    for (class, deployment, chart) in [
        (
            "nginx",
            "vestibule-controller",
            objects(&["admission.mode=policy"]).await?,
        ),
        ("blue", "blue-controller", blue),
    ] {
        let options = controller_options(object(&chart, "Deployment", deployment)?)?;
        for annotations in [
            json!({}),
            json!({"team": "docs"}),
            json!({"vestibule.dev/protect": "true"}),
            json!({"vestibule.dev/protect": "false"}),
            json!({"vestibule.dev/protect": "false", "vestibule.dev/colour": "blue"}),
            json!({"vestibule.dev/protect": "True"}),
            json!({"vestibule.dev/protect": ""}),
            json!({"vestibule.dev/protct": "true"}),
            json!({"vestibule.dev/protected-service": "wiki"}),
            json!({"vestibule.dev/identity-provider": "corp"}),
            json!({"vestibule.dev/allowed-email-domains": "corp.example"}),
            json!({"vestibule.dev/allowed-emails": "ann@corp.example"}),
            json!({"vestibule.dev/allowed-groups": "staff"}),
            json!({"vestibule.dev/public-paths": "/healthz"}),
            json!({"vestibule.dev/public-paths": "/healthz", "vestibule.dev/allowed-group": "staff"}),
            json!({"vestibule.dev/protect": "true", "vestibule.dev/allowed-groups": "staff"}),
        ] {
            let stamped = place.dry_run(class, &annotations).await?;
            let stamped =
                [AUTH_URL, AUTH_SIGNIN, AUTH_RESPONSE_HEADERS].map(|key| annotation(&stamped, key));
            let written = place.written(&options, &annotations)?;
            let written = written.as_ref().map_or([None; 3], |values| {
                [
                    Some(&*values.url),
                    Some(&*values.signin),
                    Some(&*values.headers),
                ]
            });
            assert_eq!(stamped, written, "{class}: {annotations}");
        }
    }
    Ok(())
}

// === impl Place ===

impl Place {
    /// What an Ingress would become.
    async fn dry_run(&self, class: &str, annotations: &Value) -> Result<Ingress> {
        let ingress = serde_json::from_value(self.ingress("wiki", class, annotations.clone()))?;
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        Ok(self.ingresses.create(&dry_run, &ingress).await?)
    }

    /// What the controller would write on it, if anything.
    fn written(&self, options: &ControllerOptions, annotations: &Value) -> Result<Option<Values>> {
        let ours = annotations
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| {
                let key = key.strip_prefix("vestibule.dev/")?;
                Some((key.to_owned(), value.as_str()?.to_owned()))
            });
        if Annotations::read(&ours.collect()).opt_in != OptIn::In {
            return Ok(None);
        }
        let installation = options.installation()?;
        Ok(Some(values(
            &Key::new(&self.namespace, "wiki"),
            &installation,
            &options.check_url,
        )?))
    }
}
