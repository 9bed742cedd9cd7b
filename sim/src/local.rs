//! Local sockets: the network's streams without delay, which pass memory by reference instead of a descriptor.

use std::io;

use vineyard_env::{BoxFuture, Local, LocalListener, LocalStream};

use crate::network::{Host, Net, SimListener};

/// The sockets of one machine, as one process sees them.
pub struct SimLocal {
    pub net: Net,
    pub host: Host,
}

impl SimLocal {
    fn key(&self, path: &str) -> String {
        format!("{}:{path}", self.host.ip)
    }
}

impl Local for SimLocal {
    fn connect<'a>(&'a self, path: &'a str) -> BoxFuture<'a, io::Result<Box<dyn LocalStream>>> {
        Box::pin(async move {
            let stream = self
                .net
                .open(&self.host, String::new(), &self.key(path), true)?;
            Ok(Box::new(stream) as Box<dyn LocalStream>)
        })
    }

    fn listen<'a>(
        &'a self,
        path: &'a str,
        _mode: u32,
    ) -> BoxFuture<'a, io::Result<Box<dyn LocalListener>>> {
        Box::pin(async move {
            let listener = self.net.bind(&self.host, self.key(path))?;
            Ok(Box::new(listener) as Box<dyn LocalListener>)
        })
    }
}

impl LocalListener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Box<dyn LocalStream>>> {
        Box::pin(async move { Ok(Box::new(self.next().await?) as Box<dyn LocalStream>) })
    }

    fn is_in_place(&self) -> bool {
        true
    }
}
