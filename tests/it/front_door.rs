//! The front door over real sockets: what a service behind it gets to see, whatever a client sends.

mod bench;
mod failures;
mod forwarded;
mod hostile;
mod hosts;
mod http2;
mod judged;
mod limits;
mod recorder;
mod streams;
mod upgrades;
