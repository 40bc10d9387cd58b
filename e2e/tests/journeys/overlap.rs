//! a09: overlapping requests for one table by one person, in every order of ending. No right is
//! lost early, none is left behind.

use std::time::Duration;

use latchkey_testkit::DatabaseKind;

use crate::{
    caller::Caller,
    installation::{Installation, ask, credentials, revoke},
    shop::Shop,
};

struct Ground {
    installation: Installation,
    shop: Shop,
    rita: Caller,
}

async fn ground() -> Ground {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let shop = Shop::open().await;
    let rita = installation.person("rita");
    installation.integrate(&shop, "local", None).await;
    Ground { installation, shop, rita }
}

impl Ground {
    async fn granted(&self, permission: &str, length: Option<u64>) -> String {
        let length = length.map(Duration::from_secs);
        let request = ask(&self.rita, "orders", permission, length).await;
        self.rita.wait_for_status(&request, "Active").await;
        request
    }

    async fn ended(&self, request: &str) {
        self.rita.wait_for_status(request, "Revoked").await;
    }

    /// Both of two requests share one principal: the session is one.
    async fn reads(&self, credentials: &(String, String)) -> bool {
        let Ok(session) = self.shop.login(credentials).await else { return false };
        session.query("SELECT * FROM sales.orders LIMIT 1", &[]).await.is_ok()
    }

    async fn writes(&self, credentials: &(String, String)) -> bool {
        let Ok(session) = self.shop.login(credentials).await else { return false };
        session.execute("INSERT INTO sales.orders (what) VALUES ('x')", &[]).await.is_ok()
    }

    async fn finish(mut self) {
        self.shop.wait_until_empty().await;
        self.installation.stop().await;
        self.installation.verify_audit().await;
    }
}

#[tokio::test]
async fn a09_the_right_stays_until_the_last_of_two_requests_ends_whichever_is_first() {
    let ground = ground().await;
    for older_first in [true, false] {
        let older = ground.granted("READ_ONLY", None).await;
        let login = credentials(&ground.rita, &older).await;
        let newer = ground.granted("READ_ONLY", None).await;
        let (first, last) = if older_first { (&older, &newer) } else { (&newer, &older) };
        let open = ground.shop.login(&login).await.unwrap();
        revoke(&ground.rita, first).await;
        ground.ended(first).await;
        open.query("SELECT * FROM sales.orders LIMIT 1", &[])
            .await
            .expect("an end that takes nothing away touches nothing");
        assert!(ground.reads(&login).await, "the other request still gives the right");
        revoke(&ground.rita, last).await;
        ground.ended(last).await;
        assert!(!ground.reads(&login).await);
        ground.shop.wait_until_empty().await;
    }
    ground.finish().await;
}

#[tokio::test]
async fn a09_one_request_expires_while_the_other_goes_on() {
    let ground = ground().await;
    let long = ground.granted("READ_ONLY", None).await;
    let login = credentials(&ground.rita, &long).await;
    let short = ground.granted("READ_ONLY", Some(3)).await;
    ground.ended(&short).await;
    assert!(ground.reads(&login).await, "the longer request still gives the right");
    revoke(&ground.rita, &long).await;
    ground.ended(&long).await;
    assert!(!ground.reads(&login).await);
    ground.finish().await;
}

#[tokio::test]
async fn a09_ending_the_wider_right_leaves_the_narrower() {
    let ground = ground().await;
    let reading = ground.granted("READ_ONLY", None).await;
    let login = credentials(&ground.rita, &reading).await;
    let writing = ground.granted("READ_WRITE", None).await;
    assert!(ground.writes(&login).await);
    revoke(&ground.rita, &writing).await;
    ground.ended(&writing).await;
    assert!(ground.reads(&login).await && !ground.writes(&login).await);
    revoke(&ground.rita, &reading).await;
    ground.ended(&reading).await;
    ground.finish().await;
}

#[tokio::test]
async fn a09_both_end_at_the_same_moment_and_a_third_begins_there() {
    let ground = ground().await;
    let one = ground.granted("READ_ONLY", None).await;
    let two = ground.granted("READ_ONLY", None).await;
    let former = credentials(&ground.rita, &one).await;
    let ((), (), third) = tokio::join!(
        revoke(&ground.rita, &one),
        revoke(&ground.rita, &two),
        ask(&ground.rita, "orders", "READ_ONLY", None),
    );
    ground.rita.wait_for_status(&third, "Active").await;
    ground.ended(&one).await;
    ground.ended(&two).await;
    // The third joined the session if it came before the last end, and got its own otherwise.
    let shown = ground.shop.principals().await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    let principal = shown.first().unwrap();
    assert_eq!(ground.shop.readers("sales.orders").await, std::slice::from_ref(principal));
    if *principal != former.0 {
        assert!(!ground.reads(&former).await, "the former session is gone");
    }
    revoke(&ground.rita, &third).await;
    ground.ended(&third).await;
    ground.finish().await;
}

#[tokio::test]
async fn a09_a_request_that_ends_as_the_next_begins_leaves_exactly_the_next() {
    let ground = ground().await;
    let mut former = ground.granted("READ_ONLY", None).await;
    for _ in 0..5 {
        revoke(&ground.rita, &former).await;
        let next = ask(&ground.rita, "orders", "READ_ONLY", None).await;
        ground.rita.wait_for_status(&next, "Active").await;
        ground.ended(&former).await;
        let login = credentials(&ground.rita, &next).await;
        assert!(ground.reads(&login).await);
        assert_eq!(ground.shop.principals().await, [login.0]);
        former = next;
    }
    revoke(&ground.rita, &former).await;
    ground.ended(&former).await;
    ground.finish().await;
}
