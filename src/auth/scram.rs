//! SCRAM-SHA-256 (RFC 5802, RFC 7677): what is kept of a token for it, and the server's half of a login by it. Neither
//! sees the token.

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The least that RFC 7677 allows, and PostgreSQL's default: what is guessed has 200 random bits.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("4096 is not zero");

/// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` in base64: RFC 5803's form as PostgreSQL writes it.
pub fn verifier(password: &str, salt: [u8; 16]) -> String {
    let mut salted = [0; digest::SHA256_OUTPUT_LEN];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, password.as_bytes(), &mut salted);
    let client_key = sign(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, &client_key);
    let server_key = sign(&salted, b"Server Key");
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    format!("SCRAM-SHA-256${ITERATIONS}:{}${}:{}", text(&salt), text(stored_key.as_ref()), text(&server_key))
}

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

/// A verifier taken apart.
pub struct Verifier {
    iterations: String,
    salt: String,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Verifier {
    /// Reads what [`verifier`] wrote.
    pub fn parse(text: &str) -> Option<Verifier> {
        let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored, server) = keys.split_once(':')?;
        Some(Verifier {
            iterations: iterations.to_owned(),
            salt: salt.to_owned(),
            stored_key: STANDARD.decode(stored).ok()?,
            server_key: STANDARD.decode(server).ok()?,
        })
    }

    /// A verifier that no password fits. The salt is the same whenever the same name is asked for, as a real one's is,
    /// so that names cannot be tried out.
    pub fn decoy(key: &[u8; 32], name: &str) -> Verifier {
        let hash = blake3::keyed_hash(key, name.as_bytes());
        let salt = STANDARD.encode(&hash.as_bytes()[..16]);
        // No hash of anything is shorter than it: the comparison fails.
        Verifier { iterations: ITERATIONS.to_string(), salt, stored_key: Vec::new(), server_key: vec![0; 32] }
    }
}

/// What a client sent is no SCRAM, or proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    #[error("the message is not one of SCRAM-SHA-256")]
    Malformed,
    #[error("the proof is wrong")]
    Wrong,
}

/// A login after the server's first message.
pub struct Exchange {
    verifier: Verifier,
    client_first_bare: String,
    server_first: String,
    nonce: String,
    /// The GS2 header in base64, which the client must repeat.
    binding: String,
}

impl Exchange {
    /// Answers the client's first message (RFC 5802, section 7: `client-first-message`). `random` makes the nonce.
    ///
    /// # Errors
    /// When the message is malformed, or demands channel binding, which is not offered.
    pub fn begin(client_first: &str, verifier: Verifier, random: [u8; 18]) -> Result<(Exchange, String), ScramError> {
        // `n,,` or `y,,`, with an authorisation identity in between that PostgreSQL ignores as well.
        let mut parts = client_first.splitn(3, ',');
        let (flag, identity, bare) = (parts.next(), parts.next(), parts.next());
        let (Some(flag @ ("n" | "y")), Some(identity), Some(bare)) = (flag, identity, bare) else {
            return Err(ScramError::Malformed);
        };
        let nonce = bare.split(',').find_map(|part| part.strip_prefix("r=")).ok_or(ScramError::Malformed)?;
        let nonce = format!("{nonce}{}", STANDARD.encode(random));
        let server_first = format!("r={nonce},s={},i={}", verifier.salt, verifier.iterations);
        let binding = STANDARD.encode(format!("{flag},{identity},"));
        let exchange = Exchange {
            verifier,
            client_first_bare: bare.to_owned(),
            server_first: server_first.clone(),
            nonce,
            binding,
        };
        Ok((exchange, server_first))
    }

    /// Checks the client's final message and gives the server's.
    ///
    /// # Errors
    /// When the message is malformed or its proof is wrong.
    pub fn finish(self, client_final: &str) -> Result<String, ScramError> {
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let expected = format!("c={},r={}", self.binding, self.nonce);
        if without_proof != expected {
            return Err(ScramError::Malformed);
        }
        let proof = STANDARD.decode(proof).map_err(|_| ScramError::Malformed)?;
        let message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let signature = sign(&self.verifier.stored_key, message.as_bytes());
        if proof.len() != signature.len() {
            return Err(ScramError::Wrong);
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let stored = digest::digest(&digest::SHA256, &client_key);
        constant_time::verify_slices_are_equal(stored.as_ref(), &self.verifier.stored_key)
            .map_err(|_| ScramError::Wrong)?;
        Ok(format!("v={}", STANDARD.encode(sign(&self.verifier.server_key, message.as_bytes()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3: with the verifier's StoredKey the example's client proof must verify, and its ServerKey must
    /// make the example's server signature.
    #[test]
    fn the_rfcs_example_exchange_verifies() {
        let salt: [u8; 16] = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().try_into().unwrap();
        let verifier = verifier("pencil", salt);
        let (head, keys) = verifier.rsplit_once('$').unwrap();
        assert_eq!(head, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==");
        let (stored, server) = keys.split_once(':').unwrap();
        let (stored, server) = (STANDARD.decode(stored).unwrap(), STANDARD.decode(server).unwrap());
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let message =
            format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}");
        let sign = |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        assert_eq!(STANDARD.encode(sign(&server)), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let signature = sign(&stored);
        let client_key: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        assert_eq!(digest::digest(&digest::SHA256, &client_key).as_ref(), stored);
    }

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    /// The client's half, for a password.
    fn client(password: &str, server_first: &str) -> String {
        let salt = server_first.split(',').nth(1).unwrap().strip_prefix("s=").unwrap();
        let nonce = server_first.split(',').next().unwrap();
        let mut salted = [0; 32];
        let salt = STANDARD.decode(salt).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, password.as_bytes(), &mut salted);
        let key = super::sign(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, &key);
        let message = format!("n=,r={NONCE},{server_first},c=biws,{nonce}");
        let signature = super::sign(stored.as_ref(), message.as_bytes());
        let proof: Vec<u8> = key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        format!("c=biws,{nonce},p={}", STANDARD.encode(proof))
    }

    fn log_in(verifier: Verifier, password: &str) -> Result<String, ScramError> {
        let (exchange, first) = Exchange::begin(&format!("n,,n=,r={NONCE}"), verifier, [7; 18])?;
        exchange.finish(&client(password, &first))
    }

    #[test]
    fn only_the_password_logs_in() {
        let known = || Verifier::parse(&verifier("pencil", [3; 16])).unwrap();
        assert!(log_in(known(), "pencil").is_ok());
        assert_eq!(log_in(known(), "pencils"), Err(ScramError::Wrong));
        assert_eq!(log_in(Verifier::decoy(&[1; 32], "nobody"), "pencil"), Err(ScramError::Wrong));
    }

    #[test]
    fn a_name_that_is_not_known_always_gets_the_same_salt() {
        let salt = |name| Verifier::decoy(&[1; 32], name).salt;
        assert_eq!(salt("nobody"), salt("nobody"));
        assert_ne!(salt("nobody"), salt("somebody"));
    }

    #[test]
    fn what_is_no_exchange_is_refused() {
        for first in ["", "n", "p=tls-server-end-point,,n=,r=x", "n,,n=u"] {
            let begun = Exchange::begin(first, Verifier::decoy(&[0; 32], ""), [0; 18]);
            assert_eq!(begun.err(), Some(ScramError::Malformed), "{first}");
        }
        for last in ["", "c=biws,r=other,p=AAAA", "c=biws"] {
            let (exchange, _) = Exchange::begin("n,,n=,r=x", Verifier::decoy(&[0; 32], ""), [0; 18]).unwrap();
            assert_eq!(exchange.finish(last), Err(ScramError::Malformed), "{last}");
        }
    }
}
