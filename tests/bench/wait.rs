//! Waiting for something to become true, for a bounded time, and saying well why it did not.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bench::Process;

/// A bounded wait: polls until the probe gives `Ok`.
#[derive(Debug)]
pub struct Wait<'a> {
    limit: Duration,
    pause: Duration,
    watched: Vec<&'a Process>,
}

impl<'a> Wait<'a> {
    /// At most this long.
    pub fn up_to(limit: Duration) -> Self {
        Self {
            limit,
            pause: Duration::from_millis(20),
            watched: Vec::new(),
        }
    }

    /// At most this many seconds.
    pub fn seconds(limit: u64) -> Self {
        Self::up_to(Duration::from_secs(limit))
    }

    /// This long between two probes (20 ms unless said otherwise).
    pub fn every(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Gives up at once when this process ends, and shows the end of its log when the wait fails.
    pub fn watching(mut self, process: &'a Process) -> Self {
        self.watched.push(process);
        self
    }

    /// Polls `probe`, whose `Err` says what is not yet so, until it gives `Ok`.
    pub async fn until<T>(
        &self,
        what: &str,
        mut probe: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let start = Instant::now();
        let mut last = None;
        loop {
            let left = self.limit.saturating_sub(start.elapsed());
            match tokio::time::timeout(left, probe()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => last = Some(error),
                // What the probe before said tells more than that this one was cut short.
                Err(_) => {}
            }
            let ended = self.watched.iter().find_map(|process| {
                process
                    .ended()
                    .map(|status| format!("{} ended ({status})", process.name()))
            });
            if ended.is_none() && start.elapsed() < self.limit {
                tokio::time::sleep(self.pause).await;
                continue;
            }
            let why = ended.unwrap_or_else(|| format!("waited {:?}", self.limit));
            let last = last.map_or_else(
                || "no probe came to an end".to_owned(),
                |error| format!("last: {error:#}"),
            );
            let logs: String = self
                .watched
                .iter()
                .map(|process| format!("\n{}", process.log_tail()))
                .collect();
            bail!("{why} until {what}; {last}{logs}")
        }
    }
}
