//! What is wrong in the folder, or likely so, in one list: for the log, for `check` and for `/status`.

use std::{collections::HashMap, sync::Arc};

use super::{
    contents::{Complaint, Contents},
    yaml::Place,
};
use crate::{
    resolve::{Advice, Problem, Resolution, Source, advice},
    resource::{ObjectRef, Reason},
};

/// One thing, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The manifest, if it is about one.
    pub file: Option<Arc<str>>,
    /// Counted from one; 0 if it is about all of the file.
    pub line: u32,
    /// Counted from one; 0 if it is about all of the file.
    pub column: u32,
    /// How bad it is.
    pub severity: Severity,
    /// What happened, to which object, what to do next.
    pub message: String,
    /// The object, if there is one that can be named.
    pub object: Option<ObjectRef>,
    /// The reason in the object's conditions.
    pub reason: Option<Reason>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is not as its owner asks; what it covers may be closed.
    Error,
    /// It is, and probably not as its owner means.
    Warning,
}

/// Everything, in the order of the files.
pub(super) fn findings(contents: &Contents, resolution: &Resolution) -> Vec<Finding> {
    let closing = contents.complaints().filter(|complaint| complaint.closes);
    let closing: Vec<String> = closing.map(Complaint::to_string).collect();
    let told = Told::new(resolution.problems());
    let news = resolution
        .problems()
        .filter(|problem| !told.is_echo(problem) && !repeats(problem, &closing));
    let mut all: Vec<Finding> = news.map(|problem| of_problem(contents, problem)).collect();
    all.extend(contents.complaints().map(of_complaint));
    let advice = advice(resolution.world());
    all.extend(advice.into_iter().map(|advice| of_advice(contents, advice)));
    all.sort();
    all.dedup();
    all
}

fn of_complaint(complaint: &Complaint) -> Finding {
    Finding {
        file: complaint.file.clone(),
        line: complaint.line,
        column: complaint.column,
        severity: if complaint.closes {
            Severity::Error
        } else {
            Severity::Warning
        },
        message: complaint.message.clone(),
        object: None,
        reason: None,
    }
}

fn of_problem(contents: &Contents, problem: &Problem) -> Finding {
    let field = named_field(problem).unwrap_or_default();
    let (file, place) = place(contents, problem.source.as_ref(), field);
    Finding {
        file,
        line: place.line,
        column: place.column,
        severity: match problem.reason {
            // All is as the Ingress asks.
            Reason::AnnotationIgnored | Reason::OptedOut => Severity::Warning,
            _ => Severity::Error,
        },
        message: problem.message.clone(),
        object: Some(problem.object.clone()),
        reason: Some(problem.reason),
    }
}

fn of_advice(contents: &Contents, advice: Advice) -> Finding {
    let (file, place) = place(contents, advice.source.as_ref(), &advice.field);
    Finding {
        file,
        line: place.line,
        column: place.column,
        severity: Severity::Warning,
        message: advice.message,
        object: Some(advice.object),
        reason: None,
    }
}

fn place(contents: &Contents, source: Option<&Source>, field: &str) -> (Option<Arc<str>>, Place) {
    match source {
        Some(source) => (
            Some(Arc::clone(&source.file)),
            contents.place(source, field),
        ),
        None => (None, Place { line: 0, column: 0 }),
    }
}

/// The field that a problem is about: its message names it right behind the object, as in `ProtectedService demo/wiki:
/// spec.allow[0].emailDomains: ...`.
fn named_field(problem: &Problem) -> Option<&str> {
    let rest = problem.message.strip_prefix(&problem.object.to_string())?;
    let field = rest
        .strip_prefix(": ")
        .or_else(|| rest.strip_prefix(" has "))?;
    let end = field
        .find(|c: char| !c.is_ascii_alphanumeric() && !".[]".contains(c))
        .unwrap_or(field.len());
    let field = field.get(..end)?.trim_end_matches('.');
    field.starts_with("spec.").then_some(field)
}

/// Whether a problem is only that an object cannot be read, and its file is complained of already.
fn repeats(problem: &Problem, closing: &[String]) -> bool {
    let mut complaints = closing.iter();
    complaints.any(|complaint| problem.message.contains(complaint))
}

/// Who is told what. One cause may close thousands of services, so nobody is compared with everybody.
struct Told<'p> {
    /// Sentences, and whether they are told of an object that they name.
    sentences: HashMap<&'p str, bool>,
    of_providers: Vec<&'p Problem>,
}

// === impl Told ===

impl<'p> Told<'p> {
    fn new(problems: impl Iterator<Item = &'p Problem>) -> Self {
        let mut told = Self {
            sentences: HashMap::new(),
            of_providers: Vec::new(),
        };
        for problem in problems {
            *told.sentences.entry(&problem.message).or_default() |= names_its_object(problem);
            if matches!(problem.object, ObjectRef::IdentityProvider(_)) {
                told.of_providers.push(problem);
            }
        }
        told
    }

    /// Whether the same sentence is told of the object that it names, so that nobody needs it a second time: what is
    /// wrong with a ProtectedService is told to the owner of its Ingress as well.
    fn is_echo(&self, problem: &Problem) -> bool {
        // A service is closed because of its provider: that one has to be mended.
        let is_passed_on = |other: &&Problem| {
            other.object != problem.object && problem.message.ends_with(&other.message)
        };
        let is_told_there = self.sentences.get(problem.message.as_str()) == Some(&true);
        self.of_providers.iter().any(is_passed_on) || (is_told_there && !names_its_object(problem))
    }
}

fn names_its_object(problem: &Problem) -> bool {
    problem.message.contains(&problem.object.to_string())
}

// === impl Finding ===

impl Finding {
    /// `FILE:LINE:COLUMN`, as far as there is one.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(match self.line {
            0 => file.to_string(),
            line => format!("{file}:{line}:{}", self.column),
        })
    }
}

// === impl Severity ===

impl Severity {
    /// `error` or `warning`, as compilers say it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Key;

    #[test]
    fn a_list_says_a_sentence_once_where_it_belongs() {
        let service = ObjectRef::ProtectedService(Key::new("demo", "grafana"));
        let ingress = ObjectRef::Ingress(Key::new("demo", "grafana"));
        let told = |object: &ObjectRef, message: &str| Problem {
            object: object.clone(),
            reason: Reason::Invalid,
            message: message.to_owned(),
            source: None,
        };
        let of_service = "ProtectedService demo/grafana: spec.allow is wrong.";
        let of_both = "ProtectedService demo/grafana targets Ingress demo/grafana.";
        let of_neither = "The protection is on hold.";
        let all = [of_service, of_both, of_neither]
            .map(|message| [told(&ingress, message), told(&service, message)])
            .concat();
        let told = Told::new(all.iter());
        let echoes: Vec<&Problem> = all.iter().filter(|one| told.is_echo(one)).collect();
        assert_eq!(echoes, [&all[0]]);
        assert!(!Told::new(all[..1].iter()).is_echo(&all[0]));
    }

    #[test]
    fn what_is_wrong_with_a_provider_is_not_said_again_of_each_service() {
        let provider = ObjectRef::IdentityProvider("corp".into());
        let service = ObjectRef::ProtectedService(Key::new("demo", "wiki"));
        let told = |object: &ObjectRef, message: &str| Problem {
            object: object.clone(),
            reason: Reason::SecretNotFound,
            message: message.to_owned(),
            source: None,
        };
        let first = told(&provider, "IdentityProvider corp: there is no Secret x.");
        let again = "ProtectedService demo/wiki: IdentityProvider corp: there is no Secret x.";
        let all = [first, told(&service, again)];
        let told = Told::new(all.iter());
        assert!(told.is_echo(&all[1]) && !told.is_echo(&all[0]));
    }

    #[test]
    fn the_field_of_a_problem_is_found() {
        let field = |message: &str| {
            let problem = Problem {
                object: ObjectRef::ProtectedService(Key::new("d", "a")),
                reason: Reason::Invalid,
                message: message.to_owned(),
                source: None,
            };
            named_field(&problem).map(str::to_owned)
        };
        for (message, expected) in [
            (
                "ProtectedService d/a: spec.allow[0].emailDomains: \"@x\" is no domain.",
                Some("spec.allow[0].emailDomains"),
            ),
            (
                "ProtectedService d/a: spec.hosts[1].upstream is missing.",
                Some("spec.hosts[1].upstream"),
            ),
            (
                "ProtectedService d/a has spec.hosts, and more.",
                Some("spec.hosts"),
            ),
            (
                "ProtectedService d/a: IdentityProvider x: spec.clientID is empty.",
                None,
            ),
            ("Ingress d/a: the rest. Say it in spec.allow.", None),
        ] {
            assert_eq!(field(message).as_deref(), expected, "{message}");
        }
    }
}
