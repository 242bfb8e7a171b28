//! Sign-in at the real `vestibule serve`, attacked from each side: by providers that lie, by people who mix answers up,
//! and by whoever writes the parameters.

mod claims;
mod documents;
mod mixups;
mod parameters;
mod return_targets;
mod signatures;
mod token_answers;
mod tokens;
mod two_providers;
