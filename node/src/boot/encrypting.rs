//! What this node was told of encryption, and that it begins: every member knows TLS, and the disk remembers it.
//!
//! Promise: a node that has noticed it takes no plain call of a node any more, also after a restart. A node that is
//! killed before its disk has it finds the same in its log.

use std::rc::Rc;

use crate::boot::rotation;
use crate::config::{Config, Tls};
use crate::context::NodeContext;
use crate::peer::encryption::{Encryption, Exempt};
use crate::peer::handshake::Credentials;

/// The encryption of a node with this `config`; `has_begun` as its disk remembers.
pub(crate) fn told(config: &Config, credentials: &Credentials, has_begun: bool) -> Encryption {
    let exempt = match config.tls {
        Tls::ExceptLoopback => Exempt::Loopback,
        Tls::Always => Exempt::None,
        Tls::Never => Exempt::All,
    };
    Encryption::new(exempt, config.feature_level, credentials, has_begun)
}

/// Looks whether encryption begins.
pub(crate) fn heed(node: &Rc<NodeContext>) {
    if node.encryption.begins() {
        tracing::info!("every node of the cluster knows TLS: from here on they encrypt");
        tokio::task::spawn_local(rotation::save_while_it_runs(node.clone()));
    }
}
