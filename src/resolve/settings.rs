//! What resolving depends on besides the objects.

use std::sync::Arc;

use super::ServicePort;
use crate::{dataplane::DataPlane, published::Installation};

/// The settings of one process that resolves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the whole installation has in common.
    pub installation: Arc<Installation>,
    /// Who resolves.
    pub place: Place,
    /// In a cluster: the proxies that may serve what is protected. What one of them would do counts.
    pub data_planes: Vec<DataPlane>,
}

/// Who resolves, and so what it may know and do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The controller of a cluster: judges classes and plans writes.
    Controller(Controller),
    /// A replica of the auth endpoint in a cluster. It cannot read classes, so it serves every Ingress that asks,
    /// and plans nothing.
    Replica,
    /// A folder: hosts may stand in ProtectedServices, backends become routes, and nothing is written.
    Folder(Standalone),
}

/// How a folder is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standalone {
    /// Vestibule is the proxy too, so every host needs an upstream.
    pub front_door: bool,
    /// Somebody says which path a request asks for: the front door does, plain nginx if it is told to. Where nobody
    /// does, rules by path cannot be kept.
    pub paths_are_told: bool,
    /// Plain nginx may ask about a host without naming the service.
    pub asked_by_host: bool,
}

/// What the controller writes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Where data planes reach the check: `http://HOST[:PORT]`, without a path.
    pub check_url: Arc<str>,
    /// The Service of the auth endpoint, in the installation's namespace.
    pub service_name: Arc<str>,
    /// Its public port.
    pub service_port: ServicePort,
    /// Which ingress classes are served.
    pub classes: Classes,
}

/// Which ingress classes an installation serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Classes {
    /// These.
    Named(Vec<Arc<str>>),
    /// All whose `spec.controller` is one of these.
    OfControllers(Vec<Arc<str>>),
}

/// The controller of ingress-nginx, and of Traefik's provider for its annotations.
pub(crate) const INGRESS_NGINX: &str = "k8s.io/ingress-nginx";

// === impl Classes ===

impl Default for Classes {
    fn default() -> Self {
        Self::OfControllers(vec![INGRESS_NGINX.into()])
    }
}

// === impl Settings ===

impl Settings {
    /// The controller's part, if this is one.
    #[must_use]
    pub fn controller(&self) -> Option<&Controller> {
        match &self.place {
            Place::Controller(controller) => Some(controller),
            Place::Replica | Place::Folder(_) => None,
        }
    }

    /// Whether the objects come from a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.standalone().is_some()
    }

    /// Whether somebody says which path a request asks for.
    #[must_use]
    pub fn paths_are_told(&self) -> bool {
        self.standalone()
            .is_none_or(|standalone| standalone.paths_are_told)
    }

    /// How the folder is served, if the objects come from one.
    #[must_use]
    pub fn standalone(&self) -> Option<&Standalone> {
        match &self.place {
            Place::Folder(standalone) => Some(standalone),
            Place::Controller(_) | Place::Replica => None,
        }
    }

    /// Whether this proxy may serve what is protected.
    #[must_use]
    pub fn has(&self, data_plane: DataPlane) -> bool {
        self.data_planes.contains(&data_plane)
    }

    /// Whether anybody reads what is reported of objects. Replicas leave that to the controller.
    #[must_use]
    pub fn reports(&self) -> bool {
        self.place != Place::Replica
    }
}
