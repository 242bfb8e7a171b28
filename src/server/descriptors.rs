//! How many files this process may open: each connection is one, and so many systems give a process only 1,024 at
//! first that listeners would run out of them long before their own limit, and the check with them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For everything that is no client's connection: files and folders that are watched, the API server, providers.
const RESERVE: u64 = 128;
/// Fewer are of no use; rather run out.
const FEWEST: usize = 16;

/// How many connections each of some listeners may have open, of those that are wanted, so that none of them takes the
/// last file that another needs. `shares` is how many files one connection on each of them takes in all. Raises what
/// the process may open to what the system lets it.
#[must_use]
pub fn connections_that_fit(wanted: usize, shares: usize) -> usize {
    let files = raised();
    let fit = fit(wanted, shares, files);
    if fit < wanted {
        tracing::warn!(
            files,
            wanted,
            connections = fit,
            "{}",
            too_few(files, wanted, shares, fit)
        );
    }
    fit
}

fn too_few(files: u64, wanted: usize, shares: usize, fit: usize) -> String {
    let needed = needed(wanted, shares);
    format!(
        "this process may not open enough files for {wanted} connections on each listener (--max-connections): it may open {files}, and would need {needed}, so each listener takes {fit}. Raise the limit of open files to {needed} (ulimit -n {needed}; in systemd LimitNOFILE={needed}; in Docker --ulimit nofile={needed}, or ulimits: {{nofile: {needed}}} in Compose; in Kubernetes LimitNOFILE={needed} in the unit of the node's container runtime), or lower --max-connections to {fit}"
    )
}

/// How many files do for so many connections.
fn needed(wanted: usize, shares: usize) -> u64 {
    let files = u64::try_from(wanted.saturating_mul(shares)).unwrap_or(u64::MAX);
    files.saturating_add(RESERVE)
}

fn fit(wanted: usize, shares: usize, files: u64) -> usize {
    let files = usize::try_from(files.saturating_sub(RESERVE)).unwrap_or(usize::MAX);
    let each = files.checked_div(shares).unwrap_or(files);
    wanted.min(each.max(FEWEST))
}

/// What the process may open now.
fn raised() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    let now = match setrlimit(Resource::Nofile, most) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    now.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_what_may_be_opened_and_take_no_more_than_is_wanted() {
        assert_eq!(fit(10_000, 2, 1_048_576), 10_000);
        assert_eq!(fit(10_000, 2, 1024), 448);
        assert_eq!(fit(10_000, 3, 1024), 298);
        assert_eq!(fit(100, 3, 1024), 100);
        assert_eq!(fit(10_000, 2, u64::MAX), 10_000);
        assert_eq!(fit(10_000, 2, 64), FEWEST);
        assert_eq!(fit(4, 2, 64), 4);
    }

    #[test]
    fn what_is_said_to_be_needed_does_and_one_less_does_not() {
        for (wanted, shares) in [(10_000, 2), (10_000, 3), (100, 1), (1, 2), (17, 5)] {
            let files = needed(wanted, shares);
            assert_eq!(fit(wanted, shares, files), wanted);
            let fewer = fit(wanted, shares, files - 1);
            assert!(fewer < wanted || wanted <= FEWEST, "{wanted} {shares}");
        }
        let said = too_few(1024, 10_000, 2, 448);
        for part in [
            "ulimit -n 20128",
            "LimitNOFILE=20128",
            "nofile=20128",
            "--max-connections to 448",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
}
