//! Policy as code by the command line: documents in, documents out, and what is said of them.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use latchkey_testkit::{DatabaseKind, systems::PostgresVersion};
use serde_json::{Value, json};

use crate::{installation::Installation, process};

const FLOW: &str = "\
# Who looks at orders.
kind: access_flow
name: On-call
active: true
trigger: SELF_SERVE
requestors:
  logical_operator: OR
  conditions: [{type: group, values: [support]}]
access_targets:
  - bundle:
      bundle_reference: starter
approver_policy:
  approval_mode: ANY_OF
  approver_groups:
    - logical_operator: OR
      approvers: [{type: user, values: [ada@example.com]}]
grant_duration_in_min: 60
request_for_others: false
settings:
  justification_required: true
  require_approver_reason: false
  requestor_cannot_approve_himself: true
  require_mfa: false
  labels: []
";

const BUNDLE: &str = "\
kind: bundle
name: Starter
access_targets:
  - integration:
      integration_reference: shop
      resource_type: postgresql-table
      permissions: [READ_ONLY]
  - access_scope: {access_scope_reference: Orders}
";

const OTHERS: &str = "\
kind: access_scope
name: orders
description: \"Everything: of orders\"
query: |
  resource_type = \"postgresql-table\"
    and resource = \"orders\"
---
kind: integration
name: Shop
type: postgresql
connector_id: floor-2
integration_config:
  hostname: db.example.com
  port: \"5432\"
  secret_ref: file:shop.json
connected_resource_types: [postgresql-table]
owner: {attribute_type: user, attribute_value: [ada@example.com]}
---
{\"kind\": \"group\", \"name\": \"support\", \"members_emails\": [\"bob@example.com\", \"ANA@example.com\"]}
";

const FIRST: &str = "\
+ group \"support\"
+ integration \"Shop\"
+ access_scope \"orders\"
+ bundle \"Starter\"
+ access_flow \"On-call\"
";

/// An installation with its people and a connector, and a folder for documents. No server runs.
struct Ground {
    installation: Installation,
    policy: PathBuf,
}

impl Ground {
    async fn new(kind: DatabaseKind) -> Self {
        let installation = Installation::create(kind).await;
        for name in ["ana", "bob"] {
            let email = format!("{name}@example.com");
            let names = ["--first-name", name, "--last-name", "Person"];
            let words = [&["user", "create", "--email", &email], &names[..]].concat();
            installation.admin_command(&words);
        }
        installation.admin_command(&["connector-token", "create", "--id", "floor-2"]);
        let policy = installation.folder.path().join("policy");
        Self { installation, policy }
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.policy.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// A folder in which what is named comes after what names it.
    fn write_all(&self) {
        self.write("a/flow.yaml", FLOW);
        self.write("a/starter.yml", BUNDLE);
        self.write("z.yaml", OTHERS);
    }

    fn run(&self, words: &[&str]) -> Output {
        let words = words.iter().map(|word| (*word).to_owned());
        process::run(words.chain(self.installation.place()).collect::<Vec<_>>())
    }

    /// Exit code, standard output, standard error.
    fn said(&self, words: &[&str]) -> (i32, String, String) {
        said(&self.run(words))
    }

    fn apply(&self, words: &[&str]) -> (i32, String, String) {
        let policy = self.policy.to_str().unwrap();
        self.said(&[&["apply", "-f", policy], words].concat())
    }

    fn applied(&self) -> String {
        let (code, told, said) = self.apply(&[]);
        assert_eq!(code, 0, "{told}{said}");
        told
    }

    fn export(&self) -> String {
        let (code, told, said) = self.said(&["export"]);
        assert_eq!((code, said.as_str()), (0, ""));
        told
    }

    /// How many records the audit trail has, all of them linked.
    fn records(&self) -> u64 {
        let (code, told, _) = self.said(&["audit", "verify"]);
        let report: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert_eq!((code, &report["unlinked"]), (0, &json!(0)), "{report}");
        report["records"].as_u64().unwrap()
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

const POSTGRES: DatabaseKind = DatabaseKind::Postgres(PostgresVersion::V15);

/// Runs each test on both databases.
macro_rules! both_databases {
    ($(async fn $name:ident($ground:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn run($ground: &Ground) $body

            #[tokio::test]
            async fn on_sqlite() {
                run(&Ground::new(DatabaseKind::Sqlite).await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                run(&Ground::new(POSTGRES).await).await;
            }
        }
    )*};
}

both_databases! {
    async fn documents_are_tried_applied_and_then_change_nothing(ground) {
        ground.write_all();
        let (before, nothing) = (ground.records(), ground.export());
        assert_eq!(nothing, "");
        let (code, told, said) = ground.apply(&["--dry-run"]);
        let summary = "5 to create, 0 to change, 0 to delete; nothing was written.\n";
        assert_eq!((code, told, said), (2, format!("{FIRST}{summary}"), String::new()));
        assert_eq!((ground.records(), ground.export()), (before, nothing));

        assert_eq!(ground.applied(), format!("{FIRST}5 created, 0 changed, 0 deleted.\n"));
        let (records, stored) = (ground.records(), ground.export());
        assert!(records >= before + 5, "{records}");
        assert_eq!(ground.applied(), "= 5 unchanged\n0 created, 0 changed, 0 deleted.\n");
        let (code, told, _) = ground.apply(&["--dry-run"]);
        let summary = "0 to create, 0 to change, 0 to delete; nothing was written.\n";
        assert_eq!((code, told), (0, format!("= 5 unchanged\n{summary}")));
        assert_eq!((ground.records(), ground.export()), (records, stored));

        ground.write("a/starter.yml", &BUNDLE.replace("[READ_ONLY]", "[READ_ONLY, READ_WRITE]"));
        ground.write("a/flow.yaml", &FLOW.replace("min: 60", "min: 30").replace("approver_policy:\n", "\
            description: nights\nescalation_policy: null\napprover_policy:\n"));
        assert_eq!(ground.applied(), "\
            ~ bundle \"Starter\"\n    access_targets[0].integration.permissions: + \"READ_WRITE\"\n\
            ~ access_flow \"On-call\"\n    grant_duration_in_min: 60 → 30\n    \
            description: (none) → \"nights\"\n= 3 unchanged\n0 created, 2 changed, 0 deleted.\n");
        assert_eq!(ground.records(), records + 2);
    }

    async fn a_fault_in_the_last_document_leaves_nothing_of_the_first(ground) {
        ground.write_all();
        ground.write("zz.yaml", "kind: access_flow\nname: later\nactive: true\n\
            trigger: SELF_SERVE\nrequestors: {logical_operator: OR, conditions: [\
            {type: user, values: [ana@example.com]}]}\naccess_targets:\n  - bundle:\n      \
            bundle_reference: none\nrequest_for_others: false\nsettings: {justification_required: \
            false, require_approver_reason: false, requestor_cannot_approve_himself: true, \
            require_mfa: false, labels: []}\n");
        let records = ground.records();
        let (code, told, said) = ground.apply(&[]);
        let file = ground.policy.join("zz.yaml");
        let expected = format!(
            "error: nothing was changed; one thing is wrong:\n{}:8:25: \
             access_targets[0].bundle.bundle_reference: names no bundle by id or name\n",
            file.display()
        );
        assert_eq!((code, told.as_str(), said), (1, "", expected));
        assert_eq!((ground.export().as_str(), ground.records()), ("", records));
    }

    async fn what_was_exported_says_the_same_here_and_elsewhere(ground) {
        ground.write_all();
        ground.applied();
        let exported = ground.export();
        let kinds: Vec<&str> =
            exported.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
        assert_eq!(kinds, ["group", "integration", "access_scope", "bundle", "access_flow"]);
        let records = ground.records();
        let file = ground.installation.folder.path().join("all.yaml");
        fs::write(&file, &exported).unwrap();
        let file = file.to_str().unwrap();
        let (code, told, said) = ground.said(&["apply", "-f", file, "--prune", "--dry-run"]);
        assert_eq!(code, 0, "{told}{said}");
        let (code, told, _) = ground.said(&["apply", "-f", file, "--prune"]);
        let same = "= 5 unchanged\n0 created, 0 changed, 0 deleted.\n";
        assert_eq!((code, told.as_str()), (0, same));
        assert_eq!((ground.records(), ground.export()), (records, exported.clone()));

        let folder = ground.installation.folder.path().join("out");
        let folder = folder.to_str().unwrap();
        let (code, told, said) = ground.said(&["export", "-o", folder]);
        assert_eq!((code, said.as_str()), (0, ""), "{told}");
        assert!(told.starts_with("5 documents written below "), "{told}");
        assert!(Path::new(folder).join("access_flow/on-call.yaml").is_file());
        assert_eq!(ground.said(&["apply", "-f", folder]).1, same);
        fs::write(Path::new(folder).join("old.yaml"), "kind: group\n").unwrap();
        let (code, _, said) = ground.said(&["export", "-o", folder]);
        assert!(code == 0 && said.contains("old.yaml is not of this export"), "{said}");

        let elsewhere = Ground::new(DatabaseKind::Sqlite).await;
        let (code, told, said) = elsewhere.said(&["apply", "-f", file]);
        assert_eq!(code, 0, "{told}{said}");
        assert_eq!(elsewhere.export(), exported);
    }

    async fn what_has_no_document_goes_only_when_asked_and_only_if_unused(ground) {
        ground.write_all();
        ground.applied();
        fs::remove_file(ground.policy.join("a/starter.yml")).unwrap();
        ground.write("other.yaml", &BUNDLE.replace("Starter", "Other"));
        let (code, told, said) = ground.apply(&["--prune"]);
        assert_eq!((code, told.as_str()), (1, ""));
        assert!(said.contains("--prune: bundle \"Starter\": the bundle is used by the access flow \"On-call\""), "{said}");
        assert!(!ground.export().contains("Other"));
        ground.write("a/flow.yaml", &FLOW.replace("starter", "other"));
        let (code, told, _) = ground.apply(&["--prune", "--json"]);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((code, &told["deleted"], &told["unchanged"]), (0, &json!(1), &json!(3)), "{told}");
        let changes = told["changes"].as_array().unwrap();
        let kinds: Vec<(&str, &str)> = changes
            .iter()
            .map(|one| (one["action"].as_str().unwrap(), one["name"].as_str().unwrap()))
            .collect();
        assert_eq!(kinds, [("create", "Other"), ("update", "On-call"), ("delete", "Starter")]);
        assert_eq!(changes[1]["members"], json!([{
            "member": "access_targets[0].bundle.bundle_reference",
            "before": "Starter", "after": "Other",
        }]));
        assert_eq!(changes[0]["line"], 1);
        assert!(changes[0]["file"].as_str().unwrap().ends_with("policy/other.yaml"), "{told}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_in_any_file_is_told_with_its_place() {
    let ground = Ground::new(DatabaseKind::Sqlite).await;
    ground.write_all();
    ground.write(
        "b.yaml",
        "# two\nkind: access_scope\nname: odd\nquery: \"resource = \"\n---\n\
        kind: bundle\nname: broken\nacces_targets: []\ncolour: red\n",
    );
    ground.write(
        "c.yaml",
        "kind: bundle\nname: wide\naccess_targets:\n  - {}\n---\n\
        kind: bundle\nname: empty\naccess_targets:\n  - access_scope:\n      \
        access_scope_reference: ODD\n---\nkind: group\nname: SUPPORT\nmembers_emails:\n  - x@y\n",
    );
    ground.write("d.json", "{\"kind\": \"team\"}");
    ground.write("e.yaml", "kind: [\n");
    ground.write("f.yaml", &FLOW.replace("name: On-call", "name: F").replace("starter", "broken"));
    let (code, told, said) = ground.apply(&["--prune"]);
    assert_eq!((code, told.as_str()), (1, ""));
    let policy = format!("{}/", ground.policy.display());
    let said = said.replace(&policy, "");
    let places: Vec<String> = said
        .lines()
        .skip(1)
        .map(|line| line.splitn(5, ':').take(4).collect::<Vec<_>>().join(":"))
        .collect();
    assert_eq!(
        places,
        [
            "b.yaml:4:8: query",
            "b.yaml:8:16: acces_targets",
            "b.yaml:9:9: colour",
            "c.yaml:4:5: access_targets[0]",
            "c.yaml:15:5: members_emails[0]",
            "d.json:1:10: kind",
            places[6].as_str(),
            "z.yaml:19:27: name",
        ],
        "{said}"
    );
    assert!(places[6].starts_with("e.yaml:"), "{said}");
    assert!(said.starts_with("error: nothing was changed; 8 things are wrong:\n"), "{said}");
    assert!(said.contains("the group \"support\" has another document at c.yaml:13:7"), "{said}");
    assert_eq!(ground.export(), "");
}

#[tokio::test]
async fn a_secret_stays_where_a_document_says_nothing_of_it_and_is_never_told() {
    let ground = Ground::new(DatabaseKind::Sqlite).await;
    let shop = |host: &str, secret: &str| {
        format!(
            "kind: integration\nname: Shop\ntype: postgresql\nconnector_id: floor-2\n\
             integration_config: {{hostname: {host}}}\n{secret}"
        )
    };
    let secret = |password: &str| {
        format!(
            "secret_store_config: {{apono: {{parameters: {{username: lk, password: {password}}}}}}}\n"
        )
    };
    ground.write("shop.yaml", &shop("one", ""));
    let (code, _, said) = ground.apply(&[]);
    assert!(code == 1 && said.contains("shop.yaml:1:1: secret_store_config: is needed"), "{said}");
    ground.write("shop.yaml", &shop("one", &secret("hunter2")));
    assert!(ground.applied().starts_with("+ integration"));
    assert!(ground.applied().starts_with("= 1 unchanged"), "the same secret is no change");
    ground.write("shop.yaml", &shop("one", &secret("hunter3")));
    let told = ground.applied();
    assert!(told.contains("~ integration \"Shop\"\n    secret_store_config: "), "{told}");
    assert!(!told.contains("hunter"), "{told}");
    let exported = ground.export();
    assert!(!exported.contains("secret") && !exported.contains("hunter"), "{exported}");

    ground.write("shop.yaml", &shop("one", "custom_access_details: Ask us.\n"));
    let told = ground.applied();
    assert!(told.contains("custom_access_details: (none)"), "{told}");
    assert!(ground.applied().starts_with("= 1 unchanged"));
    ground.write("shop.yaml", &shop("two", ""));
    let (code, _, said) = ground.apply(&["--dry-run"]);
    assert_eq!(code, 1);
    assert!(said.contains("hostname changed, which decides where the secret goes"), "{said}");
    ground.write("shop.yaml", &shop("one", "").replace("postgresql", "mysql"));
    let (_, _, said) = ground.apply(&[]);
    assert!(said.contains("shop.yaml:3:7: type: cannot change; it is postgresql"), "{said}");
}

#[tokio::test]
async fn documents_come_by_standard_input_too_and_a_place_without_any_is_refused() {
    let ground = Ground::new(DatabaseKind::Sqlite).await;
    let mut words = vec!["apply".to_owned(), "-f".to_owned(), "-".to_owned()];
    words.extend(ground.installation.place());
    let mut command = process::command(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(OTHERS.as_bytes()).unwrap();
    let (code, told, said) = said(&child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert!(told.ends_with("3 created, 0 changed, 0 deleted.\n"), "{told}");

    fs::create_dir_all(&ground.policy).unwrap();
    let (code, _, said) = ground.apply(&[]);
    assert!(code == 1 && said.contains("there is no document in"), "{said}");
    assert_eq!(ground.said(&["apply"]).0, 2, "a file or a folder");
    // What is only changed is not made.
    let nowhere = ground.installation.folder.path().join("nowhere");
    let file = ground.installation.folder.path().join("x.yaml");
    fs::write(&file, OTHERS).unwrap();
    for words in [vec!["apply", "-f", file.to_str().unwrap()], vec!["export"]] {
        let output = process::run([words, vec!["--data", nowhere.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("there is no database"));
    }
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn the_examples_of_the_manual_are_applied_as_they_stand() {
    let ground = Ground::new(DatabaseKind::Sqlite).await;
    let manual = include_str!("../../../docs/policy-as-code.md");
    let examples: Vec<&str> = manual
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|example| example.starts_with("# policy/"))
        .collect();
    assert_eq!(examples.len(), 2);
    for (at, example) in examples.iter().enumerate() {
        ground.write(&format!("{at}.yaml"), example);
    }
    let told = ground.applied();
    assert!(told.ends_with("3 created, 0 changed, 0 deleted.\n"), "{told}");
    let group = ground.policy.join("group.yaml");
    ground.write("group.yaml", "kind: group\nname: x\nmembers_emails: []\n");
    let (code, _, said) = ground.said(&["what-if", "-f", group.to_str().unwrap()]);
    assert!(code == 1 && said.contains("group.yaml:1:7: kind: what a change"), "{said}");
}
