//! What a client trusts: the certificate authority of one cluster, or nobody in particular.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, PeerIncompatible, RootCertStore,
    SignatureScheme,
};

/// The SHA-256 of a certificate. Prints as `sha256:<hex>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

const PREFIX: &str = "sha256:";

impl Fingerprint {
    /// Of the certificate in these bytes, which are DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// Of the certificates in a text in PEM.
    ///
    /// # Errors
    /// What is wrong with the text; one without a certificate is wrong.
    pub fn all_in_pem(pem: &[u8]) -> Result<Vec<Self>, String> {
        let certificates = CertificateDer::pem_slice_iter(pem);
        let fingerprints = certificates.map(|one| Ok(Self::of(&one?)));
        let fingerprints: Result<Vec<_>, pem::Error> = fingerprints.collect();
        match fingerprints {
            Ok(none) if none.is_empty() => Err("there is no certificate in it".to_owned()),
            Ok(fingerprints) => Ok(fingerprints),
            // The library's words have the text byte by byte.
            Err(_) => Err("it is no certificate in PEM".to_owned()),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoFingerprint;

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(NoFingerprint)?;
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NoFingerprint);
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let pair = &digits[2 * index..2 * index + 2];
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoFingerprint)?;
        }
        Ok(Self(bytes))
    }
}

/// Which nodes a client takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// Any: the bytes are encrypted, and nobody knows for whom.
    Any,
    /// Those with a certificate of an authority that has one of these fingerprints.
    Authorities(Vec<Fingerprint>),
}

/// The settings of a client that takes the nodes in `trusted`.
#[must_use]
pub fn client_config(trusted: Trusted) -> Arc<ClientConfig> {
    let provider = super::provider();
    let pinned = Pinned {
        trusted,
        provider: provider.clone(),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has algorithms of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Arc::new(config)
}

#[derive(Debug)]
struct Pinned {
    trusted: Trusted,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Trusted::Authorities(fingerprints) = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        let mut roots = RootCertStore::empty();
        let known = |one: &&CertificateDer<'_>| fingerprints.contains(&Fingerprint::of(one));
        for authority in intermediates.iter().filter(known) {
            roots.add(authority.clone().into_owned())?;
        }
        if roots.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_as_it_was_printed() {
        let fingerprint = Fingerprint::of(b"certificate");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for bad in ["", "sha256:", "sha256:00", "md5:00"] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(NoFingerprint), "{bad}");
        }
    }
}
