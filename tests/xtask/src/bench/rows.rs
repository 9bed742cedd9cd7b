//! The rows that must be there, and the least ratio of each: the promises, as tables.

/// How much faster ours must be than the released one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// As the scripts name it.
    pub(super) name: &'static str,
    pub(super) ratio_min: f64,
}

/// Not slower.
const LATENCY: f64 = 1.0;
/// Bandwidth is bound by memory on both sides, and noisy.
const BANDWIDTH: f64 = 0.8;
const SMALL_PUT: f64 = 1.4;
const SMALL_GET: f64 = 2.0;
/// What etcd's round trips and its lock cost.
const CONSENSUS: f64 = 5.0;
/// What Nagle and the delayed acknowledgement cost.
const SMALL_RPC: f64 = 200.0;
/// Two small requests, and the client's own Python around them, which takes most of ours.
const SMALL_RPC_GET: f64 = 100.0;
const BIG_FETCH: f64 = 4.0;

const fn row(name: &'static str, ratio_min: f64) -> Row {
    Row { name, ratio_min }
}

/// The released client on both servers.
pub(super) const SERVER_ROWS: &[Row] = &[
    row("create_blob+seal 1KiB", LATENCY),
    row("get_blob 1KiB (repeat)", LATENCY),
    row("put ndarray 1KiB", SMALL_PUT),
    row("get ndarray 1KiB (repeat)", SMALL_GET),
    row("get ndarray 1KiB (first)", SMALL_GET),
    row("get_meta", LATENCY),
    row("exists", LATENCY),
    row("put int", LATENCY),
    row("get int", LATENCY),
    row("put dict (pickle)", LATENCY),
    row("get dict (pickle)", LATENCY),
    row("put dataframe 8x128", LATENCY),
    row("get dataframe 8x128", LATENCY),
    row("put ndarray persist", CONSENSUS),
    row("put ndarray persist+name", CONSENSUS),
    row("put_name (overwrite)", CONSENSUS),
    row("get_name", LATENCY),
    row("delete small", LATENCY),
    row("put 1MiB ndarray", BANDWIDTH),
    row("put 256MiB ndarray", BANDWIDTH),
    row("get 256MiB + sum", BANDWIDTH),
    row("rpc create_remote_blob 1KiB", SMALL_RPC),
    row("rpc get_remote_blob 1KiB", SMALL_RPC),
    row("rpc get ndarray 1KiB", SMALL_RPC_GET),
    row("rpc get_remote_blob 256MiB (no zstd)", BANDWIDTH),
    row("put N ints", LATENCY),
    row("list N", LATENCY),
    row("persist on A then exists on B", CONSENSUS),
    row("put_name on A then get_name on B", CONSENSUS),
    row("get 1KiB of A from B (no migration)", LATENCY),
    row("get(fetch=True) 1KiB of A on B", LATENCY),
    row("migrate big", BIG_FETCH),
    row("migrate 200 members", LATENCY),
];

/// Our package on our node, beside the released client on the released server.
pub(super) const PACKAGE_ROWS: &[Row] = &[
    row("put ndarray 1KiB", 8.0),
    row("get ndarray 1KiB (repeat)", 15.0),
    row("get ndarray 1KiB (first)", 15.0),
    row("put dataframe 8x128", 10.0),
    row("get dataframe 8x128", 10.0),
    row("put 256MiB ndarray", 0.95),
];

/// Our nodes that encrypt beside our nodes that do not: what TLS may cost.
pub(super) const ENCRYPTED_ROWS: &[Row] = &[
    row("migrate big", 0.5),
    row("put_name on A then get_name on B", 0.9),
];

/// What `import vineyard` may take, with no library of values loaded.
pub(super) const IMPORT_SECONDS_MAX: f64 = 0.3;
