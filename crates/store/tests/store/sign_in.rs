//! Passwords, links, browser sessions, second factors, and counted tries.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use latchkey_domain::{
    ids::{RequestId, SecondFactorId, StepUpPageId, WebSessionId},
    people::User,
    second_factor::{SecondFactor, StepUpPage},
    sign_in::{SignInLink, TryLimit, WebSession},
};
use latchkey_store::Result;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::fixtures::{Ground, on_both};

on_both! {
    tries_are_counted_together_by_every_server_until_their_window_is_over,
    tries_side_by_side_are_counted_one_by_one,
    a_password_replaces_the_one_before,
    a_link_is_used_once,
    sessions_of_a_person_end_together_and_their_pages_with_them,
    a_session_keeps_its_newest_pages,
    a_factor_counts_once_it_is_confirmed_and_replaces_the_one_before,
    d02_a_time_step_is_used_once_also_by_two_servers_at_once,
    d02_a_recovery_code_is_used_once,
    e04_the_secret_of_a_factor_is_sealed,
}

const LIMIT: TryLimit = TryLimit { kind: "test", most: 3, window_sec: 60 };

async fn take(store: &latchkey_store::Store, subject: &str) -> bool {
    store.write(async |tx| tx.take_try(LIMIT, subject).await).await.unwrap()
}

async fn tries_are_counted_together_by_every_server_until_their_window_is_over(ground: Ground) {
    let other = ground.second_server().await;
    for (store, expected) in
        [(&ground.store, true), (&other, true), (&ground.store, true), (&other, false)]
    {
        assert_eq!(take(store, "ana").await, expected);
    }
    assert!(take(&other, "bob").await, "everybody has tries of their own");
    ground.clock.advance(Duration::from_secs(59));
    assert!(!take(&ground.store, "ana").await);
    ground.clock.advance(Duration::from_secs(1));
    assert!(take(&ground.store, "ana").await, "a window is over");
    ground.store.write(async |tx| tx.forget_tries(LIMIT, "ana").await).await.unwrap();
    for _ in 0..3 {
        assert!(take(&ground.store, "ana").await);
    }
    assert!(!take(&ground.store, "ana").await);
    for _ in 0..2 {
        let back = ground.store.write(async |tx| tx.give_try_back(LIMIT, "ana").await);
        back.await.unwrap();
    }
    assert!(take(&ground.store, "ana").await, "what was right is not counted");
    assert!(!take(&ground.store, "ana").await);
    ground.clock.advance(Duration::from_mins(1));
    ground.store.write(async |tx| tx.sweep_tries(60).await).await.unwrap();
    assert!(take(&ground.store, "ana").await);
}

async fn tries_side_by_side_are_counted_one_by_one(ground: Ground) {
    let store = Arc::new(ground.store.clone());
    let tries = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { take(&store, "ana").await })
    });
    let mut allowed = 0;
    for one in futures::future::join_all(tries).await {
        allowed += u32::from(one.unwrap());
    }
    assert_eq!(allowed, 3);
}

async fn a_password_replaces_the_one_before(ground: Ground) {
    let ana = ground.add_user("ana@example.org").await;
    let read = async || {
        let found = ground.store.read(async |tx| tx.find_password(&ana.id).await).await.unwrap();
        found.map(|hash| hash.expose_secret().to_owned())
    };
    assert_eq!(read().await, None);
    for hash in ["one", "two"] {
        let secret = SecretString::from(hash);
        ground.store.write(async |tx| tx.put_password(&ana.id, &secret).await).await.unwrap();
        assert_eq!(read().await.as_deref(), Some(hash));
    }
}

async fn a_link_is_used_once(ground: Ground) {
    let ana = ground.add_user("ana@example.org").await;
    let now = ground.now();
    let link = SignInLink {
        user_id: ana.id.clone(),
        created_at: now,
        expires_at: now + SignedDuration::from_secs(900),
    };
    for hash in ["first", "second"] {
        ground.store.write(async |tx| tx.put_sign_in_link(&link, hash).await).await.unwrap();
    }
    let find = async |hash: &'static str| {
        ground.store.read(async |tx| tx.find_sign_in_link(hash).await).await.unwrap()
    };
    assert_eq!(find("first").await, None, "a newer one takes its place");
    assert_eq!(find("second").await, Some((link, ana)));
    let use_up =
        async || ground.store.write(async |tx| tx.use_sign_in_link("second").await).await.unwrap();
    assert!(use_up().await);
    assert!(!use_up().await);
}

async fn add_session(ground: &Ground, user: &User, hash: &str) -> WebSession {
    let now = ground.now();
    let session = WebSession {
        id: WebSessionId::generate(now, ground.rng()),
        user_id: user.id.clone(),
        created_at: now,
        last_seen_at: now,
        expires_at: now + SignedDuration::from_secs(3600),
        second_factor_at: None,
    };
    ground.store.write(async |tx| tx.insert_web_session(&session, hash).await).await.unwrap();
    session
}

async fn add_page(ground: &Ground, session: &WebSession, number: i64) -> StepUpPage {
    let page = StepUpPage {
        id: StepUpPageId::generate(ground.now(), ground.rng()),
        web_session_id: session.id.clone(),
        request_ids: vec![RequestId::new("r1"), RequestId::new("r2")],
        shown_at: ground.now() + SignedDuration::from_secs(number),
    };
    ground.store.write(async |tx| tx.insert_step_up_page(&page).await).await.unwrap();
    page
}

async fn sessions_of_a_person_end_together_and_their_pages_with_them(ground: Ground) {
    let ana = ground.add_user("ana@example.org").await;
    let bob = ground.add_user("bob@example.org").await;
    let (one, two) = (add_session(&ground, &ana, "a").await, add_session(&ground, &ana, "b").await);
    add_session(&ground, &bob, "c").await;
    let page = add_page(&ground, &one, 0).await;
    let find = async |session: &WebSession| {
        let (page, session) = (&page.id, &session.id);
        ground.store.read(async |tx| tx.find_step_up_page(page, session).await).await.unwrap()
    };
    assert_eq!(find(&one).await.as_ref(), Some(&page));
    assert_eq!(find(&two).await, None, "it counts in the session that it was shown in");
    let other = ground.second_server().await;
    assert_eq!(other.find_web_caller("a").await.unwrap(), Some((one.clone(), ana.clone())));
    let end =
        ground.store.write(async |tx| tx.delete_web_sessions_of(&ana.id, Some(&two.id)).await);
    assert_eq!(end.await.unwrap(), 1);
    assert_eq!(other.find_web_caller("a").await.unwrap(), None, "b03: at once on every server");
    assert_eq!(find(&one).await, None);
    for (hash, is_there) in [("b", true), ("c", true), ("d", false)] {
        assert_eq!(other.find_web_caller(hash).await.unwrap().is_some(), is_there, "{hash}");
    }
    let later = ground.now() + SignedDuration::from_secs(3601);
    ground.store.write(async |tx| tx.sweep_web_sessions(later).await).await.unwrap();
    assert_eq!(other.find_web_caller("c").await.unwrap(), None);
}

async fn a_session_keeps_its_newest_pages(ground: Ground) {
    let ana = ground.add_user("ana@example.org").await;
    let session = add_session(&ground, &ana, "a").await;
    let mut pages = Vec::new();
    for number in 0..25 {
        pages.push(add_page(&ground, &session, number).await);
    }
    let mut kept = Vec::new();
    for page in &pages {
        let found = ground.store.read(async |tx| tx.find_step_up_page(&page.id, &session.id).await);
        kept.push(found.await.unwrap().is_some());
    }
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 20);
    assert!(!kept[4] && kept[5]);
}

async fn add_factor(ground: &Ground, user: &User, secret: &[u8]) -> SecondFactor {
    let factor = SecondFactor {
        id: SecondFactorId::generate(ground.now(), ground.rng()),
        user_id: user.id.clone(),
        created_at: ground.now(),
        confirmed_at: None,
        last_step: None,
    };
    let secret = SecretSlice::from(secret.to_vec());
    ground.store.write(async |tx| tx.put_pending_factor(&factor, &secret).await).await.unwrap();
    factor
}

async fn a_factor_counts_once_it_is_confirmed_and_replaces_the_one_before(ground: Ground) {
    let ana = ground.add_user("ana@example.org").await;
    let find = async |confirmed: bool| {
        let found = ground.store.write(async |tx| tx.lock_factor(&ana.id, confirmed).await);
        found.await.unwrap().map(|(factor, secret)| (factor.id, secret.expose_secret().to_vec()))
    };
    add_factor(&ground, &ana, b"never confirmed").await;
    let first = add_factor(&ground, &ana, b"first").await;
    assert_eq!(find(true).await, None);
    assert_eq!(find(false).await, Some((first.id.clone(), b"first".to_vec())));
    ground.store.write(async |tx| tx.confirm_factor(&first).await).await.unwrap();
    assert_eq!(find(false).await, None);
    let second = add_factor(&ground, &ana, b"second").await;
    assert_eq!(find(true).await, Some((first.id.clone(), b"first".to_vec())));
    ground.store.write(async |tx| tx.confirm_factor(&second).await).await.unwrap();
    assert_eq!(find(true).await, Some((second.id.clone(), b"second".to_vec())));
    let gone = ground.store.write(async |tx| -> Result<_> {
        Ok((tx.delete_factors_of(&ana.id).await?, tx.delete_factors_of(&ana.id).await?))
    });
    assert_eq!(gone.await.unwrap(), (true, false));
    assert_eq!(find(true).await, None);
}

async fn d02_a_time_step_is_used_once_also_by_two_servers_at_once(ground: Ground) {
    let ana = ground.add_user("ana@example.org").await;
    let factor = add_factor(&ground, &ana, b"secret").await;
    let other = ground.second_server().await;
    let tries = [ground.store.clone(), other.clone(), ground.store.clone(), other].map(|store| {
        let id = factor.id.clone();
        tokio::spawn(
            async move { store.write(async |tx| tx.use_step(&id, 7).await).await.unwrap() },
        )
    });
    let mut used = 0;
    for one in futures::future::join_all(tries).await {
        used += u32::from(one.unwrap());
    }
    assert_eq!(used, 1);
    for (step, expected) in [(6, false), (7, false), (8, true)] {
        let one = ground.store.write(async |tx| tx.use_step(&factor.id, step).await);
        assert_eq!(one.await.unwrap(), expected, "{step}");
    }
}

async fn d02_a_recovery_code_is_used_once(ground: Ground) {
    let ana = ground.add_user("ana@example.org").await;
    let bob = ground.add_user("bob@example.org").await;
    let hashes = ["one".to_owned(), "two".to_owned()];
    ground.store.write(async |tx| tx.put_recovery_codes(&ana.id, &hashes).await).await.unwrap();
    let use_up = async |user: &User, hash: &'static str| {
        ground.store.write(async |tx| tx.use_recovery_code(&user.id, hash).await).await.unwrap()
    };
    assert!(!use_up(&bob, "one").await, "codes belong to their person");
    assert!(use_up(&ana, "one").await);
    assert!(!use_up(&ana, "one").await);
    let count = async || {
        ground.store.read(async |tx| tx.count_recovery_codes(&ana.id).await).await.unwrap()
    };
    assert_eq!(count().await, 1);
    let newer = ["three".to_owned()];
    ground.store.write(async |tx| tx.put_recovery_codes(&ana.id, &newer).await).await.unwrap();
    assert!(!use_up(&ana, "two").await, "new ones end those before");
    assert_eq!(count().await, 1);
}

async fn e04_the_secret_of_a_factor_is_sealed(ground: Ground) {
    let ana = ground.add_user("ana@example.org").await;
    add_factor(&ground, &ana, b"canary-secret").await;
    let Some(file) = ground.database.sqlite_file() else { return };
    let folder = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let bytes: Vec<u8> =
        folder.flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!bytes.windows(6).any(|window| window == b"canary"));
}
