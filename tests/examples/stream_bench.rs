//! Streams of our Rust client between two processes: this one writes, a child reads. Prints one JSON object as
//! `tests/bench/io_streams.py` does: milliseconds of each row.
#![allow(
    clippy::disallowed_methods,
    reason = "it measures real nodes on the real clock; nothing here is replayed"
)]

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use vineyard_client::blocking::Client;
use vineyard_client::stream::{ReaderOptions, StreamOptions};
use vineyard_client::{ObjectId, Options};

const CHUNK_BYTES: usize = 1024;
const CHUNKS: usize = 1000;
/// How many chunks a request of the reader may bring.
const AT_ONCE: u64 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [socket] => measure(socket),
        [socket, stream] => read(socket, stream),
        _ => Err(anyhow::anyhow!("usage: stream_bench SOCKET")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stream_bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(socket: &str) -> Result<()> {
    let client = connect(socket)?;
    // The first stream warms up.
    one_stream(&client, socket)?;
    let ms = one_stream(&client, socket)?;
    println!("{}", json!({"byte stream, 1 KiB chunks": {"vineyard": ms}}));
    Ok(())
}

/// What it takes until a process that was waiting has read all.
fn one_stream(client: &Client, socket: &str) -> Result<f64> {
    let stream = client.create_stream(StreamOptions::default())?;
    let mut reader = Command::new(std::env::current_exe()?)
        .args([socket, &stream.to_string()])
        .stdin(Stdio::null())
        .spawn()?;
    let waits = |client: &Client| -> Result<bool> {
        let status = client.stream_status(stream)?;
        Ok(status.cursors.iter().any(|cursor| cursor.waits))
    };
    while !waits(client)? {
        ensure!(reader.try_wait()?.is_none(), "the reader ended");
    }
    let mut writer = client.open_writer(stream)?;
    let begun = Instant::now();
    for _ in 0..CHUNKS {
        writer.write(&[7; CHUNK_BYTES])?;
    }
    writer.finish()?;
    // The end of the process is in it: some of a millisecond.
    ensure!(reader.wait()?.success(), "the reader failed");
    let took = begun.elapsed();
    client.drop_stream(stream)?;
    Ok(took.as_secs_f64() * 1e3)
}

fn read(socket: &str, stream: &str) -> Result<()> {
    let stream: ObjectId = stream.parse().ok().context("an object's id")?;
    let mut reader = connect(socket)?.open_reader(stream, &ReaderOptions::default())?;
    let mut count = 0;
    loop {
        let chunks = reader.next_many(AT_ONCE)?;
        if chunks.is_empty() {
            break;
        }
        for chunk in &chunks {
            let bytes = chunk.blob().context("the chunks are blobs")?;
            ensure!(bytes.len() == CHUNK_BYTES && bytes[0] == 7, "wrong bytes");
        }
        count += chunks.len();
    }
    ensure!(count == CHUNKS, "{count} chunks");
    Ok(())
}

fn connect(socket: &str) -> Result<Client> {
    Ok(Client::connect_ipc(socket, &Options::default())?)
}
