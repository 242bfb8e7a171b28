//! What each data plane needs written, and how it asks. Two flows meet one contract per file.

pub mod check;
pub mod ingress_nginx;
pub mod nginx;
