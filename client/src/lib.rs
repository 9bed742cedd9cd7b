//! The Rust client of a vineyard node: the async SDK and its blocking face.
//!
//! Promise: every call ends within its deadline and says what it waited for; a connection that was left in the middle
//! of an exchange is never used again. Reads over the Unix socket are zero copy. What a call does to the cluster is the
//! node's affair: nothing here decides.
//!
//! ```no_run
//! # async fn example() -> vineyard_client::Result<()> {
//! use vineyard_client::{Client, Draft, Options, World};
//!
//! let client = Client::connect_ipc(&World::system(), "/run/vineyard.sock", &Options::default()).await?;
//! let made = client.put(Draft::new("demo::Bytes").blob("buffer_", b"hello".to_vec())).await?;
//! client.persist(made.id).await?;
//! client.put_name(made.id, "greeting").await?;
//! let object = client.get(client.get_name("greeting").await?).await?;
//! assert_eq!(object.blob("buffer_").map(|blob| blob.to_vec()), Some(b"hello".to_vec()));
//! # Ok(())
//! # }
//! ```

mod blob;
pub mod blocking;
mod client;
mod connection;
mod error;
mod object;
mod options;
mod put;
#[cfg(test)]
mod tests;
mod world;

pub use blob::{Blob, BlobWriter};
pub use client::{Client, Created};
pub use error::{Error, Result};
pub use object::{Draft, Member, Object, RawObject};
pub use options::{DeleteOptions, Options};
pub use put::{GetOptions, PutBlob, PutObject, ReadOptions};
pub use world::World;
