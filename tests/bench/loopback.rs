//! Loopback addresses that belong to this run alone, so that runs in parallel never meet.
//!
//! The kernel answers for all of 127.0.0.0/8. A run claims the /24 networks of one number: one for its components, and
//! one for each API server to give to Services, where a listener on the ClusterIP *is* the Service: two API servers
//! would give the same address away. The claim is a listening socket, so it ends with the process.
//!
//! Ports are counted and not asked of the kernel, which may name the port twice that nobody listens on *yet*. They lie
//! below those that it gives to outgoing connections.

use std::{
    fs,
    iter::Cycle,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    path::PathBuf,
    process,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use anyhow::{Context, Result, bail};

const COMPONENTS: u8 = 54;
const FIRST_SERVICES: u8 = 55;
const CLAIM_PORT: u16 = 5400;
/// Above 10080, which browsers refuse (Fetch, "port blocking"), and below Linux's `ip_local_port_range`.
const PORTS: Range<u16> = 11_000..32_000;
/// How far apart two runs begin, for those addresses that all runs share.
const PORTS_OF_A_RUN: usize = 84;

/// The networks and the folder of this run.
#[derive(Debug)]
pub struct Loopback {
    number: u8,
    folder: PathBuf,
    clusters: AtomicU8,
    ports: Mutex<Cycle<Range<u16>>>,
    _claim: TcpListener,
}

static RUN: OnceLock<Loopback> = OnceLock::new();

impl Loopback {
    /// What this run has claimed; claims it at the first call.
    pub fn of_this_run() -> Result<&'static Self> {
        if let Some(run) = RUN.get() {
            return Ok(run);
        }
        let claimed = Self::claim()?;
        Ok(RUN.get_or_init(|| claimed))
    }

    fn claim() -> Result<Self> {
        let first = u8::try_from(process::id() % 200).unwrap_or_default();
        for number in (1..=250).cycle().skip(usize::from(first)).take(250) {
            let address = Ipv4Addr::new(127, COMPONENTS, number, 254);
            if let Ok(claim) = TcpListener::bind((address, CLAIM_PORT)) {
                let folder = folder()?;
                return Ok(Self {
                    number,
                    folder,
                    clusters: AtomicU8::new(FIRST_SERVICES),
                    ports: Mutex::new(ports(number)),
                    _claim: claim,
                });
            }
        }
        bail!("all 250 loopback networks of the test bench are in use: is another run hanging?")
    }

    /// The address that components of this run listen on.
    pub fn components(&self) -> IpAddr {
        Ipv4Addr::new(127, COMPONENTS, self.number, 1).into()
    }

    /// A network that the Services of one more cluster get their ClusterIPs from, in CIDR notation.
    pub fn next_services(&self) -> String {
        let cluster = self.clusters.fetch_add(1, Ordering::Relaxed);
        format!("127.{cluster}.{}.0/24", self.number)
    }

    /// A folder for data and logs. It outlives the run, for whoever looks why a test failed, and is
    /// swept by the next one.
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }
}

/// An address on `ip` whose port nobody listens on, and that nobody else in this run is given.
pub fn free_address(ip: IpAddr) -> Result<SocketAddr> {
    let mut ports = Loopback::of_this_run()?
        .ports
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let free = ports
        .by_ref()
        .take(PORTS.len())
        .find(|port| TcpListener::bind((ip, *port)).is_ok());
    let port = free.with_context(|| format!("no free port on {ip}"))?;
    Ok((ip, port).into())
}

/// All ports again and again, for the run of this number.
fn ports(number: u8) -> Cycle<Range<u16>> {
    let mut ports = PORTS.cycle();
    ports
        .by_ref()
        .take(usize::from(number) * PORTS_OF_A_RUN)
        .for_each(drop);
    ports
}

/// A free address among this run's components.
pub fn free_component_address() -> Result<SocketAddr> {
    free_address(Loopback::of_this_run()?.components())
}

fn folder() -> Result<PathBuf> {
    let bench = std::env::temp_dir().join("vestibule-bench");
    fs::create_dir_all(&bench).with_context(|| format!("cannot make {}", bench.display()))?;
    for entry in fs::read_dir(&bench)?.flatten() {
        let name = entry.file_name();
        if !PathBuf::from("/proc").join(&name).exists() {
            // Best effort: another run may be sweeping the same folder.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
    let ours = bench.join(process::id().to_string());
    fs::create_dir_all(&ours)?;
    Ok(ours)
}
