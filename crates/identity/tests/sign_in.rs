//! What passwords and codes promise.
#![expect(clippy::unwrap_used, reason = "a test may stop where its set-up fails")]

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use latchkey_domain::Rng;
use latchkey_identity::{
    PasswordError, Purpose, STEP_SEC, TokenKey, accepted_step, check_password, generate_opaque,
    generate_recovery_code, generate_totp_secret, hash_password, is_opaque, is_opaque_hash,
    is_recovery_code, opaque_hash, totp_address, totp_code, totp_secret_text, verify_password,
};
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
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

fn text(text: &str) -> SecretString {
    SecretString::from(text)
}

/// The secret of RFC 6238's test vectors.
fn secret() -> SecretSlice<u8> {
    SecretSlice::from(b"12345678901234567890".to_vec())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn codes_are_those_of_the_standard() {
    // RFC 6238, appendix B, SHA-1; the last six of eight digits.
    for (second, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
        assert_eq!(totp_code(&secret(), second / STEP_SEC).unwrap().expose_secret(), code);
        assert_eq!(accepted_step(&secret(), &text(code), at(second), None), Some(second / 30));
    }
}

#[test]
fn d02_a_code_with_anything_but_six_digits_is_refused_and_never_trimmed() {
    for typed in [
        "287082 ",
        " 287082",
        "287 082",
        "28708",
        "2870821",
        "287082\n",
        "+87082",
        "",
        "２８７０８２",
        "28708\u{0662}",
    ] {
        assert_eq!(accepted_step(&secret(), &text(typed), at(59), None), None, "{typed:?}");
    }
}

proptest! {
    #[test]
    fn d02_a_code_counts_within_one_step_of_its_own_and_only_after_the_last_used(
        second in 100_i64..4_000_000_000,
        off in -3_i64..=3,
        last in proptest::option::of(-3_i64..=3),
    ) {
        let step = second / STEP_SEC;
        let code = totp_code(&secret(), step + off).unwrap();
        let last = last.map(|back| step + back);
        let found = accepted_step(&secret(), &code, at(second), last);
        // Two steps may have the same code by chance; whatever is found is one that may be used.
        if let Some(found) = found {
            prop_assert!((step - 1..=step + 1).contains(&found));
            prop_assert!(last.is_none_or(|last| found > last));
            let its_code = totp_code(&secret(), found).unwrap();
            prop_assert_eq!(its_code.expose_secret(), code.expose_secret());
        }
        if off.abs() <= 1 && last.is_none_or(|last| step + off > last) {
            prop_assert!(found.is_some());
        }
    }

    #[test]
    fn another_secret_has_other_codes(seed in 0_u64..500) {
        let rng = CountingRng(AtomicU64::new(seed));
        let other = generate_totp_secret(&rng);
        prop_assert_eq!(other.expose_secret().len(), 20);
        let codes = |of: &SecretSlice<u8>| -> Vec<String> {
            (0..4).map(|step| totp_code(of, step).unwrap().expose_secret().to_owned()).collect()
        };
        prop_assert_ne!(codes(&other), codes(&secret()));
    }
}

#[test]
fn apps_are_told_the_secret_whose_it_is_and_where_it_is_for() {
    assert_eq!(totp_secret_text(&secret()).expose_secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let address = totp_address(&secret(), "Latchkey", "a&b=c?@example.com");
    assert_eq!(
        address.expose_secret(),
        "otpauth://totp/Latchkey:a%26b%3Dc%3F%40example.com?secret=\
         GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Latchkey&algorithm=SHA1&digits=6&period=30"
    );
}

#[test]
fn a_password_is_known_again_and_no_other_is() {
    let rng = CountingRng::default();
    let password = text("correct horse battery");
    let stored = hash_password(&rng, &password).unwrap();
    assert!(stored.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert!(!stored.expose_secret().contains("horse"));
    assert!(verify_password(&password, Some(&stored)));
    for other in ["correct horse batterY", "correct horse battery ", "", "x"] {
        assert!(!verify_password(&text(other), Some(&stored)), "{other:?}");
    }
    let again = hash_password(&rng, &password).unwrap();
    assert_ne!(again.expose_secret(), stored.expose_secret(), "each has a salt of its own");
}

#[test]
fn d01_nobody_has_no_password() {
    assert!(!verify_password(&text("correct horse battery"), None));
    assert!(!verify_password(&text(""), None));
    assert!(!verify_password(&text("x"), Some(&text("not a hash"))));
}

#[test]
fn passwords_are_long_enough_and_not_endless() {
    assert_eq!(check_password(&text("elevenchars")), Err(PasswordError::TooShort));
    assert_eq!(check_password(&text("twelve chars")), Ok(()));
    assert_eq!(check_password(&text("éééééééééééé")), Ok(()));
    assert_eq!(check_password(&text(&"x".repeat(257))), Err(PasswordError::TooLong));
    let long = text(&"x".repeat(256));
    let stored = hash_password(&CountingRng::default(), &long).unwrap();
    assert!(verify_password(&long, Some(&stored)));
    assert!(!verify_password(&text(&"x".repeat(257)), Some(&stored)), "nothing is cut off");
}

#[test]
fn what_is_good_for_one_use_is_good_for_no_other() {
    let key = TokenKey::new([7; 32]);
    let secret = generate_opaque(&CountingRng::default());
    assert!(is_opaque(secret.expose_secret()));
    let hash = opaque_hash(&key, Purpose::WebSession, "", &secret);
    assert!(is_opaque_hash(&key, Purpose::WebSession, "", &secret, &hash));
    assert!(!is_opaque_hash(&key, Purpose::SignInLink, "", &secret, &hash));
    assert!(!is_opaque_hash(&key, Purpose::WebSession, "ana", &secret, &hash));
    assert!(!is_opaque_hash(&TokenKey::new([8; 32]), Purpose::WebSession, "", &secret, &hash));
    assert!(!is_opaque_hash(&key, Purpose::WebSession, "", &secret, ""));
}

#[test]
fn d02_recovery_codes_differ_have_one_form_and_are_never_trimmed() {
    let rng = CountingRng::default();
    let codes: std::collections::BTreeSet<String> = (0..500)
        .map(|_| generate_recovery_code(&rng))
        .inspect(|code| assert!(is_recovery_code(code), "{}", code.expose_secret()))
        .map(|code| code.expose_secret().to_owned())
        .collect();
    assert_eq!(codes.len(), 500);
    let code = codes.first().unwrap();
    for typed in [
        format!(" {code}"),
        format!("{code} "),
        code.replace('-', ""),
        code.replace('-', " "),
        code.to_uppercase(),
        String::new(),
    ] {
        assert!(!is_recovery_code(&text(&typed)), "{typed:?}");
    }
}
