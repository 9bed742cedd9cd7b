//! Who holds what, as an operator asks.

use vineyard_client::{Options, blocking};

use super::{Node, text};

/// On a node that has two files of 1,000,000 bytes besides.
pub(super) fn who_holds_what(node: &Node) {
    let socket = node.path("sock");
    let client = blocking::Client::connect_ipc(text(&socket), &Options::default()).unwrap();
    let held = client.create_blob(1000).unwrap().seal().unwrap();
    let writer = client.create_blob(500).unwrap();
    let used = node.json(&["du", "--by", "client", "-o", "json"]);
    assert_eq!(used["used_bytes"], 2_001_500, "{used}");
    assert_eq!(used["not_listed_bytes"], 2_000_000, "{used}");
    let line = &used["lines"][0];
    assert_eq!(
        (&line["bytes"], &line["objects"]),
        (&1500.into(), &2.into())
    );
    let process = std::process::id().to_string();
    let label = line["label"].as_str().unwrap();
    let caller = format!("process {process} of user ");
    assert!(label.contains(&caller), "{label}");
    let is_session = |word: &&str| {
        let digits = word.strip_prefix('s');
        digits.is_some_and(|digits| digits.parse::<u64>().is_ok())
    };
    let session = label.split(' ').find(is_session).unwrap();
    for who in [session, &process] {
        let listed = node.json(&["ls", "--held-by", who, "-o", "json"]);
        assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(listed[0]["id"], held.id().to_string(), "{listed}");
    }
    assert_eq!(node.code(&["ls", "--held-by", "nobody"]), 2);
    assert_eq!(node.code(&["ls", "--held-by", "s4000000"]), 4);
    writer.abort().unwrap();
}
