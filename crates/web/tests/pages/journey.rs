//! From a link to access: signing in, setting up a second factor, giving it.

use latchkey_app::{
    Actor, App,
    requests::{RequestAccess, get_client_request, request_access},
};
use latchkey_domain::{
    Clock,
    flow::{
        AccessFlow, ConditionSet, FlowPolicy, FlowSettings, FlowTarget, FlowTrigger,
        IntegrationTarget, LegacyPolicy, LogicalOperator,
    },
    ids::{ConnectorId, FlowId, IntegrationId, PermissionId, ResourceId},
    people::TokenScope,
    request::RequestState,
};
use latchkey_store::{AuditFilter, PageQuery, StoreError, Tx};

use crate::{
    browsing::{Browser, PASSWORD, Server},
    on_both_databases,
};

/// Sets up a second factor; its secret and its recovery codes.
async fn enrol(browser: &mut Browser<'_>) -> (String, Vec<String>) {
    let page = browser.get("/me").await.ok();
    let page = browser.send("/me/second-factor", &page, &[]).await.ok();
    let secret = page.between("<dt>Secret</dt><dd><code>", "</code>").to_owned();
    assert!(page.text.contains("<svg class=\"qr\""));
    assert!(page.text.contains(&format!("secret={secret}&#38;")), "{}", page.text);
    let code = browser.server.code(&secret);
    let page =
        browser.send("/me/second-factor/confirm", &page, &[("code", code.as_str())]).await.ok();
    let codes: Vec<String> = page
        .text
        .split("<li><code>")
        .skip(1)
        .map(|rest| rest.split_once("</code>").unwrap().0.to_owned())
        .collect();
    assert_eq!(codes.len(), 10, "{}", page.text);
    browser.server.pass(60);
    (secret, codes)
}

on_both_databases! {
    async fn somebody_signs_in_by_link_then_by_password_and_out(server) {
        let mut ana = server.browser();
        let path = server.link("ana").await;
        let page = ana.get(&path).await.ok();
        page.says(200, "ana@example.com");
        let differ = [("password", PASSWORD), ("password_again", "another password")];
        ana.send(&path, &page, &differ).await.says(400, "The two passwords differ");
        let short = [("password", "short"), ("password_again", "short")];
        ana.send(&path, &page, &short).await.says(400, "at least 12 characters");
        let fields = [("password", PASSWORD), ("password_again", PASSWORD)];
        ana.send(&path, &page, &fields).await.goes_to("/me");
        ana.get("/me").await.says(200, "Not set up");
        let mut late = server.browser();
        late.get(&path).await.says(404, "This link works no more");

        let page = ana.get("/me").await.ok();
        ana.send("/sign-out", &page, &[]).await.goes_to("/sign-in");
        ana.get("/account/step-up?request=AR-1&status=pending-mfa").await.goes_to(
            "/sign-in?next=%2Faccount%2Fstep-up%3Fstatus%3Dpending-mfa%26request%3DAR-1",
        );
        let page = ana.get("/sign-in?next=/account/step-up").await.ok();
        let next = page.hidden("next");
        assert_eq!(next, "/account/step-up");
        let wrong = [("email", "ana@example.com"), ("password", "not this one"), ("next", next.as_str())];
        let refused = ana.send("/sign-in", &page, &wrong).await;
        refused.says(403, "Address or password is wrong");
        let unknown = [("email", "nobody@example.com"), ("password", "not this one"), ("next", "")];
        let other = ana.send("/sign-in", &page, &unknown).await;
        other.says(403, "Address or password is wrong");
        let right = [("email", "Ana@example.com"), ("password", PASSWORD), ("next", next.as_str())];
        ana.send("/sign-in", &page, &right).await.goes_to("/account/step-up");
    }

    async fn d02_too_many_passwords_are_refused_from_every_address(server) {
        server.signed_in("ana").await;
        let mut eve = server.browser();
        let page = eve.get("/sign-in").await.ok();
        for n in 0..10 {
            eve.address = [10, 0, 1, n].into();
            let wrong = [("email", "ana@example.com"), ("password", "not this one")];
            assert_eq!(eve.send("/sign-in", &page, &wrong).await.status, 403);
        }
        let right = [("email", "ana@example.com"), ("password", PASSWORD)];
        eve.send("/sign-in", &page, &right).await.says(429, "too many tries");
    }

    async fn a_second_factor_is_set_up_given_and_changed(server) {
        let mut ana = server.signed_in("ana").await;
        let (secret, codes) = enrol(&mut ana).await;
        let page = ana.get("/me").await.ok();
        page.says(200, "Recovery codes left: <strong>10</strong>");
        ana.send("/me/second-factor", &page, &[]).await.goes_to("/account/step-up?then=change");
        ana.send("/me/second-factor/remove", &page, &[]).await
            .goes_to("/account/step-up?then=change");

        let page = ana.get("/account/step-up?then=change").await.ok();
        let shown = page.hidden("page");
        let code = server.code(&secret);
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        let wrong = [("page", shown.as_str()), ("code", spaced.as_str())];
        ana.send("/account/step-up", &page, &wrong).await.says(403, "That code is not right");
        let both = [("page", shown.as_str()), ("code", code.as_str()), ("recovery_code", codes[0].as_str())];
        ana.send("/account/step-up", &page, &both).await.says(400, "Give one of the two");
        let right = [("page", shown.as_str()), ("code", code.as_str()), ("then", "change")];
        ana.send("/account/step-up", &page, &right).await.goes_to("/me");
        let page = ana.get("/me").await.ok();
        page.says(200, "Remove it");
        let newer = ana.send("/me/recovery-codes", &page, &[]).await.ok();
        assert!(!newer.text.contains(&codes[0]));
        ana.send("/me/second-factor/remove", &page, &[]).await.goes_to("/me");
        ana.get("/me").await.says(200, "Not set up");
    }

    async fn a_wrong_first_code_shows_the_same_secret_again(server) {
        let mut ana = server.signed_in("ana").await;
        let page = ana.get("/me").await.ok();
        let page = ana.send("/me/second-factor", &page, &[]).await.ok();
        let secret = page.between("<dt>Secret</dt><dd><code>", "</code>").to_owned();
        let again = ana.send("/me/second-factor/confirm", &page, &[("code", "12345 ")]).await;
        again.says(403, "That code is not right");
        assert_eq!(again.between("<dt>Secret</dt><dd><code>", "</code>"), secret);
    }

    async fn d08_a_request_is_named_in_plain_words_and_goes_on_by_a_code(server) {
        let ada = shop(&server).await;
        let mut browser = server.signed_in("ada").await;
        let (secret, codes) = enrol(&mut browser).await;
        let number = ask(&server.app, &ada).await;
        let page = browser.get(&format!("/account/step-up?request={number}")).await.ok();
        for words in [
            number.as_str(), "READ_ONLY", "shop/public/orders", "for 1 hour", "you",
            "because of &#60;b&#62;incident 7&#60;/b&#62;", "careful",
        ] {
            assert!(page.text.contains(words), "{words:?} is not in {}", page.text);
        }
        let later = ask(&server.app, &ada).await;
        let (shown, code) = (page.hidden("page"), server.code(&secret));
        let right = [("page", shown.as_str()), ("code", code.as_str()), ("only", number.as_str())];
        browser.send("/account/step-up", &page, &right).await.says(200, "1 request.");
        assert_eq!(state(&server.app, &ada, &number).await, RequestState::Granting);
        assert_eq!(state(&server.app, &ada, &later).await, RequestState::PendingMfa);
        browser.send("/account/step-up", &page, &right).await.says(409, "That page was used");

        let page = browser.get("/account/step-up").await.ok();
        let shown = page.hidden("page");
        let recovery = [("page", shown.as_str()), ("code", ""), ("recovery_code", codes[0].as_str())];
        browser.send("/account/step-up", &page, &recovery).await.says(200, "Thank you");
        assert_eq!(state(&server.app, &ada, &later).await, RequestState::Granting);
    }

    async fn e03_no_secret_of_a_page_is_on_record(server) {
        let mut ana = server.signed_in("ana").await;
        let (secret, codes) = enrol(&mut ana).await;
        let list = async |tx: &mut Tx| -> Result<String, StoreError> {
            let records = tx.list_audit(&AuditFilter::default(), &PageQuery::all()).await?;
            Ok(format!("{records:?}"))
        };
        let records = server.app.store().read(list).await.unwrap();
        for hidden in codes.iter().chain([&secret, &ana.cookies["__Host-latchkey"]]) {
            assert!(!records.contains(hidden.as_str()));
        }
        assert!(!records.contains("canary"));
    }
}

fn connector(now: jiff::Timestamp) -> latchkey_domain::integration::Connector {
    latchkey_domain::integration::Connector {
        id: ConnectorId::new("edge"),
        name: "edge".to_owned(),
        token_hash: None,
        created_at: now,
        last_connected_at: None,
        version: String::new(),
        cloud_provider_type: "ON_PREM".to_owned(),
        sessions: Vec::new(),
    }
}

/// A table, and a flow that asks for a second factor; Ada as a token acts for her.
async fn shop(server: &Server) -> Actor {
    let now = server.clock.now();
    let connector = connector(now);
    let integration = latchkey_domain::integration::Integration {
        id: IntegrationId::new("shop"),
        name: "shop".to_owned(),
        integration_type: "postgresql".to_owned(),
        category: "RESOURCES".to_owned(),
        connector_id: Some(connector.id.clone()),
        status: latchkey_domain::integration::IntegrationStatus::Active,
        status_detail: None,
        config: serde_json::Map::new(),
        secret_store: None,
        connected_resource_types: None,
        custom_access_details: None,
        owner: None,
        owners_mapping: None,
        last_sync_at: None,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let permission = latchkey_domain::inventory::Permission {
        id: PermissionId::derive(&integration.id, "postgresql-table", "READ_ONLY"),
        integration_id: integration.id.clone(),
        resource_type: "postgresql-table".to_owned(),
        name: "READ_ONLY".to_owned(),
        risk: None,
    };
    let flow = AccessFlow {
        id: FlowId::new("careful"),
        name: "careful".to_owned(),
        description: None,
        active: true,
        policy: FlowPolicy {
            trigger: FlowTrigger::SelfServe,
            requestors: ConditionSet {
                logical_operator: LogicalOperator::Or,
                conditions: vec![latchkey_domain::flow::Condition {
                    source_integration_id: None,
                    attribute_type: "user".to_owned(),
                    match_operator: None,
                    values: Some(vec!["ada@example.com".to_owned()]),
                    pinned_ids: vec![Some(ada(&server.app).await.user.id.to_string())],
                }],
            },
            request_for: None,
            request_for_others: false,
            access_targets: vec![FlowTarget::Integration(IntegrationTarget {
                integration_id: integration.id.clone(),
                resource_type: "postgresql-table".to_owned(),
                permissions: vec!["READ_ONLY".to_owned()],
                resources_scopes: None,
            })],
            approver_policy: None,
            escalation_policy: None,
            grant_duration_in_min: Some(60),
            timeframe: None,
            settings: FlowSettings {
                justification_required: false,
                require_approver_reason: false,
                requestor_cannot_approve_himself: true,
                require_mfa: true,
                labels: Vec::new(),
                max_extensions: 0,
                extension_duration_in_min: 0,
                require_justification_on_request_again: false,
            },
            legacy: LegacyPolicy::default(),
        },
        version: 1,
        created_at: now,
        updated_at: None,
    };
    let fill = async |tx: &mut Tx| -> Result<(), StoreError> {
        tx.insert_connector(&connector).await?;
        tx.insert_integration(&integration).await?;
        tx.put_permissions(&integration.id, &[permission]).await?;
        let found = latchkey_domain::provisioning::DiscoveredResource {
            resource_type: "postgresql-table".to_owned(),
            source_id: "table:shop/public/orders".to_owned(),
            name: "orders".to_owned(),
            path: "shop/public/orders".to_owned(),
            tags: std::collections::BTreeMap::new(),
            context: std::collections::BTreeMap::new(),
        };
        tx.record_changes(&integration.id, &[found], &[]).await?;
        tx.insert_flow(&flow).await
    };
    server.app.store().write(fill).await.unwrap();
    ada(&server.app).await
}

/// Ada, as a token of hers acts.
async fn ada(app: &App) -> Actor {
    let find = async |tx: &mut Tx| tx.find_user_by_email("ada@example.com").await;
    let user = app.store().read(find).await.unwrap().unwrap();
    Actor::new(user, [TokenScope::Read, TokenScope::Request].into(), None)
}

/// Asks with a token; the number of the request.
async fn ask(app: &App, actor: &Actor) -> String {
    let integration = IntegrationId::new("shop");
    let command = RequestAccess {
        entitlements: vec![(
            ResourceId::derive(&integration, "table:shop/public/orders"),
            PermissionId::derive(&integration, "postgresql-table", "READ_ONLY"),
        )],
        justification: Some("because of <b>incident 7</b>".to_owned()),
        ..RequestAccess::default()
    };
    let filed = request_access(app, actor, command).await.unwrap().remove(0);
    assert_eq!(filed.request.state, RequestState::PendingMfa);
    format!("AR-{}", filed.request.number)
}

async fn state(app: &App, actor: &Actor, number: &str) -> RequestState {
    get_client_request(app, actor, number).await.unwrap().request.state
}
