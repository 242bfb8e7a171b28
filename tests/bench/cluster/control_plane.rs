//! The processes of a cluster, their flags and their keys.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair, KeySize},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::bench::{
    Loopback, Process, Wait,
    loopback::free_component_address,
    process::{Start, data_folder},
};

/// The administrator's bearer token. It opens nothing but an API server on loopback that lives for
/// one test run.
pub(super) const ADMIN_TOKEN: &str = "administrator-of-the-test-bench";
const CONTROLLER_MANAGER_TOKEN: &str = "controller-manager-of-the-test-bench";

/// The issuer, and the audience, of service account tokens.
pub(super) const TOKEN_ISSUER: &str = "https://kubernetes.default.svc";

#[derive(Debug)]
pub(super) struct ControlPlane {
    address: SocketAddr,
    authority: PathBuf,
    // In the order in which they are to end.
    _controller_manager: Process,
    api_server: Process,
    _etcd: Process,
}

// === impl ControlPlane ===

impl ControlPlane {
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let (etcd, etcd_url) = start_etcd()?;
        let address = free_component_address()?;
        let api_server = start_api_server(folder, address, &etcd_url)?;
        // The API server writes its own certificate before it listens.
        let authority = folder.join("certificates/apiserver.crt");
        Wait::seconds(60)
            .watching(&etcd)
            .watching(&api_server)
            .until("the API server is ready", async || {
                ready(address, &authority).await
            })
            .await?;
        let kubeconfig = folder.join("controller-manager.kubeconfig");
        fs::write(
            &kubeconfig,
            kubeconfig_json(address, &authority, CONTROLLER_MANAGER_TOKEN),
        )?;
        let controller_manager = start_controller_manager(folder, &kubeconfig)?;
        Ok(Self {
            address,
            authority,
            _controller_manager: controller_manager,
            api_server,
            _etcd: etcd,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(super) fn authority_file(&self) -> &Path {
        &self.authority
    }

    pub(super) fn api_server(&self) -> &Process {
        &self.api_server
    }

    pub(super) fn kubeconfig(&self, token: &str) -> String {
        kubeconfig_json(self.address, &self.authority, token)
    }
}

fn start_etcd() -> Result<(Process, String)> {
    let clients = format!("http://{}", free_component_address()?);
    let peers = format!("http://{}", free_component_address()?);
    let data = data_folder("etcd-data")?;
    let etcd = Start::tool("etcd")?
        .arguments(["--name", "default", "--data-dir", &data.to_string_lossy()])
        .arguments([
            "--listen-client-urls",
            &clients,
            "--advertise-client-urls",
            &clients,
        ])
        .arguments([
            "--listen-peer-urls",
            &peers,
            "--initial-advertise-peer-urls",
            &peers,
        ])
        .arguments(["--initial-cluster", &format!("default={peers}")])
        .arguments(["--unsafe-no-fsync", "--log-level", "warn"])
        .start()?;
    Ok((etcd, clients))
}

fn start_api_server(folder: &Path, address: SocketAddr, etcd: &str) -> Result<Process> {
    let key = folder.join("service-account.key");
    fs::write(&key, rsa_key_pem()?)?;
    let tokens = folder.join("tokens.csv");
    fs::write(
        &tokens,
        format!(
            "{ADMIN_TOKEN},administrator,administrator,system:masters\n\
             {CONTROLLER_MANAGER_TOKEN},system:kube-controller-manager,controller-manager,system:masters\n"
        ),
    )?;
    let certificates = folder.join("certificates");
    let (key, tokens) = (key.to_string_lossy(), tokens.to_string_lossy());
    Start::tool("kube-apiserver")?
        .arguments(["--etcd-servers", etcd])
        .arguments(["--bind-address", &address.ip().to_string()])
        .arguments(["--advertise-address", &address.ip().to_string()])
        .arguments(["--secure-port", &address.port().to_string()])
        .arguments(["--cert-dir", &certificates.to_string_lossy()])
        .arguments(["--token-auth-file", &tokens])
        .arguments(["--authorization-mode", "RBAC"])
        .arguments(["--anonymous-auth=false"])
        .arguments(["--service-account-issuer", TOKEN_ISSUER])
        .arguments(["--service-account-key-file", &key])
        .arguments(["--service-account-signing-key-file", &key])
        // Every Service gets a loopback address, where a listener *is* the Service.
        .arguments([
            "--service-cluster-ip-range",
            &Loopback::of_this_run()?.next_services(),
        ])
        .arguments(["--endpoint-reconciler-type", "none"])
        // There are no pods for it to furnish with accounts.
        .arguments(["--disable-admission-plugins", "ServiceAccount"])
        .start()
}

fn start_controller_manager(folder: &Path, kubeconfig: &Path) -> Result<Process> {
    let address = free_component_address()?;
    Start::tool("kube-controller-manager")?
        .arguments(["--kubeconfig", &kubeconfig.to_string_lossy()])
        .arguments(["--controllers", CONTROLLERS])
        .arguments([
            "--leader-elect=false",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ])
        .arguments(["--bind-address", &address.ip().to_string()])
        .arguments(["--secure-port", &address.port().to_string()])
        .arguments([
            "--cert-dir",
            &folder.join("controller-manager").to_string_lossy(),
        ])
        .start()
}

const CONTROLLERS: &str =
    "garbage-collector-controller,namespace-controller,serviceaccount-controller";

async fn ready(address: SocketAddr, authority: &Path) -> Result<()> {
    let certificate = fs::read(authority).context("no certificate yet")?;
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&certificate)?])
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    let answer = client
        .get(format!("https://{address}/readyz"))
        .bearer_auth(ADMIN_TOKEN)
        .send()
        .await?;
    let status = answer.status();
    let body = answer.text().await?;
    ensure!(status.is_success(), "/readyz answers {status}: {body}");
    Ok(())
}

fn kubeconfig_json(address: SocketAddr, authority: &Path, token: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": {
            "server": format!("https://{address}"),
            "certificate-authority": authority,
        }}],
        "users": [{"name": "bench", "user": {"token": token}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "current-context": "bench",
    })
    .to_string()
}

fn rsa_key_pem() -> Result<String> {
    let pair =
        KeyPair::generate(KeySize::Rsa2048).map_err(|_| anyhow!("no RSA key could be made"))?;
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair)
        .map_err(|_| anyhow!("the RSA key has no PKCS #8 form"))?;
    Ok(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    ))
}
