//! Integrations: what is refused before anything is stored, and where secrets may go.

use std::collections::BTreeMap;

use latchkey_app::{
    Actor, App, AppConfig, ErrorKind, PageRequest,
    connectors::{create_connector_token, register_local_connector},
    error::codes,
    integrations::{
        IntegrationCommand, IntegrationView, IntegrationsQuery, OwnerInput, OwnersMappingInput,
        SecretStoreInput, create_integration, delete_integration, get_integration,
        list_integrations, refresh_integration, update_integration,
    },
    wildcard::text_match,
};
use latchkey_domain::{
    integration::{IntegrationStatus, SecretStore},
    people::Role,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    ground::Ground,
    office::{fields_of, first_admin, kind_of, records_of, somebody_with},
};

const CANARY: &str = "canary-9d1c";
const MASK: &str = "********";

fn platform(username: &str, password: &str) -> Vec<SecretStoreInput> {
    let parameters = BTreeMap::from([
        ("username".to_owned(), SecretString::from(username)),
        ("password".to_owned(), SecretString::from(password)),
    ]);
    vec![SecretStoreInput::Platform { parameters }]
}

fn command(config: Value) -> IntegrationCommand {
    let Value::Object(config) = config else { unreachable!("configuration is an object") };
    IntegrationCommand {
        name: "stock".to_owned(),
        connector_id: Some("edge".to_owned()),
        config,
        secret_stores: Some(platform("provisioner", CANARY)),
        ..IntegrationCommand::default()
    }
}

fn plain() -> IntegrationCommand {
    command(json!({ "hostname": "db.example.com", "port": "5432", "note": "kept" }))
}

async fn create(ground: &Ground, actor: &Actor, command: IntegrationCommand) -> IntegrationView {
    create_integration(&ground.app, actor, "postgresql", command).await.unwrap()
}

async fn stored_password(ground: &Ground, view: &IntegrationView) -> String {
    let id = &view.integration.id;
    let secret = ground.write(async |tx| tx.find_integration_secret(id).await.unwrap()).await;
    secret.unwrap()["password"].expose_secret().to_owned()
}

both_databases! {
    async fn a_new_integration_is_stored_as_sent_and_discovered(ground) {
        let admin = first_admin(ground).await;
        let view = create(ground, &admin, plain()).await;
        let integration = &view.integration;
        assert_eq!(integration.config["note"], json!("kept"), "unknown keys are kept for the echo");
        assert_eq!(integration.config.len(), 3, "nothing is added");
        assert_eq!(integration.status, IntegrationStatus::Initializing);
        assert_eq!(integration.category, "RESOURCES");
        assert_eq!(
            view.masked_parameters().unwrap(),
            BTreeMap::from([("password", MASK), ("username", MASK)])
        );
        assert_eq!(get_integration(&ground.app, &admin, &integration.id).await.unwrap(), view);
        let tasks = ground.lease().await;
        assert_eq!(tasks.len(), 1);
        assert_eq!(tasks[0].integration.id, integration.id);
    }

    async fn e03_the_secret_is_in_no_view_and_no_record(ground) {
        let admin = first_admin(ground).await;
        let view = create(ground, &admin, plain()).await;
        let id = &view.integration.id;
        let sent_again = IntegrationCommand {
            secret_stores: Some(platform("provisioner", "canary-2")),
            ..plain()
        };
        let updated = update_integration(&ground.app, &admin, id, sent_again).await.unwrap();
        let wrong = IntegrationCommand { name: "x".to_owned(), ..command(json!({ "port": "x" })) };
        let refused =
            create_integration(&ground.app, &admin, "postgresql", wrong).await.unwrap_err();
        let page = latchkey_store::PageQuery::all();
        let filter = latchkey_store::AuditFilter::default();
        let trail = ground.write(async |tx| tx.list_audit(&filter, &page).await.unwrap()).await;
        for text in
            [format!("{view:?}{updated:?}"), format!("{refused:?}{refused}"), format!("{trail:?}")]
        {
            assert!(!text.contains("canary"), "{text}");
        }
        assert_eq!(stored_password(ground, &view).await, "canary-2");
    }

    async fn what_is_wrong_is_named(ground) {
        let admin = first_admin(ground).await;
        let attempt = async |kind: &str, command: IntegrationCommand| {
            fields_of(create_integration(&ground.app, &admin, kind, command).await)
        };
        assert!(attempt("mysql", plain()).await.contains("type"));
        let fields =
            attempt("postgresql", command(json!({ "port": "99999", "password": "x" }))).await;
        for field in [
            "integration_config.hostname",
            "integration_config.port",
            "integration_config.password",
        ] {
            assert!(fields.contains(field), "{fields:?}");
        }
        for connector_id in [Some("nowhere".to_owned()), None] {
            let lost = IntegrationCommand { connector_id, ..plain() };
            assert!(attempt("postgresql", lost).await.contains("connector_id"));
        }
        let long = IntegrationCommand { custom_access_details: Some("x".repeat(401)), ..plain() };
        assert!(attempt("postgresql", long).await.contains("custom_access_details"));
        let unknown = IntegrationCommand {
            connected_resource_types: Some(vec!["table".to_owned()]),
            ..plain()
        };
        assert!(attempt("postgresql", unknown).await.contains("connected_resource_types[0]"));
        let mapping = OwnersMappingInput {
            key_name: "owner".to_owned(),
            attribute_type: "user".to_owned(),
            source_integration_reference: None,
        };
        let ownerless = IntegrationCommand { owners_mapping: Some(mapping), ..plain() };
        assert!(attempt("postgresql", ownerless).await.contains("owners_mapping"));
        assert_eq!(records_of(ground, "integration.created").await, 0);
    }

    async fn exactly_one_secret_store_is_needed(ground) {
        let admin = first_admin(ground).await;
        let attempt = async |secret_stores, config: Value| {
            let command = IntegrationCommand { secret_stores, ..command(config) };
            fields_of(create_integration(&ground.app, &admin, "postgresql", command).await)
        };
        let host = json!({ "hostname": "h" });
        let by_file = json!({ "hostname": "h", "secret_ref": "file:shop.json" });
        let two = vec![SecretStoreInput::Other("aws"), platform("u", "p").remove(0)];
        for wrong in [
            attempt(None, host.clone()).await,
            attempt(Some(Vec::new()), host.clone()).await,
            attempt(Some(two), host.clone()).await,
            attempt(Some(platform("u", "p")), by_file.clone()).await,
        ] {
            assert!(wrong.contains("secret_store_config"), "{wrong:?}");
        }
        let other = attempt(Some(vec![SecretStoreInput::Other("aws")]), host.clone()).await;
        assert!(other.contains("secret_store_config.aws"));
        let masked = attempt(Some(platform("u", MASK)), host.clone()).await;
        assert!(masked.contains("secret_store_config.apono.parameters.password"));
        let outside = json!({ "hostname": "h", "secret_ref": "file:../master.key" });
        assert!(attempt(None, outside).await.contains("integration_config.secret_ref"));

        let by_file = IntegrationCommand { secret_stores: None, ..command(by_file) };
        let view = create(ground, &admin, by_file).await;
        assert_eq!(
            view.integration.secret_store,
            Some(SecretStore::File { name: "shop.json".to_owned() })
        );
        assert_eq!(view.masked_parameters(), None);
    }

    async fn the_mask_keeps_the_secret(ground) {
        let admin = first_admin(ground).await;
        let view = create(ground, &admin, plain()).await;
        let masked = IntegrationCommand {
            name: "stock 2".to_owned(),
            secret_stores: Some(platform("other", MASK)),
            ..command(json!({ "hostname": "db.example.com", "databases": "shop" }))
        };
        let updated =
            update_integration(&ground.app, &admin, &view.integration.id, masked).await.unwrap();
        assert_eq!(updated.integration.name, "stock 2");
        assert_eq!(stored_password(ground, &view).await, CANARY);
    }

    async fn e02_whatever_decides_where_the_secret_goes_demands_it_again(ground) {
        let admin = first_admin(ground).await;
        create_connector_token(&ground.app, &admin, "north").await.unwrap();
        let view = create(ground, &admin, plain()).await;
        let id = &view.integration.id;
        let with = |key: &str, value: &str| {
            let mut changed = plain();
            changed.config.insert(key.to_owned(), json!(value));
            changed
        };
        let elsewhere = IntegrationCommand { connector_id: Some("north".to_owned()), ..plain() };
        for changed in [
            with("hostname", "evil.example.com"),
            with("port", "6543"),
            with("sslmode", "disable"),
            with("replicas", "evil.example.com:5432"),
            elsewhere.clone(),
        ] {
            let masked = IntegrationCommand {
                secret_stores: Some(platform("provisioner", MASK)),
                ..changed
            };
            let error = update_integration(&ground.app, &admin, id, masked).await.unwrap_err();
            assert_eq!((error.kind, error.code), (ErrorKind::Invalid, codes::SECRET_REQUIRED));
        }
        assert_eq!(
            get_integration(&ground.app, &admin, id).await.unwrap(),
            view,
            "nothing changed"
        );
        let sent =
            IntegrationCommand { secret_stores: Some(platform("provisioner", "new")), ..elsewhere };
        update_integration(&ground.app, &admin, id, sent).await.unwrap();
        assert_eq!(stored_password(ground, &view).await, "new");
    }

    async fn leaving_the_default_port_out_changes_nothing(ground) {
        let admin = first_admin(ground).await;
        let view = create(ground, &admin, plain()).await;
        let same = IntegrationCommand {
            secret_stores: Some(platform("provisioner", MASK)),
            ..command(json!({ "hostname": "db.example.com" }))
        };
        update_integration(&ground.app, &admin, &view.integration.id, same).await.unwrap();
    }

    async fn a_secret_that_moves_to_the_connector_is_forgotten_here(ground) {
        let admin = first_admin(ground).await;
        let view = create(ground, &admin, plain()).await;
        let id = &view.integration.id;
        let by_variable = IntegrationCommand {
            secret_stores: None,
            ..command(json!({ "hostname": "db.example.com", "secret_ref": "env:STOCK" }))
        };
        update_integration(&ground.app, &admin, id, by_variable).await.unwrap();
        let kept = ground.write(async |tx| tx.find_integration_secret(id).await.unwrap()).await;
        assert!(kept.is_none());
        let masked =
            IntegrationCommand { secret_stores: Some(platform("provisioner", MASK)), ..plain() };
        let fields = fields_of(update_integration(&ground.app, &admin, id, masked).await);
        assert!(fields.contains("secret_store_config.apono.parameters.password"));
    }

    async fn owners_and_moves_are_for_admins(ground) {
        let admin = first_admin(ground).await;
        let deployer = somebody_with(ground, "dora", Some(Role::Deployment)).await;
        let owner = OwnerInput {
            attribute_type: "user".to_owned(),
            attribute_value: vec!["ada@example.com".to_owned()],
            source_integration_reference: None,
        };
        let with_owner = IntegrationCommand { owner: Some(owner), ..plain() };
        let refused =
            create_integration(&ground.app, &deployer, "postgresql", with_owner.clone()).await;
        assert_eq!(kind_of(refused), ErrorKind::Forbidden);
        let view = create(ground, &deployer, plain()).await;
        let id = &view.integration.id;
        let refused = update_integration(&ground.app, &deployer, id, with_owner.clone()).await;
        assert_eq!(kind_of(refused), ErrorKind::Forbidden);
        update_integration(&ground.app, &admin, id, with_owner.clone()).await.unwrap();
        let same_owner = IntegrationCommand { name: "renamed".to_owned(), ..with_owner };
        update_integration(&ground.app, &deployer, id, same_owner.clone()).await.unwrap();
        let refused = update_integration(&ground.app, &deployer, id, plain()).await;
        assert_eq!(kind_of(refused), ErrorKind::Forbidden, "leaving the owner out would clear it");

        create_connector_token(&ground.app, &deployer, "north").await.unwrap();
        let north = IntegrationCommand { connector_id: Some("north".to_owned()), ..same_owner };
        let refused = update_integration(&ground.app, &deployer, id, north.clone()).await;
        assert_eq!(kind_of(refused), ErrorKind::Forbidden);
        update_integration(&ground.app, &admin, id, north).await.unwrap();
    }

    async fn an_update_without_a_connector_keeps_the_one_in_charge(ground) {
        let admin = first_admin(ground).await;
        let view = create(ground, &admin, plain()).await;
        let old_client = IntegrationCommand { connector_id: None, ..plain() };
        let updated = update_integration(&ground.app, &admin, &view.integration.id, old_client)
            .await
            .unwrap();
        assert_eq!(updated.integration.connector_id, view.integration.connector_id);
        assert_eq!(updated.integration.version, view.integration.version + 1);
    }

    async fn names_are_unique_without_letter_case(ground) {
        let admin = first_admin(ground).await;
        create(ground, &admin, plain()).await;
        let again = IntegrationCommand { name: "STOCK".to_owned(), ..plain() };
        let refused = create_integration(&ground.app, &admin, "postgresql", again).await;
        assert_eq!(kind_of(refused), ErrorKind::Conflict);
    }

    async fn the_local_connector_must_be_running(ground) {
        let admin = first_admin(ground).await;
        register_local_connector(&ground.app).await.unwrap();
        let config = AppConfig { local_connector: false, ..ground.app.config().clone() };
        let rng = std::sync::Arc::new(latchkey_testkit::SeededRng::new(5));
        let app = App::new(ground.app.store().clone(), ground.clock.clone(), rng, config);
        let local = IntegrationCommand { connector_id: Some("local".to_owned()), ..plain() };
        let outcome = create_integration(&app, &admin, "postgresql", local).await;
        if app.store().is_postgres() {
            let error = outcome.unwrap_err();
            assert!(error.message.contains("--local-connector"), "{error}");
            assert_eq!(error.errors[0].field, "connector_id");
        } else {
            outcome.unwrap();
        }
    }

    async fn lists_are_filtered(ground) {
        let admin = first_admin(ground).await;
        create(ground, &admin, plain()).await;
        let names = async |query: IntegrationsQuery| -> Vec<String> {
            let page = PageRequest::default();
            let page = list_integrations(&ground.app, &admin, query, &page).await.unwrap();
            let mut names: Vec<_> =
                page.items.into_iter().map(|view| view.integration.name).collect();
            names.sort();
            names
        };
        assert_eq!(names(IntegrationsQuery::default()).await, ["shop", "stock"]);
        let by_name =
            IntegrationsQuery { name: Some(text_match("ST*")), ..IntegrationsQuery::default() };
        assert_eq!(names(by_name).await, ["stock"]);
        let by_status = IntegrationsQuery {
            statuses: vec![IntegrationStatus::Active],
            ..IntegrationsQuery::default()
        };
        assert_eq!(names(by_status).await, ["shop"]);
        let none =
            IntegrationsQuery { types: vec![text_match("my*")], ..IntegrationsQuery::default() };
        assert!(names(none).await.is_empty());
    }

    async fn a_refresh_discovers_again(ground) {
        let admin = first_admin(ground).await;
        let view = refresh_integration(&ground.app, &admin, &ground.integration).await.unwrap();
        assert_eq!(view.integration.status, IntegrationStatus::Refreshing);
        assert_eq!(ground.lease().await.len(), 1);
    }

    async fn an_unused_integration_is_deleted_with_its_secret(ground) {
        let admin = first_admin(ground).await;
        let view = create(ground, &admin, plain()).await;
        let id = &view.integration.id;
        delete_integration(&ground.app, &admin, id).await.unwrap();
        assert_eq!(kind_of(get_integration(&ground.app, &admin, id).await), ErrorKind::NotFound);
        let kept = ground.write(async |tx| tx.find_integration_secret(id).await.unwrap()).await;
        assert!(kept.is_none());
        assert!(ground.lease().await.is_empty(), "no work is left for it");
    }
}
