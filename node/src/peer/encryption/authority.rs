//! The certificate authority of a token, and what it signs.
//!
//! Promise: who has the token makes the same authority, to the byte, and nobody else can sign for it. So a token needs
//! no second part, and each node signs for itself.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use vineyard_net::tls::Fingerprint;

use crate::boot::token::Token;

/// A certificate is valid from so long before it was made until so long after: clocks differ. Nodes whose clocks differ
/// by more do not reach each other.
pub(crate) const VALID_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A node makes its next certificate when this one is so old. What is left then is how far a clock may be ahead.
pub(crate) const RENEWED_AFTER: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// What the key is derived for.
const PURPOSE: &str = "vineyard 2026 key of the certificate authority of a join token";
/// What stands before the 32 bytes of an Ed25519 key in PKCS #8.
const PKCS8_OF_ED25519: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// See the module.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    cluster: String,
}

impl Authority {
    /// The authority of a token.
    pub fn of(token: &Token) -> Self {
        let key = key_of(token);
        let params = params_of(&key);
        let signed = params.self_signed(&key);
        let certificate = signed.expect("these parameters have a form").der().clone();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
            cluster: cluster_name(&token.cluster),
        }
    }

    /// Says that `next` speaks for this authority too: who knows this one alone takes what `next` signs.
    pub(crate) fn vouch_for(&self, next: &Self) -> CertificateDer<'static> {
        let signed = params_of(next.issuer.key()).signed_by(next.issuer.key(), &self.issuer);
        signed.expect("these parameters have a form").der().clone()
    }

    /// In DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// By what a client knows this authority.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// The certificate as text.
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(&self.certificate);
        let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
        for line in text.as_bytes().chunks(64) {
            pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
            pem.push('\n');
        }
        pem + "-----END CERTIFICATE-----\n"
    }

    /// A certificate for a node's key, made at this time.
    pub(crate) fn sign(&self, key: &KeyPair, unix_ms: u64) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![self.cluster.clone()])
            .expect("hexadecimal digits and dots make a name");
        params.distinguished_name = name("vineyard node");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.serial_number = Some(serial_of(key));
        let made = date_time_ymd(1970, 1, 1) + Duration::from_millis(unix_ms);
        params.not_before = made - VALID_FOR.min(Duration::from_millis(unix_ms));
        params.not_after = made + VALID_FOR;
        let signed = params.signed_by(key, &self.issuer);
        signed.expect("these parameters have a form").der().clone()
    }
}

fn params_of(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&format!("vineyard authority {}", mark_of(key)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.serial_number = Some(serial_of(key));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params
}

/// The name that every certificate of a cluster has. What a cluster is called may have no form as such a name.
pub(crate) fn cluster_name(cluster: &str) -> String {
    let hash = blake3::hash(cluster.as_bytes()).to_hex();
    format!("{}.vineyard", &hash[..16])
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn key_of(token: &Token) -> KeyPair {
    let seed = blake3::derive_key(PURPOSE, &token.secret);
    let key = [&PKCS8_OF_ED25519[..], &seed].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(key), &PKCS_ED25519)
        .expect("any 32 bytes are an Ed25519 key")
}

/// What one authority signs has as many serial numbers as keys. 20 bytes are the most there may be.
fn serial_of(key: &KeyPair) -> SerialNumber {
    let mut serial = blake3::hash(key.public_key_raw()).as_bytes()[..20].to_vec();
    // The number is positive, and fills its bytes.
    serial[0] = serial[0] & 0x7f | 0x40;
    SerialNumber::from(serial)
}

/// Tells the authorities of different secrets apart.
fn mark_of(key: &KeyPair) -> String {
    blake3::hash(key.public_key_raw()).to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::boot::token::SECRET_BYTES;

    fn token(byte: u8) -> Token {
        Token {
            cluster: "amber-fox".to_owned(),
            secret: [byte; SECRET_BYTES],
        }
    }

    #[test]
    fn a_token_has_one_authority() {
        let (one, same) = (Authority::of(&token(1)), Authority::of(&token(1)));
        assert_eq!(one.certificate(), same.certificate());
        assert_ne!(one.certificate(), Authority::of(&token(2)).certificate());
        let printed = "sha256:";
        assert!(one.fingerprint().to_string().starts_with(printed));
        assert!(one.pem().starts_with("-----BEGIN CERTIFICATE-----\nMII"));
    }

    #[test]
    fn no_two_certificates_of_an_authority_have_the_same_serial_number() {
        let (old, new) = (Authority::of(&token(1)), Authority::of(&token(2)));
        let key = || KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let signed = [
            old.certificate().clone(),
            old.vouch_for(&new),
            old.sign(&key(), 1),
            old.sign(&key(), 1),
        ];
        let serials: BTreeSet<&[u8]> = signed.iter().map(|one| serial(one)).collect();
        assert_eq!(serials.len(), signed.len());
    }

    /// The first 20 bytes that DER says are a number.
    fn serial(certificate: &[u8]) -> &[u8] {
        let begin = certificate.windows(2).position(|two| two == [2, 20]);
        let begin = begin.expect("a number of 20 bytes") + 2;
        &certificate[begin..begin + 20]
    }
}
