//! What the machine itself can do, measured in the same run: no design goes below these.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use vineyard_tests::statistics::median;

const BIG_BYTES: usize = 256 << 20;
const CHUNK_BYTES: usize = 1 << 20;
const PING_PONGS: usize = 3000;
const SYNCS: usize = 200;
const COPIES: usize = 5;

/// Each floor: its name, the median figure and its unit.
pub(super) fn measure(folder: &Path) -> Result<Vec<(&'static str, f64, &'static str)>> {
    Ok(vec![
        ("unix socket ping-pong, two processes", ping_pong()?, "us"),
        ("append 256 B + fdatasync", append_and_sync(folder)?, "us"),
        ("memcpy 256 MiB, warm", memcpy(), "GB/s"),
        ("loopback TCP, one connection", loopback()?, "GB/s"),
    ])
}

/// `cat` on the other end of a socket pair is a process that answers and does nothing else.
fn ping_pong() -> Result<f64> {
    let (mut here, there) = UnixStream::pair()?;
    let input = OwnedFd::from(there.try_clone()?);
    let mut cat = Command::new("cat")
        .stdin(input)
        .stdout(OwnedFd::from(there))
        .spawn()?;
    let mut message = [7; 64];
    let mut times = Vec::with_capacity(PING_PONGS);
    for _ in 0..PING_PONGS {
        let started = Instant::now();
        here.write_all(&message)?;
        here.read_exact(&mut message)?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    drop(here);
    cat.wait()?;
    Ok(median_of(&times))
}

fn append_and_sync(folder: &Path) -> Result<f64> {
    let path = folder.join("floor");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[7; 256])?;
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(&path)?;
    Ok(median_of(&times))
}

fn memcpy() -> f64 {
    let from = vec![7_u8; BIG_BYTES];
    let mut to = vec![1_u8; BIG_BYTES];
    let mut rates = Vec::with_capacity(COPIES);
    for _ in 0..COPIES {
        let started = Instant::now();
        to.copy_from_slice(black_box(&from));
        black_box(&to);
        rates.push(BIG_BYTES as f64 / started.elapsed().as_secs_f64() / 1e9);
    }
    median_of(&rates)
}

fn loopback() -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let sender = std::thread::spawn(move || -> Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let chunk = vec![7_u8; CHUNK_BYTES];
        for _ in 0..COPIES * (BIG_BYTES / CHUNK_BYTES) {
            stream.write_all(&chunk)?;
        }
        Ok(())
    });
    let (mut stream, _) = listener.accept()?;
    let mut buffer = vec![0_u8; CHUNK_BYTES];
    let mut rates = Vec::with_capacity(COPIES);
    for _ in 0..COPIES {
        let started = Instant::now();
        for _ in 0..BIG_BYTES / CHUNK_BYTES {
            stream.read_exact(&mut buffer)?;
        }
        rates.push(BIG_BYTES as f64 / started.elapsed().as_secs_f64() / 1e9);
    }
    sender.join().expect("the sender does not panic")?;
    Ok(median_of(&rates))
}

fn median_of(figures: &[f64]) -> f64 {
    median(figures).expect("a floor is measured at least once")
}
