//! As much HTTP as a prober speaks, in plain bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// An answer as it was read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Lines of the head after the first, in small letters.
    pub head: String,
    pub body: String,
}

/// `GET path` as a prober asks it.
pub fn get(endpoint: &str, path: &str) -> Result<Answer> {
    ask(endpoint, "GET", path, endpoint)
}

/// One request on a connection of its own.
pub fn ask(endpoint: &str, method: &str, path: &str, host: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(endpoint)?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    answer(&mut stream)
}

/// What comes until the other side closes.
pub fn answer(stream: &mut TcpStream) -> Result<Answer> {
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("no answer of HTTP: {text:?}"))?;
    let (first, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1).context("no status")?;
    Ok(Answer {
        status: status.parse()?,
        head: rest.to_lowercase(),
        body: body.to_owned(),
    })
}
