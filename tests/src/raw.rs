//! The client protocol in bare frames: a length, a JSON text. It knows only what the protocol's description says.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

const REPLY_BYTES_MAX: u64 = 256 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What a server did with a frame.
#[derive(Debug)]
pub enum Answer {
    Reply(Value),
    Closed,
}

/// One connection, over either socket.
#[derive(Debug)]
pub enum Raw {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Raw {
    pub fn unix(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self::Unix(stream))
    }

    pub fn tcp(endpoint: &str) -> Result<Self> {
        let stream = TcpStream::connect(endpoint).with_context(|| endpoint.to_owned())?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    /// Says who we are, as the released client does. The reply names the node.
    pub fn register(&mut self) -> Result<Value> {
        let request = json!({"type": "register_request", "version": "0.24.2", "store_type": 1,
            "session_id": 0, "username": "", "password": ""});
        self.ask(&request)
    }

    pub fn ask(&mut self, request: &Value) -> Result<Value> {
        self.send(&frame(request.to_string().as_bytes()))?;
        match self.answer()? {
            Answer::Reply(reply) => Ok(reply),
            Answer::Closed => bail!("the connection was closed instead of answering {request}"),
        }
    }

    /// A blob of `size` bytes, open for writing. Over the Unix socket only.
    pub fn create_blob(&mut self, size: u64) -> Result<u64> {
        let reply = self.ask(&json!({"type": "create_buffer_request", "size": size}))?;
        if reply["fd"].as_i64().is_some_and(|fd| fd >= 0) {
            // The arena's descriptor rides on one byte; a plain read lets the descriptor go.
            self.read_exact(&mut [0])?;
        }
        reply["id"]
            .as_u64()
            .with_context(|| format!("no blob: {reply}"))
    }

    /// A blob of `size` bytes of whatever the arena held.
    pub fn create_sealed_blob(&mut self, size: u64) -> Result<u64> {
        let id = self.create_blob(size)?;
        let reply = self.ask(&json!({"type": "seal_request", "object_id": id}))?;
        ensure!(reply["type"] == "seal_reply", "{reply}");
        Ok(id)
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Unix(stream) => stream.write_all(bytes)?,
            Self::Tcp(stream) => stream.write_all(bytes)?,
        }
        Ok(())
    }

    /// No more will come from here; what the server says can still be read.
    pub fn finish(&mut self) -> Result<()> {
        let done = match self {
            Self::Unix(stream) => stream.shutdown(std::net::Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
        };
        match done {
            // The server was faster.
            Err(error) if closed(error.kind()) => Ok(()),
            done => Ok(done?),
        }
    }

    /// The next frame, or that the server closed. Neither within the limit is an error: a server must decide.
    pub fn answer(&mut self) -> Result<Answer> {
        let mut header = [0; 8];
        match self.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if closed(error.kind()) => return Ok(Answer::Closed),
            Err(error) => return Err(error).context("no answer"),
        }
        let len = u64::from_le_bytes(header);
        ensure!(len <= REPLY_BYTES_MAX, "a reply of {len} bytes");
        let mut body = vec![0; len as usize];
        self.read_exact(&mut body)?;
        Ok(Answer::Reply(serde_json::from_slice(&body)?))
    }

    /// Reads whatever comes until the server closes; that it keeps silent instead is an error.
    pub fn read_to_close(&mut self) -> Result<()> {
        loop {
            match self.read_exact(&mut [0]) {
                Ok(()) => {}
                Err(error) if closed(error.kind()) => return Ok(()),
                Err(error) => return Err(error).context("the server does not close"),
            }
        }
    }

    pub fn read_exact(&mut self, buffer: &mut [u8]) -> std::io::Result<()> {
        match self {
            Self::Unix(stream) => stream.read_exact(buffer),
            Self::Tcp(stream) => stream.read_exact(buffer),
        }
    }
}

fn closed(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(
        kind,
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected
    )
}

/// `body` with its length in front.
pub fn frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}
