//! The rows that must be there, what each is compared with, and the least ratio: the promises, as a table.

/// Our package on our node.
pub(super) const OURS: &str = "our package";
/// Our Rust client on our node.
pub(super) const RUST: &str = "our Rust client";
/// The released client on our node.
pub(super) const RELEASED_ON_OURS: &str = "released client, our node";
/// The released client on the released server.
pub(super) const RELEASED: &str = "released";

/// What a figure is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Against {
    /// A figure of the same row.
    Other(&'static str),
    /// So many milliseconds.
    Limit(f64),
}

/// How many times faster one must be than another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// As the scripts name it.
    pub(super) name: &'static str,
    /// Whose figure.
    pub(super) of: &'static str,
    pub(super) against: Against,
    pub(super) ratio_min: f64,
}

const fn row(name: &'static str, of: &'static str, other: &'static str, ratio_min: f64) -> Row {
    let against = Against::Other(other);
    Row {
        name,
        of,
        against,
        ratio_min,
    }
}

const ONE_MIB: &str = "byte stream, 1 MiB chunks";
const EIGHT_MIB: &str = "byte stream, 8 MiB chunks";
const ONE_KIB: &str = "byte stream, 1 KiB chunks";
const BATCHES: &str = "dataframe stream, 8 MiB batches";
const FRAMES: &str = "record batch stream, frame 8x128";
const REMOTE: &str = "byte stream of another node";
const SMALL: &str = "open a CSV of 1 KiB";
const CSV: &str = "CSV, accumulate='arrow'";
const PARQUET: &str = "Parquet, accumulate='arrow'";
/// The released package writes 8 MiB into the same kind of memory at nearly the speed of memcpy, so nothing can be much
/// faster; with chunks of 1 MiB and with batches half of its time is its own.
const OF_RELEASED_EIGHT_MIB: f64 = 0.8;
const OF_RELEASED_ONE_MIB: f64 = 1.2;
const OF_RELEASED_BATCHES: f64 = 1.2;
/// A released reader never says that it is done with a chunk. The released server overwrites it all the same; our node
/// takes the memory that was read longest ago, which is in no cache.
const OF_SAFE_REUSE: f64 = 0.6;
/// pandas 3.1 reads this CSV as fast as pyarrow, on which ours stands.
const OF_PANDAS: f64 = 0.6;
/// Dask gives parts of the file to pandas, in threads.
const OF_DASK: f64 = 1.0;
/// polars reads this Parquet file in half the time of pyarrow, on which ours stands.
const OF_POLARS_PARQUET: f64 = 0.3;
/// pyarrow, then a copy into shared memory, and a persisted frame that other processes get.
const OF_PYARROW: f64 = 0.7;
/// As many objects as the file has batches, each of eight columns, and a persisted frame of them.
const OF_READINTO_TABLES: f64 = 0.45;
/// After the package and its libraries were imported.
const OPEN_MS_MAX: f64 = 20.0;

pub(super) const ROWS: &[Row] = &[
    row(ONE_MIB, OURS, "memcpy", 0.6),
    row(EIGHT_MIB, OURS, "memcpy", 0.8),
    row(ONE_MIB, OURS, RELEASED, OF_RELEASED_ONE_MIB),
    row(EIGHT_MIB, OURS, RELEASED, OF_RELEASED_EIGHT_MIB),
    row(ONE_MIB, RELEASED_ON_OURS, RELEASED, OF_SAFE_REUSE),
    row(EIGHT_MIB, RELEASED_ON_OURS, RELEASED, OF_SAFE_REUSE),
    row(ONE_KIB, OURS, RELEASED, 10.0),
    row(ONE_KIB, RUST, RELEASED, 30.0),
    row(BATCHES, OURS, RELEASED, OF_RELEASED_BATCHES),
    row(BATCHES, OURS, "pa.ipc", 0.7),
    row(FRAMES, OURS, RELEASED, 10.0),
    row(REMOTE, OURS, "migrate big", 0.8),
    row(SMALL, OURS, RELEASED, 50.0),
    Row {
        name: SMALL,
        of: OURS,
        against: Against::Limit(OPEN_MS_MAX),
        ratio_min: 1.0,
    },
    row(CSV, OURS, "pyarrow", OF_PYARROW),
    row(CSV, OURS, "polars", 0.5),
    row(CSV, OURS, "dask", OF_DASK),
    row(CSV, OURS, "pandas", OF_PANDAS),
    row(PARQUET, OURS, "pyarrow", OF_PYARROW),
    row(PARQUET, OURS, "polars", OF_POLARS_PARQUET),
    row("bytes in a stream", OURS, "readinto", 0.85),
    row(
        "IPC, accumulate='arrow'",
        OURS,
        "readinto",
        OF_READINTO_TABLES,
    ),
    row("CSV, accumulate=True", OURS, RELEASED, 8.0),
    row("Parquet, accumulate=True", OURS, RELEASED, 8.0),
    row("write Parquet", OURS, "pyarrow", 0.85),
    row("write CSV", OURS, "pandas", 5.0),
    row("serialize 256 MiB", OURS, "tofile", 0.7),
    row("deserialize 256 MiB", OURS, "fromfile", 0.7),
];
