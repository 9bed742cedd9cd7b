//! Writes replies.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use vineyard_wire::{Reply, Status, frame, json, limits};

/// The frame of a reply.
pub(crate) fn encode(outcome: &Result<Reply, Status>) -> Vec<u8> {
    let body = match outcome {
        Ok(reply) => json::encode_reply(reply),
        Err(status) => json::encode_status(status),
    };
    frame::with_header(&within(limits::CLIENT_FRAME_BYTES_MAX, body))
}

/// `body`, or a refusal if it is longer than clients accept. Handlers refuse most replies of such a length before they
/// are encoded; lists of names are only checked here.
fn within(bytes_max: usize, body: Vec<u8>) -> Vec<u8> {
    let bytes = body.len();
    if bytes <= bytes_max {
        return body;
    }
    let message = format!(
        "too large for one reply: {bytes} bytes of at most {bytes_max}; ask for less at once"
    );
    json::encode_status(&Status::invalid(message))
}

/// Writes one reply with one call.
pub(crate) async fn write<S>(stream: &mut S, outcome: &Result<Reply, Status>) -> io::Result<()>
where
    S: AsyncWrite + Unpin + ?Sized,
{
    stream.write_all(&encode(outcome)).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use vineyard_wire::Code;

    use super::*;

    #[test]
    fn a_reply_that_no_client_reads_becomes_a_refusal() {
        let body = json::encode_reply(&Reply::Clear);
        let bytes = body.len();
        assert_eq!(within(bytes, body.clone()), body);
        let refused = json::decode_reply(&within(bytes - 1, body)).unwrap();
        let status = refused.unwrap_err();
        assert_eq!(status.code, Code::Invalid);
        assert!(status.message.contains("too large"), "{status}");
    }
}
