//! Second factors: what waits for one, what a success covers, and what no token ever gets.

use jiff::Timestamp;
use latchkey_app::{
    Actor, ErrorKind,
    requests::{
        RequestAccess, RequestView, approve_request, explain_own_request, force_approve_request,
        get_client_request, list_my_tasks, reject_request, request_access, revoke_request,
    },
    second_factor::{
        Enrolled, FactorChange, NewFactor, Proof, StepUp, begin_enrolment, confirm_enrolment,
        has_second_factor, pass_by_token, pass_step_up, remove_second_factor, renew_recovery_codes,
        reset_second_factor, second_factor, show_step_up,
    },
    users::disable_user,
};
use latchkey_domain::{
    Clock,
    flow::{AccessFlow, FlowTrigger},
    ids::{RequestId, StepUpPageId},
    people::{Role, User},
    request::RequestState,
};
use latchkey_identity::{STEP_SEC, totp_code};
use latchkey_store::{AuditFilter, PageQuery};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::{browser::browser, ground::Ground, on_both_databases};

/// An authenticator, and the browser in which it was set up.
pub struct Phone {
    pub browser: Actor,
    pub recovery: Vec<SecretString>,
    secret: SecretSlice<u8>,
}

impl Phone {
    /// Ana signs in and sets up a second factor.
    pub async fn of_ana(ground: &mut Ground) -> Self {
        let browser = browser(ground, &ground.ana).await;
        let (secret, recovery) = enrol(ground, &browser).await;
        // The code of the confirmation is used up.
        ground.pass(60).await;
        Self { browser: again(ground, &browser).await, recovery, secret }
    }

    /// What it shows now.
    pub fn code(&self, ground: &Ground) -> Proof {
        Proof::Code(code(&self.secret, ground.clock.now()))
    }
}

fn code(secret: &SecretSlice<u8>, at: Timestamp) -> SecretString {
    totp_code(secret, at.as_second() / STEP_SEC).unwrap()
}

/// Sets up a second factor in a browser.
async fn enrol(ground: &Ground, browser: &Actor) -> (SecretSlice<u8>, Vec<SecretString>) {
    let made = begin_enrolment(&ground.app, browser).await.unwrap();
    let secret = read(&made);
    let first = code(&secret, ground.clock.now());
    match confirm_enrolment(&ground.app, browser, &first).await.unwrap() {
        Enrolled::Done(codes) => (secret, codes),
        other => panic!("{other:?}"),
    }
}

/// The secret as an app reads it.
fn read(made: &NewFactor) -> SecretSlice<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in made.secret.expose_secret().bytes() {
        let value = letters.iter().position(|known| *known == letter).unwrap();
        bits = (bits << 5) | u32::try_from(value).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    SecretSlice::from(bytes)
}

/// The same browser at a later call: everything is read anew.
async fn again(ground: &Ground, browser: &Actor) -> Actor {
    let session = browser.web_session.clone().unwrap();
    let session = ground.write(async |tx| tx.lock_web_session(&session.id).await.unwrap()).await;
    Actor::in_browser(browser.user.clone(), session.unwrap())
}

async fn careful(ground: &Ground, approvers: &[&Actor]) -> AccessFlow {
    let mut flow = ground.flow("careful", Some(60), approvers).await;
    flow.policy.settings.require_mfa = true;
    ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
    flow
}

async fn ask_as(ground: &Ground, actor: &Actor, table: &str) -> RequestView {
    let command =
        RequestAccess { entitlements: vec![ground.entitlement(table)], ..RequestAccess::default() };
    request_access(&ground.app, actor, command).await.unwrap().remove(0)
}

/// Shows the step-up page; its name and the numbers of what it names.
async fn shown(
    ground: &Ground,
    browser: &Actor,
    only: Option<&str>,
) -> (StepUpPageId, Vec<RequestId>) {
    let view = show_step_up(&ground.app, browser, only).await.unwrap();
    (view.page, view.requests.into_iter().map(|seen| seen.request.id).collect())
}

async fn pass(ground: &Ground, browser: &Actor, page: &StepUpPageId, proof: &Proof) -> StepUp {
    pass_step_up(&ground.app, browser, page, proof).await.unwrap()
}

fn released(ids: &[&RequestView]) -> StepUp {
    let mut released: Vec<RequestId> = ids.iter().map(|seen| seen.request.id.clone()).collect();
    released.sort();
    StepUp::Passed { released, cancelled: Vec::new() }
}

async fn records(ground: &Ground, action: &str) -> Vec<serde_json::Value> {
    let all = async |tx: &mut latchkey_store::Tx| {
        tx.list_audit(&AuditFilter::default(), &PageQuery::all()).await.unwrap()
    };
    let records = ground.write(all).await.into_iter().filter(|one| one.action == action);
    records.map(|one| one.detail).collect()
}

fn admin(actor: &Actor) -> Actor {
    let user = User { roles: [Role::Admin].into(), ..actor.user.clone() };
    let scopes = latchkey_domain::people::TokenScope::ALL.into_iter().collect();
    Actor::new(user, scopes, None)
}

on_both_databases! {
    async fn a_request_waits_for_the_second_factor_before_approvers_are_asked(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        assert_eq!(ground.state(&request).await, RequestState::PendingMfa);
        let page = latchkey_app::PageRequest::default();
        assert!(list_my_tasks(&ground.app, &ground.bob, &page).await.unwrap().items.is_empty());
        for early in [
            get_client_request(&ground.app, &ground.bob, id).await,
            approve_request(&ground.app, &ground.bob, id, None, None).await,
            reject_request(&ground.app, &ground.bob, id, None).await,
        ] {
            assert_eq!(early.unwrap_err().kind, ErrorKind::NotFound, "nobody is asked yet");
        }
        let forced = force_approve_request(&ground.app, &admin(&ground.cleo), id, None).await;
        assert_eq!(forced.unwrap_err().kind, ErrorKind::Conflict);

        let (page, named) = shown(ground, &phone.browser, None).await;
        assert_eq!(named, std::slice::from_ref(&request.request.id));
        let passed = pass(ground, &phone.browser, &page, &phone.code(ground)).await;
        assert_eq!(passed, released(&[&request]));
        assert_eq!(ground.state(&request).await, RequestState::Pending);
        ground.settle().await;
        assert!(ground.held().is_empty(), "no access before a decision");
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
    }

    async fn without_approvers_access_follows_the_second_factor(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::PendingMfa);
        assert!(ground.held().is_empty());
        let (page, _) = shown(ground, &phone.browser, None).await;
        pass(ground, &phone.browser, &page, &phone.code(ground)).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        let detail = records(ground, "second_factor.passed").await.pop().unwrap();
        assert_eq!(detail["released"], serde_json::json!([request.request.id]));
    }

    async fn d08_a_success_covers_what_the_page_named_and_nothing_filed_since(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[&ground.bob]).await;
        let one = ground.ask(&["orders"], None).await;
        let two = ground.ask(&["customers"], None).await;
        let (page, named) = shown(ground, &phone.browser, None).await;
        assert_eq!(named.len(), 2);
        let late = ground.ask(&["invoices"], None).await;
        let passed = pass(ground, &phone.browser, &page, &phone.code(ground)).await;
        assert_eq!(passed, released(&[&one, &two]));
        assert_eq!(ground.state(&late).await, RequestState::PendingMfa);

        // A page that names one of two covers one.
        ground.pass(60).await;
        let other = ground.ask(&["orders"], None).await;
        let number = format!("AR-{}", other.request.number);
        let (page, named) = shown(ground, &phone.browser, Some(&number)).await;
        assert_eq!(named, std::slice::from_ref(&other.request.id));
        let passed = pass(ground, &phone.browser, &page, &phone.code(ground)).await;
        assert_eq!(passed, released(&[&other]));
        assert_eq!(ground.state(&late).await, RequestState::PendingMfa);
    }

    async fn d08_a_token_never_rides_on_the_step_up_of_a_browser(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[&ground.bob]).await;
        let before = ground.ask(&["orders"], None).await;
        let waits = pass_by_token(&ground.app, &ground.ana).await.unwrap_err();
        assert_eq!((waits.kind, waits.code), (ErrorKind::Forbidden, "SecondFactorRequired"));
        let (page, _) = shown(ground, &phone.browser, None).await;
        pass(ground, &phone.browser, &page, &phone.code(ground)).await;
        let told = pass_by_token(&ground.app, &ground.ana).await.unwrap().released;
        assert_eq!(told, std::slice::from_ref(&before.request.id));

        // The browser's proof is a second old, and of no use to the token.
        let after = ground.ask(&["customers"], None).await;
        assert_eq!(ground.state(&after).await, RequestState::PendingMfa);
        let refused = pass_by_token(&ground.app, &ground.ana).await.unwrap_err();
        assert_eq!(refused.code, "SecondFactorRequired");
        assert_eq!(ground.state(&after).await, RequestState::PendingMfa);
        assert_eq!(records(ground, "second_factor.asked_about").await.len(), 3);

        for refused in [
            show_step_up(&ground.app, &ground.ana, None).await.err(),
            pass_step_up(&ground.app, &ground.ana, &page, &phone.code(ground)).await.err(),
            begin_enrolment(&ground.app, &ground.ana).await.err(),
            remove_second_factor(&ground.app, &ground.ana).await.err(),
        ] {
            assert_eq!(refused.unwrap().kind, ErrorKind::Forbidden, "tokens have no part in it");
        }
    }

    async fn d08_later_requests_of_the_same_browser_are_covered_for_an_hour(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[&ground.bob]).await;
        let first = ask_as(ground, &phone.browser, "orders").await;
        assert_eq!(first.request.state, RequestState::PendingMfa, "no proof yet");
        let (page, _) = shown(ground, &phone.browser, None).await;
        pass(ground, &phone.browser, &page, &phone.code(ground)).await;

        ground.pass(3599).await;
        let covered = ask_as(ground, &again(ground, &phone.browser).await, "customers").await;
        assert_eq!(covered.request.state, RequestState::Pending);
        assert!(covered.request.second_factor_at.is_some());
        let elsewhere = browser(ground, &ground.ana).await;
        let other = ask_as(ground, &elsewhere, "invoices").await;
        assert_eq!(other.request.state, RequestState::PendingMfa, "another browser");
        // Signing in by a link has ended the first one.
        let ended = request_access(
            &ground.app,
            &phone.browser,
            RequestAccess {
                entitlements: vec![ground.entitlement("orders")],
                ..RequestAccess::default()
            },
        );
        assert_eq!(ended.await.unwrap_err().kind, ErrorKind::Unauthorized);
    }

    async fn d08_an_old_proof_covers_nothing_more(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[&ground.bob]).await;
        let (page, named) = shown(ground, &phone.browser, None).await;
        assert!(named.is_empty());
        pass(ground, &phone.browser, &page, &phone.code(ground)).await;
        ground.pass(3600).await;
        let late = ask_as(ground, &again(ground, &phone.browser).await, "orders").await;
        assert_eq!(late.request.state, RequestState::PendingMfa);
        let told = pass_by_token(&ground.app, &ground.ana).await.unwrap_err();
        assert_eq!(told.code, "SecondFactorRequired");
    }

    async fn d02_a_code_counts_once_and_a_page_too(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[&ground.bob]).await;
        let one = ground.ask(&["orders"], None).await;
        let (page, _) = shown(ground, &phone.browser, None).await;
        let used = phone.code(ground);
        assert_eq!(pass(ground, &phone.browser, &page, &used).await, released(&[&one]));
        assert_eq!(pass(ground, &phone.browser, &page, &used).await, StepUp::NotShown);
        let two = ground.ask(&["customers"], None).await;
        let (page, _) = shown(ground, &phone.browser, None).await;
        assert_eq!(pass(ground, &phone.browser, &page, &used).await, StepUp::Wrong);
        assert_eq!(ground.state(&two).await, RequestState::PendingMfa);
        ground.pass(30).await;
        let next = phone.code(ground);
        assert_eq!(pass(ground, &phone.browser, &page, &next).await, released(&[&two]));
    }

    async fn d02_wrong_codes_are_limited_and_on_record_without_the_code(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        let (page, _) = shown(ground, &phone.browser, None).await;
        let wrong = Proof::Code(SecretString::from("12345 "));
        for _ in 0..5 {
            assert_eq!(pass(ground, &phone.browser, &page, &wrong).await, StepUp::Wrong);
        }
        let right = phone.code(ground);
        assert_eq!(pass(ground, &phone.browser, &page, &right).await, StepUp::TooManyTries);
        let recovery = Proof::RecoveryCode(phone.recovery[0].clone());
        assert_eq!(pass(ground, &phone.browser, &page, &recovery).await, StepUp::TooManyTries);
        assert_eq!(ground.state(&request).await, RequestState::PendingMfa);
        let failed = records(ground, "second_factor.failed").await;
        assert_eq!(failed, vec![serde_json::json!({"kind": "code"}); 5]);
        ground.pass(900).await;
        let right = phone.code(ground);
        assert_eq!(pass(ground, &phone.browser, &page, &right).await, released(&[&request]));
    }

    async fn d02_a_recovery_code_stands_in_once(ground) {
        let phone = Phone::of_ana(ground).await;
        assert_eq!(phone.recovery.len(), 10);
        careful(ground, &[&ground.bob]).await;
        let one = ground.ask(&["orders"], None).await;
        let (page, _) = shown(ground, &phone.browser, None).await;
        let recovery = Proof::RecoveryCode(phone.recovery[3].clone());
        assert_eq!(pass(ground, &phone.browser, &page, &recovery).await, released(&[&one]));
        let left = second_factor(&ground.app, &phone.browser).await.unwrap();
        assert_eq!(left.recovery_codes, 9);
        let used = records(ground, "second_factor.recovery_code_used").await;
        assert_eq!(used, [serde_json::json!({"left": 9})]);

        let two = ground.ask(&["customers"], None).await;
        let (page, _) = shown(ground, &phone.browser, None).await;
        assert_eq!(pass(ground, &phone.browser, &page, &recovery).await, StepUp::Wrong);
        let trimmed = format!("{} ", phone.recovery[4].expose_secret());
        let trimmed = Proof::RecoveryCode(SecretString::from(trimmed));
        assert_eq!(pass(ground, &phone.browser, &page, &trimmed).await, StepUp::Wrong);
        assert_eq!(ground.state(&two).await, RequestState::PendingMfa);
    }

    async fn d08_a_page_counts_in_the_browser_that_it_was_shown_in(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        let (page, _) = shown(ground, &phone.browser, None).await;
        let bobs = browser(ground, &ground.bob).await;
        enrol(ground, &bobs).await;
        let code = phone.code(ground);
        assert_eq!(pass(ground, &bobs, &page, &code).await, StepUp::NotShown);
        let (_, named) = shown(ground, &bobs, Some(request.request.id.as_str())).await;
        assert!(named.is_empty(), "requests of others are not named");
        assert_eq!(ground.state(&request).await, RequestState::PendingMfa);
    }

    async fn d08_a_flow_that_asks_for_a_second_factor_since_cancels_what_has_none(ground) {
        let mut flow = ground.flow("read", Some(60), &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        assert_eq!(ground.state(&request).await, RequestState::Pending);
        flow.policy.settings.require_mfa = true;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        let seen = get_client_request(&ground.app, &ground.ana, id).await.unwrap().request;
        assert_eq!(seen.state, RequestState::Cancelled);
        assert!(seen.state_reason.unwrap().contains("second factor"));
        ground.settle().await;
        assert!(ground.held().is_empty());
    }

    async fn a06_what_changed_before_the_second_factor_is_asked_again_with_it(ground) {
        let phone = Phone::of_ana(ground).await;
        let mut flow = careful(ground, &[]).await;
        let request = ground.ask(&["orders"], Some(3600)).await;
        let (page, _) = shown(ground, &phone.browser, None).await;
        flow.policy.grant_duration_in_min = Some(1);
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let passed = pass(ground, &phone.browser, &page, &phone.code(ground)).await;
        let cancelled = vec![request.request.id.clone()];
        assert_eq!(passed, StepUp::Passed { released: Vec::new(), cancelled });
        assert_eq!(ground.state(&request).await, RequestState::Cancelled);
        ground.settle().await;
        assert!(ground.held().is_empty());
    }

    async fn what_nobody_gives_a_second_factor_for_is_cancelled_in_time(ground) {
        careful(ground, &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.pass(86_399).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::PendingMfa);
        ground.pass(1).await;
        ground.settle().await;
        let id = request.request.id.as_str();
        let seen = get_client_request(&ground.app, &ground.ana, id).await.unwrap().request;
        assert_eq!(seen.state, RequestState::Cancelled);
        assert!(seen.state_reason.unwrap().contains("second factor was not given in time"));
        let ana = browser(ground, &ground.ana).await;
        assert!(shown(ground, &ana, None).await.1.is_empty());
    }

    async fn the_time_for_a_decision_counts_from_the_second_factor(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.pass(80_000).await;
        let ana = browser(ground, &ground.ana).await;
        let (page, _) = shown(ground, &ana, None).await;
        pass(ground, &ana, &page, &phone.code(ground)).await;
        ground.pass(86_399).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Pending);
        ground.pass(1).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Cancelled);
    }

    async fn a_request_that_waits_can_be_given_up_and_ends_with_its_flow_and_its_person(ground) {
        let phone = Phone::of_ana(ground).await;
        let flow = careful(ground, &[&ground.bob]).await;
        let one = ground.ask(&["orders"], None).await;
        let id = one.request.id.as_str();
        revoke_request(&ground.app, &ground.ana, id).await.unwrap();
        assert_eq!(ground.state(&one).await, RequestState::Cancelled);

        let two = ground.ask(&["orders"], None).await;
        let (page, _) = shown(ground, &phone.browser, None).await;
        latchkey_app::flows::delete_flow(&ground.app, &admin(&ground.cleo), &flow.id).await.unwrap();
        assert_eq!(ground.state(&two).await, RequestState::Cancelled);
        let passed = pass(ground, &phone.browser, &page, &phone.code(ground)).await;
        assert_eq!(passed, released(&[]), "nothing comes back");
        assert_eq!(ground.state(&two).await, RequestState::Cancelled);

        careful(ground, &[&ground.bob]).await;
        let three = ground.ask(&["orders"], None).await;
        let id = ground.ana.user.id.as_str();
        disable_user(&ground.app, &admin(&ground.cleo), id).await.unwrap();
        assert_eq!(ground.state(&three).await, RequestState::Cancelled);
        let ended = show_step_up(&ground.app, &phone.browser, None).await.unwrap_err();
        assert_eq!(ended.kind, ErrorKind::Unauthorized, "b02: the browser session is gone");
    }

    async fn an_automatic_flow_asks_nobody_for_a_second_factor(ground) {
        let mut flow = careful(ground, &[]).await;
        flow.policy.trigger = FlowTrigger::Automatic;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        assert!(!latchkey_domain::policy::second_factor::needs_second_factor(&flow.policy));
    }

    async fn a_waiting_request_explains_itself_and_nothing_stands_in_its_way(ground) {
        careful(ground, &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        let explained = explain_own_request(&ground.app, &ground.ana, id).await.unwrap();
        assert_eq!(explained.no_longer_allowed, None);
        assert!(explained.waiting.is_none(), "nobody is asked yet");
    }

    async fn whoever_has_a_second_factor_gives_it_before_changing_it(ground) {
        let phone = Phone::of_ana(ground).await;
        for refused in [
            begin_enrolment(&ground.app, &phone.browser).await.err(),
            remove_second_factor(&ground.app, &phone.browser).await.err(),
            renew_recovery_codes(&ground.app, &phone.browser).await.err(),
        ] {
            assert_eq!(refused.unwrap().code, "SecondFactorRequired");
        }
        let (page, _) = shown(ground, &phone.browser, None).await;
        pass(ground, &phone.browser, &page, &phone.code(ground)).await;
        ground.pass(60).await;
        let (newer, codes) = enrol(ground, &phone.browser).await;
        assert_eq!(codes.len(), 10);
        assert_ne!(codes[0].expose_secret(), phone.recovery[0].expose_secret());

        ground.pass(60).await;
        let (page, _) = shown(ground, &phone.browser, None).await;
        let old = pass(ground, &phone.browser, &page, &phone.code(ground)).await;
        assert_eq!(old, StepUp::Wrong, "the former telephone counts no more");
        let recovery = Proof::RecoveryCode(phone.recovery[0].clone());
        assert_eq!(pass(ground, &phone.browser, &page, &recovery).await, StepUp::Wrong);
        let new = Proof::Code(code(&newer, ground.clock.now()));
        assert_eq!(pass(ground, &phone.browser, &page, &new).await, released(&[]));

        let done = remove_second_factor(&ground.app, &phone.browser).await.unwrap();
        assert!(matches!(done, FactorChange::Done(())));
        assert!(!has_second_factor(&ground.app, &ground.ana).await.unwrap());
        let cover = again(ground, &phone.browser).await.web_session.unwrap().second_factor_at;
        assert_eq!(cover, None, "what it covered is covered no more");
    }

    async fn a_new_secret_counts_for_nothing_until_a_first_code_was_right(ground) {
        let browser = browser(ground, &ground.ana).await;
        let made = begin_enrolment(&ground.app, &browser).await.unwrap();
        assert!(!has_second_factor(&ground.app, &ground.ana).await.unwrap());
        let (page, _) = shown(ground, &browser, None).await;
        let proof = Proof::Code(code(&read(&made), ground.clock.now()));
        assert_eq!(pass(ground, &browser, &page, &proof).await, StepUp::NotEnrolled);
        let wrong = SecretString::from("000000 ");
        let outcome = confirm_enrolment(&ground.app, &browser, &wrong).await.unwrap();
        assert!(matches!(outcome, Enrolled::Wrong));
        let newer = begin_enrolment(&ground.app, &browser).await.unwrap();
        let former = code(&read(&made), ground.clock.now());
        let outcome = confirm_enrolment(&ground.app, &browser, &former).await.unwrap();
        assert!(matches!(outcome, Enrolled::Wrong), "the former secret is gone");
        let right = code(&read(&newer), ground.clock.now());
        let outcome = confirm_enrolment(&ground.app, &browser, &right).await.unwrap();
        assert!(matches!(outcome, Enrolled::Done(_)));
        let again = confirm_enrolment(&ground.app, &browser, &right).await.unwrap_err();
        assert_eq!(again.code, "SecondFactorRequired", "it would take the place of one that counts");
    }

    async fn an_admin_resets_the_second_factor_of_others_and_never_their_own(ground) {
        let phone = Phone::of_ana(ground).await;
        let cleo = admin(&ground.cleo);
        let own = reset_second_factor(&ground.app, &cleo, cleo.user.id.as_str()).await;
        assert_eq!(own.unwrap_err().kind, ErrorKind::Forbidden);
        let nobody = reset_second_factor(&ground.app, &ground.bob, "ana@example.com").await;
        assert_eq!(nobody.unwrap_err().kind, ErrorKind::Forbidden);
        reset_second_factor(&ground.app, &cleo, "ana@example.com").await.unwrap();
        assert!(!has_second_factor(&ground.app, &ground.ana).await.unwrap());
        let ended = second_factor_page(ground, &phone.browser).await;
        assert_eq!(ended, Some(ErrorKind::Unauthorized));
        let detail = records(ground, "second_factor.reset").await.pop().unwrap();
        assert_eq!(detail["had_one"], true);
        assert_eq!(detail["sessions_ended"], 1);
    }

    async fn e03_no_secret_and_no_code_is_in_the_audit_trail_or_an_outgoing_message(ground) {
        let phone = Phone::of_ana(ground).await;
        careful(ground, &[&ground.bob]).await;
        ground.ask(&["orders"], None).await;
        let (page, _) = shown(ground, &phone.browser, None).await;
        let recovery = Proof::RecoveryCode(phone.recovery[0].clone());
        pass(ground, &phone.browser, &page, &recovery).await;
        let list = async |tx: &mut latchkey_store::Tx| {
            let records = tx.list_audit(&AuditFilter::default(), &PageQuery::all()).await.unwrap();
            let outbox = tx.claim_outbox("test", 1000, std::time::Duration::from_secs(1));
            format!("{records:?} {:?}", outbox.await.unwrap())
        };
        let everything = ground.write(list).await;
        for code in &phone.recovery {
            assert!(!everything.contains(code.expose_secret()));
        }
        let secret = latchkey_identity::totp_secret_text(&phone.secret);
        assert!(!everything.contains(secret.expose_secret()));
    }
}

/// Why the step-up page is not shown, if it is not.
async fn second_factor_page(ground: &Ground, browser: &Actor) -> Option<ErrorKind> {
    show_step_up(&ground.app, browser, None).await.err().map(|error| error.kind)
}
