//! How much memory a replica of the auth endpoint needs: it watches a cluster of so many services as it does in earnest,
//! and only the API server is one of this process.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use tower::service_fn;
use url::form_urlencoded;
use vestibule::{
    clock::Clock,
    cluster::{
        metrics::Metrics,
        source::{self, Role},
    },
    dataplane::DataPlane,
    published::Table,
    resolve::{Place, Settings},
};

use super::{memory, objects};

/// What is asked for when nothing is broken comes in this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The least that an API server takes for a page.
const OF_A_PAGE: Duration = Duration::from_millis(10);

/// By then the allocator has given back what nobody uses.
const REST: Duration = Duration::from_secs(5);

/// Prints, in MB: the peak until all is served; what is needed some seconds after; the peak after a change that
/// concerns all services, while a request still holds the Table before; and what is needed some seconds after that.
pub(super) fn watch(services: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let news = Arc::new(Notify::new());
        let api = Arc::new(Api {
            services,
            news: Arc::clone(&news),
            is_told: AtomicBool::new(false),
        });
        let service = service_fn(move |request: Request<Body>| {
            let api = Arc::clone(&api);
            async move {
                sleep(OF_A_PAGE).await;
                Ok::<_, Infallible>(api.answer(&request))
            }
        });
        let settings = Arc::new(Settings {
            installation: Arc::default(),
            place: Place::Replica,
            data_planes: vec![DataPlane::IngressNginx, DataPlane::Traefik],
        });
        let role = Role::Auth {
            session_keys: "session-keys".into(),
        };
        let stop = CancellationToken::new();
        let client = Client::new(service, "vestibule");
        let running = source::start(
            client,
            settings,
            role,
            Metrics::default(),
            Clock::System,
            &stop,
        );
        let mut ready = running.ready.clone();
        tokio::time::timeout(PATIENCE, ready.wait_for(|ready| *ready)).await??;
        let served = running.table.load().services().count();
        ensure!(
            served == services,
            "{served} services are served, not {services}"
        );
        let first = memory("VmHWM")?;
        sleep(REST).await;
        let at_rest = memory("VmRSS")?;

        let before: Arc<Table> = running.table.load_full();
        news.notify_one();
        tokio::time::timeout(PATIENCE, async {
            while Arc::ptr_eq(&before, &running.table.load()) {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await?;
        let all = memory("VmHWM")?;
        drop(before);
        sleep(REST).await;
        println!("{first} {at_rest} {all} {}", memory("VmRSS")?);
        stop.cancel();
        running.task.await?;
        Ok(())
    })
}

/// An API server that has these services and one piece of news.
struct Api {
    services: usize,
    /// That the provider has another issuer is told then, once.
    news: Arc<Notify>,
    is_told: AtomicBool,
}

// === impl Api ===

impl Api {
    fn answer(&self, request: &Request<Body>) -> Response<BoxBody<Bytes, Infallible>> {
        let query = request.uri().query().unwrap_or_default();
        let asked = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let number = |name| asked(name).and_then(|text| text.parse::<usize>().ok());
        let kind = request.uri().path().rsplit('/').next().unwrap_or_default();
        if asked("watch").is_some() {
            return Response::new(self.events(kind == "identityproviders"));
        }
        let first = number("continue").unwrap_or(0);
        let page = first..first.saturating_add(number("limit").unwrap_or(usize::MAX));
        Response::new(Full::from(self.list(kind, page)).boxed())
    }

    /// A page of a list, one object after the other so that this takes no more than the text.
    fn list(&self, kind: &str, page: std::ops::Range<usize>) -> Vec<u8> {
        let (size, object): (usize, &dyn Fn(usize) -> Value) = match kind {
            "ingresses" => (self.services * 2, &|n| match n % 2 {
                0 => objects::ingress(n / 2 + 1),
                _ => objects::endpoint_ingress(n / 2 + 1),
            }),
            "protectedservices" => (self.services, &|n| {
                objects::protected_service(n + 1, "corp.example")
            }),
            "namespaces" => (self.services.min(1000), &|n| {
                let name = format!("team-{n}");
                json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}})
            }),
            "identityproviders" => (1, &|_| objects::provider("https://id.corp.example")),
            "secrets" => (1, &|_| objects::secret()),
            _ => (0, &|_| Value::Null),
        };
        let meta = if page.end < size {
            json!({"resourceVersion": "1", "continue": page.end.to_string()})
        } else {
            json!({"resourceVersion": "1"})
        };
        let mut text = format!(r#"{{"metadata":{meta},"items":["#);
        for n in page.start..page.end.min(size) {
            text.push_str(if n == page.start { "" } else { "," });
            text.push_str(&object(n).to_string());
        }
        text.push_str("]}");
        text.into_bytes()
    }

    /// The events of a watch: none, but of the provider.
    fn events(&self, is_provider: bool) -> BoxBody<Bytes, Infallible> {
        let silence = stream::pending();
        if !is_provider || self.is_told.swap(true, Ordering::Relaxed) {
            return BodyExt::boxed(StreamBody::new(silence));
        }
        let news = Arc::clone(&self.news);
        let told = stream::once(async move {
            news.notified().await;
            let object = objects::provider("https://id2.corp.example");
            let event = json!({"type": "MODIFIED", "object": object});
            Ok(Frame::data(Bytes::from(format!("{event}\n"))))
        });
        BodyExt::boxed(StreamBody::new(told.chain(silence)))
    }
}
