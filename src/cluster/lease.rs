//! One leader at a time, over a `coordination.k8s.io/v1` Lease.
//!
//! Every replica watches and resolves; the one that holds the Lease writes. The rules are those of
//! Kubernetes' own leader election: another's Lease counts as expired when it has not changed for its
//! duration *by our own clock*, every write carries the resourceVersion it was decided on, and a leader
//! that cannot renew stops well before others may take over. Clocks of two machines are never compared.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, api::PostParams};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// How long a Lease lasts, and how often its holder says it is there.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// After so long without a renewal others may take over.
    pub duration: Duration,
    /// After so long without a renewal the holder stops writing; the rest of `duration` is for requests
    /// that are still under way.
    pub deadline: Duration,
    /// Between two attempts.
    pub retry: Duration,
}

/// A replica that leads, or would like to.
#[derive(Clone)]
pub struct Candidate {
    /// Leases of Vestibule's own namespace.
    pub leases: Api<Lease>,
    /// The Lease all replicas of the installation share.
    pub name: Arc<str>,
    /// Who we are; no two replicas may have the same.
    pub identity: Arc<str>,
    /// The timing.
    pub terms: Terms,
    /// For the times that people read in the Lease.
    pub clock: Clock,
}

/// What was last read or written, and since when it has looked like that.
#[derive(Default)]
struct Seen {
    lease: Option<Lease>,
    since: Option<Instant>,
}

// === impl Terms ===

impl Default for Terms {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

// === impl Candidate ===

impl Candidate {
    /// Tries to lead until `stop`, then gives the Lease back. `leads` says whether we do.
    pub async fn run(self, leads: watch::Sender<bool>, stop: CancellationToken) {
        let mut seen = Seen::default();
        let mut held_until: Option<Instant> = None;
        while !stop.is_cancelled() {
            let started = Instant::now();
            let patience = held_until
                .map_or(self.terms.deadline, |end| {
                    end.saturating_duration_since(started)
                })
                .max(Duration::from_millis(100));
            let attempt = tokio::select! {
                attempt = timeout(patience, self.attempt(&mut seen)) => attempt,
                () = stop.cancelled() => break,
            };
            match attempt {
                Ok(Ok(true)) => {
                    held_until = started.checked_add(self.terms.deadline);
                    self.say(&leads, true);
                }
                Ok(Ok(false)) => {
                    held_until = None;
                    self.say(&leads, false);
                }
                Ok(Err(error)) => {
                    tracing::warn!(lease = &*self.name, %error, "the Lease could not be read or written; retrying");
                }
                Err(_) => {
                    tracing::warn!(
                        lease = &*self.name,
                        "the API server did not answer in time about the Lease; retrying"
                    );
                }
            }
            if held_until.is_some_and(|end| Instant::now() >= end) {
                held_until = None;
                seen = Seen::default();
                self.say(&leads, false);
            }
            tokio::select! {
                () = sleep(self.pause(held_until)) => {}
                () = stop.cancelled() => {}
            }
        }
        let led = *leads.borrow();
        self.say(&leads, false);
        if led {
            self.release(&mut seen).await;
        }
    }

    /// The retry period, or what is left of our term if that is less.
    fn pause(&self, held_until: Option<Instant>) -> Duration {
        let left = held_until.map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(self.terms.retry, |left| left.min(self.terms.retry))
    }

    fn say(&self, leads: &watch::Sender<bool>, now: bool) {
        let changed = leads.send_if_modified(|led| std::mem::replace(led, now) != now);
        if changed {
            let said = if now {
                "this replica leads"
            } else {
                "this replica does not lead any more"
            };
            tracing::info!(
                lease = &*self.name,
                identity = &*self.identity,
                leads = now,
                "{said}"
            );
        }
    }

    /// One attempt to get or keep the Lease; whether we hold it afterwards. A conflict may be a person's
    /// annotation on a Lease that is still ours, so it is looked at once more.
    async fn attempt(&self, seen: &mut Seen) -> kube::Result<bool> {
        let held = self.holds(seen.lease.as_ref());
        let holds = self.try_once(seen).await?;
        if held && !holds && seen.lease.is_none() {
            return self.try_once(seen).await;
        }
        Ok(holds)
    }

    async fn try_once(&self, seen: &mut Seen) -> kube::Result<bool> {
        if !self.holds(seen.lease.as_ref()) {
            let read = self.leases.get_opt(&self.name).await?;
            seen.look_at(read);
        }
        let Some(current) = &seen.lease else {
            let fresh = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.to_string()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.claim(None)),
            };
            let made = self.leases.create(&PostParams::default(), &fresh).await;
            return seen.wrote(made);
        };
        if !self.holds(Some(current)) && !seen.has_expired(self.terms.duration) {
            return Ok(false);
        }
        let next = Lease {
            metadata: current.metadata.clone(),
            spec: Some(self.claim(current.spec.as_ref())),
        };
        let written = self
            .leases
            .replace(&self.name, &PostParams::default(), &next)
            .await;
        seen.wrote(written)
    }

    fn holds(&self, lease: Option<&Lease>) -> bool {
        holder(lease) == Some(&self.identity)
    }

    /// The Lease as it should be while we hold it.
    fn claim(&self, current: Option<&LeaseSpec>) -> LeaseSpec {
        let now = self.timestamp();
        let mine = current.filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
        let transitions = current.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.to_string()),
            lease_duration_seconds: i32::try_from(self.terms.duration.as_secs()).ok(),
            acquire_time: mine.map_or_else(|| now.clone(), |spec| spec.acquire_time.clone()),
            renew_time: now,
            lease_transitions: Some(match (mine, current) {
                (None, Some(_)) => transitions.saturating_add(1),
                _ => transitions,
            }),
            ..LeaseSpec::default()
        }
    }

    fn timestamp(&self) -> Option<MicroTime> {
        let seconds = i64::try_from(self.clock.now().0).ok()?;
        Timestamp::from_second(seconds).ok().map(MicroTime)
    }

    /// Names nobody as holder, so that another replica need not wait.
    async fn release(&self, seen: &mut Seen) {
        let Some(mut lease) = seen.lease.take().filter(|lease| self.holds(Some(lease))) else {
            return;
        };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.acquire_time = None;
            spec.renew_time = None;
        }
        let params = PostParams::default();
        let request = self.leases.replace(&self.name, &params, &lease);
        match timeout(self.terms.retry, request).await {
            Ok(Ok(_)) => tracing::info!(lease = &*self.name, "gave the Lease back"),
            Ok(Err(error)) => {
                tracing::warn!(lease = &*self.name, %error, "could not give the Lease back; it runs out by itself");
            }
            Err(_) => tracing::warn!(
                lease = &*self.name,
                "could not give the Lease back in time; it runs out by itself"
            ),
        }
    }
}

// === impl Seen ===

impl Seen {
    /// Starts the clock anew if the Lease is not the one that was seen before.
    fn look_at(&mut self, read: Option<Lease>) {
        if self.since.is_none() || version(self.lease.as_ref()) != version(read.as_ref()) {
            self.since = Some(Instant::now());
        }
        self.lease = read;
    }

    fn wrote(&mut self, written: kube::Result<Lease>) -> kube::Result<bool> {
        match written {
            Ok(lease) => {
                self.look_at(Some(lease));
                Ok(true)
            }
            // Another replica was quicker: look again next time.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                *self = Self::default();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Nobody holds it, or whoever does has not renewed it for its whole duration.
    fn has_expired(&self, otherwise: Duration) -> bool {
        let Some(spec) = self.lease.as_ref().and_then(|lease| lease.spec.as_ref()) else {
            return true;
        };
        let duration = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(otherwise, Duration::from_secs);
        holder(self.lease.as_ref()).is_none()
            || self.since.is_some_and(|since| since.elapsed() >= duration)
    }
}

fn holder(lease: Option<&Lease>) -> Option<&str> {
    let holder = lease?.spec.as_ref()?.holder_identity.as_deref()?;
    (!holder.is_empty()).then_some(holder)
}

fn version(lease: Option<&Lease>) -> Option<&str> {
    lease?.metadata.resource_version.as_deref()
}
