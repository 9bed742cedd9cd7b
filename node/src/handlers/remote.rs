//! Verbs that move raw bytes on an RPC connection: straight between arena and socket.
//!
//! Small blobs are moved on the actor thread; for large ones the connection is handed to a bulk worker, which returns
//! it.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::{Access, Stream};
use vineyard_net::compress::{Compressor, Decompressor};
use vineyard_raft::state::State;
use vineyard_shm::{Slice, SliceMut};
use vineyard_store::Blob;
use vineyard_wire::{ObjectId, Reply, Status};

use super::{Answered, blobs, reply_with};
use crate::context::call;
use crate::local::Local;
use crate::session::connection::Connection;
use crate::session::frame_reader::FrameReader;
use crate::session::{Session, writer};

pub(super) fn refuse_on_ipc() -> Result<Reply, Status> {
    Err(Status::invalid(
        "remote buffers are for TCP connections; use create_buffer or get_buffers",
    ))
}

pub(super) async fn create_remote_buffer(
    session: &Session,
    connection: Connection,
    size: u64,
    compress: bool,
) -> io::Result<Answered> {
    let reply = |blobs: &[Blob]| {
        let created = session.node.arena.payload(&blobs[0], Access::ReadOnly);
        Reply::CreateBuffer {
            id: blobs[0].id,
            created,
            fd: -1,
        }
    };
    create(session, connection, vec![size], compress, reply).await
}

pub(super) async fn create_remote_buffers(
    session: &Session,
    connection: Connection,
    sizes: Vec<u64>,
    compress: bool,
) -> io::Result<Answered> {
    let reply = |blobs: &[Blob]| Reply::CreateBuffers {
        ids: blobs.iter().map(|blob| blob.id).collect(),
        payloads: payloads(session, blobs),
        fds: Vec::new(),
    };
    create(session, connection, sizes, compress, reply).await
}

/// One reply says "go ahead"; the client streams the bytes; the same reply says that they are stored and sealed.
async fn create(
    session: &Session,
    mut connection: Connection,
    sizes: Vec<u64>,
    compress: bool,
    reply: impl Fn(&[Blob]) -> Reply,
) -> io::Result<Answered> {
    let holder = session.holder.get();
    let (mut blobs, writers) = match allocate(session, sizes).await {
        Ok(made) => made,
        Err(status) => return reply_with(session, connection, Err(status)).await,
    };
    blobs.iter_mut().for_each(|blob| blob.sealed = true);
    let go_ahead = Ok(reply(&blobs));
    connection.write(session, &go_ahead).await?;
    connection = receive(session, connection, writers, compress).await?;
    let ids: Vec<_> = blobs.iter().map(|blob| blob.id).collect();
    let sealed = session
        .node
        .local
        .ask(move |local, _| local.seal_and_release(holder, &ids))
        .await;
    let outcome = sealed.and_then(|sealed| sealed).and(go_ahead);
    reply_with(session, connection, outcome).await
}

/// Unsealed blobs, and their bytes to fill.
pub(super) async fn allocate(
    session: &Session,
    sizes: Vec<u64>,
) -> Result<(Vec<Blob>, Vec<SliceMut>), Status> {
    let holder = session.holder.get();
    let allocate = move |local: &mut Local, _: &State| {
        let blobs = local.store.create_many(holder, &sizes)?;
        let writers = blobs.iter().map(|blob| local.store.writer(blob.id));
        let writers = writers.collect::<Result<Vec<_>, _>>()?;
        Ok((blobs, writers))
    };
    session.node.local.ask(allocate).await?
}

pub(super) async fn get_remote_buffers(
    session: &Session,
    connection: Connection,
    ids: Vec<ObjectId>,
    compress: bool,
) -> io::Result<Answered> {
    let (blobs, slices) = match read(session, ids).await {
        Ok(found) => found,
        Err(status) => return reply_with(session, connection, Err(status)).await,
    };
    let reply = Reply::GetBuffers {
        payloads: payloads(session, &blobs),
        fds: Vec::new(),
        compress,
    };
    send(session, connection, reply, slices, compress).await
}

/// The blobs that are here, and slices of their bytes, which pin the bytes. Unsealed bytes are never sent, even if they
/// were asked for.
pub(super) async fn read(
    session: &Session,
    ids: Vec<ObjectId>,
) -> Result<(Vec<Blob>, Vec<Slice>), Status> {
    // The slices pin the bytes, so the session, which sends copies, needs no reference.
    let pin = move |local: &mut Local, _: &State| {
        let store = &local.store;
        let blobs: Vec<_> = ids.iter().filter_map(|id| store.info(*id)).collect();
        let slices = blobs.iter().map(|blob| store.reader(blob.id));
        let slices = slices.collect::<Result<_, _>>()?;
        Ok::<_, Status>((blobs, slices, blobs::missing(store, &ids)))
    };
    let (blobs, slices, missing) = session.node.local.ask(pin).await??;
    blobs::check_lost(&session.node, &missing).await?;
    Ok((blobs, slices))
}

pub(super) fn payloads(session: &Session, blobs: &[Blob]) -> Vec<vineyard_wire::reply::Payload> {
    blobs
        .iter()
        .map(|blob| session.node.arena.payload(blob, Access::ReadOnly))
        .collect()
}

/// Fills `writers` from the connection.
pub(super) async fn receive(
    session: &Session,
    connection: Connection,
    writers: Vec<SliceMut>,
    compress: bool,
) -> io::Result<Connection> {
    let bytes = writers.iter().map(|writer| writer.len() as u64).sum();
    let (stream, mut reader) = connection.into_tcp();
    let first = reader.take(usize::MAX);
    let node = &session.node;
    let filling = node
        .bulk
        .transfer(&node.config.limits, stream, bytes, move |stream| {
            Box::pin(fill(stream, first, writers, compress))
        });
    let (stream, left) = call::waiting_for("the bytes of the client", filling).await?;
    Ok(Connection::tcp(stream, FrameReader::new(left)))
}

/// Fills every writer, from `first` and then from the stream. The rest of `first` belongs to the next frame.
async fn fill(
    stream: &mut dyn Stream,
    first: Vec<u8>,
    mut writers: Vec<SliceMut>,
    compress: bool,
) -> io::Result<Vec<u8>> {
    let mut left = first.as_slice();
    {
        let mut reader = (&mut left).chain(stream);
        if compress {
            let mut decompressor = Decompressor::new()?;
            for writer in &mut writers {
                decompressor.read_blob(&mut reader, writer).await?;
            }
        } else {
            for writer in &mut writers {
                reader.read_exact(writer).await?;
            }
        }
    }
    Ok(left.to_vec())
}

/// Writes `reply` and then the bytes of `slices`.
pub(super) async fn send(
    session: &Session,
    connection: Connection,
    reply: Reply,
    slices: Vec<Slice>,
    compress: bool,
) -> io::Result<Answered> {
    let head = writer::encode(&Ok(reply));
    let bytes = slices.iter().map(|slice| slice.len() as u64).sum();
    let (stream, reader) = connection.into_tcp();
    let node = &session.node;
    let pouring = node
        .bulk
        .transfer(&node.config.limits, stream, bytes, move |stream| {
            Box::pin(pour(stream, head, slices, compress))
        });
    let (stream, ()) = call::waiting_for("the client to read", pouring).await?;
    Ok(Answered {
        connection: Connection::tcp(stream, reader),
        outcome: Ok(()),
    })
}

/// Small replies leave in one write, so that no second packet waits for the first one's acknowledgement.
const ONE_WRITE_BYTES_MAX: usize = 64 << 10;

async fn pour(
    stream: &mut dyn Stream,
    mut head: Vec<u8>,
    slices: Vec<Slice>,
    compress: bool,
) -> io::Result<()> {
    if compress {
        stream.write_all(&head).await?;
        let mut compressor = Compressor::new()?;
        for slice in &slices {
            compressor.write_blob(stream, slice).await?;
        }
        return stream.flush().await;
    }
    let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
    if bytes <= ONE_WRITE_BYTES_MAX {
        slices
            .iter()
            .for_each(|slice| head.extend_from_slice(slice));
        stream.write_all(&head).await?;
        return stream.flush().await;
    }
    stream.write_all(&head).await?;
    for slice in &slices {
        stream.write_all(slice).await?;
    }
    stream.flush().await
}
