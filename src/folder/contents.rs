//! What the folder holds, from one look to the next: pure, so that every way to break a file can be tried.
//!
//! A document that is wrong closes its object; a file that cannot be read as a whole, or holds a document of which
//! nobody knows what it is, closes what it held and does not hold any more. Nothing is forgotten because a file is
//! broken, empty for a moment or out of reach: only a file that is gone, or a document that is gone from a file in
//! order, takes its objects with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    files::{SecretFiles, Snapshot},
    object::{self, Document, Id, Object},
    unread,
    yaml::{self, Fault, Node, Place},
};
use crate::{
    published::{Installation, Unread},
    resolve::{Change, Source},
};

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Contents {
    files: BTreeMap<Arc<str>, ManifestFile>,
    secrets: BTreeMap<Arc<str>, SecretFiles>,
    /// Every object, with the place where it stands.
    held: BTreeMap<Id, Arc<str>>,
    complaints: BTreeSet<Complaint>,
    /// What could not be read and may be for requests that something else is also for.
    unread: Option<Unread>,
}

/// A manifest as last read.
#[derive(Debug, Default)]
struct ManifestFile {
    text: Option<Result<String, String>>,
    documents: Vec<Node>,
    objects: Vec<Object>,
    broken: bool,
    complaints: Vec<Complaint>,
    unread: Option<Unread>,
}

/// Something that is wrong in the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Complaint {
    /// The file, if it is about one.
    pub(super) file: Option<Arc<str>>,
    /// From one; 0 if it is about all of the file.
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
    /// Objects that are not there any more, and where they stood.
    pub(super) gone: Vec<(Id, Arc<str>)>,
}

/// Where mounted secrets stand, in messages.
const MOUNTED: &str = "the folder with secrets";

// === impl Contents ===

impl Contents {
    /// Takes in what is there now.
    pub(super) fn take(&mut self, snapshot: Snapshot, installation: &Installation) -> Look {
        let Snapshot {
            manifests,
            unreadable,
            secrets,
            secrets_unreadable,
        } = snapshot;
        let was_broken = self.broken();
        let mut complaints: BTreeSet<Complaint> = BTreeSet::new();
        let mut all_unread: Vec<Unread> = Vec::new();
        match unreadable {
            // Nobody knows what is in it now: everything is as if its file could not be read.
            Some(why) => {
                self.files.values_mut().for_each(|file| file.lose(&why));
                all_unread.push(unread::of_text(&why, "", true));
                complaints.insert(Complaint::general(why, true));
            }
            None => {
                self.files.retain(|name, _| manifests.contains_key(name));
                for (name, text) in manifests {
                    let file = self.files.entry(Arc::clone(&name)).or_default();
                    file.read(&name, text, installation);
                }
            }
        }
        match secrets_unreadable {
            Some(why) => {
                complaints.insert(Complaint::general(why, false));
            }
            None => self.take_secrets(secrets, &mut complaints),
        }
        complaints.extend(
            self.files
                .values()
                .flat_map(|file| file.complaints.iter().cloned()),
        );
        let objects = self.unite(&mut complaints, &mut all_unread);

        let now: BTreeMap<Id, Arc<str>> = objects
            .iter()
            .map(|(id, (place, _))| (id.clone(), Arc::clone(place)))
            .collect();
        let before = std::mem::replace(&mut self.held, now);
        all_unread.extend(self.files.values().filter_map(|file| file.unread.clone()));
        let is_there = |id: &Id| self.held.contains_key(id);
        let read = objects.values().map(|(_, object)| object);
        all_unread.extend(read.filter_map(|object| unread::of_object(object, is_there)));
        self.unread = unread::all(all_unread);
        let gone: Vec<(Id, Arc<str>)> = before
            .into_iter()
            .filter(|(id, _)| !self.held.contains_key(id))
            .collect();
        let removals = gone.iter().map(|(id, _)| id.clone().into_removal());
        let changes = removals
            .chain(
                objects
                    .into_values()
                    .map(|(_, object)| object.into_change()),
            )
            .collect();
        let is_broken = self.broken();
        let look = Look {
            changes,
            complaints: complaints.difference(&self.complaints).cloned().collect(),
            mended: was_broken.difference(&is_broken).cloned().collect(),
            gone,
        };
        self.complaints = complaints;
        look
    }

    /// Everything that is wrong now.
    pub(super) fn complaints(&self) -> impl Iterator<Item = &Complaint> {
        self.complaints.iter()
    }

    /// What could not be read and may be for requests that something else is also for.
    pub(super) fn unread(&self) -> Option<&Unread> {
        self.unread.as_ref()
    }

    /// How many manifests there are.
    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    /// Where a field of the object stands that begins there.
    pub(super) fn place(&self, object: &Source, field: &str) -> Place {
        let documents = self.files.get(&object.file).map(|file| &file.documents);
        let documents = documents.map(Vec::as_slice).unwrap_or_default();
        // They are in the order of their lines.
        let at = documents.partition_point(|document| document.place.line < object.line);
        let document = documents
            .get(at)
            .filter(|document| document.place.line == object.line);
        document.map_or(
            Place {
                line: object.line,
                column: 1,
            },
            |document| document.place_of_field(field),
        )
    }

    /// A secret that cannot be read, or is empty, which a file is for a moment while it is written, counts as last
    /// read: it lets nobody in by itself.
    fn take_secrets(
        &mut self,
        now: BTreeMap<Arc<str>, Result<SecretFiles, String>>,
        complaints: &mut BTreeSet<Complaint>,
    ) {
        let mut before = std::mem::take(&mut self.secrets);
        for (name, read) in now {
            let last = before.remove(&name).unwrap_or_default();
            let values = match read {
                Ok(values) => values,
                Err(why) => {
                    complaints.insert(Complaint::general(why, false));
                    last.clone()
                }
            };
            let keep = |(key, value): (Arc<str>, crate::published::Secret)| {
                let kept = last.get(&key).filter(|_| value.expose().is_empty());
                if kept.is_some() {
                    complaints.insert(Complaint::general(
                        format!("{MOUNTED}: {name}: the key {key} is empty now. The value that it had stays in force; delete the file if it is to go"),
                        false,
                    ));
                }
                let value = kept.cloned().unwrap_or(value);
                (key, value)
            };
            let values: SecretFiles = values.into_iter().map(keep).collect();
            if !values.is_empty() {
                self.secrets.insert(name, values);
            }
        }
    }

    fn broken(&self) -> BTreeSet<Arc<str>> {
        let broken = self.files.iter().filter(|(_, file)| file.broken);
        broken.map(|(name, _)| Arc::clone(name)).collect()
    }

    /// All objects. What stands in two places is closed, since nobody can say which one is meant.
    fn unite(
        &self,
        complaints: &mut BTreeSet<Complaint>,
        all_unread: &mut Vec<Unread>,
    ) -> BTreeMap<Id, (Arc<str>, Object)> {
        let in_files = self.files.iter().flat_map(|(name, file)| {
            let objects = file.objects.iter().cloned();
            objects.map(|object| (Arc::clone(name), object))
        });
        let mounted = self.secrets.iter().map(|(name, values)| {
            let secret = Object::Secret(Arc::clone(name), values.clone());
            (Arc::from(MOUNTED), secret)
        });
        let mut objects = BTreeMap::new();
        let mut places: BTreeMap<Id, Vec<(Arc<str>, u32)>> = BTreeMap::new();
        for (place, object) in in_files.chain(mounted) {
            let line = object.source().map_or(0, |source| source.line);
            places
                .entry(object.id())
                .or_default()
                .push((Arc::clone(&place), line));
            objects.entry(object.id()).or_insert((place, object));
        }
        let twice = self.files.values().flat_map(|file| &file.objects);
        let twice = twice.filter(|object| {
            let places = places.get(&object.id());
            places.is_some_and(|places| places.len() > 1)
        });
        all_unread.extend(twice.filter_map(unread::of_second));
        for (id, places) in places.into_iter().filter(|(_, places)| places.len() > 1) {
            let text = |(file, line): &(Arc<str>, u32)| match line {
                0 => file.to_string(),
                line => format!("{file}:{line}"),
            };
            let all: Vec<String> = places.iter().map(text).collect();
            let why = format!(
                "{id} stands in {}; it can stand in one place only",
                all.join(" and in ")
            );
            if let Some((_, object)) = objects.get_mut(&id) {
                object.close(&why.as_str().into());
            }
            // Closing does nothing to a Secret, and of two nobody knows which one is meant.
            if matches!(id, Id::Secret(_)) {
                objects.remove(&id);
            }
            let second = places.into_iter().rfind(|(file, _)| **file != *MOUNTED);
            let (file, line) = second.map_or((None, 0), |(file, line)| (Some(file), line));
            complaints.insert(Complaint {
                file,
                line,
                column: 1,
                message: why,
                closes: true,
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
        let whole = |message: String| Complaint {
            file: Some(Arc::clone(name)),
            ..Complaint::general(message, true)
        };
        let documents = match &text {
            // An editor, or a copy under way, empties a file before it fills it.
            Ok(text) if text.trim().is_empty() && !self.objects.is_empty() => Err(whole(format!(
                "is empty, and held {} a moment ago. Delete the file if that is to go",
                object::count(self.objects.len())
            ))),
            Ok(text) if text.trim().is_empty() => Err(whole(
                "is empty. Write an object into it, or delete the file".to_owned(),
            )),
            Ok(text) => yaml::documents(text).map_err(|fault| Complaint::at(name, fault)),
            Err(why) => Err(whole(why.clone())),
        };
        let raw = text.as_deref().unwrap_or_default().to_owned();
        self.text = Some(text);
        match documents {
            Ok(documents) => self.understand(name, documents, installation),
            Err(complaint) => {
                self.unread = Some(unread::of_text(&complaint.to_string(), &raw, true));
                self.close(&complaint.to_string());
                self.complaints = vec![complaint];
            }
        }
    }

    fn understand(&mut self, name: &Arc<str>, documents: Vec<Node>, installation: &Installation) {
        let mut now: Vec<Object> = Vec::with_capacity(documents.len());
        let mut complaints = Vec::new();
        let mut unknown = None;
        let mut all_unread = Vec::new();
        for document in &documents {
            match object::read(document, name, installation) {
                Ok(Document::Object(mut object, fault)) => {
                    if let Some(fault) = fault {
                        let complaint = Complaint::at(name, fault);
                        object.close(&complaint.to_string().into());
                        all_unread.extend(object::unread(document, &complaint.to_string()));
                        complaints.push(complaint);
                    }
                    now.push(object);
                }
                Ok(Document::Ignored { what, line }) => complaints.push(Complaint {
                    file: Some(Arc::clone(name)),
                    line,
                    column: 1,
                    message: format!("{what} is of no concern here and was passed over"),
                    closes: false,
                }),
                Err(fault) => {
                    let complaint = Complaint::at(name, fault);
                    all_unread.extend(object::unread(document, &complaint.to_string()));
                    unknown.get_or_insert_with(|| complaint.to_string());
                    complaints.push(complaint);
                }
            }
        }
        self.unread = unread::all(all_unread);
        self.broken = complaints.iter().any(|complaint| complaint.closes);
        let before = std::mem::replace(&mut self.objects, now);
        if let Some(why) = unknown {
            // It may be any of those that the file held and that are not found in it now.
            let why: Arc<str> = why.into();
            let known: BTreeSet<Id> = self.objects.iter().map(Object::id).collect();
            let lost = before.into_iter().filter(|old| !known.contains(&old.id()));
            self.objects.extend(lost.map(|mut object| {
                object.close(&why);
                object
            }));
        }
        self.documents = documents;
        self.complaints = complaints;
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

    fn general(message: String, closes: bool) -> Self {
        Self {
            file: None,
            line: 0,
            column: 0,
            message,
            closes,
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
