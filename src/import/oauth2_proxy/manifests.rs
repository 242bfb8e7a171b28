//! What a configuration becomes: our own objects, the command that serves them, and a note by everything.

use crate::resource::{IdentityProviderSpec, ProtectedServiceSpec};

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    /// None: of a type that does not exist here.
    pub(super) provider: Option<(String, IdentityProviderSpec)>,
    pub(super) services: Vec<(String, ProtectedServiceSpec)>,
    pub(super) serve: Serve,
    pub(super) notes: Vec<Note>,
}

/// How `vestibule serve` is started, and what is to be done before.
#[derive(Debug, Default)]
pub(super) struct Serve {
    pub(super) arguments: Vec<String>,
    /// What the provider has to know.
    pub(super) redirect_uris: Vec<String>,
    /// How the client secret gets to its place.
    pub(super) secret: Option<String>,
}

/// Something to say about options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) place: Place,
    /// Somebody has to look at it: access is lost, or something means something else.
    pub(super) decide: bool,
    /// The options meant, as they were given.
    pub(super) about: Vec<String>,
    /// Empty: the place says it all.
    pub(super) text: String,
}

/// Where a note stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// By a field of the IdentityProvider's spec.
    Provider(&'static str),
    /// By a field of the ProtectedServices' spec.
    Service(&'static str),
    /// By the command.
    Serve,
    /// At the end, among what needs nothing.
    End(Rest),
}

/// Why nothing needs to be done about an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rest {
    NotNeeded,
    Usual,
    NoEffect,
    Unsupported,
}

// === impl Manifests ===

impl Manifests {
    /// Notes that options became what stands at this place.
    pub(super) fn from(&mut self, place: Place, flags: &[&str]) {
        self.note(place, false, flags, "");
    }

    /// Notes something that is good to know.
    pub(super) fn tell(&mut self, place: Place, flags: &[&str], text: impl Into<String>) {
        self.note(place, false, flags, text);
    }

    /// Notes something that somebody has to decide.
    pub(super) fn decide(&mut self, place: Place, flags: &[&str], text: impl Into<String>) {
        self.note(place, true, flags, text);
    }

    fn note(&mut self, place: Place, decide: bool, flags: &[&str], text: impl Into<String>) {
        self.notes.push(Note {
            place,
            decide,
            about: flags.iter().map(|flag| format!("--{flag}")).collect(),
            text: text.into(),
        });
    }

    /// Whether any note speaks of an option.
    pub(super) fn mentions(&self, flag: &str) -> bool {
        let is_it = |about: &String| about.strip_prefix("--") == Some(flag);
        self.notes.iter().any(|note| note.about.iter().any(is_it))
    }
}
