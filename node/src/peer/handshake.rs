//! The mutual challenge that opens a peer connection.
//!
//! Both sides prove that they know the cluster's secret by a keyed hash over both nonces; the secret is never sent, and
//! a proof of one side is never valid as the other's.

use std::cmp::Ordering;
use std::io;

use tokio::io::AsyncWriteExt;
use vineyard_env::{Fault, Faults, Random, Stream};
use vineyard_raft::Epoch;
use vineyard_wire::NodeId;
use vineyard_wire::peer::{self, Challenge, Hello, MAGIC, PROOF_BYTES, Purpose, Response, Welcome};

use super::frames::{self, invalid};
use crate::boot::secrets::{self, Secret, Secrets};

/// Upper bound of a handshake message; a longer frame is refused.
const HANDSHAKE_BYTES_MAX: usize = 1 << 10;

/// The refusal of a node that has another secret. It may not have heard of a rotation of the token yet.
pub(crate) const UNKNOWN_SECRET: &str =
    "the secret here is not the one of the cluster that answered";

/// The refusal of a caller that has another secret.
pub(crate) const WRONG_SECRET: &str = "wrong secret for this cluster";

/// What both sides must agree on.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) cluster: String,
    pub(crate) secrets: Secrets,
    pub(crate) epoch: Epoch,
    /// Absent while joining.
    pub(crate) node: Option<NodeId>,
}

#[derive(Clone, Copy)]
enum Side {
    Dialler,
    Listener,
}

/// What a proof is for: one connection. `channel` is that of an encrypted one, so that a proof is worth nothing to who
/// decrypts in the middle.
struct Proven<'a> {
    hello: &'a Hello,
    listener_nonce: &'a [u8; PROOF_BYTES],
    channel: Option<[u8; 32]>,
}

/// A keyed hash over the nonces of this connection, this side and the secret.
fn proof(secret: &Secret, side: Side, of: &Proven<'_>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(match side {
        Side::Dialler => b"vineyard peer dialler ",
        Side::Listener => b"vineyard peer listener",
    });
    hasher.update(&of.hello.nonce);
    hasher.update(of.listener_nonce);
    hasher.update(&peer::encode(of.hello));
    if let Some(channel) = &of.channel {
        hasher.update(channel);
    }
    hasher.finalize()
}

/// Opens `stream` for `purpose`, from the side that dialled, with a secret that the nonce marks. `PermissionDenied`
/// carries the other side's reason.
pub(crate) async fn dial(
    stream: &mut dyn Stream,
    mine: &Credentials,
    secret: &Secret,
    purpose: Purpose,
    random: &dyn Random,
) -> io::Result<NodeId> {
    let nonce = secrets::nonce(secret, random);
    let hello = Hello {
        version: peer::VERSION,
        cluster: mine.cluster.clone(),
        epoch: mine.epoch.get(),
        from: mine.node,
        purpose,
        nonce,
    };
    let mut opening = MAGIC.to_vec();
    opening.extend(vineyard_wire::frame::with_header(&peer::encode(&hello)));
    stream.write_all(&opening).await?;
    stream.flush().await?;
    let (theirs, proven) = match frames::read(stream, HANDSHAKE_BYTES_MAX).await? {
        Challenge::Proceed { nonce, proof } => (nonce, proof),
        Challenge::Refused(reason) => return Err(denied(reason)),
    };
    let of = Proven {
        hello: &hello,
        listener_nonce: &theirs,
        channel: stream.channel(),
    };
    // A node that has not heard of a rotation yet proves by the secret of before.
    let is_theirs = |secret: &Secret| proof(secret, Side::Listener, &of) == proven;
    let Some(secret) = mine.secrets.valid().into_iter().find(is_theirs) else {
        return Err(denied(match mine.secrets.is_of_replaced(is_theirs) {
            true => secrets::OTHER_REPLACED,
            false => UNKNOWN_SECRET,
        }));
    };
    let proof = *proof(&secret, Side::Dialler, &of).as_bytes();
    frames::write(stream, &Response { proof }).await?;
    match frames::read(stream, HANDSHAKE_BYTES_MAX).await? {
        Welcome::Welcome { node, .. } => Ok(node),
        Welcome::Refused(reason) => Err(denied(reason)),
    }
}

/// Answers a dialler whose `MAGIC` has been read. Returns its hello if it knows the secret and `serves` accepts its
/// purpose.
pub(crate) async fn accept(
    stream: &mut dyn Stream,
    mine: &Credentials,
    me: NodeId,
    random: &dyn Random,
    faults: &dyn Faults,
    serves: impl Fn(Purpose) -> Result<(), &'static str>,
) -> io::Result<Hello> {
    let read = frames::read::<_, Hello>(stream, HANDSHAKE_BYTES_MAX).await;
    let epoch = mine.epoch.get();
    let refusal = match &read {
        Ok(hello) => admissible(mine, epoch, hello)
            .and_then(|()| serves(hello.purpose).map_err(str::to_owned))
            .and_then(|()| {
                let secret = mine.secrets.of_caller(&hello.nonce);
                secret.map(drop).map_err(str::to_owned)
            })
            .err(),
        // Most likely a frame of another version. Its sender is told the reason too.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Some(error.to_string()),
        Err(_) => None,
    };
    if let Some(reason) = refusal {
        frames::write(stream, &Challenge::Refused(reason.clone())).await?;
        return Err(denied(reason));
    }
    let hello = read?;
    let secret = mine.secrets.of_caller(&hello.nonce).map_err(denied)?;
    let mut nonce = [0; PROOF_BYTES];
    random.fill(&mut nonce);
    let of = Proven {
        hello: &hello,
        listener_nonce: &nonce,
        channel: stream.channel(),
    };
    let proven = *proof(&secret, Side::Listener, &of).as_bytes();
    let challenge = Challenge::Proceed {
        nonce,
        proof: proven,
    };
    frames::write(stream, &challenge).await?;
    let response = frames::read(stream, HANDSHAKE_BYTES_MAX).await;
    let response: Response = response.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => denied(
            "the caller left at the challenge, as one does whose secret is not this cluster's",
        ),
        _ => error,
    })?;
    let knows_secret = proof(&secret, Side::Dialler, &of) == response.proof;
    if !knows_secret && !faults.has(Fault::AdmitsAnySecret) {
        let reason = WRONG_SECRET.to_owned();
        frames::write(stream, &Welcome::Refused(reason.clone())).await?;
        return Err(denied(reason));
    }
    frames::write(stream, &Welcome::Welcome { node: me, epoch }).await?;
    Ok(hello)
}

fn admissible(mine: &Credentials, epoch: u64, hello: &Hello) -> Result<(), String> {
    if hello.version != peer::VERSION {
        return Err(format!(
            "this node speaks peer protocol {}, the caller {}",
            peer::VERSION,
            hello.version
        ));
    }
    if hello.cluster != mine.cluster {
        return Err(format!("this node belongs to cluster {:?}", mine.cluster));
    }
    // A token has no epoch: a joining node gets it with the welcome, a member must be of this epoch.
    let theirs = hello.epoch;
    match theirs.cmp(&epoch) {
        _ if hello.from.is_none() => Ok(()),
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(format!(
            "the caller was left behind when this cluster was recovered: it is at epoch {theirs}, this node at epoch \
             {epoch}. {REMEDY}"
        )),
        Ordering::Greater => Err(format!(
            "this node was left behind when its cluster was recovered: it is at epoch {epoch}, the caller at epoch \
             {theirs}. {REMEDY}"
        )),
    }
}

/// Both sides read it.
const REMEDY: &str = "To use the node that was left behind, stop it and start it with an empty --data-dir and with \
                      --join";

pub(super) fn denied(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, invalid(reason.into()))
}

#[cfg(test)]
mod tests;
