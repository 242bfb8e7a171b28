//! Manifests as YAML that is pleasant to read: every field as a person would write it, every note where it belongs.

mod page;

use serde_json::Value;

use self::page::{MISSED, Page};
use super::{
    given::Given,
    manifests::{Manifests, Note, Place, Rest},
    option::known,
    translate::Translation,
};

/// What `vestibule check` has to be told as `serve` is.
const CHECKED: [&str; 8] = [
    "--manifests",
    "--secrets-dir",
    "--front-door",
    "--public-port",
    "--auth-host",
    "--endpoint-prefix",
    "--identity-header",
    "--max-session",
];

/// Writes it.
pub(super) fn print(given: &Given, made: &Manifests) -> Translation {
    let mut page = Page::default();
    page.comment(
        0,
        &format!(
            "Made by `vestibule import oauth2-proxy` from {}.",
            given.sources.join(", ")
        ),
    );
    let strange = given.unknown.len().saturating_add(given.alpha_only.len());
    let decisions = made.notes.iter().filter(|note| note.decide).count();
    let decisions = decisions.saturating_add(strange);
    page.comment(0, match decisions {
        0 => "Who got in before gets in now, and nobody else.",
        _ => "Nothing is more open than it was. Lines with an exclamation mark want a decision before people move:\nsomething is closed that was not, or means something else.",
    });
    let provider = made.provider.as_ref();
    let provider = provider.and_then(|(_, spec)| serde_json::to_value(spec).ok());
    let service = made.services.first();
    let service = service.and_then(|(_, spec)| serde_json::to_value(spec).ok());
    let provider_notes = |field: &str| {
        notes(
            made,
            |place| matches!(place, Place::Provider(at) if near(at, provider.as_ref()) == field),
        )
    };
    let service_notes = |field: &str| {
        notes(
            made,
            |place| matches!(place, Place::Service(at) if near(at, service.as_ref()) == field),
        )
    };

    page.blank();
    if let Some((name, spec)) = &made.provider {
        page.head("IdentityProvider", name);
        page.notes(2, &provider_notes(""));
        page.fields(
            2,
            "",
            &serde_json::to_value(spec).unwrap_or_default(),
            &provider_notes,
        );
    } else {
        page.notes(0, &provider_notes(""));
    }
    for (number, (name, spec)) in made.services.iter().enumerate() {
        page.line(0, "---");
        page.head("ProtectedService", name);
        let spec = serde_json::to_value(spec).unwrap_or_default();
        if number == 0 {
            page.notes(2, &service_notes(""));
            page.fields(2, "", &spec, &service_notes);
        } else {
            page.fields(2, "", &spec, &|_| Vec::new());
        }
    }
    serve(&mut page, made);
    rest(&mut page, made);
    unknown(&mut page, given);
    Translation {
        text: page.into_text(),
        decisions,
    }
}

/// The field, or the top if there is no such field and nobody would look for it.
fn near<'a>(at: &'a str, spec: Option<&Value>) -> &'a str {
    let found = spec.and_then(|spec| at.split('.').try_fold(spec, |value, key| value.get(key)));
    if found.is_some() || MISSED.contains(&at) {
        at
    } else {
        ""
    }
}

fn notes(made: &Manifests, is_there: impl Fn(&Place) -> bool) -> Vec<&Note> {
    made.notes
        .iter()
        .filter(|note| is_there(&note.place))
        .collect()
}

fn serve(page: &mut Page, made: &Manifests) {
    page.blank();
    page.comment(0, "How to run it, with this file in ./manifests:");
    page.comment(0, "");
    let mut step = |text: &str| page.command(text);
    step("install -d -m 0700 secrets state");
    if let Some(secret) = &made.serve.secret {
        step(secret);
    }
    let all: Vec<&String> = made.serve.arguments.iter().collect();
    let checked =
        |argument: &&String| CHECKED.contains(&argument.split(' ').next().unwrap_or_default());
    let checked: Vec<&String> = all.iter().copied().filter(checked).collect();
    for (command, arguments) in [("vestibule check", checked), ("vestibule serve", all)] {
        step(&format!("{command} \\"));
        for (number, argument) in arguments.iter().enumerate() {
            let is_last = number.saturating_add(1) == arguments.len();
            step(&format!("  {argument}{}", if is_last { "" } else { " \\" }));
        }
    }
    page.comment(0, "");
    let (short, long): (Vec<&Note>, Vec<&Note>) = notes(made, |place| *place == Place::Serve)
        .into_iter()
        .partition(|note| note.text.is_empty() && !note.decide);
    let carried: Vec<&str> = short
        .iter()
        .flat_map(|note| &note.about)
        .map(String::as_str)
        .collect();
    if !carried.is_empty() {
        page.comment(0, &format!("Carried over from {}.", carried.join(", ")));
    }
    page.notes(0, &long);
    page.comment(
        0,
        "At the identity provider, add to the redirect URIs of the client, beside the old one:",
    );
    for uri in &made.serve.redirect_uris {
        match uri.split_once("*.") {
            Some((scheme, rest)) => page.comment(
                0,
                &format!("  {scheme}NAME.{rest} for each host, since providers take no wildcard"),
            ),
            None => page.comment(0, &format!("  {uri}")),
        }
    }
}

fn rest(page: &mut Page, made: &Manifests) {
    for (kind, heading) in [
        (Rest::NotNeeded, "Not needed any more:"),
        (Rest::Unsupported, "Not supported; nobody loses access:"),
        (Rest::NoEffect, "Without effect in this configuration:"),
        (Rest::Usual, "Given as it is by default:"),
    ] {
        let those = notes(made, |place| *place == Place::End(kind));
        if those.is_empty() {
            continue;
        }
        page.blank();
        page.comment(0, heading);
        let flags: Vec<&String> = those.iter().flat_map(|note| &note.about).collect();
        if matches!(kind, Rest::Usual | Rest::NoEffect) {
            let flags: Vec<&str> = flags.iter().map(|flag| flag.as_str()).collect();
            page.comment(0, &format!("  {}", flags.join(", ")));
            continue;
        }
        // One line for all that have the same reason.
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for flag in flags {
            let text = flag
                .strip_prefix("--")
                .and_then(known)
                .map_or("", |known| known.text);
            match reasons.iter_mut().find(|(reason, _)| *reason == text) {
                Some((_, flags)) => flags.push(flag),
                None => reasons.push((text, vec![flag])),
            }
        }
        for (reason, flags) in reasons {
            page.comment(0, &format!("  {}: {reason}", flags.join(", ")));
        }
    }
}

fn unknown(page: &mut Page, given: &Given) {
    if !given.alpha_only.is_empty() {
        page.blank();
        page.comment(0, "Of the alpha configuration:");
        for (path, text) in &given.alpha_only {
            page.comment(0, &format!("! {path}: {text}"));
        }
    }
    if !given.unknown.is_empty() {
        page.blank();
        page.comment(0, "oauth2-proxy 7.15 knows nothing of these, so nothing was made of them. A name that is almost right has no effect there either: lists are flags in the singular and keys and variables in the plural.");
        for name in &given.unknown {
            page.comment(0, &format!("! {name}"));
        }
    }
}

/// Every option and what becomes of it, as tables for people.
#[must_use]
pub fn fates() -> String {
    let mut text = String::new();
    let mut heading = "";
    for known in super::option::table() {
        if known.heading() != heading {
            heading = known.heading();
            text.push_str(&format!(
                "\n### {heading}\n\n| option | fate | what becomes of it |\n|---|---|---|\n"
            ));
        }
        text.push_str(&format!(
            "| `--{}` | {} | {} |\n",
            known.flag, known.fate, known.text
        ));
    }
    text
}
