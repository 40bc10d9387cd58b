//! Giving and taking, when something goes wrong: repeats, lost answers, death between any two
//! effects, late deliveries, hands other than Latchkey's.

use latchkey_domain::provisioning::{ClaimState, DesiredPrincipal};
use latchkey_integrations::{Applied, ApplyError};

use super::{CrashAt, Harness, Session, state, work, work_with};

/// Every operation run twice is the same as run once; so a lost answer does no harm.
pub async fn each_operation_twice_is_the_same_as_once<H: Harness>(h: &H) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let claim = [low.claim("u1", 600)];
    let (target, module) = (h.target(), h.integration());
    let desired = session.desire_login(&claim, &[]);
    // The answer with the first credentials is lost; the task is delivered again.
    let lost = module.apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    let again = DesiredPrincipal { fence: session.desire(&[], &[]).fence, ..desired };
    let applied = module.apply(&target, &work(), &again).await.unwrap();
    assert_eq!(state(&applied, "u1"), ClaimState::Present);
    let credentials = applied.credentials.unwrap();
    assert!(h.log_in(&lost, &low).await.is_none(), "what nobody received opens nothing");
    let open = h.log_in(&credentials, &low).await.unwrap();
    let desired = session.desire(&claim, &[]);
    for _ in 0..2 {
        let applied = module.apply(&target, &work(), &desired).await.unwrap();
        assert_eq!(state(&applied, "u1"), ClaimState::Present);
        assert_eq!(applied.receipt.sessions_ended, 0);
    }
    assert!(h.can(&open, &low.probe).await);
    let desired = session.desire(&[], &claim);
    for _ in 0..2 {
        let applied = module.apply(&target, &work(), &desired).await.unwrap();
        assert_eq!(state(&applied, "u1"), ClaimState::Absent);
        assert!(!applied.receipt.principal_exists);
    }
    assert_eq!(h.left_of(session.principal()).await, Vec::<String>::new());
}

/// Killed at each of `points` while granting, while taking one right and while taking all, then
/// run again: the outcome is that of a run without a kill. Every point has to be met.
pub async fn killed_at_every_point_and_run_again<H: Harness>(h: &H, points: &[&'static str]) {
    for &point in points {
        let mut deaths = 0;
        for hit in 1..=2 {
            deaths += killed_at(h, point, hit).await;
        }
        assert!(deaths > 0, "no run came to {point}");
    }
}

async fn killed_at<H: Harness>(h: &H, point: &'static str, hit: u32) -> u32 {
    h.reset().await;
    let session = Session::new();
    let mut life = Life { h, point, hit, session: &session, deaths: 0 };
    let (low, other) = (h.low_and_high().0, h.other());
    let (first, second) = (low.claim("u1", 600), other.claim("u2", 600));
    let both = [first.clone(), second.clone()];
    let (first, second) = ([first], [second]);

    let applied = life.run(&session.desire_login(&both, &[])).await;
    assert_eq!(state(&applied, "u1"), ClaimState::Present, "{point}");
    let credentials = applied.credentials.unwrap();
    let open = h.log_in(&credentials, &low).await.unwrap();
    assert!(h.can(&open, &low.probe).await);

    // One right ends while the session lives.
    let applied = life.run(&session.desire(&second, &first)).await;
    assert_eq!(state(&applied, "u1"), ClaimState::Absent, "{point}");
    assert_eq!(state(&applied, "u2"), ClaimState::Present, "{point}");
    assert!(!h.is_open(&open).await, "{point}: an old session survived");

    let applied = life.run(&session.desire(&[], &second)).await;
    assert_eq!(state(&applied, "u2"), ClaimState::Absent, "{point}");
    assert!(!applied.receipt.principal_exists, "{point}: {:?}", applied.receipt);
    assert_eq!(h.left_of(session.principal()).await, Vec::<String>::new(), "{point}");
    life.deaths
}

/// One session that dies at a point, each time that it comes there.
struct Life<'a, H> {
    h: &'a H,
    point: &'static str,
    hit: u32,
    session: &'a Session,
    deaths: u32,
}

impl<H: Harness> Life<'_, H> {
    /// Runs a task into its death, then once more as a new delivery.
    async fn run(&mut self, desired: &DesiredPrincipal) -> Applied {
        let crash = CrashAt::new(self.point, self.hit);
        let until_death = work_with(crash.clone());
        let target = self.h.target();
        let run = self.h.integration().apply(&target, &until_death, desired);
        if let Some(done) = crash.run(run).await {
            return done.unwrap();
        }
        self.deaths += 1;
        let fence = self.session.desire(&[], &[]).fence;
        let again = DesiredPrincipal { fence, ..desired.clone() };
        self.h.integration().apply(&target, &work(), &again).await.unwrap()
    }
}

/// f05: a delivery that wakes late is fenced off by the marker of a newer one.
pub async fn a_late_delivery_is_fenced_off<H: Harness>(h: &H) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let claim = [low.claim("u1", 600)];
    let (target, module) = (h.target(), h.integration());
    let late = session.desire_login(&claim, &[]);
    let late_end = session.desire(&[], &claim);
    let newer = session.desire_login(&claim, &[]);
    let credentials = module.apply(&target, &work(), &newer).await.unwrap().credentials.unwrap();
    for old in [late, late_end] {
        let refused = module.apply(&target, &work(), &old).await;
        assert!(
            matches!(refused, Err(ApplyError::Fenced { fence }) if fence == newer.fence),
            "{refused:?}"
        );
    }
    let open = h.log_in(&credentials, &low).await.unwrap();
    assert!(h.can(&open, &low.probe).await);
}

/// No effect starts after the lease has ended.
pub async fn nothing_happens_after_the_lease<H: Harness>(h: &H) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let mut late = work();
    late.lease_ends = latchkey_integrations::LeaseEnd::at(std::time::Duration::ZERO);
    let desired = session.desire_login(&[low.claim("u1", 600)], &[]);
    assert!(h.integration().apply(&h.target(), &late, &desired).await.is_err());
    assert_eq!(h.left_of(session.principal()).await, Vec::<String>::new());
}

/// A principal that somebody dropped is made anew with new credentials; one that is to go and is
/// gone already has a true receipt.
pub async fn a_principal_dropped_by_hand<H: Harness>(h: &H) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let claim = [low.claim("u1", 600)];
    let (target, module) = (h.target(), h.integration());
    module.apply(&target, &work(), &session.desire_login(&claim, &[])).await.unwrap();
    h.drop_by_hand(session.principal()).await;
    let applied = module.apply(&target, &work(), &session.desire(&claim, &[])).await.unwrap();
    assert_eq!(state(&applied, "u1"), ClaimState::Present);
    let credentials = applied.credentials.expect("new credentials, unasked");
    assert!(h.log_in(&credentials, &low).await.is_some());
    h.drop_by_hand(session.principal()).await;
    let applied = module.apply(&target, &work(), &session.desire(&[], &claim)).await.unwrap();
    assert_eq!(state(&applied, "u1"), ClaimState::Absent);
    assert!(!applied.receipt.principal_exists);
}
