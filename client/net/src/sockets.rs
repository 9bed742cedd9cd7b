//! The real sockets: `SystemNetwork` over TCP and `SystemLocal` over Unix sockets.
//!
//! Promise: what `vineyard_env::{Network, Local}` say, on this machine; `conformance` holds these makers and the
//! simulator's to the same suite. Nothing here knows the protocol that runs over the sockets.

#![allow(
    clippy::disallowed_methods,
    reason = "this is where the machine's sockets come in"
)]

/// Writes go to the link's `stream` unchanged; `$before_write` is done to the link first.
macro_rules! forward_writes {
    ($link:ty, $before_write:expr) => {
        impl tokio::io::AsyncWrite for $link {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $before_write(&mut *self);
                std::pin::Pin::new(&mut self.stream).poll_write(cx, buf)
            }

            fn poll_write_vectored(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $before_write(&mut *self);
                std::pin::Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                self.stream.is_write_vectored()
            }

            fn poll_flush(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.stream).poll_flush(cx)
            }

            fn poll_shutdown(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
            }
        }
    };
}
use forward_writes;

mod busy_poll;
mod local;
mod network;
mod owner;
#[cfg(test)]
mod tests;

pub use local::SystemLocal;
pub use network::SystemNetwork;
