//! Policy as code: all of a run or nothing, once and not again, with everything that is wrong.

use latchkey_app::{
    Actor, ErrorKind,
    access_scopes::AccessScopeCommand,
    bundles::{BundleCommand, BundleTargetInput},
    flows::{FlowCommand, TargetInput},
    groups::{CreateGroup, create_group},
    integrations::{Format, IntegrationCommand, update_integration},
    policy_as_code::{
        Applied, ApplyPolicy, Document, Outcome, PolicyKind, PolicyObject, Refusal, RefusedAt,
        Says, apply_policy, export_policy,
    },
};
use latchkey_domain::{
    people::{Group, Role},
    request::RequestState,
};
use serde_json::{Value, json};

use crate::{
    flows::command,
    ground::{Ground, TABLES},
    office::{first_admin, kind_of, records_of, somebody_with},
};

const QUERY: &str = r#"resource_type = "postgresql-table""#;

fn document(says: Says) -> Document {
    Document { id: None, says }
}

fn group(name: &str, members: &[&str]) -> Document {
    let members_emails = members.iter().map(|name| format!("{name}@example.com")).collect();
    let name = name.to_owned();
    document(Says::Group(CreateGroup { name, members_emails, ..CreateGroup::default() }))
}

fn group_of(name: &str, groups: &[&str]) -> Document {
    document(Says::Group(CreateGroup {
        name: name.to_owned(),
        member_groups: groups.iter().map(|&name| name.to_owned()).collect(),
        ..CreateGroup::default()
    }))
}

fn scope(name: &str, query: &str) -> Document {
    let (name, query) = (name.to_owned(), query.to_owned());
    document(Says::AccessScope(AccessScopeCommand { name, description: None, query }))
}

fn bundle(name: &str, scopes: &[&str]) -> Document {
    let target = |scope: &&str| BundleTargetInput::AccessScope((*scope).to_owned());
    let targets = scopes.iter().map(target).collect();
    document(Says::Bundle(BundleCommand { name: name.to_owned(), targets }))
}

fn flow(name: &str, bundle: &str) -> Document {
    let access_targets = vec![TargetInput::Bundle(bundle.to_owned())];
    document(Says::AccessFlow(Box::new(FlowCommand { access_targets, ..command(name) })))
}

/// What everything hangs on comes last.
fn documents() -> Vec<Document> {
    vec![
        flow("readers", "Starter"),
        bundle("starter", &["TABLES"]),
        scope("tables", QUERY),
        group("support", &["ana", "bob"]),
    ]
}

fn shop(config: Value) -> Document {
    let Value::Object(config) = config else { unreachable!("configuration is an object") };
    let command = IntegrationCommand {
        name: "Shop".to_owned(),
        config,
        format: Format::Document,
        ..IntegrationCommand::default()
    };
    document(Says::Integration {
        integration_type: "postgresql".to_owned(),
        command: Box::new(command),
    })
}

async fn outcome(ground: &Ground, command: ApplyPolicy) -> Outcome {
    apply_policy(&ground.app, &Actor::command_line(), command).await.unwrap()
}

async fn applied(ground: &Ground, documents: Vec<Document>) -> Applied {
    match outcome(ground, ApplyPolicy { documents, ..ApplyPolicy::default() }).await {
        Outcome::Applied(applied) => applied,
        Outcome::Refused(refusals) => unreachable!("{refusals:?}"),
    }
}

async fn refused(ground: &Ground, documents: Vec<Document>) -> Vec<Refusal> {
    match outcome(ground, ApplyPolicy { documents, ..ApplyPolicy::default() }).await {
        Outcome::Applied(applied) => unreachable!("{applied:?}"),
        Outcome::Refused(refusals) => refusals,
    }
}

async fn tried(ground: &Ground, documents: Vec<Document>, prune: bool) -> Applied {
    match outcome(ground, ApplyPolicy { documents, prune, dry_run: true }).await {
        Outcome::Applied(applied) => applied,
        Outcome::Refused(refusals) => unreachable!("{refusals:?}"),
    }
}

async fn records(ground: &Ground) -> usize {
    let page = latchkey_store::PageQuery::all();
    let filter = latchkey_store::AuditFilter::default();
    ground.write(async |tx| tx.list_audit(&filter, &page).await.unwrap().len()).await
}

/// Kinds and names of what is stored.
async fn stored(ground: &Ground) -> Vec<(PolicyKind, String)> {
    let objects = export_policy(&ground.app, &Actor::command_line()).await.unwrap();
    objects.iter().map(|one| (one.kind(), one.name().to_owned())).collect()
}

both_databases! {
    async fn groups_within_groups_come_in_from_the_inside_out(ground) {
        first_admin(ground).await;
        let documents = || vec![
            group_of("company", &["ENGINEERS", "support"]),
            group_of("engineers", &["platform"]),
            group("platform", &["bob"]),
            group("support", &["ana"]),
        ];
        let command = || ApplyPolicy { documents: documents(), ..ApplyPolicy::default() };
        assert!(matches!(outcome(ground, command()).await, Outcome::Applied(one) if one.changes.len() == 4));
        assert!(matches!(outcome(ground, command()).await, Outcome::Applied(one) if one.unchanged == 4));
        let stored = export_policy(&ground.app, &Actor::command_line()).await.unwrap();
        let PolicyObject::Group(company) = &stored[0] else { unreachable!("groups come first") };
        assert_eq!(company.member_groups, ["engineers", "support"]);

        let circle = vec![group_of("platform", &["company"])];
        let refused = outcome(ground, ApplyPolicy { documents: circle, ..ApplyPolicy::default() }).await;
        let Outcome::Refused(refused) = refused else { unreachable!("a circle is no order") };
        assert!(refused[0].error.message.contains("cannot be within it as well"), "{refused:?}");
        let unknown = vec![group_of("platform", &["nobody"])];
        let refused = outcome(ground, ApplyPolicy { documents: unknown, ..ApplyPolicy::default() }).await;
        let Outcome::Refused(refused) = refused else { unreachable!("nobody is unknown") };
        assert_eq!(refused[0].error.errors[0].field, "member_groups[0]");
        let fewer = vec![group_of("company", &["support"])];
        outcome(ground, ApplyPolicy { documents: fewer, ..ApplyPolicy::default() }).await;
        assert_eq!(records_of(ground, "group.group_removed").await, 1);
    }

    async fn documents_may_name_each_other_in_any_order_and_a_second_run_writes_nothing(ground) {
        let first = applied(ground, documents()).await;
        let order: Vec<usize> = first.changes.iter().filter_map(|one| one.document).collect();
        assert_eq!((order.as_slice(), first.unchanged), (&[3, 2, 1, 0][..], 0));
        assert!(first.changes.iter().all(|one| one.before.is_none() && one.after.is_some()));
        for action in ["group", "access_scope", "bundle", "access_flow"] {
            assert_eq!(records_of(ground, &format!("{action}.created")).await, 1, "{action}");
        }
        let before = records(ground).await;
        let second = applied(ground, documents()).await;
        assert_eq!((second.changes.len(), second.unchanged), (0, 4));
        assert_eq!(records(ground).await, before);

        // Without letter case it is the same one; what it is called is a change like any other.
        let mut renamed = documents();
        renamed[1] = bundle("Starter", &["tables"]);
        let third = applied(ground, renamed).await;
        assert_eq!((third.changes.len(), third.unchanged), (1, 3));
        assert_eq!(third.changes[0].after.as_ref().unwrap().name(), "Starter");
        assert_eq!(records(ground).await, before + 1);
    }

    async fn a_fault_in_the_last_document_leaves_nothing_of_the_first(ground) {
        let (before, was) = (records(ground).await, stored(ground).await);
        // The flow is last in effect: everything else is written by then.
        let mut documents = documents();
        let Says::AccessFlow(flow) = &mut documents[0].says else { unreachable!() };
        flow.access_targets.push(TargetInput::AccessScope("none".to_owned()));
        let refusals = refused(ground, documents).await;
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        assert_eq!(refusals[0].at, RefusedAt::Document(0));
        let fields: Vec<&str> =
            refusals[0].error.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["access_targets[1].access_scope.access_scope_reference"]);
        assert_eq!((records(ground).await, stored(ground).await), (before, was));
    }

    async fn a_trial_tells_what_the_run_then_does_and_writes_nothing(ground) {
        let (before, was) = (records(ground).await, stored(ground).await);
        let trial = tried(ground, documents(), false).await;
        assert_eq!((records(ground).await, stored(ground).await), (before, was));
        let run = applied(ground, documents()).await;
        let told = |applied: &Applied| -> Vec<(PolicyKind, String)> {
            let after = applied.changes.iter().filter_map(|one| one.after.as_ref());
            after.map(|one| (one.kind(), one.name().to_owned())).collect()
        };
        assert_eq!(told(&trial), told(&run));
        assert_eq!(trial.unchanged, run.unchanged);
    }

    async fn everything_that_is_wrong_is_told_at_once(ground) {
        let wrong = vec![
            scope("broken", "resource = "),
            group("support", &["nobody"]),
            scope("Tables", QUERY),
            flow("readers", "none"),
            scope("tables", QUERY),
            Document { id: Some("none".to_owned()), ..bundle("starter", &[]) },
        ];
        let refusals = refused(ground, wrong).await;
        let mut told: Vec<(RefusedAt, Vec<&str>)> = refusals
            .iter()
            .map(|one| {
                let fields = one.error.errors.iter().map(|error| error.field.as_str()).collect();
                (one.at.clone(), fields)
            })
            .collect();
        told.sort_by_key(|(at, _)| match at {
            RefusedAt::Document(at) | RefusedAt::Twice(at, _) => *at,
            RefusedAt::Unwanted(..) => usize::MAX,
        });
        assert_eq!(told, [
            (RefusedAt::Document(0), vec!["query"]),
            (RefusedAt::Document(1), vec!["members_emails[0]"]),
            (RefusedAt::Document(3), vec!["access_targets[0].bundle.bundle_reference"]),
            (RefusedAt::Twice(4, 2), vec![]),
            (RefusedAt::Document(5), vec!["id"]),
        ]);
    }

    async fn an_id_names_what_is_renamed_and_two_documents_cannot_mean_one_thing(ground) {
        applied(ground, documents()).await;
        let objects = export_policy(&ground.app, &Actor::command_line()).await.unwrap();
        let tables = objects.iter().find(|one| one.name() == "tables").unwrap();
        let renamed = Document { id: Some(tables.id().to_owned()), ..scope("all tables", QUERY) };
        let twice = refused(ground, vec![scope("tables", QUERY), renamed.clone()]).await;
        assert_eq!(twice[0].at, RefusedAt::Twice(1, 0));
        let told = applied(ground, vec![renamed, bundle("starter", &["all tables"])]).await;
        assert_eq!((told.changes.len(), told.unchanged), (1, 1), "what refers to it follows");
    }

    async fn pruning_deletes_what_has_no_document_of_the_kinds_that_have_any(ground) {
        applied(ground, documents()).await;
        let kept = vec![scope("tables", QUERY), bundle("other", &[])];
        let command = ApplyPolicy { documents: kept, prune: true, dry_run: false };
        let Outcome::Refused(refusals) = outcome(ground, command).await else { unreachable!() };
        let unwanted = RefusedAt::Unwanted(PolicyKind::Bundle, "starter".to_owned());
        assert_eq!((refusals.len(), &refusals[0].at), (1, &unwanted));
        assert!(refusals[0].error.message.contains("\"readers\""), "{refusals:?}");
        assert!(!stored(ground).await.contains(&(PolicyKind::Bundle, "other".to_owned())));

        let kept = vec![scope("tables", QUERY), bundle("other", &[]), flow("others", "other")];
        let command = ApplyPolicy { documents: kept, prune: true, dry_run: false };
        let Outcome::Applied(told) = outcome(ground, command).await else { unreachable!() };
        let deleted: Vec<&str> = told
            .changes
            .iter()
            .filter(|one| one.after.is_none())
            .map(|one| one.before.as_ref().unwrap().name())
            .collect();
        assert_eq!(deleted, ["readers", "starter"], "what others hang on goes last");
        let group = (PolicyKind::Group, "support".to_owned());
        assert!(stored(ground).await.contains(&group), "no document is about a group");
        assert_eq!(records_of(ground, "access_flow.deleted").await, 1);
    }

    async fn requests_that_end_with_a_flow_are_counted_before_they_end(ground) {
        let asked = ground.flow("asked", Some(60), &[&ground.bob]).await;
        let pending = ground.ask(&[TABLES[0]], None).await;
        let other = document(Says::AccessFlow(Box::new(command("other"))));
        let trial = tried(ground, vec![other.clone()], true).await;
        let deleted = trial.changes.iter().find(|one| one.after.is_none()).unwrap();
        assert_eq!((deleted.before.as_ref().unwrap().id(), deleted.requests_ended), (
            asked.id.as_str(),
            1
        ));
        assert_eq!(ground.state(&pending).await, RequestState::Pending);

        let off = FlowCommand { active: false, ..command("asked") };
        let off = document(Says::AccessFlow(Box::new(off)));
        let told = applied(ground, vec![other, off]).await;
        assert_eq!(told.changes[1].requests_ended, 1);
        assert_eq!(ground.state(&pending).await, RequestState::Cancelled);
    }

    async fn what_live_access_hangs_on_stays_as_it_is(ground) {
        let config = |role: &str| json!({ "hostname": "h", "secret_ref": "env:SHOP", "role": role });
        let first = applied(ground, vec![shop(config("one"))]).await;
        assert_eq!(first.changes.len(), 1);
        ground.flow("free", Some(60), &[]).await;
        ground.ask(&[TABLES[0]], None).await;
        let refusals = refused(ground, vec![shop(config("two")), scope("new", QUERY)]).await;
        assert_eq!((refusals.len(), &refusals[0].at), (1, &RefusedAt::Document(0)));
        assert_eq!(refusals[0].error.kind, ErrorKind::Conflict);
        assert!(!stored(ground).await.contains(&(PolicyKind::AccessScope, "new".to_owned())));
        let same = applied(ground, vec![shop(config("one"))]).await;
        assert_eq!((same.changes.len(), same.unchanged), (0, 1));
        let admin = Actor::command_line();
        let id = &ground.integration.clone();
        let Says::Integration { command, .. } = shop(config("one")).says else { unreachable!() };
        // By hand it is written even so, and discovered anew.
        update_integration(&ground.app, &admin, id, *command).await.unwrap();
        // A discovery run is due; what these tests settle are grants.
        latchkey_app::integrations::retire_integration(&ground.app, &admin, id, "over")
            .await
            .unwrap();
    }

    async fn groups_of_identity_sources_are_neither_told_nor_touched(ground) {
        let synced = Group {
            id: latchkey_domain::ids::GroupId::new("synced"),
            name: "oncall".to_owned(),
            source_integration_id: Some(ground.integration.clone()),
            source_id: Some("s-1".to_owned()),
            created_at: ground.app.clock().now(),
        };
        ground.write(async |tx| tx.insert_group(&synced).await.unwrap()).await;
        assert!(stored(ground).await.iter().all(|(kind, _)| *kind != PolicyKind::Group));
        let by_id = Document { id: Some("synced".to_owned()), ..group("oncall", &["ana"]) };
        let refusals = refused(ground, vec![by_id]).await;
        assert_eq!(refusals[0].error.kind, ErrorKind::Conflict);

        let command = CreateGroup { name: "mine".to_owned(), ..CreateGroup::default() };
        create_group(&ground.app, &Actor::command_line(), command).await.unwrap();
        let command = ApplyPolicy {
            documents: vec![group("support", &[])],
            prune: true,
            dry_run: false,
        };
        let Outcome::Applied(told) = outcome(ground, command).await else { unreachable!() };
        assert_eq!(told.changes.len(), 2);
        let left = ground.write(async |tx| tx.find_group(&synced.id).await.unwrap()).await;
        assert_eq!(left, Some(synced));
    }

    async fn every_kind_needs_the_right_to_manage_it(ground) {
        first_admin(ground).await;
        let systems = somebody_with(ground, "dora", Some(Role::Deployment)).await;
        let policy = somebody_with(ground, "pia", Some(Role::PowerUser)).await;
        let command = |documents| ApplyPolicy { documents, ..ApplyPolicy::default() };
        let outcome = apply_policy(&ground.app, &systems, command(documents())).await;
        assert_eq!(kind_of(outcome), ErrorKind::Forbidden);
        let config = json!({ "hostname": "h", "secret_ref": "env:SHOP" });
        let outcome = apply_policy(&ground.app, &policy, command(vec![shop(config)])).await;
        assert_eq!(kind_of(outcome), ErrorKind::Forbidden);
        apply_policy(&ground.app, &policy, command(documents())).await.unwrap();
        assert_eq!(kind_of(export_policy(&ground.app, &ground.ana).await), ErrorKind::Forbidden);
    }
}
