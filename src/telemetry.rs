//! Logs: one line an event, on standard output.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogOptions};

/// Starts logging.
///
/// # Errors
/// With a sentence, if the filter cannot be read or logging has been started before.
pub fn start(options: &LogOptions) -> Result<(), String> {
    if let Some(word) = no_level(&options.log_level) {
        return Err(format!(
            "--log-level={word}: not one of error, warn, info, debug and trace; a module with its level is written as vestibule::folder=debug"
        ));
    }
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

/// A word that is probably a misspelt level: it would be taken for a module, and all others would fall silent.
fn no_level(filter: &str) -> Option<&str> {
    let mut words = filter.split(',').map(str::trim);
    words.find(|word| {
        let is_word = !word.contains(['=', ':', '[']);
        is_word && !word.is_empty() && word.parse::<LevelFilter>().is_err()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_found_and_filters_are_left_alone() {
        for (filter, word) in [
            ("inf", Some("inf")),
            ("warn,vestible", Some("vestible")),
            ("info", None),
            ("OFF", None),
            ("", None),
            ("info,vestibule::cluster=debug, hyper=warn", None),
            ("vestibule::folder", None),
        ] {
            assert_eq!(no_level(filter), word, "{filter}");
        }
    }
}
