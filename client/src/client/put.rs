//! Whole objects, put: blobs, metadata, log entry and name in as few messages as the node allows.
//!
//! Promise: a put that the node refuses leaves nothing behind. A node that does not offer `put_object` gets the same in
//! the steps that vineyard 0.24 has.

mod steps;

use serde_json::{Value, json};
use vineyard_wire::limits::INLINE_BYTES_MAX;
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::reply::{MadeObject, PutDone};
use vineyard_wire::{Code, ObjectId, Reply, Request, Tree, request};

use super::{Client, Created, only};
use crate::connection::OBJECTS;
use crate::object::blob_node;
use crate::source::{BlobBytes, joined};
use crate::{Draft, Error, Member, PutBlob, PutObject, Result};

impl Client {
    /// Stores the draft's blobs, its members and the object itself, on this node.
    pub async fn put(&self, draft: Draft) -> Result<Created> {
        let mut bytes = Vec::new();
        let (content, _) = tree_of(draft, &mut bytes);
        let put = PutObject {
            content,
            blobs: bytes.iter().map(|blob| PutBlob::Bytes(blob)).collect(),
            ..PutObject::default()
        };
        self.put_object(put).await
    }

    /// Stores a whole tree with its bytes, on this node, and makes it durable and gives it a name if told to. If the
    /// node refuses, nothing stays, blobs included. After any other error (a `Deadline`, or the node's word that the
    /// cluster did not answer in time) the object may be there.
    pub async fn put_object(&self, put: PutObject<'_>) -> Result<Created> {
        if !self.offers(OBJECTS) {
            return self.put_in_steps(put).await;
        }
        let PutObject {
            content,
            blobs,
            persist,
            name,
        } = put;
        let mut blobs = self.in_place(blobs).await?;
        let laid = Laid::out(&mut blobs);
        let content = fill_in(content, &|at| laid.node(at, self))?;
        let entries = u32::from(persist) + u32::from(name.is_some());
        let request = request::PutObject {
            seal: laid.seal(),
            inline: laid.sizes(),
            compress: self.options().compression,
            content: Some(content),
            persist,
            name,
            bytes: Vec::new(),
        };
        let done = self.send_put(request, &laid.inline, entries).await?;
        let MadeObject {
            id,
            signature,
            instance_id,
        } = done.object.ok_or_else(|| {
            Error::malformed("put_object_request", "no object was made of a whole tree")
        })?;
        Ok(Created {
            id,
            signature,
            instance_id,
        })
    }

    /// Whether `blobs` may be sent with the request that stores them.
    pub(super) fn may_come_along(&self, blobs: &[BlobBytes<'_>]) -> bool {
        self.offers(OBJECTS) && sizes(blobs).iter().sum::<u64>() <= INLINE_BYTES_MAX
    }

    /// Stores each of `blobs`, which are small enough to come along, as a sealed blob.
    pub(super) async fn put_inline(&self, blobs: &[BlobBytes<'_>]) -> Result<Vec<ObjectId>> {
        if blobs.iter().all(BlobBytes::is_empty) {
            return Ok(vec![ObjectId::EMPTY_BLOB; blobs.len()]);
        }
        let request = request::PutObject {
            inline: sizes(blobs),
            ..request::PutObject::default()
        };
        let done = self.send_put(request, blobs, 0).await?;
        super::blobs::check_count("put_object_request", done.blobs.len(), blobs.len())?;
        Ok(done.blobs)
    }

    /// `entries` of the cluster's log are waited for.
    async fn send_put(
        &self,
        mut request: request::PutObject,
        inline: &[BlobBytes<'_>],
        entries: u32,
    ) -> Result<PutDone> {
        let compress = request.compress;
        let bytes: u64 = request.inline.iter().sum();
        let come_along = bytes <= INLINE_BYTES_MAX;
        if come_along {
            request.bytes = joined(inline);
        }
        let after = self.options().deadline * (1 + entries);
        let mut call = self.begin(after).await?;
        let pick = only!(Reply::PutObject(done) => done);
        let done = call.ask(&Request::PutObject(request), pick).await?;
        if come_along {
            call.done();
            return Ok(done);
        }
        call.extend(after + self.options().transfer_deadline(bytes));
        call.send_blobs(inline, compress).await?;
        let done = call.reply(only!(Reply::PutObject(done) => done)).await?;
        call.done();
        Ok(done)
    }

    /// Over the Unix socket, bytes that are too many to come along are written to the node's memory.
    async fn in_place<'a>(&self, blobs: Vec<PutBlob<'a>>) -> Result<Vec<PutBlob<'a>>> {
        let bytes: Vec<BlobBytes<'a>> = blobs.iter().filter_map(PutBlob::bytes).collect();
        if !self.is_ipc() || sizes(&bytes).iter().sum::<u64>() <= INLINE_BYTES_MAX {
            return Ok(blobs);
        }
        let lengths: Vec<usize> = bytes.iter().map(BlobBytes::len).collect();
        let writers = match *lengths {
            [length] => vec![self.create_blob(length).await?],
            _ => self.create_blobs(&lengths).await?,
        };
        let mut writers = writers.into_iter();
        let filled = blobs.into_iter().map(|blob| match blob.bytes() {
            Some(bytes) => {
                let mut writer = writers.next().expect("one was made for each");
                self.copy(bytes, &mut writer);
                PutBlob::Filled(writer)
            }
            None => blob,
        });
        Ok(filled.collect())
    }
}

/// Where the blobs of a put are: in the node's memory, to be sealed there, or to come along.
struct Laid<'a> {
    places: Vec<BlobPlacement>,
    inline: Vec<BlobBytes<'a>>,
}

enum BlobPlacement {
    Node { id: ObjectId, bytes: usize },
    Inline(usize),
}

impl<'a> Laid<'a> {
    fn out(blobs: &'a mut [PutBlob<'_>]) -> Self {
        let mut laid = Self {
            places: Vec::with_capacity(blobs.len()),
            inline: Vec::new(),
        };
        for blob in blobs {
            let unsent = |bytes: BlobBytes<'a>| {
                let id = bytes.is_empty().then_some(ObjectId::EMPTY_BLOB);
                (id, bytes)
            };
            let (id, bytes) = match blob {
                PutBlob::Bytes(bytes) => unsent(BlobBytes::Slice(bytes)),
                PutBlob::Source(source) => unsent(BlobBytes::Source(*source)),
                PutBlob::Filled(writer) => (writer.id(), BlobBytes::Slice(writer.as_mut_slice())),
            };
            let place = match id {
                Some(id) => BlobPlacement::Node {
                    id,
                    bytes: bytes.len(),
                },
                None => BlobPlacement::Inline(laid.inline.len()),
            };
            if id.is_none() {
                laid.inline.push(bytes);
            }
            laid.places.push(place);
        }
        laid
    }

    fn seal(&self) -> Vec<ObjectId> {
        let unsealed = |place: &BlobPlacement| match place {
            BlobPlacement::Node { id, .. } if *id != ObjectId::EMPTY_BLOB => Some(*id),
            _ => None,
        };
        self.places.iter().filter_map(unsealed).collect()
    }

    fn sizes(&self) -> Vec<u64> {
        sizes(&self.inline)
    }

    /// The nth blob as a member of the tree that is sent.
    fn node(&self, at: usize, client: &Client) -> Option<Value> {
        Some(match self.places.get(at)? {
            BlobPlacement::Node { id, bytes } => blob_node(*id, *bytes, client.instance_id()),
            BlobPlacement::Inline(at) => placeholder(*at),
        })
    }
}

fn sizes(blobs: &[BlobBytes<'_>]) -> Vec<u64> {
    blobs.iter().map(|bytes| bytes.len() as u64).collect()
}

/// The nth blob of a put, as a member.
fn placeholder(at: usize) -> Value {
    json!({ key::TYPENAME: BLOB_TYPENAME, key::INLINE: at })
}

/// Which of the put's blobs `node` stands for.
fn placeholder_of(node: &Tree) -> Option<&Value> {
    let is_blob = node.get(key::TYPENAME).and_then(Value::as_str) == Some(BLOB_TYPENAME);
    node.get(key::INLINE).filter(|_| is_blob)
}

/// `tree` with what `blob` says in place of its placeholders.
fn fill_in(mut tree: Tree, blob: &impl Fn(usize) -> Option<Value>) -> Result<Tree> {
    let mut left = vec![&mut tree];
    while let Some(node) = left.pop() {
        for value in node.values_mut() {
            let Value::Object(member) = value else {
                continue;
            };
            let Some(at) = placeholder_of(member) else {
                continue;
            };
            let found = at.as_u64().and_then(|at| blob(usize::try_from(at).ok()?));
            *value = found.ok_or_else(|| Error::Status {
                code: Code::Invalid,
                message: format!("the put has no blob {at}"),
            })?;
        }
        left.extend(node.values_mut().filter_map(Value::as_object_mut));
    }
    Ok(tree)
}

/// The draft as a tree, its blobs added to `blobs`, and how many bytes it has.
fn tree_of(draft: Draft, blobs: &mut Vec<Vec<u8>>) -> (Tree, usize) {
    let mut tree = draft.attributes;
    let mut total = 0;
    tree.insert(key::TYPENAME.to_owned(), draft.typename.into());
    for (name, member) in draft.members {
        let node = match member {
            Member::Object(inner) => {
                let (inner, bytes) = tree_of(inner, blobs);
                total += bytes;
                Value::Object(inner)
            }
            Member::Blob(bytes) => {
                total += bytes.len();
                blobs.push(bytes);
                placeholder(blobs.len() - 1)
            }
            Member::Link(id) => json!({ key::ID: id.to_string() }),
        };
        tree.insert(name, node);
    }
    tree.entry(key::NBYTES).or_insert_with(|| total.into());
    (tree, total)
}
