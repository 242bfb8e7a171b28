//! What the folder holds, from one look to the next: pure, so that every way to break a file can be tried.
//!
//! A file counts as a whole. One that cannot be read closes everything it holds, as last read and as far as it can
//! be read now, until it is mended or removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    files::Snapshot,
    object::{self, Document, Id, Object},
    yaml::{self, Fault, Node},
};
use crate::{published::Installation, resolve::Change};

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Contents {
    files: BTreeMap<Arc<str>, ManifestFile>,
    held: BTreeSet<Id>,
    faults: BTreeSet<Complaint>,
}

/// A manifest as last read.
#[derive(Debug, Default)]
struct ManifestFile {
    text: Option<Result<String, String>>,
    objects: Vec<Object>,
    broken: bool,
    complaints: Vec<Complaint>,
}

/// Something that is wrong in the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Complaint {
    /// The file, if it is about one.
    pub(super) file: Option<Arc<str>>,
    pub(super) line: u32,
    pub(super) column: u32,
    /// What is wrong, with the name of the field.
    pub(super) message: String,
    /// Whether something is closed because of it.
    pub(super) closes: bool,
}

/// What a look at the folder changed.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) changes: Vec<Change>,
    /// What is wrong now and was not before.
    pub(super) complaints: Vec<Complaint>,
    /// Files that were broken and are not any more.
    pub(super) mended: Vec<Arc<str>>,
}

// === impl Contents ===

impl Contents {
    /// Takes in what is there now.
    pub(super) fn take(&mut self, snapshot: Snapshot, installation: &Installation) -> Look {
        let Snapshot {
            manifests,
            unreadable,
            secrets,
            secret_faults,
        } = snapshot;
        let was_broken = self.broken();
        match &unreadable {
            // Nobody knows what is in it now: everything is as if its file could not be read.
            Some(why) => self.files.values_mut().for_each(|file| file.lose(why)),
            None => {
                self.files.retain(|name, _| manifests.contains_key(name));
                for (name, text) in manifests {
                    let file = self.files.entry(Arc::clone(&name)).or_default();
                    file.read(&name, text, installation);
                }
            }
        }
        let mounted = secrets
            .into_iter()
            .map(|(name, values)| Object::Secret(name, values));
        let whole = unreadable.map(|why| Complaint {
            closes: true,
            ..Complaint::general(why)
        });
        let mut complaints: BTreeSet<Complaint> = secret_faults
            .into_iter()
            .map(Complaint::general)
            .chain(whole)
            .collect();
        complaints.extend(
            self.files
                .values()
                .flat_map(|file| file.complaints.iter().cloned()),
        );
        let objects = self.unite(mounted, &mut complaints);

        let now: BTreeSet<Id> = objects.keys().cloned().collect();
        let gone = self.held.difference(&now).cloned().map(Id::into_removal);
        let changes = gone
            .chain(objects.into_values().map(Object::into_change))
            .collect();
        self.held = now;
        let is_broken = self.broken();
        let look = Look {
            changes,
            complaints: complaints.difference(&self.faults).cloned().collect(),
            mended: was_broken.difference(&is_broken).cloned().collect(),
        };
        self.faults = complaints;
        look
    }

    fn broken(&self) -> BTreeSet<Arc<str>> {
        let broken = self.files.iter().filter(|(_, file)| file.broken);
        broken.map(|(name, _)| Arc::clone(name)).collect()
    }

    /// All objects. What stands in two places is closed, since nobody can say which one is meant.
    fn unite(
        &self,
        mounted: impl Iterator<Item = Object>,
        complaints: &mut BTreeSet<Complaint>,
    ) -> BTreeMap<Id, Object> {
        let in_files = self.files.iter().flat_map(|(name, file)| {
            let objects = file.objects.iter().cloned();
            objects.map(|object| (&**name, object))
        });
        let mounted = mounted.map(|object| ("the folder with secrets", object));
        let mut objects = BTreeMap::new();
        let mut places: BTreeMap<Id, Vec<&str>> = BTreeMap::new();
        for (place, object) in in_files.chain(mounted) {
            places.entry(object.id()).or_default().push(place);
            objects.entry(object.id()).or_insert(object);
        }
        for (id, places) in places.into_iter().filter(|(_, places)| places.len() > 1) {
            let places = places.join(" and in ");
            let why = format!("{id} stands in {places}; it can stand in one place only");
            if let Some(object) = objects.get_mut(&id) {
                object.close(&why.as_str().into());
            }
            // Closing does nothing to a Secret, and of two nobody knows which one is meant.
            if matches!(id, Id::Secret(_)) {
                objects.remove(&id);
            }
            complaints.insert(Complaint {
                closes: true,
                ..Complaint::general(why)
            });
        }
        objects
    }
}

// === impl ManifestFile ===

impl ManifestFile {
    fn read(&mut self, name: &Arc<str>, text: Result<String, String>, installation: &Installation) {
        if self.text.as_ref() == Some(&text) {
            return;
        }
        let documents = match &text {
            Ok(text) => yaml::documents(text).map_err(|fault| Complaint::at(name, fault)),
            Err(why) => Err(Complaint {
                file: Some(Arc::clone(name)),
                closes: true,
                ..Complaint::general(why.clone())
            }),
        };
        self.text = Some(text);
        let (now, complaints) = match documents {
            Ok(documents) => read_all(name, &documents, installation),
            Err(complaint) => (Vec::new(), vec![complaint]),
        };
        let first = complaints
            .iter()
            .find(|complaint| complaint.closes)
            .map(ToString::to_string);
        self.complaints = complaints;
        match first {
            None => {
                self.objects = now;
                self.broken = false;
            }
            Some(why) => {
                let known: BTreeSet<Id> = now.iter().map(Object::id).collect();
                self.objects.retain(|object| !known.contains(&object.id()));
                self.objects.extend(now);
                self.close(&why);
            }
        }
    }

    fn lose(&mut self, why: &str) {
        self.text = None;
        self.complaints.clear();
        self.close(why);
    }

    fn close(&mut self, why: &str) {
        let why = Arc::from(why);
        self.objects
            .iter_mut()
            .for_each(|object| object.close(&why));
        self.broken = true;
    }
}

fn read_all(
    file: &Arc<str>,
    documents: &[Node],
    installation: &Installation,
) -> (Vec<Object>, Vec<Complaint>) {
    let mut objects: Vec<Object> = Vec::with_capacity(documents.len());
    let mut complaints = Vec::new();
    for document in documents {
        match object::read(document, file, installation) {
            Ok(Document::Object(object, fault)) => {
                objects.push(object);
                complaints.extend(fault.map(|fault| Complaint::at(file, fault)));
            }
            Ok(Document::Ignored { what, line }) => complaints.push(Complaint {
                file: Some(Arc::clone(file)),
                line,
                column: 1,
                message: format!("{what} is of no concern here and was passed over"),
                closes: false,
            }),
            Err(fault) => complaints.push(Complaint::at(file, fault)),
        }
    }
    (objects, complaints)
}

// === impl Complaint ===

impl Complaint {
    fn at(file: &Arc<str>, Fault { place, message }: Fault) -> Self {
        Self {
            file: Some(Arc::clone(file)),
            line: place.line,
            column: place.column,
            message,
            closes: true,
        }
    }

    fn general(message: String) -> Self {
        Self {
            file: None,
            line: 0,
            column: 0,
            message,
            closes: false,
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), 0) => write!(f, "{file}: {}", self.message),
            (Some(file), line) => write!(f, "{file}:{line}:{}: {}", self.column, self.message),
            (None, _) => f.write_str(&self.message),
        }
    }
}
