//! A certificate and its key as PEM files: read, and judged before anything relies on them.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use rustls::{
    CertificateError, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use webpki::EndEntityCert;

use crate::{file_watch::contents, policy::Moment};

/// Where a certificate and its key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `--tls-cert`: the certificate, then those of the authorities between it and a root.
    pub certificate: PathBuf,
    /// `--tls-key`: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option} {file}: {problem}", file = file.display())]
pub struct Fault {
    option: &'static str,
    file: PathBuf,
    problem: String,
}

/// What the files held at a moment.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// By which a change of the files is noticed, without a key being kept.
#[derive(Clone, Copy)]
pub(super) struct Fingerprint(Digest);

/// A certificate that can be used: its key belongs to it.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    /// Host names, and `*.suffix`, in lower case.
    pub(super) names: Vec<String>,
    /// Its first and last moment, if it has such.
    pub(super) validity: Option<(Moment, Moment)>,
    /// Somebody else has signed it, and their certificate is not there.
    pub(super) chain_is_missing: bool,
}

const CERTIFICATE: &str = "--tls-cert";
const KEY: &str = "--tls-key";
/// In MiB. A chain has some KiB.
const LARGEST: u64 = 1;
/// After the year 9999, the last that a certificate can name.
const NEVER: u64 = 1 << 40;

// === impl CertificateFiles ===

impl CertificateFiles {
    /// Reads both files. Blocks.
    pub(super) fn read(&self) -> Result<Contents, Fault> {
        let read = |option, file: &Path| {
            contents(file, LARGEST).map_err(|error| Fault {
                option,
                file: file.to_owned(),
                problem: format!(
                    "cannot be read: {error}. Name a PEM file that the account Vestibule runs as can read"
                ),
            })
        };
        Ok(Contents {
            certificate: read(CERTIFICATE, &self.certificate)?,
            key: read(KEY, &self.key)?,
        })
    }

    /// Judges what was read.
    pub(super) fn judge(
        &self,
        contents: &Contents,
        provider: &CryptoProvider,
    ) -> Result<Certificate, Fault> {
        let chain = chain(&contents.certificate).map_err(|problem| self.of_certificate(problem))?;
        let key = key(&contents.key).map_err(|problem| self.of_key(problem))?;
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|error| self.of_key(format!("the key cannot be used: {error}")))?;
        let certified = CertifiedKey::new(chain, key);
        let unusable = |error: &dyn fmt::Display| {
            self.of_certificate(format!("the certificate cannot be used: {error}"))
        };
        let first = certified.end_entity_cert().map_err(|e| unusable(&e))?;
        let parsed = EndEntityCert::try_from(first).map_err(|e| unusable(&e))?;
        certified
            .keys_match()
            .map_err(|_| self.of_key(format!(
                "the key does not belong to the certificate in {}. Put both in place; until then the pair cannot be used",
                self.certificate.display()
            )))?;
        let mut names: Vec<String> = parsed
            .valid_dns_names()
            .map(str::to_ascii_lowercase)
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(Certificate {
            validity: validity(first, provider),
            chain_is_missing: certified.cert.len() == 1 && parsed.issuer() != parsed.subject(),
            names,
            certified: Arc::new(certified),
        })
    }

    fn of_certificate(&self, problem: String) -> Fault {
        Fault {
            option: CERTIFICATE,
            file: self.certificate.clone(),
            problem,
        }
    }

    fn of_key(&self, problem: String) -> Fault {
        Fault {
            option: KEY,
            file: self.key.clone(),
            problem,
        }
    }
}

// === impl Contents ===

impl Contents {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut digest = Context::new(&SHA256);
        digest.update(&self.certificate);
        digest.update(&[0]);
        digest.update(&self.key);
        Fingerprint(digest.finish())
    }
}

// === impl Fingerprint ===

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref() == other.0.as_ref()
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not whole PEM: {error}"))?;
    if !chain.is_empty() {
        return Ok(chain);
    }
    Err(if PrivateKeyDer::from_pem_slice(pem).is_ok() {
        "holds a private key and no certificate: are --tls-cert and --tls-key swapped?".to_owned()
    } else {
        "holds no certificate. One in PEM begins with -----BEGIN CERTIFICATE-----".to_owned()
    })
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        if pem.windows(9).any(|word| word == b"ENCRYPTED") {
            return "the key is encrypted with a passphrase, which nobody could type at a restart: \
                    store it without one, readable for Vestibule alone"
                .to_owned();
        }
        if CertificateDer::from_pem_slice(pem).is_ok() {
            return "holds a certificate and no private key: are --tls-cert and --tls-key swapped?"
                .to_owned();
        }
        match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                "holds no private key. One in PEM begins with -----BEGIN PRIVATE KEY-----, or with \
                 RSA or EC before PRIVATE"
                    .to_owned()
            }
            error => format!("is not whole PEM: {error}"),
        }
    })
}

/// From when until when the certificate can be used. What verifies certificates says so where it refuses one for its
/// time, and asked about a time before and after all others it always does.
fn validity(
    certificate: &CertificateDer<'_>,
    provider: &CryptoProvider,
) -> Option<(Moment, Moment)> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let refused_at = |seconds| {
        let outcome = verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &RootCertStore::empty(),
            &[],
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            provider.signature_verification_algorithms.all,
        );
        match outcome {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidYetContext {
                    not_before: end, ..
                }
                | CertificateError::ExpiredContext { not_after: end, .. },
            )) => Some(Moment(end.as_secs())),
            _ => None,
        }
    };
    Some((refused_at(0)?, refused_at(NEVER)?))
}
