use std::os::unix::fs::symlink;

use latchkey_domain::provisioning::FaultClass;
use latchkey_protocol::sealing::{SealingKey, seal_values};
use latchkey_testkit::SeededRng;
use secrecy::ExposeSecret;

use super::*;
use crate::folder::Folder;

const CANARY: &str = "canary-91c2";

struct Bench {
    root: tempfile::TempDir,
    secrets: Secrets,
}

impl Bench {
    fn new(config: ConnectorConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = Folder::open(&root.path().join("data")).unwrap();
        let key = ConnectorKey::open_or_create(&data, &SeededRng::default()).unwrap();
        let variables = Variables::fixed([
            ("LATCHKEY_SECRET_SHOP", r#"{"username": "prov", "password": "canary-91c2"}"#),
            ("LATCHKEY_SECRET_BROKEN", r#"{"password": ["canary-91c2"]}"#),
            ("LATCHKEY_CONNECTOR_TOKEN", "lk_canary-91c2"),
            ("PATH", "/bin"),
        ]);
        let secrets = Secrets { config: Arc::new(config), key: Arc::new(key), variables };
        Self { root, secrets }
    }

    /// A bench with a secret folder that holds one secret, and secrets outside of it.
    fn with_folder() -> Self {
        let mut bench = Self::new(ConnectorConfig::default());
        let folder = bench.root.path().join("secrets");
        fs::create_dir_all(folder.join("team")).unwrap();
        let content = format!(r#"{{"username": "prov", "password": "{CANARY}"}}"#);
        for name in ["secrets/team/shop", "outside", "secrets-b"] {
            fs::write(bench.root.path().join(name), &content).unwrap();
        }
        let config = ConnectorConfig { secret_folder: Some(folder), ..ConnectorConfig::default() };
        bench.secrets.config = Arc::new(config);
        bench
    }

    fn read(&self, name: &str) -> Result<SecretValues, TargetFault> {
        self.secrets.find(&SecretSource::File { name: name.to_owned() })
    }

    fn refusal(&self, name: &str) -> String {
        let fault = self.read(name).unwrap_err();
        assert_eq!(fault.class, FaultClass::Forbidden, "{name}");
        assert!(!fault.message.contains("canary"), "{fault}");
        fault.message
    }
}

fn password(values: &SecretValues) -> &str {
    values["password"].expose_secret()
}

#[test]
fn a_secret_file_below_the_folder_is_read() {
    let bench = Bench::with_folder();
    assert_eq!(password(&bench.read("team/shop").unwrap()), CANARY);
    // A mounted Kubernetes secret is a link beside its data, within the folder.
    let folder = bench.root.path().join("secrets");
    fs::create_dir(folder.join("..2026_11_22")).unwrap();
    fs::rename(folder.join("team/shop"), folder.join("..2026_11_22/shop")).unwrap();
    symlink("..2026_11_22", folder.join("..data")).unwrap();
    symlink("..data/shop", folder.join("shop")).unwrap();
    assert_eq!(password(&bench.read("shop").unwrap()), CANARY);
}

#[test]
fn c06_no_path_trick_leads_out_of_the_secret_folder() {
    let bench = Bench::with_folder();
    let folder = bench.root.path().join("secrets");
    symlink(bench.root.path().join("outside"), folder.join("link")).unwrap();
    symlink("..", folder.join("up")).unwrap();
    symlink("../secrets-b", folder.join("sibling")).unwrap();
    let absolute = bench.root.path().join("secrets/team/shop");
    let tricks = [
        "../outside",
        "team/../../outside",
        "team/../team/shop",
        "team//shop",
        "./team/shop",
        "team/./shop",
        "/team/shop",
        absolute.to_str().unwrap(),
        "team%2fshop",
        "%2e%2e/outside",
        "..%2foutside",
        "..\\outside",
        "team\\shop",
        "team/shop\0",
        "team/shop\n",
        "team/",
        "team",
        "",
        ".",
        "..",
        "link",
        "up/outside",
        "sibling",
        "TEAM/shop",
    ];
    for trick in tricks {
        bench.refusal(trick);
    }
    assert!(bench.refusal("link").contains("leads out of the secret folder"));
}

#[test]
fn c06_without_a_secret_folder_no_file_is_read() {
    let bench = Bench::new(ConnectorConfig::default());
    assert!(bench.refusal("team/shop").contains("[secrets] folder"));
}

#[test]
fn a_file_that_is_no_secret_is_refused_without_its_content() {
    let bench = Bench::with_folder();
    let folder = bench.root.path().join("secrets");
    let cases = [
        ("list", "[\"canary\"]"),
        ("nested", "{\"password\": {\"is\": \"canary\"}}"),
        ("words", "the password is canary"),
        ("cut", "{\"password\": \"canary"),
        ("empty", ""),
    ];
    for (name, content) in cases {
        fs::write(folder.join(name), content).unwrap();
        assert!(bench.refusal(name).contains("KEY=VALUE"));
    }
    fs::write(folder.join("large"), "k=canary\n".repeat(10_000)).unwrap();
    assert!(bench.refusal("large").contains("larger than"));
    fs::write(folder.join("binary"), [0x63, 0xff, 0xfe]).unwrap();
    bench.refusal("binary");
    assert!(bench.refusal("nothing").contains("no such file"));
}

#[test]
fn lines_are_taken_as_they_stand() {
    let values =
        parse_values("# provisioner\nusername=prov\n\npassword= a=b \"c\" #d\r\n").unwrap();
    assert_eq!(values["username"].expose_secret(), "prov");
    assert_eq!(password(&values), " a=b \"c\" #d");
}

#[test]
fn c06_only_variables_with_the_prefix_are_read() {
    let bench = Bench::new(ConnectorConfig::default());
    let read = |name: &str| bench.secrets.find(&SecretSource::Env { name: name.to_owned() });
    assert_eq!(password(&read("SHOP").unwrap()), CANARY);
    for name in ["PATH", "shop", "../SHOP", "SHOP ", "", "SH%4fP", "LATCHKEY_SECRET_SHOP"] {
        let fault = read(name).unwrap_err();
        assert_eq!(fault.class, FaultClass::Forbidden);
    }
    let fault = read("BROKEN").unwrap_err();
    assert!(!fault.message.contains("canary"), "{fault}");
    let closed = ConnectorConfig { secrets_from_environment: false, ..ConnectorConfig::default() };
    let bench = Bench::new(closed);
    let fault = bench.secrets.find(&SecretSource::Env { name: "SHOP".to_owned() }).unwrap_err();
    assert!(fault.message.contains("[secrets] env"), "{fault}");
}

#[test]
fn a_secret_sealed_to_this_connector_is_opened_and_no_other() {
    let bench = Bench::new(ConnectorConfig::default());
    let values: SecretValues = [("password".to_owned(), SecretString::from(CANARY))].into();
    let sealed = seal_values(&bench.secrets.key.public_key(), &values).unwrap();
    let found = bench.secrets.find(&SecretSource::Platform { sealed: sealed.clone() }).unwrap();
    assert_eq!(password(&found), CANARY);

    let another = SealingKey::from_bytes([9; 32]).public_key();
    let foreign = seal_values(&another, &values).unwrap();
    let fault = bench.secrets.find(&SecretSource::Platform { sealed: foreign }).unwrap_err();
    assert_eq!(fault.class, FaultClass::Forbidden);

    let closed = ConnectorConfig { secrets_from_platform: false, ..ConnectorConfig::default() };
    let mut bench = bench;
    bench.secrets.config = Arc::new(closed);
    let fault = bench.secrets.find(&SecretSource::Platform { sealed }).unwrap_err();
    assert!(fault.message.contains("[secrets] platform"), "{fault}");
}

#[test]
fn the_key_is_the_same_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let open = |seed| {
        let folder = Folder::open(root.path()).unwrap();
        ConnectorKey::open_or_create(&folder, &SeededRng::new(seed)).unwrap()
    };
    let sealed = open(1).seal_at_rest("label", b"plain", &SeededRng::new(5)).unwrap();
    let key = open(2);
    assert_eq!(key.open_at_rest("label", sealed.as_bytes()).unwrap().as_slice(), b"plain");
    assert!(key.open_at_rest("another label", sealed.as_bytes()).is_err());
    assert_eq!(open(3).public_key(), key.public_key());
}
