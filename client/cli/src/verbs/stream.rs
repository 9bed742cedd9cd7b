//! `stream ls|status|cat|rm`: the streams of the node, their chunks and who waits.

use std::io::{self, Write as _};

use serde_json::{Value, json};
use vineyard_client::stream::{ReaderOptions, StreamStatus};
use vineyard_client::{Client, ObjectId};
use vineyard_node::config::size;
use vineyard_wire::meta::key;

use crate::args::{ConnectArgs, Format, Stream, StreamVerb};
use crate::failure::{Failure, Tried};
use crate::{find, output, tree};

/// The type names of objects that may have a stream.
const PATTERN: &str = "*Stream";
const OBJECTS_MAX: u64 = 1 << 20;
const COLUMNS: [&str; 9] = [
    "ID",
    "STATE",
    "NEXT",
    "WAITING",
    "IN FLIGHT",
    "WINDOW",
    "WRITERS",
    "CURSORS",
    "WAITS",
];

pub(crate) async fn run(
    place: &ConnectArgs,
    format: Format,
    stream: &Stream,
) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    match &stream.verb {
        StreamVerb::Ls => ls(&client, format).await,
        StreamVerb::Status { stream } => {
            let id = find::object(&client, stream).await?;
            let status = client.stream_status(id).await;
            let status = status.tried(|| format!("look at the stream {id}"))?;
            match format {
                Format::Json => output::print_json(&json!(status)),
                Format::Table => output::print(&story(&status)),
            }
        }
        StreamVerb::Cat {
            stream,
            cursor,
            from,
            chunks,
        } => {
            let id = find::object(&client, stream).await?;
            let mut options = ReaderOptions::default().from(*from);
            options.cursor.clone_from(cursor);
            cat(&client, id, &options, chunks.unwrap_or(u64::MAX)).await
        }
        StreamVerb::Rm { streams } => {
            for stream in streams {
                let id = find::object(&client, stream).await?;
                let dropped = client.drop_stream(id).await;
                dropped.tried(|| format!("drop the stream {id}"))?;
                if format == Format::Table {
                    output::print(&format!("{stream} dropped"))?;
                }
            }
            match format {
                Format::Json => output::print_json(&json!({ "dropped": streams })),
                Format::Table => Ok(()),
            }
        }
    }
}

/// Each chunk is written before the next one is asked for, so a slow reader of the output slows the writer down.
async fn cat(
    client: &Client,
    id: ObjectId,
    options: &ReaderOptions,
    chunks_max: u64,
) -> Result<(), Failure> {
    let opened = client.open_reader(id, options).await;
    let mut reader = opened.tried(|| format!("read the stream {id}"))?;
    let mut out = io::stdout().lock();
    for _ in 0..chunks_max {
        let next = reader.next().await;
        let Some(chunk) = next.tried(|| format!("read the stream {id}"))? else {
            break;
        };
        let Some(blob) = chunk.blob() else {
            let object = chunk.object().map(|object| object.tree.read());
            let tree = object.and_then(Result::ok).unwrap_or_default();
            return Err(Failure::NotAFile {
                id: chunk.id().to_string(),
                typename: tree::text(&tree, key::TYPENAME).to_owned(),
                reason: format!("it is a chunk of the stream {id}; read it in Python"),
            });
        };
        match out.write_all(blob).and_then(|()| out.flush()) {
            // The reader of the output has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            written => written.map_err(|e| Failure::local("write to the standard output", e))?,
        }
    }
    Ok(())
}

async fn ls(client: &Client, format: Format) -> Result<(), Failure> {
    let found = client.list_metadatas(PATTERN, false, OBJECTS_MAX).await;
    let found = found.tried(|| "list the streams".to_owned())?;
    let mut streams = Vec::new();
    for id in found.into_keys() {
        match client.stream_status(id).await {
            Ok(status) => streams.push(status),
            // Metadata alone: the stream has ended, or is on another node.
            Err(error) if error.code().is_some() => {}
            Err(error) => return Err(error).tried(|| format!("look at the stream {id}")),
        }
    }
    match format {
        Format::Json => {
            output::print_json(&streams.iter().map(|one| json!(one)).collect::<Vec<Value>>())
        }
        Format::Table => {
            let mut table = output::Table::new(&COLUMNS, &[2, 3, 4, 5, 6, 7]);
            for stream in &streams {
                table.row(cells(stream));
            }
            output::print_table(&table)
        }
    }
}

fn cells(stream: &StreamStatus) -> [String; 9] {
    [
        stream.id.to_string(),
        state(stream),
        stream.next_number.to_string(),
        stream.waiting_chunks.to_string(),
        stream.in_flight_chunks.to_string(),
        size::show(stream.window_bytes),
        stream.writers.to_string(),
        stream.cursors.len().to_string(),
        waits(stream),
    ]
}

fn state(stream: &StreamStatus) -> String {
    let state = format!("{:?}", stream.state).to_lowercase();
    match &stream.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state,
    }
}

fn waits(stream: &StreamStatus) -> String {
    let readers = stream.cursors.iter().any(|cursor| cursor.waits);
    match (stream.writer_waits, readers) {
        (true, true) => "both",
        (true, false) => "the writer",
        (false, true) => "a reader",
        (false, false) => "-",
    }
    .to_owned()
}

/// For people: one fact a line.
fn story(stream: &StreamStatus) -> String {
    let mut lines = vec![
        format!("{} on {}: {}", stream.id, stream.instance_id, state(stream)),
        format!(
            "chunks: {} written, {} waiting, {} in flight; the oldest that is kept is {}",
            stream.next_number,
            stream.waiting_chunks,
            stream.in_flight_chunks,
            stream.oldest_number
        ),
        format!(
            "bytes: {} in the window, {} kept for replay",
            size::show(stream.window_bytes),
            size::show(stream.retained_bytes)
        ),
        format!("writers: {}; waits: {}", stream.writers, waits(stream)),
    ];
    lines.extend(stream.cursors.iter().map(|cursor| {
        let open = if cursor.is_open { "open" } else { "left" };
        format!(
            "cursor {:?}: {open}, next is {}",
            cursor.name, cursor.next_number
        )
    }));
    lines.join("\n")
}
