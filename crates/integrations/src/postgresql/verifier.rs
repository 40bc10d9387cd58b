//! What PostgreSQL is told of a password: a SCRAM-SHA-256 verifier (RFC 5803, RFC 7677), so that
//! neither its log nor its statistics ever see the password.
//!
//! The passwords are our own and ASCII, for which `SASLprep` (RFC 4013) changes nothing.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use latchkey_domain::Rng;
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest as _, Sha256};

/// What PostgreSQL itself takes, and the fewest that clients accept.
const ROUNDS: u32 = 4096;

/// A digest, or a key of its size.
type Key = [u8; 32];

/// The verifier of a password, with a fresh salt.
pub(super) fn scram_sha_256(password: &[u8], rng: &dyn Rng) -> String {
    let salt = rng.bytes::<16>();
    let [stored, server] = keys(password, &salt);
    let [salt, stored, server] = [&salt[..], &stored, &server].map(|bytes| STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${ROUNDS}:{salt}${stored}:{server}")
}

/// `StoredKey` and `ServerKey` (RFC 5802, section 3).
fn keys(password: &[u8], salt: &[u8]) -> [Key; 2] {
    let mut salted = Key::default();
    pbkdf2_hmac::<Sha256>(password, salt, ROUNDS, &mut salted);
    let client = sign(&salted, b"Client Key");
    [Sha256::digest(client).into(), sign(&salted, b"Server Key")]
}

fn sign(key: &Key, text: &[u8]) -> Key {
    // Keys of every length are taken.
    let signed = Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(text));
    signed.map(|mac| mac.finalize().into_bytes().into()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3: the server's signature comes of the `ServerKey`, and
    /// what the `StoredKey` recovers of the client's proof has to hash to it.
    #[test]
    fn the_keys_are_those_of_the_standards_example() {
        let decode = |text: &str| STANDARD.decode(text).unwrap();
        let [stored, server] = keys(b"pencil", &decode("W22ZaJ0SNY7soEsUEjb6gQ=="));
        let exchange = b"n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,\
            i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert_eq!(sign(&server, exchange)[..], signature);
        let proof = decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let of_stored = sign(&stored, exchange);
        let client: Vec<u8> = proof.iter().zip(of_stored).map(|(one, other)| one ^ other).collect();
        assert_eq!(Key::from(Sha256::digest(client)), stored);
    }

    #[test]
    fn no_two_verifiers_are_alike() {
        let rng = latchkey_testkit::SeededRng::new(7);
        let [one, other] = [(); 2].map(|()| scram_sha_256(b"secret", &rng));
        assert_ne!(one, other);
        assert!(one.starts_with("SCRAM-SHA-256$4096:"), "{one}");
    }
}
