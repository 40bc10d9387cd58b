//! Who is told what, by a real mail server and a real receiver of webhooks.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use latchkey_app::{
    Actor,
    automatic::follow_conditions,
    jobs::run_due_jobs,
    notifications::{
        Deliverer, MailConfig, MailTls, Mailer, NotificationConfig, signature, standing, webhook,
    },
    reports::{SaveReport, create_report, delete_report},
    requests::{
        RequestAccess, approve_request, extend_request, reject_request, request_access,
        revoke_request,
    },
    settings::set_setting,
};
use latchkey_domain::{
    Clock,
    activity::ActivityField,
    flow::{ApproverGroup, EscalationPolicy, FlowTrigger, LogicalOperator},
    ids::UserId,
    people::{Role, User, UserStatus},
    report::{
        RelativeUnit, ReportDefinition, ReportFilters, ReportFormat, ReportSchedule,
        ReportTimeframe,
    },
    request::RequestState,
};
use latchkey_store::AuditFilter;
use latchkey_testkit::systems::{MailProtection, MailServer, TakenMail};
use serde_json::{Value, json};

use crate::{
    ground::{Ground, is_user},
    on_both_databases,
    receiver::{Answer, Receiver},
};

async fn mail_server(protection: MailProtection) -> MailServer {
    let started = tokio::task::spawn_blocking(move || MailServer::start(protection));
    started.await.unwrap().unwrap()
}

fn config(server: &MailServer, tls: MailTls) -> MailConfig {
    MailConfig {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        tls,
        ca_pem: (tls != MailTls::None).then(|| server.authority().unwrap()),
        user: Some(MailServer::USER.to_owned()),
        password: Some(MailServer::PASSWORD.into()),
        from: "Latchkey <latchkey@example.com>".to_owned(),
    }
}

fn deliverer(ground: &Ground, mail: Option<&MailConfig>) -> Deliverer {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = NotificationConfig {
        mailer: mail.map(|config| Mailer::new(config).unwrap()),
        public_url: Some("https://latchkey.example.com/".to_owned()),
        ..NotificationConfig::default()
    };
    Deliverer::new(ground.app.clone(), config)
}

/// A plain mail server and a deliverer that uses it.
async fn post_office(ground: &Ground) -> (MailServer, Deliverer) {
    let server = mail_server(MailProtection::None).await;
    let deliverer = deliverer(ground, Some(&config(&server, MailTls::None)));
    (server, deliverer)
}

/// The header of a mail, unfolded.
fn header<'a>(mail: &'a TakenMail, name: &str) -> Option<&'a str> {
    let (head, _) = mail.content.split_once("\r\n\r\n").unwrap();
    head.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Who got which subject since `from`.
fn told(server: &MailServer, from: usize) -> BTreeSet<(String, String)> {
    let mails = server.mails().unwrap();
    let told = mails.iter().skip(from).map(|mail| {
        assert_eq!(mail.to.len(), 1);
        (mail.to[0].clone(), header(mail, "subject").unwrap().to_owned())
    });
    told.collect()
}

fn both(one: (&str, &str), two: (&str, &str)) -> BTreeSet<(String, String)> {
    [one, two].map(|(to, subject)| (to.to_owned(), subject.to_owned())).into()
}

async fn a_person(ground: &Ground, email: &str, first_name: &str) -> User {
    let mut user = ground.bob.user.clone();
    user.id = UserId::generate(ground.clock.now(), ground.app.rng());
    email.clone_into(&mut user.email);
    first_name.clone_into(&mut user.first_name);
    ground.write(async |tx| tx.insert_user(&user).await.unwrap()).await;
    user
}

async fn waiting(ground: &Ground) -> u64 {
    ground.write(async |tx| tx.count_outbox().await.unwrap()).await
}

fn commanding() -> Actor {
    Actor::command_line()
}

on_both_databases! {
    async fn the_requestor_alone_is_told_to_give_the_second_factor_by_a_link(ground) {
        let (server, deliverer) = post_office(ground).await;
        let mut flow = ground.flow("careful", Some(60), &[&ground.bob]).await;
        flow.policy.settings.require_mfa = true;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let request = ground.ask(&["orders"], None).await;
        deliverer.deliver_due().await.unwrap();
        let mails = server.mails().unwrap();
        assert_eq!(mails.len(), 1, "approvers are not asked yet");
        assert_eq!(mails[0].to, ["ana@example.com"]);
        let subject = header(&mails[0], "subject").unwrap();
        assert_eq!(subject, "AR-1 waits for your second factor");
        let content = mails[0].content.replace("=\r\n", "").replace("=3D", "=");
        let link = format!(
            "https://latchkey.example.com/account/step-up?status=pending-mfa&request={}",
            request.request.id
        );
        assert!(content.contains(&link), "{content}");
    }

    async fn people_are_told_what_becomes_of_a_request(ground) {
        let server = mail_server(MailProtection::StartTls).await;
        let deliverer = deliverer(ground, Some(&config(&server, MailTls::StartTls)));
        ground.flow("read", Some(60), &[&ground.bob, &ground.cleo]).await;
        let request = ground.ask(&["orders"], None).await;
        deliverer.deliver_due().await.unwrap();
        let asks = "AR-1: ana Test asks for access, and you may decide";
        assert_eq!(told(&server, 0), both(("bob@example.com", asks), ("cleo@example.com", asks)));

        let id = request.request.id.as_str();
        let reason = Some("for the incident".to_owned());
        approve_request(&ground.app, &ground.bob, id, reason, None).await.unwrap();
        deliverer.deliver_due().await.unwrap();
        ground.settle().await;
        deliverer.deliver_due().await.unwrap();
        assert_eq!(
            told(&server, 2),
            both(
                ("ana@example.com", "AR-1 is approved"),
                ("ana@example.com", "AR-1: access is in place"),
            )
        );
        ground.pass(3000).await;
        ground.settle().await;
        deliverer.deliver_due().await.unwrap();
        let reminders = told(&server, 4);
        let (to, subject) = reminders.first().unwrap();
        assert_eq!(reminders.len(), 1);
        assert_eq!(to, "ana@example.com");
        assert!(subject.starts_with("AR-1: access ends at 2"), "{subject}");
        ground.pass(600).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        deliverer.deliver_due().await.unwrap();
        let ended = ("ana@example.com".to_owned(), "AR-1: access has ended".to_owned());
        assert_eq!(told(&server, 5), BTreeSet::from([ended]));

        let mails = server.mails().unwrap();
        let ids: BTreeSet<&str> =
            mails.iter().map(|mail| header(mail, "message-id").unwrap()).collect();
        assert_eq!(ids.len(), mails.len());
        for mail in &mails {
            assert!(mail.encrypted, "{mail:?}");
            assert!(!mail.content.contains("canary"), "{}", mail.content);
            assert_eq!(mail.from, "latchkey@example.com");
            assert_eq!(header(mail, "auto-submitted"), Some("auto-generated"));
            for part in ["text/plain", "text/html", "shop/public/orders", "to test"] {
                assert!(mail.content.contains(part), "{part}: {}", mail.content);
            }
        }
        assert!(mails[0].content.contains("https://latchkey.example.com/tasks"));
        let approved = mails.iter().find(|mail| mail.content.contains("Approved by")).unwrap();
        assert!(approved.content.contains("bob Test: for the incident"), "{}", approved.content);
        assert_eq!(waiting(ground).await, 0);
    }

    async fn people_are_told_of_a_refusal_and_of_what_could_not_be_done(ground) {
        let (server, deliverer) = post_office(ground).await;
        ground.flow("read", Some(60), &[&ground.bob]).await;
        let refused = ground.ask(&["orders"], None).await;
        let id = refused.request.id.as_str();
        reject_request(&ground.app, &ground.bob, id, Some("not today".to_owned())).await.unwrap();
        deliverer.deliver_due().await.unwrap();
        let rejected = ("ana@example.com".to_owned(), "AR-1 is rejected".to_owned());
        // It was decided before anybody could be asked, so nobody is.
        assert_eq!(told(&server, 0), BTreeSet::from([rejected]));
        assert!(server.mails().unwrap()[0].content.contains("not today"));

        let taken_back = ground.ask(&["orders"], None).await;
        let id = taken_back.request.id.as_str();
        revoke_request(&ground.app, &ground.ana, id).await.unwrap();
        deliverer.deliver_due().await.unwrap();
        assert_eq!(server.mails().unwrap().len(), 1, "who takes a request back knows");

        ground.mood = crate::ground::Mood::Refuses("customers");
        let failing = ground.ask(&["customers"], None).await;
        let id = failing.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&failing).await, RequestState::Failed);
        deliverer.deliver_due().await.unwrap();
        let subjects: Vec<String> = told(&server, 1).into_iter().map(|(_, text)| text).collect();
        assert_eq!(subjects, ["AR-3 is approved", "AR-3: access could not be put in place"]);
        let mails = server.mails().unwrap();
        let failed = mails.iter().find(|mail| header(mail, "subject").unwrap().contains("could"));
        assert!(failed.unwrap().content.contains("refused, says it"));
        ground.mood = crate::ground::Mood::Works;
    }

    async fn e06_what_people_write_becomes_neither_header_nor_markup(ground) {
        let (server, deliverer) = post_office(ground).await;
        let attack = "<img src=x onerror=alert(1)>\r\nBcc: victim@example.com\r\n\r\nBody";
        let eve = a_person(ground, "eve@example.com", attack).await;
        let eve = Actor::new(eve, ground.bob.scopes.clone(), None);
        ground.flow("read", Some(60), &[&eve]).await;
        attack.clone_into(&mut ground.ana.user.first_name);
        let ana = ground.ana.user.clone();
        ground.write(async |tx| tx.update_user(&ana).await.unwrap()).await;
        let asked = ground.ask(&["orders"], None).await;
        deliverer.deliver_due().await.unwrap();
        let mail = server.mails().unwrap().remove(0);
        assert_eq!(mail.to, ["eve@example.com"]);
        let (head, body) = mail.content.split_once("\r\n\r\n").unwrap();
        for line in head.split("\r\n") {
            assert!(!line.to_lowercase().starts_with("bcc"), "{head}");
        }
        let (_, html) = body.split_once("Content-Type: text/html").unwrap();
        assert!(html.contains("&lt;img") && !html.contains("<img"), "{html}");
        let id = asked.request.id.as_str();
        revoke_request(&ground.app, &ground.ana, id).await.unwrap();
    }

    async fn a_mailbox_that_refuses_keeps_nobody_else_waiting(ground) {
        let (server, deliverer) = post_office(ground).await;
        let mut approvers = Vec::new();
        for email in ["later@example.com", "gone@example.com"] {
            let user = a_person(ground, email, "x").await;
            approvers.push(Actor::new(user, ground.bob.scopes.clone(), None));
        }
        ground.flow("read", Some(60), &[&approvers[0], &approvers[1], &ground.bob]).await;
        ground.ask(&["orders"], None).await;
        deliverer.deliver_due().await.unwrap();
        let to: Vec<String> = told(&server, 0).into_iter().map(|(to, _)| to).collect();
        assert_eq!(to, ["bob@example.com"]);
        let (now, dead) = standing(&ground.app, &commanding()).await.unwrap();
        assert_eq!((now.waiting, now.failing, now.dead), (1, 1, 1));
        assert!(now.last_error.unwrap().contains("try again later"));
        assert!(dead[0].last_error.contains("no such mailbox"), "{dead:?}");
        let given_up = given_up(ground).await;
        assert_eq!(given_up.len(), 1);
        assert_eq!(given_up[0]["to"], approvers[1].user.id.as_str());

        deliverer.deliver_due().await.unwrap();
        assert_eq!(told(&server, 1).len(), 0, "not before its time");
        ground.pass(10).await;
        deliverer.deliver_due().await.unwrap();
        let to: Vec<String> = told(&server, 1).into_iter().map(|(to, _)| to).collect();
        assert_eq!(to, ["later@example.com"]);
        assert_eq!(waiting(ground).await, 0);
    }

    async fn what_cannot_be_sent_is_tried_less_and_less_often_and_given_up_after_three_days(ground) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let nowhere = MailConfig {
            host: "127.0.0.1".to_owned(),
            port: latchkey_testkit::systems::free_port().unwrap(),
            tls: MailTls::None,
            ca_pem: None,
            user: None,
            password: None,
            from: "latchkey@example.com".to_owned(),
        };
        let deliverer = deliverer(ground, Some(&nowhere));
        ground.flow("read", Some(60), &[&ground.bob]).await;
        // A request that waits so long needs a longer wait for a decision.
        let long = json!(30 * 86_400);
        set_setting(&ground.app, &commanding(), "approval_expiry_sec", long).await.unwrap();
        ground.ask(&["orders"], None).await;
        let mut tries = 0;
        for _ in 0..(3 * 24 * 12) {
            tries += usize::from(deliverer.deliver_due().await.unwrap() > 0);
            ground.clock.advance(std::time::Duration::from_mins(5));
        }
        assert!((60..=80).contains(&tries), "{tries} tries");
        assert_eq!(given_up(ground).await.len(), 0);
        ground.pass(3600 * 2).await;
        deliverer.deliver_due().await.unwrap();
        assert_eq!(given_up(ground).await.len(), 1);
        assert_eq!(waiting(ground).await, 0);
        let (now, dead) = standing(&ground.app, &commanding()).await.unwrap();
        assert_eq!((now.dead, dead.len()), (1, 1));
    }

    async fn without_a_mail_server_no_mail_is_queued(ground) {
        let deliverer = deliverer(ground, None);
        ground.flow("read", Some(60), &[&ground.bob]).await;
        ground.ask(&["orders"], None).await;
        assert_eq!(waiting(ground).await, 1);
        assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
        assert_eq!(waiting(ground).await, 0);
    }

    async fn two_servers_send_each_mail_once(ground) {
        let (server, one) = post_office(ground).await;
        let two = deliverer(ground, Some(&config(&server, MailTls::None)));
        ground.flow("read", Some(60), &[&ground.bob, &ground.cleo]).await;
        for table in ["orders", "customers", "invoices"] {
            ground.ask(&[table], None).await;
        }
        for _ in 0..3 {
            let (a, b) = tokio::join!(one.deliver_due(), two.deliver_due());
            a.unwrap();
            b.unwrap();
        }
        assert_eq!(server.mails().unwrap().len(), 6);
        assert_eq!(told(&server, 0).len(), 6);
    }

    async fn the_connection_is_protected_as_configured_and_the_password_never_told(ground) {
        let tls = mail_server(MailProtection::Tls).await;
        let mailer = |config: &MailConfig| Mailer::new(config).unwrap();
        let _ = deliverer(ground, None);
        mailer(&config(&tls, MailTls::Tls)).check().await.unwrap();
        let unknown = MailConfig { ca_pem: None, ..config(&tls, MailTls::Tls) };
        let refused = mailer(&unknown).check().await.unwrap_err();
        assert!(refused.to_lowercase().contains("certificate"), "{refused}");

        let plain = mail_server(MailProtection::None).await;
        let authority = Some(tls.authority().unwrap());
        let stripped = MailConfig {
            ca_pem: authority,
            tls: MailTls::StartTls,
            ..config(&plain, MailTls::None)
        };
        let refused = mailer(&stripped).check().await.unwrap_err();
        assert!(refused.to_lowercase().contains("starttls"), "{refused}");
        let wrong = MailConfig {
            password: Some("canary-wrong".into()),
            ..config(&plain, MailTls::None)
        };
        let refused = mailer(&wrong).check().await.unwrap_err();
        assert!(refused.contains("535") && !refused.contains("canary"), "{refused}");
        assert!(!format!("{:?}", config(&plain, MailTls::None)).contains("canary"));
        let elsewhere =
            MailConfig { host: "mail.example.com".to_owned(), ..config(&plain, MailTls::None) };
        assert!(Mailer::new(&elsewhere).unwrap_err().to_string().contains("in the clear"));
    }

    async fn a_report_goes_out_with_its_file(ground) {
        let (server, deliverer) = post_office(ground).await;
        ground.flow("read", Some(60), &[]).await;
        ground.ask(&["orders"], Some(60)).await;
        let save = |name: &str, format| SaveReport {
            name: name.to_owned(),
            definition: ReportDefinition {
                fields: Some(vec![ActivityField::RequestorEmail, ActivityField::Resources]),
                filters: ReportFilters::default(),
                timeframe: ReportTimeframe::Relative {
                    last: 1,
                    unit: RelativeUnit::Day,
                    rounded: false,
                },
                schedule: Some(ReportSchedule {
                    cron_expression: "0 * * * *".to_owned(),
                    recipients: vec!["audit@example.com".to_owned()],
                }),
                format,
            },
        };
        let app = &ground.app;
        create_report(app, &commanding(), save("=rows\" of the hour", None)).await.unwrap();
        let pdf = save("printed", Some(ReportFormat::Pdf));
        create_report(app, &commanding(), pdf).await.unwrap();
        let dropped = create_report(app, &commanding(), save("dropped", None)).await.unwrap();
        ground.pass(3600).await;
        run_due_jobs(&ground.app).await.unwrap();
        delete_report(&ground.app, &commanding(), &dropped.id).await.unwrap();
        let before = server.mails().unwrap().len();
        deliverer.deliver_due().await.unwrap();
        let mails: Vec<TakenMail> = server.mails().unwrap().into_iter().skip(before)
            .filter(|mail| mail.to == ["audit@example.com"]).collect();
        assert_eq!(mails.len(), 2, "one that was deleted meanwhile goes to nobody");
        for mail in &mails {
            let subject = header(mail, "subject").unwrap();
            let (name, content) = attachment(mail);
            if subject.contains("printed") {
                assert!(name.starts_with("printed-2") && name.contains(".pdf"), "{name}");
                assert!(content.starts_with(b"%PDF"));
            } else {
                assert!(name.starts_with("rows-of-the-hour-2") && name.contains(".csv"), "{name}");
                assert_eq!(
                    String::from_utf8(content).unwrap(),
                    "\"requestor_email\",\"resources\"\r\n\"ana@example.com\",\"orders\"\r\n"
                );
            }
        }
        ground.settle().await;
    }

    async fn people_are_told_of_a_later_end_and_further_tiers_of_what_waits(ground) {
        let (server, deliverer) = post_office(ground).await;
        let mut flow = ground.flow("read", Some(60), &[&ground.bob]).await;
        flow.policy.settings.max_extensions = 1;
        flow.policy.settings.extension_duration_in_min = 30;
        flow.policy.escalation_policy = Some(EscalationPolicy {
            interval_in_min: 10,
            approver_groups: vec![ApproverGroup {
                logical_operator: LogicalOperator::Or,
                approvers: vec![is_user(&ground.bob.user), is_user(&ground.cleo.user)],
            }],
        });
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let request = ground.ask(&["orders"], None).await;
        deliverer.deliver_due().await.unwrap();
        let before = server.mails().unwrap().len();
        ground.pass(600).await;
        ground.settle().await;
        deliverer.deliver_due().await.unwrap();
        let asks = "AR-1: ana Test asks for access, and you may decide";
        let new = [("cleo@example.com".to_owned(), asks.to_owned())];
        assert_eq!(told(&server, before), new.into(), "bob has been told before");

        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.cleo, id, None, None).await.unwrap();
        ground.settle().await;
        deliverer.deliver_due().await.unwrap();
        let before = server.mails().unwrap().len();
        extend_request(&ground.app, &ground.ana, id).await.unwrap();
        deliverer.deliver_due().await.unwrap();
        assert_eq!(server.mails().unwrap().len(), before, "not before the target has it");
        ground.settle().await;
        deliverer.deliver_due().await.unwrap();
        let told: Vec<(String, String)> = told(&server, before).into_iter().collect();
        assert_eq!((told.len(), told[0].0.as_str()), (1, "ana@example.com"));
        assert!(told[0].1.starts_with("AR-1: access ends later, at "), "{told:?}");
    }

    async fn a07_admins_are_told_at_once_when_the_glass_is_broken_and_only_then(ground) {
        let hook = Receiver::start("127.0.0.1:0", vec![Answer::status("204 No Content", "")]).await;
        let server = mail_server(MailProtection::None).await;
        let deliverer = deliverer(ground, Some(&config(&server, MailTls::None)));
        let url = format!("http://{}/hook", hook.address);
        for (setting, value) in
            [("webhook_url", json!(url)), ("outbound_allowed_addresses", json!(["127.0.0.1"]))]
        {
            set_setting(&ground.app, &commanding(), setting, value).await.unwrap();
        }
        let admins = [&ground.ana, &ground.bob, &ground.cleo].map(|actor| actor.user.id.clone());
        ground
            .write(async |tx| {
                for admin in &admins {
                    tx.grant_role(admin, Role::Admin).await.unwrap();
                }
                let mut cleo = ground.cleo.user.clone();
                cleo.status = UserStatus::Disabled;
                tx.update_user(&cleo).await.unwrap();
            })
            .await;
        ground.flow("read", Some(60), &[]).await;
        let mut flow = ground.flow("glass", Some(30), &[]).await;
        flow.policy.settings.labels = vec!["break-glass".to_owned()];
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let ordinary = ground.ask(&["orders"], None).await;
        ground.settle().await;
        deliverer.deliver_due().await.unwrap();
        let given = ("ana@example.com".to_owned(), "AR-1: access is in place".to_owned());
        assert_eq!(told(&server, 0), BTreeSet::from([given]));
        revoke_request(&ground.app, &ground.ana, ordinary.request.id.as_str()).await.unwrap();
        ground.settle().await;
        deliverer.deliver_due().await.unwrap();
        let before = server.mails().unwrap().len();

        // Gone, so that the one for emergencies is left: the longer grant would govern.
        ground.write(async |tx| tx.delete_flow(&ordinary.request.flow_id).await.unwrap()).await;
        let command = RequestAccess {
            entitlements: vec![ground.entitlement("orders")],
            justification: Some("the shop is down".to_owned()),
            custom_fields: [("break_glass".to_owned(), "true".to_owned())].into(),
            ..RequestAccess::default()
        };
        request_access(&ground.app, &ground.ana, command).await.unwrap();
        deliverer.deliver_due().await.unwrap();
        let broken = ("bob@example.com".to_owned(), "AR-2: ana Test has broken the glass".to_owned());
        assert_eq!(told(&server, before), BTreeSet::from([broken]), "before the target has it");
        let mail = server.mails().unwrap().pop().unwrap();
        assert!(mail.content.contains("the shop is down"), "{}", mail.content);
        let events: Vec<(Value, Value)> = hook
            .received()
            .iter()
            .map(|call| serde_json::from_slice::<Value>(&call.body).unwrap()["data"].clone())
            .filter(|data| data["to"] == "Granting")
            .map(|data| (data["number"].clone(), data["break_glass"].clone()))
            .collect();
        assert_eq!(events, [(json!("AR-1"), json!(false)), (json!("AR-2"), json!(true))]);
        ground.settle().await;
    }

    async fn admins_are_told_once_that_a_large_change_is_held_back(ground) {
        let (server, deliverer) = post_office(ground).await;
        set_setting(&ground.app, &commanding(), "automatic_change_limit", json!(0)).await.unwrap();
        let bob = ground.bob.user.id.clone();
        ground.write(async |tx| tx.grant_role(&bob, Role::Admin).await.unwrap()).await;
        let mut flow = ground.flow("given", None, &[]).await;
        flow.policy.trigger = FlowTrigger::Automatic;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        for _ in 0..2 {
            assert_eq!(follow_conditions(&ground.app).await.unwrap().held_back, 1);
            deliverer.deliver_due().await.unwrap();
        }
        let held = ("bob@example.com".to_owned(), "The access flow given is held back".to_owned());
        assert_eq!(told(&server, 0), BTreeSet::from([held]));
        assert_eq!(server.mails().unwrap().len(), 1, "once");
        ground.settle().await;
        assert!(ground.held().is_empty());
    }

    async fn a_webhook_gets_every_change_signed_until_it_takes_it(ground) {
        let hook = Receiver::start("127.0.0.1:0", vec![
            Answer::status("500 Oops", ""), Answer::status("204 No Content", ""),
        ])
        .await;
        let deliverer = deliverer(ground, None);
        let url = format!("http://{}/hook", hook.address);
        set_setting(&ground.app, &commanding(), "webhook_url", json!(url)).await.unwrap();
        ground.flow("read", Some(60), &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        deliverer.deliver_due().await.unwrap();
        assert_eq!(hook.connections(), 0, "no Admin has listed the address");
        let (now, _) = standing(&ground.app, &commanding()).await.unwrap();
        assert!(now.last_error.unwrap().contains("outbound_allowed_addresses"));

        let listed = json!(["127.0.0.1"]);
        set_setting(&ground.app, &commanding(), "outbound_allowed_addresses", listed)
            .await
            .unwrap();
        for _ in 0..2 {
            ground.pass(60).await;
            deliverer.deliver_due().await.unwrap();
        }
        let received = hook.received();
        assert_eq!(received.len(), 2, "it said 500 first");
        let (first, second) = (&received[0], &received[1]);
        assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
        assert_eq!(first.body, second.body);
        assert_ne!(first.header("webhook-timestamp"), second.header("webhook-timestamp"));
        let event: Value = serde_json::from_slice(&second.body).unwrap();
        assert_eq!(event["type"], "access_request.state_changed");
        assert_eq!(event["data"]["request_id"], request.request.id.as_str());
        assert_eq!(event["data"]["to"], "Pending");
        assert_eq!(event["data"]["requestor"]["email"], "ana@example.com");
        assert_eq!(event["data"]["entitlements"][0]["resource"], "shop/public/orders");

        let shown = webhook(&ground.app, &commanding()).await.unwrap();
        let secret = shown.exposed_secret().unwrap().strip_prefix("whsec_").unwrap().to_owned();
        let key = STANDARD.decode(secret).unwrap();
        let timestamp = second.header("webhook-timestamp").unwrap().parse().unwrap();
        let id = second.header("webhook-id").unwrap();
        let expected = signature(&key, id, timestamp, &second.body);
        assert_eq!(second.header("webhook-signature"), Some(expected.as_str()));
        let other = format!("http://{}/other", hook.address);
        set_setting(&ground.app, &commanding(), "webhook_url", json!(other)).await.unwrap();
        let other = webhook(&ground.app, &commanding()).await.unwrap();
        assert_ne!(other.exposed_secret(), shown.exposed_secret(), "another address, another secret");
        for wrong in ["https://me:secret@hooks.example.com/", "https://", "mailto:x@example.com"] {
            set_setting(&ground.app, &commanding(), "webhook_url", json!(wrong)).await.unwrap_err();
        }
        assert_eq!(waiting(ground).await, 0);
    }
}

/// What the audit trail says about messages that were given up.
async fn given_up(ground: &Ground) -> Vec<Value> {
    ground
        .write(async |tx| {
            let page = latchkey_store::PageQuery::all();
            let records = tx.list_audit(&AuditFilter::default(), &page).await.unwrap();
            let given_up = records.into_iter().filter(|r| r.action == "notification.given_up");
            given_up.map(|record| record.detail).collect()
        })
        .await
}

/// The name and content of the file in a mail.
fn attachment(mail: &TakenMail) -> (String, Vec<u8>) {
    let (_, rest) =
        mail.content.split_once("Content-Disposition: attachment; filename=\"").unwrap();
    let (name, rest) = rest.split_once('"').unwrap();
    let (head, rest) = rest.split_once("\r\n\r\n").unwrap();
    let (content, _) = rest.split_once("\r\n--").unwrap();
    let content = if head.contains("base64") {
        let letters: String = content.chars().filter(|c| !c.is_whitespace()).collect();
        STANDARD.decode(letters).unwrap()
    } else {
        content.as_bytes().to_vec()
    };
    (name.to_owned(), content)
}
