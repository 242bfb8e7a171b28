//! What a tenant tries through the Kubernetes API itself: values at their limits, references to what is not theirs,
//! objects that look like Vestibule's own, and annotations changed under the controller's hands.

mod fight;
mod limits;
mod look_alikes;
mod references;
