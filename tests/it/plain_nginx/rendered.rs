//! `vestibule render nginx`: what it prints is loaded by nginx and run, and no spelling of a path leads to a service
//! whose policy was not judged.

use std::{net::Ipv4Addr, process::Command};

use super::*;
use crate::bench::{loopback::free_address, process};

const HOST: &str = "wiki.example";

/// One host: `/` is the wiki's, for corp.example, with `/static/` public; `/admin` is for bob; `/open` for everyone.
struct Rendered {
    _wiki: Echo,
    admin: Echo,
    open: Echo,
    corp: OidcProvider,
    vestibule: Vestibule,
    _nginx: PlainNginx,
    certificate: Certificate,
    https: SocketAddr,
    http: SocketAddr,
}

fn ingress(name: &str, path: &str, annotations: &str, echo: &Echo) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, annotations: {{{annotations}}}}}
spec:
  rules:
  - host: {HOST}
    http:
      paths:
      - {{path: {path}, pathType: Prefix, backend: {{service: {{name: localhost, port: {{number: {}}}}}}}}}
---",
        echo.address().port()
    )
}

async fn render(folder: &Path, options: &[String]) -> Result<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command
        .args(["render", "nginx", "--manifests"])
        .arg(folder)
        .args(options);
    process::run(command).await
}

impl Rendered {
    async fn start() -> Result<Self> {
        // An Ingress names a service, so it is found by a name.
        let echo = async || Echo::start_at(free_address(Ipv4Addr::LOCALHOST.into())?).await;
        let (wiki, admin, open) = (echo().await?, echo().await?, echo().await?);
        let corp = provider("corp", HOST).await?;
        let protect = |who: &str| format!("vestibule.dev/protect: 'true', {who}");
        let ingresses = [
            ingress(
                "wiki",
                "/",
                &protect(
                    "vestibule.dev/allowed-email-domains: corp.example, vestibule.dev/public-paths: /static/",
                ),
                &wiki,
            ),
            ingress(
                "admin",
                "/admin",
                &protect("vestibule.dev/allowed-emails: bob@corp.example"),
                &admin,
            ),
            ingress("open", "/open", "vestibule.dev/protect: 'false'", &open),
        ];
        let corp_manifest = identity_provider("corp", &corp)
            .replace("  type: OIDC", "  type: OIDC\n  default: true");
        let manifests = [
            ("corp.yaml", corp_manifest),
            ("ingresses.yaml", ingresses.concat()),
        ];
        let vestibule =
            Vestibule::start(&manifests, &["--original-uri-header", "X-Original-URI"]).await?;
        let certificate = Certificate::new(&[HOST])?;
        let (https, http) = (free_component_address()?, free_component_address()?);
        let folder = certificate
            .certificate
            .parent()
            .context("a folder")?
            .to_string_lossy()
            .into_owned();
        let options = [
            format!("--vestibule=http://{}", vestibule.listen),
            format!("--tls-cert={folder}/fullchain.pem"),
            format!("--tls-key={folder}/privkey.pem"),
            format!("--listen={https}"),
            format!("--redirect-listen={http}"),
        ];
        let text = render(&vestibule.folder.path().join("manifests"), &options).await?;
        let nginx = PlainNginx::start(&text).await?;
        Ok(Self {
            _wiki: wiki,
            admin,
            open,
            corp,
            vestibule,
            _nginx: nginx,
            certificate,
            https,
            http,
        })
    }

    fn visit(&self, target: &str, cookies: &str) -> Result<Visitor> {
        let visit = Visitor::get(self.https, HOST, target).trusting(&self.certificate)?;
        Ok(visit.header("cookie", cookies))
    }

    async fn session(&self, account: &str) -> Result<String> {
        let answer = self.visit("/page?x=1", "")?.navigating().send().await?;
        let to_provider = answer.location().with_context(|| format!("{answer:?}"))?;
        let back = self.corp.sign_in(to_provider, account).await?;
        let target = back
            .strip_prefix(&format!("https://{HOST}"))
            .context("sent back elsewhere")?;
        let landed = self
            .visit(target, &answer.cookies())?
            .navigating()
            .send()
            .await?;
        ensure!(landed.location() == Some("/page?x=1"), "{landed:?}");
        Ok(landed.cookies())
    }
}

#[tokio::test]
async fn what_is_printed_is_loaded_and_lets_in_whom_the_manifests_let_in() -> Result<()> {
    let site = Rendered::start().await?;
    let (ann, bob) = (site.session("ann").await?, site.session("bob").await?);
    let status = async |target: &str, cookies: &str| {
        Ok::<_, anyhow::Error>(site.visit(target, cookies)?.send().await?.status.as_u16())
    };
    for (target, anonymous, of_ann, of_bob) in [
        ("/", 401, 200, 200),
        ("/static/app.js?v=1", 200, 200, 200),
        ("/admin", 401, 403, 200),
        ("/admin/users", 401, 403, 200),
        ("/administrators", 401, 200, 200),
        ("/open", 200, 200, 200),
        ("/open/a%20b/%C3%A4?c=//..", 200, 200, 200),
        ("/oauth2/auth/default/wiki", 404, 404, 404),
    ] {
        let got = (
            status(target, "").await?,
            status(target, &ann).await?,
            status(target, &bob).await?,
        );
        assert_eq!(got, (anonymous, of_ann, of_bob), "{target}");
    }
    // A client's own identity headers are replaced, where somebody is signed in and where nobody needs to be.
    for (target, cookies, email) in [
        ("/", &*ann, Some("ann@corp.example")),
        ("/static/x", "", None),
        ("/open/", "", None),
    ] {
        let lies = site.visit(target, cookies)?;
        let lies = lies
            .header("X-Auth-Request-Email", "root@corp.example")
            .header("x-auth-request-groups", "root");
        let seen = lies
            .header("X-Original-URI", "/static/x")
            .send()
            .await?
            .echoed()?;
        assert_eq!(seen.header("x-auth-request-email"), email, "{target}");
        assert_eq!(
            seen.header("x-auth-request-groups")
                .filter(|groups| groups.contains("root")),
            None
        );
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
        assert_eq!(seen.header("host"), Some(HOST));
    }
    // A WebSocket is the only upgrade: nobody would be asked about requests in HTTP/2.
    for (asked, passed_on) in [
        ("websocket", Some("websocket")),
        ("WebSocket", Some("websocket")),
        ("h2c", None),
        ("websocket, h2c", None),
        ("websocketh2c", None),
    ] {
        for (target, cookies) in [("/open/", ""), ("/static/x", ""), ("/", &*ann)] {
            let visit = site.visit(target, cookies)?.header("upgrade", asked);
            let seen = visit.send().await?.echoed()?;
            assert_eq!(seen.header("upgrade"), passed_on, "{target} {asked}");
            let connection = passed_on.map(|_| "upgrade");
            assert_eq!(seen.header("connection"), connection, "{target} {asked}");
        }
    }
    let denied = site.visit("/admin/", &ann)?.navigating().send().await?;
    assert_eq!(denied.status, 403);
    assert!(
        denied.body.contains("ProtectedService default/admin"),
        "{}",
        denied.body
    );
    let form = site
        .visit("/save", "")?
        .navigating()
        .method(http::Method::POST)
        .send()
        .await?;
    assert!(form.body.contains("this was not sent"), "{}", form.body);
    let plain = Visitor::get(site.http, HOST, "/a?b").send().await?;
    assert_eq!(
        (plain.status.as_u16(), plain.location()),
        (308, Some("https://wiki.example/a?b"))
    );
    Ok(())
}

#[tokio::test]
async fn no_spelling_of_a_path_reaches_a_service_whose_policy_was_not_judged() -> Result<()> {
    let site = Rendered::start().await?;
    let ann = site.session("ann").await?;
    let starts = [
        "/", "//", "/./", "/open/", "/static/", "/OPEN/", "/open%2f", "/%6fpen/", "/open;/",
    ];
    let middles = [
        "",
        "../",
        "%2e%2e/",
        "..%2f",
        "%2e%2e%2f",
        ".%2e/",
        "%252e%252e/",
        "x/../../",
        "..%5c",
        "..;/",
        "%c0%ae%c0%ae/",
    ];
    let ends = [
        "admin/users",
        "%61dmin",
        "ADMIN/x",
        "admin%2fx",
        "admin;/",
        "admin/../open/x",
        "admin/..%2fopen/x",
        "admin/../static/x",
        "?/static/x",
        "admin/?../../open/",
    ];
    let spelled = starts
        .iter()
        .flat_map(|start| middles.iter().map(move |middle| format!("{start}{middle}")));
    let targets: Vec<String> = spelled
        .flat_map(|begun| ends.iter().map(move |end| format!("{begun}{end}")))
        .collect();
    let mut let_through = 0;
    for target in &targets {
        for (who, cookies) in [("nobody", ""), ("ann", &*ann)] {
            let answer = site.visit(target, cookies)?.send().await?;
            let Ok(seen) = answer.echoed() else {
                continue;
            };
            let_through += 1;
            assert_eq!(
                seen.target, *target,
                "services get a path as it was written"
            );
            let path = target.split('?').next().unwrap_or_default();
            // The one reading that a plain path has.
            let plain = path.replace("%6f", "o").replace("%61", "a");
            let is_plain =
                !plain.contains("//") && !plain.contains("/.") && !plain.contains(['%', ';']);
            let is_below = |prefix: &str| is_plain && plain.starts_with(prefix);
            if seen.service == site.admin.address() {
                panic!("{who} reaches what is for bob alone: {target}");
            } else if seen.service == site.open.address() {
                assert!(is_below("/open/"), "{who} reaches what is open by {target}");
            } else if who == "nobody" {
                assert!(is_below("/static/"), "nobody reaches the wiki by {target}");
            }
        }
    }
    ensure!(
        let_through > 100,
        "only {let_through} of {} were answered",
        targets.len()
    );
    Ok(())
}

#[tokio::test]
async fn manifests_that_change_who_is_behind_a_path_open_nothing_before_nginx_is_told() -> Result<()>
{
    let site = Rendered::start().await?;
    // The path is open from now on, but nginx still sends it to the protected service.
    site.vestibule
        .edit("ingresses.yaml", "path: /open,", "path: /admin/new,")?;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(site.visit("/admin/new", "")?.send().await?.status, 401);
    assert_eq!(site.admin.seen(), []);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_printed_is_an_error_and_nothing_is_printed() -> Result<()> {
    let folder = TempDir::new()?;
    let told = render(folder.path(), &[]).await;
    let told = format!("{:#}", told.expect_err("there is nothing to print"));
    assert!(told.contains("there is no manifest in it"), "{told}");
    let echo = Echo::start().await?;
    let corp = provider("corp", HOST).await?;
    let corp =
        identity_provider("corp", &corp).replace("  type: OIDC", "  type: OIDC\n  default: true");
    fs::write(folder.path().join("corp.yaml"), corp)?;
    let told = render(folder.path(), &[]).await;
    let told = format!("{:#}", told.expect_err("nothing is behind a provider"));
    assert!(told.contains("names a host"), "{told}");
    let hostile = ingress(
        "wiki",
        "'/a;} location /b { return 200'",
        "vestibule.dev/protect: 'true', vestibule.dev/allowed-email-domains: corp.example",
        &echo,
    );
    fs::write(folder.path().join("wiki.yaml"), hostile)?;
    let told = render(folder.path(), &[]).await;
    let told = format!("{:#}", told.expect_err("such a path is not for nginx"));
    assert!(
        told.contains("wiki.example: nginx has no location for the path"),
        "{told}"
    );
    assert!(!told.contains("server {"), "{told}");
    fs::write(folder.path().join("wiki.yaml"), "kind: [")?;
    let told = render(folder.path(), &[]).await;
    let told = format!("{:#}", told.expect_err("who knows what it was about"));
    assert!(told.contains("wiki.yaml:1:"), "{told}");
    Ok(())
}
