//! A connection that outlives its requests: after an upgrade, octets go both ways until one side closes.

use std::{fmt, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The connection that a request came on; in the extensions of every request.
#[derive(Clone)]
pub struct Connection {
    pub(super) place: Arc<OwnedSemaphorePermit>,
    pub(super) connections: TaskTracker,
    pub(super) stop: CancellationToken,
}

// === impl Connection ===

impl Connection {
    /// Runs what takes the connection over once it no longer speaks HTTP. It keeps the connection's place, and it
    /// ends when the listener stops: such a conversation has no end of its own, and everyone else would wait for it.
    pub fn hand_over(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (place, stop) = (Arc::clone(&self.place), self.stop.clone());
        self.connections.spawn(async move {
            stop.run_until_cancelled(task).await;
            drop(place);
        });
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
