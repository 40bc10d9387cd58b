//! Bundles and access scopes: what is stored, who is told, and what nothing may be taken from.

use latchkey_app::{
    Actor, ErrorKind, PageRequest,
    access_scopes::{
        AccessScopeCommand, PreviewScope, create_access_scope, delete_access_scope,
        get_access_scope, preview_access_scope, update_access_scope,
    },
    bundles::{
        BundleCommand, BundlePatch, BundleTargetInput, create_bundle, delete_bundle, get_bundle,
        list_bundles, patch_bundle, update_bundle,
    },
    flows::{IntegrationTargetInput, TargetInput, create_flow},
    wildcard::text_match,
};
use latchkey_domain::{access_scope::AccessScope, bundle::BundleTarget};

use crate::{
    flows::command,
    ground::Ground,
    office::{fields_of, first_admin, kind_of, records_of},
};

const TABLES: &str = r#"resource_type = "postgresql-table""#;

fn scope_command(name: &str, query: &str) -> AccessScopeCommand {
    AccessScopeCommand { name: name.to_owned(), description: None, query: query.to_owned() }
}

async fn scope(ground: &Ground, admin: &Actor, name: &str, query: &str) -> AccessScope {
    create_access_scope(&ground.app, admin, scope_command(name, query)).await.unwrap()
}

fn part(permission: &str) -> BundleTargetInput {
    BundleTargetInput::Integration(IntegrationTargetInput {
        integration_reference: "shop".to_owned(),
        resource_type: "postgresql-table".to_owned(),
        permissions: vec![permission.to_owned()],
        resources_scopes: None,
    })
}

both_databases! {
    async fn a_scope_is_kept_byte_for_byte_and_every_change_is_recorded(ground) {
        let admin = first_admin(ground).await;
        let query = format!("\n  {TABLES}\n\n");
        let made = scope(ground, &admin, "tables", &query).await;
        assert_eq!(get_access_scope(&ground.app, &admin, &made.id).await.unwrap(), made);
        assert_eq!(made.query, query);
        let changed =
            update_access_scope(&ground.app, &admin, &made.id, scope_command("TABLES", TABLES))
                .await
                .unwrap();
        assert_eq!((changed.version, changed.query.as_str()), (2, TABLES));
        delete_access_scope(&ground.app, &admin, &made.id).await.unwrap();
        let gone = get_access_scope(&ground.app, &admin, &made.id).await;
        assert_eq!(kind_of(gone), ErrorKind::NotFound);
        for action in ["access_scope.created", "access_scope.updated", "access_scope.deleted"] {
            assert_eq!(records_of(ground, action).await, 1, "{action}");
        }
    }

    async fn a_bundle_is_kept_in_order_and_the_older_format_keeps_the_rest(ground) {
        let admin = first_admin(ground).await;
        let tables = scope(ground, &admin, "tables", TABLES).await;
        let by_scope = || BundleTargetInput::AccessScope("TABLES".to_owned());
        let targets = vec![part("READ_ONLY"), by_scope(), part("READ_WRITE")];
        let command = BundleCommand { name: "all".to_owned(), targets };
        let made = create_bundle(&ground.app, &admin, command).await.unwrap();
        assert_eq!(get_bundle(&ground.app, &admin, &made.bundle.id).await.unwrap(), made);
        assert_eq!(made.bundle.targets[1], BundleTarget::AccessScope(tables.id.clone()));
        assert_eq!(made.access_scope_names[&tables.id], "tables");
        assert_eq!(made.integration_names[&ground.integration], "shop");

        let id = made.bundle.id.clone();
        let patch = BundlePatch { name: Some("rest".to_owned()), integration_targets: Some(vec![]) };
        let patched = patch_bundle(&ground.app, &admin, &id, patch).await.unwrap();
        assert_eq!(patched.bundle.targets, made.bundle.targets[1..2]);
        assert_eq!(patched.bundle.name, "rest");
        assert_eq!(kind_of(delete_access_scope(&ground.app, &admin, &tables.id).await),
            ErrorKind::Conflict);
        let empty = BundleCommand { name: "rest".to_owned(), targets: Vec::new() };
        update_bundle(&ground.app, &admin, &id, empty).await.unwrap();
        delete_access_scope(&ground.app, &admin, &tables.id).await.unwrap();
        let named = |name: &'static str| async {
            let name = Some(text_match(name));
            list_bundles(&ground.app, &admin, name, &PageRequest::default()).await.unwrap().items
        };
        assert_eq!((named("R*").await.len(), named("all").await.len()), (1, 0));
        delete_bundle(&ground.app, &admin, &id).await.unwrap();
        for (action, times) in [("created", 1), ("updated", 2), ("deleted", 1)] {
            assert_eq!(records_of(ground, &format!("bundle.{action}")).await, times, "{action}");
        }
    }

    async fn nothing_that_a_flow_names_is_deleted(ground) {
        let admin = first_admin(ground).await;
        let tables = scope(ground, &admin, "tables", TABLES).await;
        let new = BundleCommand { name: "all".to_owned(), targets: vec![part("READ_ONLY")] };
        let bundle = create_bundle(&ground.app, &admin, new).await.unwrap().bundle;
        let mut flow = command("readers");
        flow.access_targets = vec![
            TargetInput::Bundle("ALL".to_owned()),
            TargetInput::AccessScope(tables.id.to_string()),
        ];
        let flow = create_flow(&ground.app, &admin, flow).await.unwrap();
        assert_eq!(flow.bundle_names[&bundle.id], "all");
        assert_eq!(flow.access_scope_names[&tables.id], "tables");
        for refused in [
            delete_bundle(&ground.app, &admin, &bundle.id).await,
            delete_access_scope(&ground.app, &admin, &tables.id).await,
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Conflict);
            assert!(error.message.contains("\"readers\""), "{error}");
        }
    }

    async fn references_of_a_bundle_that_mean_nothing_are_all_named(ground) {
        let admin = first_admin(ground).await;
        let mut nowhere = part("READ_ONLY");
        if let BundleTargetInput::Integration(target) = &mut nowhere {
            "nowhere".clone_into(&mut target.integration_reference);
        }
        let targets = vec![nowhere, BundleTargetInput::AccessScope("s".to_owned())];
        let command = BundleCommand { name: " ".to_owned(), targets };
        let fields = fields_of(create_bundle(&ground.app, &admin, command).await);
        assert_eq!(
            fields.into_iter().collect::<Vec<_>>(),
            [
                "access_targets[0].integration.integration_reference",
                "access_targets[1].access_scope.access_scope_reference",
                "name",
            ]
        );
        assert_eq!(records_of(ground, "bundle.created").await, 0);
    }

    async fn a_preview_counts_what_is_there_now(ground) {
        let admin = first_admin(ground).await;
        let page = PageRequest { limit: 1, ..PageRequest::default() };
        let orders = scope(ground, &admin, "orders", r#"resource_name = "orders""#).await;
        let preview = PreviewScope {
            query: TABLES.to_owned(),
            access_scope_id: Some(orders.id.clone()),
        };
        let shown = preview_access_scope(&ground.app, &admin, &preview, &page).await.unwrap();
        let orders = PreviewScope {
            query: r#"resource_name = "orders""#.to_owned(),
            access_scope_id: None,
        };
        let of_orders = preview_access_scope(&ground.app, &admin, &orders, &page).await.unwrap();
        assert!(of_orders.total > 0 && of_orders.added.is_none());
        assert_eq!(shown.added, Some(shown.total - of_orders.total));
        assert_eq!(shown.removed, Some(0));
        assert!(shown.items.items.len() == 1 && shown.items.next.is_some());
    }
}
