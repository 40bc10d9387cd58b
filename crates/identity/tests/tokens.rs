//! What tokens promise: they name their row, verify only there, and give nothing away.
#![expect(clippy::unwrap_used, reason = "a test may stop where its set-up fails")]

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use latchkey_domain::{
    Rng,
    ids::{ConnectorId, TokenId},
};
use latchkey_identity::{
    TokenIdError, TokenKey, generate_connector_token, generate_token, parse_connector_token,
    parse_token, verify,
};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

/// Repeatable bytes: SHA-256 over a counter.
#[derive(Debug, Default)]
struct CountingRng(AtomicU64);

impl Rng for CountingRng {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            let digest = Sha256::digest(n.to_be_bytes());
            chunk.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        }
    }
}

fn key() -> TokenKey {
    TokenKey::new([7; 32])
}

fn some_id(rng: &dyn Rng) -> TokenId {
    TokenId::generate(Timestamp::from_second(1_800_000_000).unwrap(), rng)
}

#[test]
fn a_token_names_its_row_and_verifies() {
    let rng = CountingRng::default();
    let id = some_id(&rng);
    let made = generate_token(&rng, &key(), &id).unwrap();
    let text = made.token.expose_secret();
    assert!(text.starts_with("lk_"), "prefix");
    assert_eq!(text.len(), 3 + 22 + 1 + 43 + 6);
    let parsed = parse_token(text).unwrap();
    assert_eq!(parsed.id, id);
    assert!(verify(&key(), &parsed, Some(&made.hash)));
}

#[test]
fn a_connector_token_names_its_connector_whatever_its_id_holds() {
    let rng = CountingRng::default();
    for id in ["local", "prod_eu/1", "Zürich rack 3", &"x".repeat(128)] {
        let id = ConnectorId::new(id);
        let made = generate_connector_token(&rng, &key(), &id).unwrap();
        let parsed = parse_connector_token(made.token.expose_secret()).unwrap();
        assert_eq!(parsed.id, id);
        assert!(verify(&key(), &parsed, Some(&made.hash)));
        assert!(parse_token(made.token.expose_secret()).is_none(), "another kind of token");
    }
}

#[test]
fn ids_that_do_not_fit_are_refused_when_the_token_is_made() {
    let rng = CountingRng::default();
    for id in ["", &"x".repeat(129)] {
        let refused = generate_connector_token(&rng, &key(), &ConnectorId::new(id)).unwrap_err();
        assert_eq!(refused, TokenIdError::ConnectorIdLength);
    }
    assert!(generate_token(&rng, &key(), &TokenId::new("seven")).is_err());
}

#[test]
fn d01_a_hash_matches_only_in_its_own_row_and_under_its_own_key() {
    let rng = CountingRng::default();
    let (mine, other) = (some_id(&rng), some_id(&rng));
    let my_token = generate_token(&rng, &key(), &mine).unwrap();
    let other_token = generate_token(&rng, &key(), &other).unwrap();
    let parsed = parse_token(my_token.token.expose_secret()).unwrap();
    assert!(!verify(&key(), &parsed, Some(&other_token.hash)), "another row");
    assert!(!verify(&TokenKey::new([8; 32]), &parsed, Some(&my_token.hash)), "another key");
    assert!(!verify(&key(), &parsed, None), "no row");
    assert!(!verify(&key(), &parsed, Some("")), "an empty hash");
    assert!(!verify(&key(), &parsed, Some(&"0".repeat(64))), "the stand-in hash");
}

#[test]
fn d01_every_changed_character_is_refused() {
    let rng = CountingRng::default();
    let made = generate_token(&rng, &key(), &some_id(&rng)).unwrap();
    let text = made.token.expose_secret();
    for at in 0..text.len() {
        let mut changed: Vec<u8> = text.bytes().collect();
        let character = changed.get_mut(at).unwrap();
        *character = if *character == b'a' { b'b' } else { b'a' };
        let changed = String::from_utf8(changed).unwrap();
        let accepted =
            parse_token(&changed).is_some_and(|parsed| verify(&key(), &parsed, Some(&made.hash)));
        assert!(!accepted, "character {at}");
    }
    for length in 0..text.len() {
        assert!(parse_token(&text[..length]).is_none(), "cut to {length}");
    }
}

#[test]
fn d01_strange_texts_are_no_tokens() {
    let huge = format!("lk_{}", "a".repeat(10_000_000));
    for text in ["", "lk_", "lk__", "é", "lk_é_é", "Bearer lk_1", "\0\0\0\0\0\0\0\0", &huge] {
        assert!(parse_token(text).is_none());
        assert!(parse_connector_token(text).is_none());
    }
}

#[test]
fn e03_nothing_printable_holds_the_secret() {
    let rng = CountingRng::default();
    let made = generate_token(&rng, &key(), &some_id(&rng)).unwrap();
    let text = made.token.expose_secret().to_owned();
    let secret = &text[26..26 + 43];
    let parsed = parse_token(&text).unwrap();
    for printed in [format!("{made:?}"), format!("{parsed:?}"), format!("{:?}", key())] {
        assert!(!printed.contains(secret), "{}", printed.len());
    }
    assert!(!made.hash.contains(secret));
}

#[test]
fn two_tokens_are_never_alike() {
    let rng = CountingRng::default();
    let id = some_id(&rng);
    let first = generate_token(&rng, &key(), &id).unwrap();
    let second = generate_token(&rng, &key(), &id).unwrap();
    assert_ne!(first.token.expose_secret(), second.token.expose_secret());
    assert_ne!(first.hash, second.hash);
}
