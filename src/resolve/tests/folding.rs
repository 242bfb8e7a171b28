//! The whole is the fold of its units: working out what changed comes to the same as working out everything.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::published::Table;

/// One step of a random history, by small numbers so that objects meet often.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    object: u8,
    variant: u8,
}

fn step() -> impl Strategy<Value = Step> {
    (0..10_u8, 0..4_u8, 0..12_u8).prop_map(|(what, object, variant)| Step {
        what,
        object,
        variant,
    })
}

fn annotations(variant: u8) -> &'static str {
    match variant {
        0 | 1 => "",
        2 => "vestibule.dev/protect: 'true', vestibule.dev/allowed-groups: staff",
        3 => "vestibule.dev/protect: 'false'",
        4 => "vestibule.dev/protect: 'true', vestibule.dev/identity-provider: p1",
        5 => "vestibule.dev/protct: 'true'",
        6 => "vestibule.dev/protect: 'true', nginx.ingress.kubernetes.io/use-regex: 'true'",
        7 => "vestibule.dev/protect: 'true', nginx.ingress.kubernetes.io/auth-url: 'http://old'",
        8 => "vestibule.dev/protected-service: s1",
        9 => "nginx.ingress.kubernetes.io/rewrite-target: /x",
        10 => "vestibule.dev/protect: 'true', nginx.ingress.kubernetes.io/satisfy: any",
        _ => "vestibule.dev/allowed-groups: staff",
    }
}

fn hosts(variant: u8) -> &'static [&'static str] {
    match variant % 5 {
        0 => &["a.example"],
        1 => &["a.example", "b.example"],
        2 => &["*.example"],
        3 => &["auth.corp.example", "b.example"],
        _ => &[""],
    }
}

impl Bench {
    fn step(&mut self, step: &Step) {
        let Step {
            what,
            object,
            variant,
        } = step.clone();
        let namespace = if object % 2 == 0 { "docs" } else { "shop" };
        let name = format!("{namespace}/i{object}");
        // To Traefik its Service is that of the Ingress.
        let namesake = format!("{namespace}-i{object}/i{object}");
        match what {
            0..=2 => {
                let manifest = ingress(&name, hosts(variant.wrapping_add(object)), annotations(variant));
                let path = ["/", "/oauth2/x"][usize::from(variant == 1)];
                let class = ["nginx", "other"][usize::from(variant == 11)];
                if variant == 9 {
                    self.apply(&ingress(&namesake, &["c.example"], "nginx.ingress.kubernetes.io/canary: 'true'"));
                }
                self.apply(&manifest.replace("path: /,", &format!("path: {path},")).replace("ingressClassName: nginx", &format!("ingressClassName: {class}")));
            }
            3 => {
                self.delete("Ingress", if variant > 5 { &namesake } else { &name });
            }
            4 | 5 => {
                let rest = match variant % 6 {
                    0 => "identityProviders: [p0, p1]\n  allow: [{provider: p0, groups: [a]}]",
                    1 => "allow: [{emails: [nobody]}]",
                    2 => "allow: [{expression: x}]",
                    3 => "anyAuthenticated: true",
                    4 => "hosts: [{host: b.example, upstream: 'http://b:80'}]",
                    _ => "allow: [{groups: [b]}]\n  rules: [{paths: [{type: Exact, value: /x}], access: Public}]",
                };
                let service = psvc(&format!("s{}", variant % 3), &format!("i{object}"), rest);
                let service = service.replace("namespace: docs", &format!("namespace: {namespace}"));
                let unclear = variant == 11;
                let targets = format!("targetRefs: [{{name: i{object}}}]");
                self.apply(&if unclear {
                    service.replace(&targets, "targetRefs: nowhere")
                } else {
                    service
                });
            }
            6 => {
                self.delete("ProtectedService", &format!("{namespace}/s{}", variant % 3));
            }
            7 => {
                let flags = ["default: true", "closed: true", "allowedNamespaces: {selector: {matchLabels: {team: a}}}", "clientSecretRef: {name: s}", "default: true, clientID: ''", "order: 1"][usize::from(variant % 6)];
                let client = if flags.contains("clientID") { "" } else { "clientID: v, " };
                self.apply(&format!("{{apiVersion: vestibule.dev/v1alpha1, kind: IdentityProvider, metadata: {{name: p{}}}, spec: {{type: OIDC, oidc: {{issuerURL: 'https://id.example'}}, {client}{flags}}}}}", object % 2));
            }
            8 => match variant % 5 {
                0 => drop(self.delete("IdentityProvider", &format!("p{}", object % 2))),
                1 => drop(self.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}, labels: {{team: {}}}}}}}", ["a", "b"][usize::from(object / 2)]))),
                2 => drop(self.apply("{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {client-secret: x}}")),
                3 => drop(self.delete("Secret", "s")),
                _ => {
                    let controller = ["k8s.io/ingress-nginx", "example.com/other"][usize::from(object / 2)];
                    self.apply(&format!("{{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {{name: other}}, spec: {{controller: {controller}}}}}"));
                }
            },
            _ => {
                // The controller gets to write some of what it planned; a webhook refuses some.
                let writes = self.writes();
                let chosen = writes.into_iter().skip(usize::from(object)).step_by(usize::from(variant % 3) + 1);
                for write in chosen.collect::<Vec<_>>() {
                    self.write(write);
                }
                if variant > 8 {
                    let refusal = Refusal { kind: RefusalKind::Rejected, message: "no".into() };
                    self.resolution.apply(Change::Refused(Write::Annotations(key(&name)), Some(refusal)));
                }
                self.settle();
            }
        }
    }

    /// Every unit worked out anew from the objects as they are: what is to be written and told, and what is served.
    fn worked_out_anew(&self) -> (BTreeMap<Unit, UnitResult>, Table) {
        let world = self.resolution.world();
        let (mut results, mut table) = (BTreeMap::new(), Table::default());
        for unit in world.units() {
            let mut result = resolve(world, &unit);
            if let Some(published) = result.published.take() {
                table.change(&published);
            }
            if !result.is_quiet() {
                results.insert(unit, result);
            }
        }
        (results, table)
    }
}

fn served(table: &Table) -> BTreeSet<String> {
    let services = table.services().map(|service| format!("{service:?}"));
    let hosts = table.hosts().map(|host| format!("{host:?}"));
    let providers = table.providers().map(|provider| format!("{provider:?}"));
    services.chain(hosts).chain(providers).collect()
}

fn places() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(controller()),
        Just(Place::Replica),
        any::<bool>().prop_map(folder)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_up_to_date_equals_what_is_worked_out_anew(place in places(), history in prop::collection::vec(step(), 1..40), order in prop::collection::vec(any::<u8>(), 97)) {
        let mut bench = Bench::new(place.clone());
        bench.apply("{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}");
        for step in &history {
            bench.step(step);
        }
        let kept: BTreeMap<Unit, UnitResult> = bench.resolution.results.clone();
        let (anew, table) = bench.worked_out_anew();
        for (unit, result) in &anew {
            prop_assert_eq!(kept.get(unit), Some(result), "{:?}", unit);
        }
        prop_assert_eq!(kept.keys().collect::<Vec<_>>(), anew.keys().collect::<Vec<_>>());
        prop_assert_eq!(served(bench.resolution.table()), served(&table));
        // The same objects, in another order, told to a process that starts now.
        let mut fresh = Bench::new(place);
        let mut changes: Vec<_> = bench.resolution.world().changes().into_iter().zip(order.iter().cycle()).collect();
        changes.sort_by_key(|(_, place)| **place);
        for (change, _) in changes {
            fresh.resolution.apply(change);
        }
        fresh.settle();
        prop_assert_eq!(&fresh.resolution.results, &kept);
        prop_assert_eq!(served(fresh.resolution.table()), served(bench.resolution.table()));
    }

    #[test]
    fn the_controllers_writes_come_to_rest(history in prop::collection::vec(step(), 1..30)) {
        let mut bench = Bench::usual();
        for step in &history {
            bench.step(step);
        }
        // What was refused is accepted now.
        for (key, _) in bench.ingresses.clone() {
            bench.resolution.apply(Change::Refused(Write::Annotations(key), None));
        }
        bench.settle();
        bench.obey();
    }

    #[test]
    fn nothing_but_an_act_on_an_ingress_takes_our_annotations_off(history in prop::collection::vec(step(), 1..40)) {
        let mut bench = Bench::usual();
        for step in &history {
            let before: Vec<_> = bench.ingresses.iter().map(|(key, ingress)| (key.clone(), ingress.clone())).collect();
            bench.step(step);
            let acted_on = if step.what <= 3 { Some(step.object) } else { None };
            bench.obey_all_but_refused();
            for (key, ingress) in before {
                let had = ingress.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(AUTH_URL));
                let is_other = acted_on.is_none_or(|object| *key.name != *format!("i{object}"));
                if had && is_other && &*key.namespace != "vestibule" && !bench.withdrawn_before(&ingress) {
                    let now = &bench.ingresses[&key];
                    prop_assert!(now.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(AUTH_URL)), "{key} lost its protection by {step:?}");
                }
            }
        }
    }
}

impl Bench {
    fn obey_all_but_refused(&mut self) {
        for (key, _) in self.ingresses.clone() {
            self.resolution
                .apply(Change::Refused(Write::Annotations(key), None));
        }
        self.settle();
        self.obey();
    }

    /// Whether the owner of an Ingress had taken the opt-in away.
    fn withdrawn_before(&self, ingress: &k8s::Ingress) -> bool {
        let annotations = ingress.metadata.annotations.as_ref();
        annotations.is_none_or(|a| {
            a.get("vestibule.dev/protect")
                .is_some_and(|value| value == "false")
        })
    }
}

#[test]
fn an_edit_costs_what_it_concerns() {
    let mut bench = Bench::usual();
    let many = |number: usize| {
        ingress(
            &format!("ns{}/app{number}", number % 20),
            &[&format!("app{number}.corp.example")],
            "vestibule.dev/protect: 'true'",
        )
    };
    bench
        .apply(&(0..200).map(many).collect::<Vec<_>>().join("\n---\n"))
        .obey();
    let touched = |bench: &mut Bench, manifest: &str| {
        let object =
            k8s::Ingress::deserialize(&serde_saphyr::from_str::<Value>(manifest).unwrap()).unwrap();
        let projected = project_ingress(&object, &bench.installation, None);
        bench
            .resolution
            .apply(Change::Ingress(key_of(&object), Some(Arc::new(projected))));
        bench.resolution.world.take_touched()
    };
    let edited = many(7).replace("'true'", "'true', vestibule.dev/allowed-groups: staff");
    let units = touched(&mut bench, &edited);
    let host = HostPattern::parse("app7.corp.example").unwrap();
    let app = key("ns7/app7");
    assert_eq!(
        units,
        [
            Unit::Endpoint("vestibule-app7.corp.example".into()),
            Unit::Host(host),
            Unit::Ingress(app.clone()),
            Unit::ProtectedService(app)
        ]
    );
    assert!(
        touched(&mut bench, &edited).is_empty(),
        "the same again is no change"
    );
}
