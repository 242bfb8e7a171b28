//! `vestibule unprotect`: opens Ingresses again, with the caller's rights, whether or not Vestibule still runs.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{
    cluster::unprotect::{Selection, find},
    resource::Key,
};

/// Options of `vestibule unprotect`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The Ingresses to open; or --all
    #[arg(value_name = "INGRESS", conflicts_with = "all")]
    ingresses: Vec<String>,

    /// Their namespace; with --all, the only namespace that is meant
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// All Ingresses of the namespace, or of the whole cluster
    #[arg(long)]
    all: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    /// The installation that protects them
    #[arg(long, env = "VESTIBULE_INSTANCE", default_value = "vestibule")]
    instance: String,

    /// The kubeconfig file, instead of the usual one
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig, instead of the current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// Opens the Ingresses, one step after the other, and says each.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    if options.ingresses.is_empty() && !options.all {
        bail!(
            "say which Ingresses to open, or --all for every one; --dry-run only says what would be done"
        );
    }
    let client = client(&options).await?;
    let selection = options.selection(client.default_namespace());
    let found = find(&client)
        .await
        .context("Ingresses and ProtectedServices of all namespaces must be listed")?;
    let missing = found.missing(&selection);
    if let Some(key) = missing.first() {
        bail!("there is no Ingress {key}; --namespace says where to look");
    }
    let steps = found.steps(&selection, &options.instance);
    if steps.is_empty() {
        println!(
            "Nothing to do: no Ingress of these is protected by the installation {:?}.",
            options.instance
        );
        return Ok(());
    }
    for step in &steps {
        if options.dry_run {
            println!("would do: {step}");
            continue;
        }
        step.take(&client, &options.instance)
            .await
            .with_context(|| format!("{step}"))?;
        println!("done: {step}");
    }
    if options.dry_run {
        println!("Nothing was changed.");
    } else {
        println!(
            "An Ingress that Git, Helm or another tool applies with vestibule.dev/protect: \"true\" is protected again \
             at its next apply; change it there too."
        );
    }
    Ok(())
}

async fn client(options: &Options) -> anyhow::Result<Client> {
    let context = KubeConfigOptions {
        context: options.context.clone(),
        ..KubeConfigOptions::default()
    };
    let config = match (&options.kubeconfig, &options.context) {
        (Some(file), _) => {
            let file = Kubeconfig::read_from(file).context("--kubeconfig")?;
            Config::from_custom_kubeconfig(file, &context).await?
        }
        (None, Some(_)) => Config::from_kubeconfig(&context).await?,
        (None, None) => return super::cluster().await,
    };
    Client::try_from(config).context("no way to the API server")
}

// === impl Options ===

impl Options {
    fn selection(&self, default_namespace: &str) -> Selection {
        if self.all {
            return Selection::All {
                namespace: self.namespace.clone(),
            };
        }
        let namespace = self.namespace.as_deref().unwrap_or(default_namespace);
        let keys = self.ingresses.iter().map(|name| Key::new(namespace, name));
        Selection::These(keys.collect())
    }
}
