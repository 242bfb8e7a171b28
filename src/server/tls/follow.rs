//! The certificates in force, read again whenever their files change: a renewed certificate needs no restart.
//!
//! A pair counts once it can be read, is a certificate with its key, and both belong together; until then the one
//! before stays in force. A tool that writes one file after the other leaves a wrong pair for a moment, so a fault is
//! told only when it lasts.

use std::{path::Path, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Tls,
    age::Age,
    choice::Choice,
    files::{Certificate, CertificateFiles, Contents, Fault, Fingerprint},
    provider,
};
use crate::{
    clock::Clock,
    file_watch::{FileWatch, Watched},
    policy::Moment,
};

/// The certificates of a listener.
pub struct Certificates {
    pairs: Vec<Pair>,
    choice: Arc<Choice>,
    tls: Tls,
    clock: Clock,
    ends: Family<FileLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabels {
    file: String,
}

/// TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// A file is wrong.
    #[error(transparent)]
    File(#[from] Fault),
    /// The machine has no random numbers, or no cipher.
    #[error("TLS cannot be set up: {0}")]
    SetUp(#[from] rustls::Error),
}

struct Pair {
    files: CertificateFiles,
    certificate: Certificate,
    fingerprint: Fingerprint,
    trouble: Option<Trouble>,
    age: Age,
}

/// A fault of the files, and whether it has been told.
struct Trouble {
    fault: Fault,
    since: Instant,
    told: bool,
}

/// Longer than a tool takes between writing the certificate and writing the key.
const LASTING: Duration = Duration::from_secs(4);

// === impl Certificates ===

impl Certificates {
    /// Reads all pairs for the first time. Blocks for as long as that takes. Whatever cannot be used ends the start:
    /// nothing is in force yet that could stay so, and a process that runs without its listener looks healthy.
    ///
    /// # Errors
    /// If a pair cannot be used; the text names the option and the file.
    pub fn open(files: Vec<CertificateFiles>, clock: Clock) -> Result<Self, NoTls> {
        let pairs = files
            .into_iter()
            .map(Pair::open)
            .collect::<Result<Vec<_>, Fault>>()?;
        let choice = Arc::new(Choice::new(pairs.iter().map(|pair| &pair.certificate)));
        let mut certificates = Self {
            tls: Tls::new(Arc::clone(&choice))?,
            pairs,
            choice,
            clock,
            ends: Family::default(),
        };
        for pair in &certificates.pairs {
            pair.introduce("a certificate is in force");
        }
        certificates.tell_ends();
        certificates.watch_ages();
        Ok(certificates)
    }

    /// For the listener: always the certificates in force.
    #[must_use]
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Registers when each certificate in force ends, for alerts.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "tls_certificate_expiration_timestamp_seconds",
            "When the certificate in force ends, by its file",
            self.ends.clone(),
        );
    }

    /// Follows the files until `stop`.
    pub async fn follow(mut self, stop: CancellationToken) {
        let mut watch = FileWatch::new(folders(&self.pairs));
        loop {
            // First a look: something may have changed between reading and watching.
            let files: Vec<_> = self.pairs.iter().map(|pair| pair.files.clone()).collect();
            let read = tokio::task::spawn_blocking(move || {
                files.iter().map(CertificateFiles::read).collect::<Vec<_>>()
            });
            match read.await {
                Ok(contents) => self.take(contents),
                Err(error) => {
                    tracing::error!(%error, "the certificates could not be read; those from before stay in force");
                }
            }
            if stop.run_until_cancelled(watch.changed()).await.is_none() {
                return;
            }
        }
    }

    fn take(&mut self, contents: Vec<Result<Contents, Fault>>) {
        let mut changed = false;
        for (pair, contents) in self.pairs.iter_mut().zip(contents) {
            changed |= pair.take(contents);
        }
        if changed {
            let certificates = self.pairs.iter().map(|pair| &pair.certificate);
            self.choice.change(certificates);
            self.tell_ends();
        }
        self.watch_ages();
    }

    fn tell_ends(&self) {
        for pair in &self.pairs {
            let file = pair.files.certificate.display().to_string();
            if let Some((_, end)) = pair.certificate.validity {
                let gauge = self.ends.get_or_create(&FileLabels { file });
                gauge.set(i64::try_from(end.0).unwrap_or(i64::MAX));
            }
        }
    }

    fn watch_ages(&mut self) {
        let now = self.clock.now();
        for pair in &mut self.pairs {
            pair.watch_age(now);
        }
    }
}

// === impl Pair ===

impl Pair {
    fn open(files: CertificateFiles) -> Result<Self, Fault> {
        let contents = files.read()?;
        Ok(Self {
            certificate: files.judge(&contents, &provider())?,
            fingerprint: contents.fingerprint(),
            files,
            trouble: None,
            age: Age::Good,
        })
    }

    /// Takes what the files hold now; says whether there is a new certificate.
    fn take(&mut self, contents: Result<Contents, Fault>) -> bool {
        let fingerprint = contents.as_ref().ok().map(Contents::fingerprint);
        let read = if fingerprint == Some(self.fingerprint) {
            Ok(None)
        } else {
            contents
                .and_then(|contents| self.files.judge(&contents, &provider()))
                .map(Some)
        };
        let new = match read {
            Ok(new) => new,
            Err(fault) => {
                self.suffer(fault);
                return false;
            }
        };
        let had_told = self.trouble.take().is_some_and(|trouble| trouble.told);
        if let (Some(certificate), Some(fingerprint)) = (new, fingerprint) {
            self.certificate = certificate;
            self.fingerprint = fingerprint;
            self.age = Age::Good;
            self.introduce("a new certificate is in force");
            return true;
        }
        if had_told {
            self.introduce("the files hold the certificate again that is in force");
        }
        false
    }

    fn suffer(&mut self, fault: Fault) {
        let now = Instant::now();
        let trouble = match &mut self.trouble {
            Some(trouble) if trouble.fault == fault => trouble,
            trouble => trouble.insert(Trouble {
                fault,
                since: now,
                told: false,
            }),
        };
        if !trouble.told && now.duration_since(trouble.since) >= LASTING {
            trouble.told = true;
            tracing::error!(
                tls.certificate = %self.files.certificate.display(),
                "{}. The certificate from before stays in force", trouble.fault
            );
        }
    }

    fn introduce(&self, what: &str) {
        let ends = self.certificate.validity.map(|(_, end)| date(end));
        tracing::info!(
            tls.certificate = %self.files.certificate.display(),
            tls.names = self.certificate.names.join(" "),
            tls.ends = ends,
            "{what}"
        );
        let file = self.files.certificate.display();
        if self.certificate.names.is_empty() {
            tracing::warn!(
                tls.certificate = %file,
                "{file} names no host (as a subjectAltName; a wildcard over one label, such as *.lan, counts for none), \
                 so browsers refuse it; ask for one that does"
            );
        }
        if self.certificate.chain_is_missing {
            tracing::warn!(
                tls.certificate = %file,
                "{file} holds the server's certificate alone, which programs such as curl refuse; \
                 give the whole chain (certbot and others call that file fullchain.pem)"
            );
        }
    }

    fn watch_age(&mut self, now: Moment) {
        let Some((start, end)) = self.certificate.validity else {
            return;
        };
        let age = Age::of(start, end, now);
        if age == self.age {
            return;
        }
        self.age = age;
        let (file, end) = (self.files.certificate.display(), date(end));
        match age {
            Age::Good => {}
            Age::EndsSoon => tracing::warn!(
                tls.certificate = %file,
                "the certificate in {file} ends on {end} and has not been renewed yet; look at what renews it"
            ),
            Age::Ended => tracing::error!(
                tls.certificate = %file,
                "the certificate in {file} has ended on {end}, so browsers refuse it; renew it, and it counts at once"
            ),
        }
    }
}

/// The folders that the files lie in, each once.
fn folders(pairs: &[Pair]) -> Vec<Watched> {
    let mut folders: Vec<Watched> = Vec::new();
    for pair in pairs {
        for file in [&pair.files.certificate, &pair.files.key] {
            let folder = file
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let folder = Watched {
                path: folder.unwrap_or(Path::new(".")).to_owned(),
                with_folders_in_it: false,
            };
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders
}

fn date(moment: Moment) -> String {
    i64::try_from(moment.0)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "no date".to_owned(), |moment| moment.to_string())
}
