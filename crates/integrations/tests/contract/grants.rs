//! Giving and taking, when nothing goes wrong.

use latchkey_domain::provisioning::ClaimState;

use super::{Harness, Session, fault, state, work};

/// A grant works with the granted right only; the next right up is refused.
pub async fn a_grant_gives_its_right_and_no_more<H: Harness>(h: &H) {
    let session = Session::new();
    let (low, high) = h.low_and_high();
    let desired = session.desire_login(&[low.claim("u1", 600)], &[]);
    let applied = h.integration().apply(&h.target(), &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "u1"), ClaimState::Present, "{}", fault(&applied, "u1"));
    assert!(applied.receipt.principal_exists && applied.receipt.can_log_in);
    let credentials = applied.credentials.unwrap();
    assert_eq!(credentials.username, session.principal());
    let open = h.log_in(&credentials, &low).await.expect("the new login is let in");
    assert!(h.can(&open, &low.probe).await);
    assert!(!h.can(&open, &high.probe).await);
    assert!(!h.can(&open, &h.other().probe).await);
}

/// Two claims on one right: the first one's end takes nothing; the second one's takes all, ends
/// the open session, and the receipt is true.
pub async fn overlapping_claims_are_counted_and_the_last_end_takes_all<H: Harness>(h: &H) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let (first, second) = (low.claim("u1", 600), low.claim("u2", 900));
    let target = h.target();
    let module = h.integration();
    let desired = session.desire_login(std::slice::from_ref(&first), &[]);
    let credentials = module.apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    let open = h.log_in(&credentials, &low).await.unwrap();

    let desired = session.desire(&[first.clone(), second.clone()], &[]);
    let applied = module.apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "u2"), ClaimState::Present);
    assert!(applied.credentials.is_none(), "a second claim keeps the credentials");
    assert!(h.can(&open, &low.probe).await);

    let desired = session.desire(std::slice::from_ref(&second), std::slice::from_ref(&first));
    let applied = module.apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "u1"), ClaimState::Absent);
    assert_eq!(state(&applied, "u2"), ClaimState::Present);
    assert_eq!(applied.receipt.sessions_ended, 0, "no count reached 0, so nothing is touched");
    assert!(h.can(&open, &low.probe).await, "what the second claim gives stays");

    let desired = session.desire(&[], std::slice::from_ref(&second));
    let applied = module.apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "u2"), ClaimState::Absent);
    let receipt = applied.receipt;
    assert!(!receipt.principal_exists && !receipt.can_log_in, "{receipt:?}");
    assert_eq!((receipt.open_sessions, receipt.sessions_ended), (0, 1), "{receipt:?}");
    assert!(!h.is_open(&open).await);
    assert!(h.log_in(&credentials, &low).await.is_none());
    assert_eq!(h.left_of(session.principal()).await, Vec::<String>::new());
}

/// The end of one right while the session lives removes that right, then ends open sessions;
/// the other right stays.
pub async fn a_right_that_ends_takes_open_sessions_with_it<H: Harness>(h: &H) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let other = h.other();
    let (first, second) = (low.claim("u1", 600), other.claim("u2", 600));
    let (target, module) = (h.target(), h.integration());
    let desired = session.desire_login(&[first.clone(), second.clone()], &[]);
    let credentials = module.apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    let open = h.log_in(&credentials, &other).await.unwrap();
    assert!(h.can(&open, &other.probe).await);

    let desired = session.desire(std::slice::from_ref(&second), std::slice::from_ref(&first));
    let applied = module.apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(applied.receipt.sessions_ended, 1);
    assert!(!h.is_open(&open).await);
    let open = h.log_in(&credentials, &other).await.expect("the session's login still works");
    assert!(h.can(&open, &other.probe).await);
    if let Some(open) = h.log_in(&credentials, &low).await {
        assert!(!h.can(&open, &low.probe).await);
    }
}

/// A claim whose end has passed before it is put in place is never granted.
pub async fn a_grant_whose_end_has_passed_does_nothing<H: Harness>(h: &H) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let desired = session.desire_login(&[low.claim("u1", -1)], &[]);
    let applied = h.integration().apply(&h.target(), &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "u1"), ClaimState::Absent);
    assert!(applied.credentials.is_none());
    assert_eq!(h.left_of(session.principal()).await, Vec::<String>::new());
}

/// New credentials replace the old ones and end what was open with them.
pub async fn a_reset_ends_the_old_password_and_its_sessions<H: Harness>(h: &H) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let claim = [low.claim("u1", 600)];
    let (target, module) = (h.target(), h.integration());
    let desired = session.desire_login(&claim, &[]);
    let old = module.apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    let open = h.log_in(&old, &low).await.unwrap();
    let desired = session.desire_login(&claim, &[]);
    let applied = module.apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "u1"), ClaimState::Present);
    let new = applied.credentials.unwrap();
    assert!(!h.is_open(&open).await);
    assert!(h.log_in(&old, &low).await.is_none());
    let open = h.log_in(&new, &low).await.unwrap();
    assert!(h.can(&open, &low.probe).await);
    // A later delivery leaves the new session alone.
    module.apply(&target, &work(), &session.desire(&claim, &[])).await.unwrap();
    assert!(h.is_open(&open).await);
}

/// Many principals at once, on one right.
pub async fn fifty_principals_at_once<H: Harness>(h: &H) {
    let (low, _) = h.low_and_high();
    let target = h.target();
    let sessions: Vec<Session> = (0..50).map(|_| Session::new()).collect();
    let grants = sessions.iter().map(|session| {
        let (low, target) = (&low, &target);
        async move {
            let desired = session.desire_login(&[low.claim("u", 600)], &[]);
            h.integration().apply(target, &work(), &desired).await.unwrap()
        }
    });
    let applied = futures::future::join_all(grants).await;
    assert!(applied.iter().all(|applied| state(applied, "u") == ClaimState::Present));
    let last = applied.last().unwrap().credentials.as_ref().unwrap();
    assert!(h.can(&h.log_in(last, &low).await.unwrap(), &low.probe).await);
    let revokes = sessions.iter().map(|session| {
        let (low, target) = (&low, &target);
        async move {
            let desired = session.desire(&[], &[low.claim("u", 600)]);
            h.integration().apply(target, &work(), &desired).await.unwrap()
        }
    });
    let applied = futures::future::join_all(revokes).await;
    assert!(applied.iter().all(|applied| !applied.receipt.principal_exists));
    for session in &sessions {
        assert_eq!(h.left_of(session.principal()).await, Vec::<String>::new());
    }
}
