//! Debian's nginx with a configuration that an administrator wrote: what a file in `sites-enabled` holds is given,
//! and loaded as it stands.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::bench::{Process, loopback, nginx::loaded, process, tools};

/// A running nginx.
#[derive(Debug)]
pub struct PlainNginx {
    process: Process,
    folder: PathBuf,
    /// Answers with the generation of the configuration.
    status: SocketAddr,
    generation: u32,
}

// === impl PlainNginx ===

impl PlainNginx {
    /// Starts it with these `server` blocks (and whatever else an `http` block may hold) and waits until it serves.
    /// Addresses in the text are the caller's: `loopback::free_component_address` has free ones.
    pub async fn start(site: &str) -> Result<Self> {
        let status = loopback::free_component_address()?;
        let start = process::Start::tool("nginx")?;
        let folder = start.folder().to_owned();
        fs::write(folder.join("nginx.conf"), main_file(status))?;
        write(&folder, site, 0)?;
        test(&folder).await?;
        let process = start
            .argument("-p")
            .argument(folder.to_string_lossy())
            .arguments(["-c", "nginx.conf", "-e", "stderr"])
            .start()?;
        let nginx = Self {
            process,
            folder,
            status,
            generation: 0,
        };
        nginx.is_loaded().await?;
        Ok(nginx)
    }

    /// Loads another text, as `nginx -s reload` does.
    pub async fn reload(&mut self, site: &str) -> Result<()> {
        self.generation += 1;
        write(&self.folder, site, self.generation)?;
        test(&self.folder).await?;
        self.process.signal("HUP")?;
        self.is_loaded().await
    }

    /// What it has complained about.
    pub fn error_log(&self) -> String {
        self.process.printed()
    }

    /// One line for each request: host, request line, status.
    pub fn access_log(&self) -> String {
        fs::read_to_string(self.folder.join("access.log")).unwrap_or_default()
    }

    async fn is_loaded(&self) -> Result<()> {
        loaded(&self.process, self.status, self.generation).await
    }
}

/// What `nginx -t` says to these blocks: nothing, or an `Err` with its complaint.
pub async fn accepts(site: &str) -> Result<()> {
    let folder = process::data_folder("nginx-t")?;
    let status = loopback::free_component_address()?;
    fs::write(folder.join("nginx.conf"), main_file(status))?;
    write(&folder, site, 0)?;
    test(&folder).await
}

/// A warning is a mistake as well: an administrator reads it at every reload.
async fn test(folder: &Path) -> Result<()> {
    let mut check = Command::new(tools::program("nginx")?);
    check
        .arg("-p")
        .arg(folder)
        .args(["-t", "-q", "-c", "nginx.conf", "-e", "test.log"]);
    process::run(check)
        .await
        .context("nginx refuses the configuration")?;
    let said = fs::read_to_string(folder.join("test.log")).unwrap_or_default();
    ensure!(!said.contains("[warn]"), "nginx warns: {said}");
    Ok(())
}

fn write(folder: &Path, site: &str, generation: u32) -> Result<()> {
    fs::write(folder.join("generation"), generation_block(generation))?;
    Ok(fs::write(folder.join("site"), site)?)
}

fn generation_block(generation: u32) -> String {
    format!("location / {{ return 200 \"{generation}\"; }}\n")
}

/// What Debian's nginx.conf says, with every path in our folder.
fn main_file(status: SocketAddr) -> String {
    format!(
        r#"daemon off;
worker_processes 1;
worker_shutdown_timeout 5s;
pid nginx.pid;
error_log stderr info;
events {{ worker_connections 768; }}
http {{
  log_format short '$host "$request" $status';
  access_log access.log short;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  sendfile on;
  tcp_nopush on;
  types_hash_max_size 2048;
  default_type application/octet-stream;
  gzip on;
  server {{ listen {status}; access_log off; include generation; }}
  include site;
}}
"#
    )
}
