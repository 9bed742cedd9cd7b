//! Both sides of TLS, and what each says when the other is not trusted.

use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::NoFaults;
use vineyard_wire::peer::{MAGIC, Purpose};

use super::*;
use crate::boot::secrets::tests::Stands;
use crate::boot::token::SECRET_BYTES;
use crate::peer::encryption::authority::VALID_FOR;
use crate::peer::pipe::{pipes, random};

const SECRET: Secret = [7; SECRET_BYTES];

pub(crate) fn credentials(cluster: &str, secret: Secret, clock: &Arc<Stands>) -> Credentials {
    Credentials {
        cluster: cluster.to_owned(),
        secrets: Secrets::new(secret, clock.clone()),
        epoch: vineyard_raft::Epoch::new(1),
        node: Some(NodeId(1)),
    }
}

fn told(exempt: Exempt, credentials: &Credentials, has_begun: bool) -> Encryption {
    Encryption::new(exempt, features::LATEST, credentials, has_begun)
}

/// For tests of what does not encrypt.
pub(crate) fn plain(credentials: &Credentials) -> Encryption {
    told(Exempt::All, credentials, false)
}

/// For tests of what encrypts always.
pub(crate) fn of(credentials: &Credentials) -> Encryption {
    told(Exempt::None, credentials, true)
}

/// What each side says once both have read one byte of the other.
async fn meet(dialler: &Settings, listener: &Settings) -> [io::Result<()>; 2] {
    let (near, far) = pipes();
    let dialled = async {
        let mut link = tls::connect(Box::new(near), dialler.client.clone()).await?;
        link.write_all(b"?").await?;
        link.flush().await?;
        link.read_exact(&mut [0]).await.map(drop)
    };
    let accepted = async {
        let mut link = tls::accept(Box::new(far), b"", listener.server.clone()).await?;
        link.read_exact(&mut [0]).await?;
        link.write_all(b"!").await?;
        link.flush().await?;
        assert!(link.peer_has_certificate());
        Ok(())
    };
    let (dialled, accepted) = tokio::join!(dialled, accepted);
    [
        dialled.map_err(|error| explained(error, Side::Dialler)),
        accepted.map_err(|error| explained(error, Side::Listener)),
    ]
}

fn assert_denied(said: [io::Result<()>; 2], dialler: &str, listener: &str) {
    for (said, expected) in said.into_iter().zip([dialler, listener]) {
        let error = said.expect_err(expected);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn who_has_another_token_or_another_cluster_is_refused_on_both_sides() {
    let clock = Arc::new(Stands::default());
    let settings = |cluster, secret| {
        of(&credentials(cluster, secret, &clock))
            .settings()
            .unwrap()
    };
    let member = settings("amber-fox", SECRET);
    let same = settings("amber-fox", SECRET);
    for said in meet(&member, &same).await {
        said.unwrap();
    }
    let thief = settings("amber-fox", [8; SECRET_BYTES]);
    let said = meet(&thief, &member).await;
    assert_denied(
        said,
        handshake::UNKNOWN_SECRET,
        "its token, or its ca, is another",
    );
    let said = meet(&settings("blue-cat", [9; SECRET_BYTES]), &member).await;
    assert_denied(
        said,
        "belongs to another cluster",
        "may belong to another cluster",
    );
}

#[tokio::test]
async fn a_listener_refuses_who_takes_any_certificate_and_shows_a_foreign_one() {
    let clock = Arc::new(Stands::default());
    let settings = |cluster, secret| {
        of(&credentials(cluster, secret, &clock))
            .settings()
            .unwrap()
    };
    let member = settings("amber-fox", SECRET);
    for (cluster, dialler, listener) in [
        (
            "amber-fox",
            handshake::UNKNOWN_SECRET,
            handshake::WRONG_SECRET,
        ),
        (
            "blue-cat",
            "may belong to another cluster",
            "the caller belongs to another cluster",
        ),
    ] {
        let mut thief = settings(cluster, [8; SECRET_BYTES]);
        let mut client = ClientConfig::clone(&tls::client_config(tls::Trusted::Any));
        client.client_auth_cert_resolver = thief.client.client_auth_cert_resolver.clone();
        thief.client = Arc::new(client);
        assert_denied(meet(&thief, &member).await, dialler, listener);
    }
}

/// A link in TLS between two members.
async fn link(dialler: &Encryption, listener: &Encryption) -> (tls::TlsLink, tls::TlsLink) {
    let (near, far) = pipes();
    let opened = tokio::join!(
        dialler.connect(Box::new(near)),
        listener.accept(Box::new(far), b"")
    );
    (opened.0.unwrap(), opened.1.unwrap())
}

#[tokio::test]
async fn a_handshake_is_worth_nothing_when_it_is_carried_into_another_link() {
    let clock = Arc::new(Stands::default());
    let member = credentials("c", SECRET, &clock);
    let encryption = of(&member);
    // Who stands in the middle opens both links, and passes on what each says.
    let (mut dialler, mut one) = link(&encryption, &encryption).await;
    let (mut other, mut listener) = link(&encryption, &encryption).await;
    let dials = async move {
        let secret = member.secrets.current();
        handshake::dial(&mut dialler, &member, &secret, Purpose::Node, &random(0)).await
    };
    let passes = async move { tokio::io::copy_bidirectional(&mut one, &mut other).await };
    let mine = credentials("c", SECRET, &clock);
    let listens = async {
        listener.read_exact(&mut [0; MAGIC.len()]).await?;
        let serves = |_| Ok(());
        let (random, me) = (random(1_000), NodeId(7));
        handshake::accept(&mut listener, &mine, me, &random, &NoFaults, serves).await
    };
    let (dialled, _, listened) = tokio::join!(dials, passes, listens);
    assert_denied(
        [dialled.map(drop), listened.map(drop)],
        handshake::UNKNOWN_SECRET,
        "the caller left at the challenge",
    );
}

#[tokio::test]
async fn a_certificate_is_renewed_and_one_that_has_expired_is_refused_on_both_sides() {
    let clock = Arc::new(Stands::default());
    let at = |after: Duration| clock.put(1_700_000_000_000 + after.as_millis() as u64);
    at(Duration::ZERO);
    let (one, other) = (
        of(&credentials("c", SECRET, &clock)),
        of(&credentials("c", SECRET, &clock)),
    );
    let old = one.settings().unwrap();
    at(RENEWED_AFTER / 2);
    let same = one.settings().unwrap();
    assert!(Arc::ptr_eq(&old.client, &same.client), "not renewed yet");
    at(VALID_FOR + Duration::from_secs(1));
    let now = other.settings().unwrap();
    let said = meet(&now, &old).await;
    assert_denied(said, "expired", "has expired, or is not valid yet");
    let said = meet(&old, &now).await;
    assert_denied(said, "has expired, or is not valid yet", "expired");
    for said in meet(&one.settings().unwrap(), &now).await {
        said.unwrap();
    }
}

#[tokio::test]
async fn a_clock_may_be_behind_by_as_much_as_a_certificate_is_valid() {
    let clock = Arc::new(Stands::default());
    let made = Duration::from_millis(1_700_000_000_000);
    let at = |time: Duration| clock.put(time.as_millis() as u64);
    at(made);
    let ahead = of(&credentials("c", SECRET, &clock)).settings().unwrap();
    at(made - VALID_FOR);
    let behind = of(&credentials("c", SECRET, &clock)).settings().unwrap();
    for said in meet(&behind, &ahead).await {
        said.unwrap();
    }
    at(made - VALID_FOR - Duration::from_secs(1));
    let said = meet(&behind, &ahead).await;
    assert_denied(said, "not valid yet", "has expired, or is not valid yet");
}

#[tokio::test]
async fn after_a_rotation_both_authorities_count_until_the_old_one_is_over() {
    let (new, hidden) = secrets::rotate(&SECRET, &random(1));
    let rotation = vineyard_raft::state::Rotation {
        hidden,
        until_unix_ms: 1_000,
    };
    let clock = Arc::new(Stands::default());
    let known = |secret| credentials("c", secret, &clock);
    let (member, late, fresh) = (known(SECRET), known(SECRET), known(new));
    member.secrets.follow(&rotation);
    let (member, late, fresh) = (of(&member), of(&late), of(&fresh));
    for (dialler, listener) in [
        (&late, &member),
        (&member, &late),
        (&fresh, &member),
        (&member, &fresh),
    ] {
        for said in meet(&dialler.settings().unwrap(), &listener.settings().unwrap()).await {
            said.unwrap();
        }
    }
    clock.put(1_000);
    let (late, member) = (late.settings().unwrap(), member.settings().unwrap());
    let said = meet(&late, &member).await;
    assert_denied(
        said,
        handshake::UNKNOWN_SECRET,
        "its token, or its ca, is another",
    );
    let said = meet(&member, &late).await;
    assert_denied(said, secrets::OTHER_REPLACED, secrets::REPLACED_AT_LISTENER);
}

#[test]
fn only_loopback_addresses_are_exempt_unless_it_was_told_otherwise() {
    let clock = Arc::new(Stands::default());
    let member = credentials("c", SECRET, &clock);
    let (here, there) = ("127.0.0.2:9600", "10.0.0.1:9600");
    let default = told(Exempt::Loopback, &member, true);
    assert_eq!(default.of_call(here), Opened::Plain);
    assert_eq!(default.of_call("[::ffff:127.0.0.1]:1"), Opened::Plain);
    assert_eq!(default.of_call(there), Opened::Encrypted);
    assert!(default.refuses_plain(there) && !default.refuses_plain("[::1]:9600"));
    let always = told(Exempt::None, &member, true);
    assert_eq!(always.of_call(here), Opened::Encrypted);
    assert!(always.refuses_plain(here));
    let never = told(Exempt::All, &member, true);
    assert_eq!(never.of_call(there), Opened::Plain);
    assert!(!never.refuses_plain(there));
    // A node that asks to be admitted does not know what the members know.
    let joiner = Credentials {
        node: None,
        ..member
    };
    let default = told(Exempt::Loopback, &joiner, false);
    assert_eq!(default.of_call(there), Opened::Offered);
    assert!(!default.refuses_plain(there));
    let always = told(Exempt::None, &joiner, false);
    assert_eq!(always.of_call(here), Opened::Encrypted);
    assert!(always.refuses_plain(here));
}
