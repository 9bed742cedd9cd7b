//! Streams between a writer and readers of one process, on the node that it is connected to; sometimes one of the
//! readers is connected to another node, and sometimes the stream has migrated there.

use std::time::Duration;

use futures::future::{join, join_all};
use tokio::time::sleep;
use vineyard_client::stream::{Reader, ReaderOptions, ReadersKind, StreamOptions, Writer};
use vineyard_client::{Client, Error, Options};
use vineyard_wire::ObjectId;

use super::{End, Worker, ending};
use crate::chance::Chance;
use crate::invariants::chunks_come_in_order::{self as in_order, Got};
use crate::trace::Kind;

const CHUNKS_MAX: u64 = 24;
const CHUNK_BYTES_MAX: u64 = 20_000;
const READERS_MAX: u64 = 3;
/// Where a chunk says its number.
const NUMBER_BYTES: usize = 8;

/// What one run of a stream is to be.
struct Plan {
    id: ObjectId,
    chunks: u64,
    chunk_bytes: u64,
    window_bytes_max: u64,
    kind: ReadersKind,
    /// Some end early: their sides are dropped.
    writer_ends_at: u64,
    reader_ends_at: Option<u64>,
    /// The first reader asks another node.
    is_relayed: bool,
    /// It asks for the stream that the other node has made of it.
    is_migrated: bool,
}

/// What the writer was told.
#[derive(Default)]
struct Wrote {
    acknowledged: u64,
    /// It asked to finish, and may not have heard the answer.
    asked_to_finish: bool,
    error: Option<Error>,
}

impl Worker {
    pub(super) async fn stream(&mut self, client: &Client) -> End {
        if !client.options().additions {
            return End::Skipped;
        }
        let (options, mut plan, readers) = self.draw_stream();
        let result = client.create_stream(options).await;
        self.note(format_args!("create_stream"), &result);
        plan.id = match result {
            Ok(id) => id,
            Err(error) => return ending(&error),
        };
        let elsewhere = match plan.is_relayed {
            true => self.connect_elsewhere().await,
            false => None,
        };
        let migrated = match &elsewhere {
            Some(elsewhere) if plan.is_migrated => {
                self.move_stream(client, elsewhere, plan.id).await
            }
            _ => None,
        };
        let opened = open(client, elsewhere.as_ref(), &plan, migrated, readers).await;
        let (writer, readers) = match opened {
            Ok(sides) => sides,
            Err(error) => {
                // It goes with the connection at the latest.
                client.drop_stream(plan.id).await.ok();
                return ending(&error);
            }
        };
        let (to_write, to_read) = (self.chance.next_u64(), self.chance.next_u64());
        let reads = readers.into_iter().enumerate().map(|(at, reader)| {
            let ends_at = plan.reader_ends_at.filter(|_| at == 0);
            read(reader, ends_at, Chance::stream(to_read, &at.to_string()))
        });
        let writes = self.write(client, writer, &plan, Chance::stream(to_write, "writer"));
        let (wrote, read) = join(writes, join_all(reads)).await;
        if let Some(elsewhere) = elsewhere {
            if let Some(migrated) = migrated {
                // The node may have ended; the stream has then ended with it.
                elsewhere.drop_stream(migrated).await.ok();
            }
            elsewhere.close().await;
        }
        let dropped = client.drop_stream(plan.id).await;
        self.judge_stream(&plan, wrote, read, dropped)
    }

    /// A connection to any node.
    async fn connect_elsewhere(&mut self) -> Option<Client> {
        let nodes = self.cluster.numbers();
        let node = nodes[self.chance.index(nodes.len())];
        let address = format!("10.0.2.{}", self.number);
        let machine = self.world.machine(&address, &self.name);
        let world = self.world.client(&machine, &self.name);
        let (endpoint, options) = (self.cluster.endpoint(node), Options::default());
        world.connect_rpc(&endpoint, &options).await.ok()
    }

    /// The stream that `elsewhere` makes of `id`; none if it is of the same node, or an older build.
    async fn move_stream(
        &self,
        client: &Client,
        elsewhere: &Client,
        id: ObjectId,
    ) -> Option<ObjectId> {
        client.persist(id).await.ok()?;
        let migrated = elsewhere.migrate_stream(id).await;
        self.note(format_args!("migrate stream {id}"), &migrated);
        migrated.ok().filter(|migrated| *migrated != id)
    }

    async fn write(
        &self,
        client: &Client,
        mut writer: Writer,
        plan: &Plan,
        mut chance: Chance,
    ) -> Wrote {
        let mut wrote = Wrote::default();
        for number in 0..plan.writer_ends_at {
            let mut bytes = vec![number as u8; plan.chunk_bytes as usize];
            bytes[..NUMBER_BYTES].copy_from_slice(&number.to_le_bytes());
            if let Err(error) = writer.write(&bytes).await {
                wrote.error = Some(error);
                return wrote;
            }
            wrote.acknowledged += 1;
            self.look_at_window(client, plan).await;
            if chance.happens(300) {
                sleep(Duration::from_millis(chance.between(1, 200))).await;
            }
        }
        if plan.writer_ends_at < plan.chunks {
            return wrote;
        }
        wrote.asked_to_finish = true;
        wrote.error = writer.finish().await.err();
        wrote
    }

    async fn look_at_window(&self, client: &Client, plan: &Plan) {
        if let Ok(status) = client.stream_status(plan.id).await {
            let (bytes, bytes_max) = (status.window_bytes, plan.window_bytes_max);
            let judged = in_order::judge_window(&plan.id.to_string(), bytes, bytes_max);
            let mut oracle = self.oracle.borrow_mut();
            oracle.now_ms = self.world.now_ms();
            oracle.hold(in_order::NAME, judged);
        }
    }

    fn draw_stream(&mut self) -> (StreamOptions, Plan, u64) {
        let chance = &mut self.chance;
        let kind = match chance.below(3) {
            0 => ReadersKind::One,
            1 => ReadersKind::Each,
            _ => ReadersKind::Share,
        };
        let readers = match kind {
            ReadersKind::One => 1,
            _ => chance.between(1, READERS_MAX),
        };
        let chunks = chance.between(1, CHUNKS_MAX);
        let chunk_bytes = chance.between(NUMBER_BYTES as u64, CHUNK_BYTES_MAX);
        let plan = Plan {
            id: ObjectId::INVALID,
            chunks,
            chunk_bytes,
            window_bytes_max: chunk_bytes * chance.between(1, 4),
            kind,
            writer_ends_at: match chance.happens(200) {
                true => chance.below(chunks),
                false => chunks,
            },
            reader_ends_at: chance.happens(200).then(|| chance.below(chunks)),
            is_relayed: chance.happens(400),
            // Others would find the one reader there is taken.
            is_migrated: readers == 1 && chance.happens(400),
        };
        let options = StreamOptions::default()
            .window_bytes_max(plan.window_bytes_max)
            .readers(kind)
            .readers_min(readers)
            .ephemeral();
        (options, plan, readers)
    }

    fn judge_stream(
        &self,
        plan: &Plan,
        wrote: Wrote,
        read: Vec<(Got, Option<Error>)>,
        dropped: vineyard_client::Result<()>,
    ) -> End {
        let Wrote {
            acknowledged,
            asked_to_finish,
            error,
        } = wrote;
        let count = format!("{acknowledged} of {} chunks", plan.chunks);
        self.note(format_args!("stream {} of {count}", plan.id), &dropped);
        let stream = plan.id.to_string();
        let (got, errors): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let mut oracle = self.oracle.borrow_mut();
        oracle.now_ms = self.world.now_ms();
        for (at, error) in errors.iter().enumerate() {
            if let Some(error) = error {
                let what = format_args!("stream {stream} of reader {at}: {error}");
                self.world.trace.note(Kind::Operation, &self.name, what);
            }
        }
        let judged = match plan.kind {
            // What a lost reader had got is given to another.
            ReadersKind::Share if plan.reader_ends_at.is_some() || plan.is_relayed => Ok(()),
            ReadersKind::Share => in_order::judge_shared(&stream, &got, acknowledged),
            _ => in_order::judge_each(&stream, &got, acknowledged),
        };
        oracle.hold(in_order::NAME, judged);
        let told_end = got.iter().any(|got| got.to_the_end);
        if told_end && !asked_to_finish {
            let what = format!("{stream} ended, and its writer did not finish it");
            oracle.hold(in_order::NAME, Err(what));
        }
        drop(oracle);
        let errors = errors.into_iter().flatten().chain(error);
        match errors
            .chain(dropped.err())
            .map(|error| ending(&error))
            .find(is_unknown)
        {
            Some(unknown) => unknown,
            None => End::Told,
        }
    }
}

fn is_unknown(end: &End) -> bool {
    matches!(end, End::Unknown)
}

async fn open(
    client: &Client,
    elsewhere: Option<&Client>,
    plan: &Plan,
    migrated: Option<ObjectId>,
    readers: u64,
) -> vineyard_client::Result<(Writer, Vec<Reader>)> {
    let writer = client.open_writer(plan.id).await?;
    let mut opened = Vec::new();
    for at in 0..readers {
        let options = ReaderOptions::cursor(format!("r{at}"));
        let relayed = match (elsewhere.filter(|_| at == 0), migrated) {
            (Some(elsewhere), Some(migrated)) => {
                let options = ReaderOptions::default();
                opened.push(elsewhere.open_reader(migrated, &options).await?);
                continue;
            }
            (Some(elsewhere), None) => elsewhere.open_reader(plan.id, &options).await.ok(),
            (None, _) => None,
        };
        // An older build serves no other node.
        opened.push(match relayed {
            Some(reader) => reader,
            None => client.open_reader(plan.id, &options).await?,
        });
    }
    Ok((writer, opened))
}

async fn read(
    mut reader: Reader,
    ends_at: Option<u64>,
    mut chance: Chance,
) -> (Got, Option<Error>) {
    let mut got = Got::default();
    loop {
        if ends_at.is_some_and(|ends_at| got.numbers.len() as u64 >= ends_at) {
            return (got, None);
        }
        let chunks = match reader
            .next_many(chance.between(1, in_order::PULL_MAX))
            .await
        {
            Ok(chunks) => chunks,
            Err(error) => return (got, Some(error)),
        };
        if chunks.is_empty() {
            got.to_the_end = true;
            return (got, None);
        }
        for chunk in chunks {
            let bytes = chunk.blob().map(|blob| blob.to_vec()).unwrap_or_default();
            got.numbers.push(number_in(&bytes));
        }
        if chance.happens(300) {
            sleep(Duration::from_millis(chance.between(1, 200))).await;
        }
    }
}

/// The number of a chunk whose bytes are as they were written; one that there is not, otherwise.
fn number_in(bytes: &[u8]) -> u64 {
    let Some((number, rest)) = bytes.split_first_chunk::<NUMBER_BYTES>() else {
        return u64::MAX;
    };
    let number = u64::from_le_bytes(*number);
    match rest.iter().all(|byte| *byte == number as u8) {
        true => number,
        false => u64::MAX,
    }
}
