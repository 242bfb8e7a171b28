//! Logs: one line an event, on standard output.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogOptions};

/// Starts logging.
///
/// # Errors
/// With a sentence, if the filter cannot be read or logging has been started before.
pub fn start(options: &LogOptions) -> Result<(), String> {
    // A log that is written into a watched folder would tell of itself without end.
    let filter = EnvFilter::try_new(format!("notify=info,{}", options.log_level))
        .map_err(|error| format!("--log-level={}: {error}", options.log_level))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    let started = match options.log_format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.with_ansi(std::io::stdout().is_terminal()).try_init(),
    };
    started.map_err(|error| error.to_string())
}
