//! Whose certificates a node takes, and which of its own it shows.
//!
//! Promise: a certificate says that its holder knows the cluster's secret, and nothing else. Who is a member is decided
//! by the handshake within TLS and by the cluster.

use std::fmt;
use std::sync::Arc;

use rcgen::KeyPair;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ResolvesClientCert, Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, PeerIncompatible,
    RootCertStore, ServerConfig, SignatureScheme,
};
use vineyard_env::Clock;
use vineyard_net::tls;

use super::authority::{Authority, cluster_name};

/// The settings for both sides of a connection.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

/// Settings that trust these authorities, the first of which signs where the other side names none, and that know
/// those that were replaced. `key` is the node's own, which is new in each process.
pub(super) fn settings(
    cluster: &str,
    authorities: &[Authority],
    replaced: &[Authority],
    key: &KeyPair,
    clock: &Arc<dyn Clock>,
) -> Result<Settings, rustls::Error> {
    let provider = tls::provider();
    let time = Arc::new(Time(clock.clone()));
    let trust = Arc::new(Trust::new(cluster, authorities, replaced, &provider)?);
    let shown = Arc::new(Shown::new(authorities, key, clock.unix_ms(), &provider)?);
    let mut client = ClientConfig::builder_with_details(provider.clone(), time.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(trust.clone())
        .with_client_cert_resolver(shown.clone());
    client.resumption = Resumption::disabled();
    client.enable_sni = false;
    let mut server = ServerConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(trust)
        .with_cert_resolver(shown);
    server.send_tls13_tickets = 0;
    Ok(Settings {
        client: Arc::new(client),
        server: Arc::new(server),
    })
}

struct Time(Arc<dyn Clock>);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let now = std::time::Duration::from_millis(self.0.unix_ms());
        Some(UnixTime::since_unix_epoch(now))
    }
}

/// The certificates of this node, one of each authority that it may sign for.
#[derive(Debug)]
struct Shown(Vec<(DistinguishedName, Arc<CertifiedKey>)>);

impl Shown {
    fn new(
        authorities: &[Authority],
        key: &KeyPair,
        unix_ms: u64,
        provider: &CryptoProvider,
    ) -> Result<Self, rustls::Error> {
        let mut shown = Vec::new();
        for (at, authority) in authorities.iter().enumerate() {
            let (is_first, others) = (at == 0, &authorities[1..]);
            let private = PrivatePkcs8KeyDer::from(key.serialize_der());
            let signer = provider.key_provider.load_private_key(private.into())?;
            let mut chain = vec![
                authority.sign(key, unix_ms),
                authority.certificate().clone(),
            ];
            // Clients are shown the first one. Those that were told a fingerprint before a rotation know it by what the
            // others say of it. Nothing is said of the others: their secrets may be known to strangers.
            if is_first {
                for other in others {
                    chain.extend([other.vouch_for(authority), other.certificate().clone()]);
                }
            }
            let subjects = roots([authority])?.subjects();
            let subject = subjects.into_iter().next().expect("one was added");
            shown.push((subject, Arc::new(CertifiedKey::new(chain, signer))));
        }
        Ok(Self(shown))
    }

    /// The one that the other side will take, as far as it says.
    fn of(&self, taken: &[&[u8]]) -> Option<Arc<CertifiedKey>> {
        let named = |subject: &DistinguishedName| taken.contains(&subject.as_ref());
        let found = self.0.iter().find(|(subject, _)| named(subject));
        found.or(self.0.first()).map(|(_, key)| key.clone())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let taken = hello.certificate_authorities().unwrap_or_default();
        let taken: Vec<&[u8]> = taken.iter().map(AsRef::as_ref).collect();
        self.of(&taken)
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, taken: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.of(taken)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn roots<'a>(
    authorities: impl IntoIterator<Item = &'a Authority>,
) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.certificate().clone())?;
    }
    Ok(roots)
}

#[derive(Debug)]
struct Trust {
    cluster: ServerName<'static>,
    roots: RootCertStore,
    replaced: RootCertStore,
    subjects: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    fn new(
        cluster: &str,
        authorities: &[Authority],
        replaced: &[Authority],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let roots_of_now = roots(authorities)?;
        Ok(Self {
            cluster: ServerName::try_from(cluster_name(cluster))
                .expect("hexadecimal digits and dots make a name"),
            subjects: roots_of_now.subjects(),
            roots: roots_of_now,
            replaced: roots(replaced)?,
            provider: provider.clone(),
        })
    }

    /// The kind of the error tells both sides what is wrong: the other side gets it as an alert.
    fn verify(&self, shown: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
        let certificate = ParsedCertificate::try_from(shown)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let by = |roots: &RootCertStore| {
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, &[], now, algorithms)
        };
        let unknown = match by(&self.roots) {
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                CertificateError::UnknownIssuer
            }
            verified => return verified,
        };
        if verify_server_name(&certificate, &self.cluster).is_err() {
            return Err(CertificateError::NotValidForName.into());
        }
        match !self.replaced.is_empty() && by(&self.replaced).is_ok() {
            true => Err(CertificateError::Revoked.into()),
            false => Err(unknown.into()),
        }
    }

    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verify(shown, now);
        verified.map(|()| ServerCertVerified::assertion())
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
        self.verify_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.subjects)
    }
}

impl ClientCertVerifier for Trust {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    /// Clients of the port have none; nodes are asked for it once they say that they are nodes.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.verify(shown, now);
        verified.map(|()| ClientCertVerified::assertion())
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
        self.verify_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::PKCS_ED25519;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::boot::secrets::tests::Stands;
    use crate::boot::token::{SECRET_BYTES, Token};
    use crate::peer::pipe::pipes;

    fn authority(secret: u8) -> Authority {
        Authority::of(&Token {
            cluster: "c".to_owned(),
            secret: [secret; SECRET_BYTES],
        })
    }

    fn key() -> KeyPair {
        KeyPair::generate_for(&PKCS_ED25519).unwrap()
    }

    #[test]
    fn nothing_is_shown_that_vouches_for_another_authority_than_the_first() {
        let (new, old) = (authority(1), authority(2));
        let shown = Shown::new(&[new, old], &key(), 0, &tls::provider()).unwrap();
        let lengths: Vec<usize> = shown.0.iter().map(|(_, key)| key.cert.len()).collect();
        assert_eq!(lengths, [4, 2]);
        let vouched = authority(2).vouch_for(&authority(1));
        assert_eq!(shown.0[0].1.cert[2], vouched);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_written_leaves_while_its_writer_reads() {
        let clock: Arc<dyn Clock> = Arc::new(Stands::default());
        let both = settings("c", &[authority(1)], &[], &key(), &clock).unwrap();
        // The stream below takes far less at once than is written.
        let (near, far) = pipes();
        let (client, server) = (both.client.clone(), both.server.clone());
        let opened = tokio::join!(
            tls::connect(Box::new(near) as Box<dyn vineyard_env::Stream>, client),
            tls::accept(Box::new(far), b"", server)
        );
        let (mut reader, mut writer) = (opened.0.unwrap(), opened.1.unwrap());
        let written = vec![7; 100 << 10];
        let writes = async {
            writer.write_all(&written).await.unwrap();
            writer.read_exact(&mut [0]).await.unwrap();
        };
        let reads = async {
            // Time passes only when the writer can do no more.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            reader.read_exact(&mut vec![0; 100 << 10]).await.unwrap();
            reader.write_all(b"!").await.unwrap();
            reader.flush().await.unwrap();
        };
        let within = std::time::Duration::from_secs(60);
        let both = async { tokio::join!(writes, reads) };
        tokio::time::timeout(within, both)
            .await
            .expect("no side waits for ever");
    }
}
