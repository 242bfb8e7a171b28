//! Sessions: what a browser carries, and how it came by it.
//!
//! Everything handed to a browser is sealed for one purpose and one host (`seal`): the session itself, a
//! sign-in under way (`attempt`), the hand-off between the auth host and a protected host (`hand_off`).
//! Nothing is kept on the server, so any replica answers any request; what was opened a moment ago (`recent`) only
//! need not be opened again.

mod attempt;
mod cookie;
mod hand_off;
mod layout;
mod recent;
pub mod seal;
mod token;

pub use attempt::{Attempt, Landed, Purpose as AttemptPurpose, Secrets, State};
pub use cookie::{Jar, Names, set_cookie};
pub use hand_off::{Request as HandOffRequest, SignOut, Ticket};
pub use seal::{Keys, Purpose};
pub use token::{NamedFacts, OpenSession, issue, restrict};

/// A source of random bytes that an adversary cannot predict.
pub type RandomBytes = fn(&mut [u8]);

/// Fills from the operating system through the cryptography library. It cannot fail on a running system;
/// if it does, nothing may be sealed, and the process ends.
pub fn random(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the operating system provides random bytes");
}
