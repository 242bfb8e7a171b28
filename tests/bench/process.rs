//! A component as a process: its log in a file, its end tied to ours.

use std::{
    fs::{self, File},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::bench::{Loopback, Wait, tools};

/// A running program. Dropping it kills the program and whatever that has started.
#[derive(Debug)]
pub struct Process {
    name: String,
    group: u32,
    child: Mutex<Child>,
    log: PathBuf,
}

/// How a program is started.
#[derive(Debug)]
pub struct Start {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
}

/// A new folder of this run for the data of one component.
pub fn data_folder(name: &str) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = Loopback::of_this_run()?
        .folder()
        .join(format!("{name}-{count}"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

// === impl Start ===

impl Start {
    /// The program of this name as `tests/tools/install` has it, in a new folder of its own.
    pub fn tool(name: &str) -> Result<Self> {
        Self::program(name, &tools::program(name)?)
    }

    /// Any program, in a new folder of its own.
    pub fn program(name: &str, program: &Path) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: data_folder(name)?,
        })
    }

    /// The working folder of the program.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    pub fn environment(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Starts it. That it runs does not say that it is ready.
    pub fn start(self) -> Result<Process> {
        let log = self.folder.join("log");
        let out = File::create(&log)?;
        // When the test binary dies, however that comes about, the kernel tells this shell, and the
        // shell ends the whole group: many programs leave children behind.
        let mut command = Command::new(tools::program("setpriv")?);
        command
            .args(["--pdeathsig", "TERM", "bash", "-c", GUARD, "guard"])
            .arg(&self.program)
            .args(&self.arguments)
            .envs(self.environment)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0);
        let child =
            spawn(command).with_context(|| format!("cannot start {}", self.program.display()))?;
        Ok(Process {
            name: self.name,
            group: child.id(),
            child: Mutex::new(child),
            log,
        })
    }
}

/// Runs the program given as arguments; ends its process group when told to end.
const GUARD: &str =
    r#"trap 'trap "" TERM; kill -KILL 0' TERM; "$@" & program=$!; wait $program; exit $?"#;

// === impl Process ===

impl Process {
    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything it has printed.
    pub fn printed(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("cannot read {}: {error}", self.log.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Waits until it has printed this.
    pub async fn prints(&self, text: &str) -> Result<()> {
        Wait::seconds(120)
            .watching(self)
            .until(&format!("{} prints '{text}'", self.name), async || {
                let printed = self.printed();
                ensure!(printed.contains(text), "it printed: {printed}");
                Ok(())
            })
            .await
    }

    /// The last lines that it has printed.
    pub fn log_tail(&self) -> String {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(30)..)
            .unwrap_or_default();
        format!(
            "--- {} ({})\n{}",
            self.name,
            self.log.display(),
            tail.join("\n")
        )
    }

    /// How it ended, if it did.
    pub fn ended(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().ok().flatten()
    }

    /// Octets of memory that it holds.
    pub fn resident(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.id()?))?;
        let pages: u64 = text.split(' ').nth(1).context("no pages")?.parse()?;
        Ok(pages * 4096)
    }

    /// The process id of the program itself.
    pub fn id(&self) -> Result<u32> {
        let group = self.group;
        let children = fs::read_to_string(format!("/proc/{group}/task/{group}/children"))?;
        let first = children.split_whitespace().next();
        first
            .and_then(|id| id.parse().ok())
            .with_context(|| format!("{} does not run any more", self.name))
    }

    /// Sends a signal, by its name without SIG, to the program itself.
    pub fn signal(&self, signal: &str) -> Result<()> {
        kill(signal, &self.id()?.to_string())
    }

    /// Asks the program to end, and waits until it did.
    pub fn stop(&self, limit: Duration) -> Result<ExitStatus> {
        self.signal("TERM")?;
        let asked = Instant::now();
        while asked.elapsed() < limit {
            if let Some(status) = self.ended() {
                return Ok(shell_status(status));
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!(
            "{} did not end within {limit:?}\n{}",
            self.name,
            self.log_tail()
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // It may end between the question and the signal, which is as good.
            drop(kill("KILL", &format!("-{}", self.group)));
        }
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        drop(child.wait());
    }
}

/// A shell reports a child's death by signal N as exit code 128 + N; this gives the child's own status.
fn shell_status(status: ExitStatus) -> ExitStatus {
    match status.code() {
        Some(code) if code > 128 => ExitStatus::from_raw(code - 128),
        _ => status,
    }
}

fn kill(signal: &str, target: &str) -> Result<()> {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), "--", target])
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        bail!("cannot send {signal} to {target}")
    }
}

type Order = (Command, Sender<std::io::Result<Child>>);

/// Starts a program from the one thread that lives as long as the test binary: the kernel counts the
/// end of the starting *thread* as the parent's death, and every test has a thread of its own.
fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, received) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in received {
                drop(answer.send(command.spawn()));
            }
        });
        Mutex::new(orders)
    });
    let (answer, started) = channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .map_err(|_| anyhow!("the spawning thread is gone"))?;
    Ok(started.recv()??)
}

/// Runs a command to its end, away from the async threads; an `Err` holds what it printed.
pub async fn run(mut command: Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output())
        .await?
        .with_context(|| format!("cannot start {shown}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        bail!(
            "{shown}: {}\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    }
}
