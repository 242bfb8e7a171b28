//! `vestibule import oauth2-proxy`: whole configurations through the built program, and what comes out through the
//! folder's own reading, decided as the endpoint decides.

mod decisions;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use self::decisions::Served;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import");
    let entries = fs::read_dir(folder).unwrap();
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 5);
    cases
}

fn import(folder: &Path, arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["import", "oauth2-proxy"])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

/// What a case is imported with.
fn arguments(case: &Path) -> Vec<String> {
    shlex::split(&fs::read_to_string(case.join("arguments")).unwrap()).unwrap()
}

/// `UPDATE=1` writes what comes out; read it before you commit it.
#[test]
fn configurations_from_the_field_become_what_is_written_beside_them() {
    for case in cases() {
        let output = import(&case, &arguments(&case));
        let text = String::from_utf8(output.stdout).unwrap();
        let file = case.join("expected.yaml");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, expected, "{}", case.display());
        let undecided = text
            .lines()
            .filter(|line| line.trim_start().starts_with("# ! "))
            .count();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(i32::from(undecided > 0)),
            "{complaint}"
        );
        assert_eq!(
            undecided > 0,
            complaint.contains("exclamation mark"),
            "{complaint}"
        );
    }
}

#[test]
fn the_command_that_is_printed_has_only_options_that_there_are() {
    let help = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for case in cases() {
        let text = fs::read_to_string(case.join("expected.yaml")).unwrap();
        let (_, command) = text.split_once("#   vestibule serve").unwrap();
        let (command, _) = command.split_once("#\n").unwrap();
        let options = command
            .split(['#', ' ', '\n'])
            .filter(|word| word.starts_with("--"));
        let options: Vec<&str> = options.collect();
        assert!(options.len() >= 4, "{command}");
        for option in options {
            assert!(
                help.contains(&format!("{option} <")),
                "{option} is no option of serve"
            );
        }
    }
}

#[test]
fn the_check_that_is_printed_passes_where_the_provider_is_known() {
    for case in cases() {
        let text = fs::read_to_string(case.join("expected.yaml")).unwrap();
        let (_, rest) = text.split_once("#   vestibule check").unwrap();
        let (command, _) = rest.split_once("#   vestibule serve").unwrap();
        let words = command
            .split_whitespace()
            .filter(|word| !matches!(*word, "#" | "\\"));
        let folder = tempfile::TempDir::new().unwrap();
        for name in ["manifests", "secrets"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("manifests/vestibule.yaml"), &text).unwrap();
        for name in ["google", "corp"] {
            fs::write(folder.path().join("secrets").join(name), "hidden").unwrap();
        }
        let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .arg("check")
            .args(words)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let found = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let is_unknown = text.contains("this IdentityProvider is missing");
        let asks_google = found.contains("Google sends no groups");
        assert_eq!(
            output.status.code(),
            Some(i32::from(is_unknown || asks_google)),
            "{}: {found}",
            case.display()
        );
    }
}

#[test]
fn no_secret_of_a_configuration_is_printed_anywhere() {
    for case in cases() {
        let output = import(&case, &arguments(&case));
        let all = [output.stdout, output.stderr].concat();
        let all = String::from_utf8(all).unwrap();
        assert!(!all.contains("canary"), "{}: {all}", case.display());
    }
}

#[test]
fn what_comes_out_is_read_by_the_folder_without_a_fault() {
    for case in cases() {
        let text = fs::read_to_string(case.join("expected.yaml")).unwrap();
        let served = Served::of(&text);
        assert!(!served.hosts().is_empty(), "{}", case.display());
        for (host, state) in served.hosts() {
            // What is missing or has to be said by a person; never what cannot be read.
            let is_fine =
                ["open", "IdentityProviderNotFound", "RefNotPermitted"].contains(&state.as_str());
            assert!(is_fine, "{}: {host} is {state}", case.display());
        }
    }
}

/// The complaint about a configuration that cannot be read.
fn complaint(files: &[(&str, &str)], arguments: &[&str]) -> String {
    let folder = tempfile::TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let output = import(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "nothing half-made is printed");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(!complaint.contains("canary"), "{complaint}");
    complaint
}

#[test]
fn no_redirect_uri_with_a_wildcard_is_to_be_registered() {
    let folder = tempfile::TempDir::new().unwrap();
    let arguments = [
        "--",
        "--provider=oidc",
        "--oidc-issuer-url=https://id.corp.example",
        "--client-id=x",
        "--whitelist-domain=.corp.example",
    ];
    let output = import(folder.path(), &arguments.map(str::to_owned));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("  https://NAME.corp.example/oauth2/callback/oidc for each host"),
        "{printed}"
    );
    assert!(!printed.contains("https://*."), "{printed}");
    // The flag that was given is the one that is named.
    assert!(
        printed.contains("! --whitelist-domain: nothing says which hosts there are")
            && !printed.contains("cookie-domain"),
        "{printed}"
    );
}

#[test]
fn what_cannot_be_read_is_named_with_its_place_and_what_to_do() {
    let two = "services:\n  a: {image: oauth2-proxy/oauth2-proxy}\n  b: {image: oauth2-proxy/oauth2-proxy}\n";
    for (files, arguments, expected) in [
        (
            vec![],
            vec![],
            "There is nothing to read. Give oauth2-proxy's flags after `--`",
        ),
        (
            vec![],
            vec!["--config", "x.cfg"],
            "x.cfg cannot be read: No such file or directory",
        ),
        (
            vec![],
            vec!["--", "--config=/etc/x.cfg"],
            "Say with --config where the file is on this machine",
        ),
        (
            vec![("x.cfg", "provider = \"oidc\"\nclient_secret = canary\n")],
            vec!["--config", "x.cfg"],
            "x.cfg:2: this is not TOML",
        ),
        (
            vec![(
                "a.yaml",
                "providers:\n- clientSecret: canary\n  provider: [oidc\n",
            )],
            vec!["--alpha-config", "a.yaml"],
            "a.yaml:",
        ),
        (
            vec![("a.yaml", "- 1\n")],
            vec!["--alpha-config", "a.yaml"],
            "is not an alpha configuration",
        ),
        (
            vec![("c.yaml", two)],
            vec!["--compose", "c.yaml"],
            "are oauth2-proxy: a, b. Import one after the other: name it with --service",
        ),
        (
            vec![("c.yaml", two)],
            vec!["--compose", "c.yaml", "--service", "z"],
            "has no service z; it has a, b",
        ),
        (
            vec![("c.yaml", "services: {web: {image: nginx}}")],
            vec!["--compose", "c.yaml"],
            "Name the one that is with --service",
        ),
        (
            vec![("c.yaml", "version: '3'")],
            vec!["--compose", "c.yaml"],
            "is it a Compose file?",
        ),
        (
            vec![(
                "c.yaml",
                "services: {p: {image: oauth2-proxy, command: \"--client-secret='canary\"}}",
            )],
            vec!["--compose", "c.yaml"],
            "has a quote that nothing closes",
        ),
        (
            vec![(
                "c.yaml",
                "services: {p: {image: oauth2-proxy, env_file: gone.env}}",
            )],
            vec!["--compose", "c.yaml"],
            "the env_file gone.env of service p cannot be read",
        ),
        (
            vec![],
            vec!["--", "--provider=oidc", "--client-secret=canary"],
            "Name them: --host wiki.corp.example",
        ),
        (
            vec![],
            vec!["--host", "no host", "--", "--provider=oidc"],
            "not a host name such as wiki.corp.example",
        ),
        (
            vec![],
            vec![
                "--host",
                "a.example=https://u:canary@x",
                "--",
                "--provider=oidc",
            ],
            "is written http://NAME:PORT",
        ),
    ] {
        let complaint = complaint(&files, &arguments);
        assert!(complaint.contains(expected), "{arguments:?}: {complaint}");
    }
}

#[test]
fn a_services_own_files_are_found_where_its_container_has_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let compose = "services:\n  p:\n    image: oauth2-proxy\n    command: [--config, /cfg/proxy.cfg]\n    \
                   volumes: [{type: bind, source: ./conf, target: /cfg}]\n    secrets: [client]\n\
                   secrets: {client: {file: ./client.txt}}\n";
    fs::create_dir(folder.path().join("conf")).unwrap();
    fs::write(folder.path().join("compose.yaml"), compose).unwrap();
    let config = "provider = 'google'\nemail_domains = ['corp.example']\nclient_id = 'x'\n\
                  client_secret_file = '/run/secrets/client'\nredirect_url = 'https://wiki.corp.example/oauth2/callback'\n";
    fs::write(folder.path().join("conf/proxy.cfg"), config).unwrap();
    let output = import(
        folder.path(),
        &["--compose".to_owned(), "compose.yaml".to_owned()],
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("install -m 0600 client.txt secrets/google"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(0), "{text}");
}

#[test]
fn the_page_about_moving_has_every_option_as_the_program_lists_it() {
    let output = import(Path::new("."), &["--list".to_owned()]);
    let listed = String::from_utf8(output.stdout).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/moving-from-oauth2-proxy.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, table) = page
        .split_once("<!-- vestibule import oauth2-proxy --list -->\n")
        .unwrap();
    assert!(
        table == listed,
        "docs/moving-from-oauth2-proxy.md does not end with what `vestibule import oauth2-proxy --list` prints"
    );
}
