//! Writers that note what was acknowledged, and readers that look for it: the product must keep every line of the book.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use vineyard_tests::raw::Raw;
use vineyard_tests::wait;

/// A write that was not acknowledged is tried again after this; the node answers within its own deadline.
const READ_BACK_WITHIN: Duration = Duration::from_secs(20);

/// One acknowledgement.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) id: u64,
    pub(crate) fact: Fact,
    pub(crate) acknowledged: Instant,
}

/// What was acknowledged of an object.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    /// With this row in it.
    Persisted(u64),
    Named(String),
}

/// Several writers, each over its own connection to one node.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    lines: Arc<Mutex<Vec<Line>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    /// One writer a socket; a socket named twice gets two. `label` keeps the names apart from other writers'.
    pub(crate) fn start(label: &str, sockets: &[PathBuf]) -> Self {
        let mut writers = Self {
            stop: Arc::default(),
            acknowledged: Arc::default(),
            lines: Arc::default(),
            threads: Vec::new(),
        };
        for (index, socket) in sockets.iter().enumerate() {
            let (stop, acknowledged) = (writers.stop.clone(), writers.acknowledged.clone());
            let (lines, socket) = (writers.lines.clone(), socket.clone());
            let prefix = format!("{label}-{index}");
            writers.threads.push(std::thread::spawn(move || {
                for row in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // Refused or cut off: not acknowledged, so nothing is owed, and a new connection tries the next.
                    let _ = write_until_refused(
                        &socket,
                        &prefix,
                        row << 32,
                        &stop,
                        &acknowledged,
                        &lines,
                    );
                }
            }));
        }
        writers
    }

    /// Acknowledged persists and names so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(crate) fn wait_for(&self, acknowledged: u64, within: Duration) -> Result<()> {
        wait::until(
            &format!("{acknowledged} acknowledged writes"),
            within,
            || {
                let now = self.acknowledged();
                ensure!(now >= acknowledged, "{now} so far");
                Ok(Some(()))
            },
        )
    }

    pub(crate) fn stop(self) -> Vec<Line> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a writer does not panic");
        }
        std::mem::take(&mut self.lines.lock().expect("no writer panicked"))
    }
}

fn write_until_refused(
    socket: &Path,
    prefix: &str,
    first: u64,
    stop: &AtomicBool,
    acknowledged: &AtomicU64,
    lines: &Mutex<Vec<Line>>,
) -> Result<()> {
    let note = |id, fact| {
        let line = Line {
            id,
            fact,
            acknowledged: Instant::now(),
        };
        lines.lock().expect("no writer panicked").push(line);
        acknowledged.fetch_add(1, Ordering::Relaxed);
    };
    let mut connection = connect(socket)?;
    for row in first.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = create(&mut connection, row)?;
        succeed(
            &mut connection,
            &json!({"type": "persist_request", "id": id}),
        )?;
        note(id, Fact::Persisted(row));
        let name = format!("{prefix}-{row}");
        succeed(
            &mut connection,
            &json!({"type": "put_name_request", "object_id": id, "name": name}),
        )?;
        note(id, Fact::Named(name));
    }
    Ok(())
}

/// A registered connection.
pub(crate) fn connect(socket: &Path) -> Result<Raw> {
    let mut connection = Raw::unix(socket)?;
    connection.register()?;
    Ok(connection)
}

/// An object without bytes whose `row` can be read back.
pub(crate) fn create(connection: &mut Raw, row: u64) -> Result<u64> {
    let content = json!({"typename": "test::Row", "row": row, "nbytes": 0, "global": false,
        "transient": true, "instance_id": instance(connection)?});
    let reply = succeed(
        connection,
        &json!({"type": "create_data_request", "content": content}),
    )?;
    reply["id"].as_u64().context("no id")
}

fn instance(connection: &mut Raw) -> Result<u64> {
    let reply = succeed(connection, &json!({"type": "instance_status_request"}))?;
    reply["meta"]["instance_id"]
        .as_u64()
        .context("no instance_id")
}

/// The reply of a request that must not be refused.
pub(crate) fn succeed(connection: &mut Raw, request: &Value) -> Result<Value> {
    let reply = connection.ask(request)?;
    match reply.get("code").and_then(Value::as_u64) {
        None | Some(0) => Ok(reply),
        Some(code) => bail!("code {code}: {}", reply["message"]),
    }
}

/// Finds every line at the node behind `socket`: the name points to the object, or the object says its row.
pub(crate) fn read_back(socket: &Path, lines: &[Line]) -> Result<()> {
    let mut connection = wait::until("a node to read from", READ_BACK_WITHIN, || {
        connect(socket).map(Some)
    })?;
    for line in lines {
        match &line.fact {
            Fact::Persisted(row) => find_object(&mut connection, socket, line.id, *row)?,
            Fact::Named(name) => find_name(&mut connection, socket, line.id, name)?,
        }
    }
    Ok(())
}

fn find_name(connection: &mut Raw, socket: &Path, id: u64, name: &str) -> Result<()> {
    let what = format!("{name} at {}", socket.display());
    let asked = json!({"type": "get_name_request", "name": name, "wait": false});
    // A node that just lost its leader may refuse for a moment; it must never say that the name is not there.
    wait::until(&what, READ_BACK_WITHIN, || {
        let reply = connection.ask(&asked)?;
        if reply["code"] == 12 {
            return Ok(Some(Err(format!("{what} is lost: {reply}"))));
        }
        ensure!(reply.get("code").is_none(), "{reply}");
        Ok(Some(if reply["object_id"] == id {
            Ok(())
        } else {
            Err(format!("{what}: {reply}"))
        }))
    })?
    .map_err(anyhow::Error::msg)
}

fn find_object(connection: &mut Raw, socket: &Path, id: u64, row: u64) -> Result<()> {
    let what = format!("row {row}, object {id}, at {}", socket.display());
    let asked = json!({"type": "get_data_request", "id": [id], "sync_remote": true, "wait": false});
    let reply = wait::until(&what, READ_BACK_WITHIN, || {
        succeed(connection, &asked).map(Some)
    })?;
    let content = reply["content"].as_object().into_iter().flatten().next();
    let found = content.map(|(_, object)| object["row"].clone());
    ensure!(found == Some(json!(row)), "{what}: the object is {reply}");
    Ok(())
}
