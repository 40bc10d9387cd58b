use super::*;

fn complaint(text: &str) -> String {
    ConnectorConfig::parse(text).unwrap_err().to_string()
}

#[test]
fn without_the_file_the_defaults_hold() {
    let folder = tempfile::tempdir().unwrap();
    let config = ConnectorConfig::load(&folder.path().join("connector.toml")).unwrap();
    assert_eq!(config, ConnectorConfig::default());
    assert_eq!(config, ConnectorConfig::parse("").unwrap());
    assert!(config.programs.is_empty());
    assert_eq!(config.secret_folder, None);
    assert!(config.secrets_from_environment && config.secrets_from_platform);
    assert_eq!(config.ceilings, Ceilings::default());
    assert!(config.check_store_path("hashicorp_vault", "secret/latchkey").is_err());
}

#[test]
fn a_whole_file_is_read() {
    let config = ConnectorConfig::parse(
        r#"
        [programs]
        mkuser = "/usr/local/bin/mkuser"

        [secrets]
        folder = "/etc/latchkey/secrets"
        env = false
        platform = false

        [stores.hashicorp_vault]
        paths = ["secret/data/latchkey/", "kv/team"]

        [ceilings]
        integration_types = ["postgresql"]
        permissions = ["READ_ONLY", "READ_WRITE"]
        longest_grant = "8h 30m"
        "#,
    )
    .unwrap();
    assert_eq!(config.program("mkuser").unwrap(), Path::new("/usr/local/bin/mkuser"));
    assert_eq!(config.secret_folder.as_deref(), Some(Path::new("/etc/latchkey/secrets")));
    assert!(!config.secrets_from_environment && !config.secrets_from_platform);
    assert_eq!(config.stores["hashicorp_vault"].paths, ["secret/data/latchkey", "kv/team"]);
    assert_eq!(config.ceilings.longest_grant, Some(Duration::from_mins(8 * 60 + 30)));
    assert!(config.ceilings.permissions.unwrap().contains("READ_WRITE"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_match() {
    assert_eq!(
        complaint("[secrets]\nenv = true\nfoldr = \"/x\"\n"),
        "connector.toml, line 3: unknown key `foldr` in [secrets]; did you mean `folder`?"
    );
    assert_eq!(
        complaint("\n[ceiling]\nlongest_grant = \"1h\"\n"),
        "connector.toml, line 2: unknown key `ceiling`; did you mean `ceilings`?"
    );
    assert_eq!(
        complaint("[stores.hashicorp-vault]\npaths = []\n"),
        "connector.toml, line 1: unknown key `hashicorp-vault` in [stores]; did you mean \
         `hashicorp_vault`?"
    );
    assert_eq!(
        complaint("xyzzy = 1"),
        "connector.toml, line 1: unknown key `xyzzy`; the keys here are programs, secrets, \
         stores, ceilings"
    );
}

#[test]
fn a_wrong_value_is_refused_with_its_line_and_what_to_write() {
    let cases = [
        ("[secrets]\nfolder = \"secrets\"", 2, "an absolute path"),
        ("[secrets]\nfolder = 3", 2, "a text in quotes"),
        ("[secrets]\n\nenv = \"yes\"", 3, "true or false"),
        ("secrets = true", 1, "write [secrets]"),
        ("[programs]\nmkuser = \"mkuser\"", 2, "an absolute path"),
        ("[programs]\nmkuser = [\"/bin/sh\", \"-c\"]", 2, "a text in quotes"),
        ("[ceilings]\nlongest_grant = \"soon\"", 2, "such as \"8h\""),
        ("[ceilings]\nlongest_grant = \"-8h\"", 2, "such as \"8h\""),
        ("[ceilings]\npermissions = \"READ_ONLY\"", 2, "a list of texts"),
        ("[stores.aws]\npaths = [\n \"a/b\",\n \"../c\"\n]", 4, "without a slash"),
        ("[stores.aws]\npaths = [\"\"]", 2, "without a slash"),
        ("[secrets\nenv = true", 1, ""),
        ("[secrets]\nenv = true\nenv = false", 3, "duplicate"),
    ];
    for (text, line, words) in cases {
        let complaint = complaint(text);
        let place = format!("connector.toml, line {line}: ");
        assert!(complaint.starts_with(&place) && complaint.contains(words), "{complaint}");
    }
}

#[test]
fn c06_a_program_that_is_not_listed_is_refused() {
    let config = ConnectorConfig::parse("[programs]\nmkuser = \"/bin/mkuser\"").unwrap();
    for name in ["MkUser", "mkuser ", "/bin/mkuser", "../mkuser", "sh", ""] {
        let fault = config.program(name).unwrap_err();
        assert_eq!(fault.class, FaultClass::Forbidden);
        assert!(fault.message.contains("[programs]"), "{fault}");
    }
}

#[test]
fn c06_a_store_path_is_compared_part_by_part_and_letter_for_letter() {
    let config =
        ConnectorConfig::parse("[stores.hashicorp_vault]\npaths = [\"secret/data/team\"]").unwrap();
    config.check_store_path("hashicorp_vault", "secret/data/team/db").unwrap();
    let refused = [
        "secret/data/team",
        "secret/data/team-b/db",
        "secret/data/Team/db",
        "secret/data/team/../other/db",
        "secret/data/team/./db",
        "secret/data/team//db",
        "secret/data/team/db/",
        "/secret/data/team/db",
        "secret/data/team/%2e%2e/other",
        "secret/data/team%2fdb",
        "secret/data/team/..\\other",
        "secret/data/team/db\n",
        "secret/data/team/db\0",
        "",
    ];
    for path in refused {
        let fault = config.check_store_path("hashicorp_vault", path).unwrap_err();
        assert_eq!(fault.class, FaultClass::Forbidden, "{path}");
    }
    assert!(config.check_store_path("aws", "secret/data/team/db").is_err());
    assert!(config.check_store_path("Hashicorp_Vault", "secret/data/team/db").is_err());
}
