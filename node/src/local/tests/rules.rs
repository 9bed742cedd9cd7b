//! The rules of the ledger, as in the table of `docs/protocol.md`: each cell is tested.

use std::collections::BTreeMap;

use super::*;

const PAGE: &str = include_str!("../../../../docs/protocol.md");
const FIRST_COLUMN: &str = "| under way | ";

/// The table's columns, and its rows by name.
fn table() -> (Vec<&'static str>, BTreeMap<&'static str, Vec<&'static str>>) {
    let mut lines = PAGE
        .lines()
        .skip_while(|line| !line.starts_with(FIRST_COLUMN));
    let cells = |line: &'static str| -> Vec<&'static str> {
        line.trim_matches('|').split('|').map(str::trim).collect()
    };
    let columns = cells(lines.next().expect("the table is there"))[1..].to_vec();
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    let rows = rows.map(|line| (cells(line)[0], cells(line)[1..].to_vec()));
    (columns, rows.collect())
}

/// A node on which the operation of the row is pending, and the id for which it is.
fn under_way(row: &str) -> (Node, ObjectId) {
    let mut node = Node::new();
    let blob = node.blob();
    let id = match row {
        "nothing, for an object" => node.over(blob),
        "nothing, for a blob" => {
            node.over(blob);
            blob
        }
        "a persist of the object" => {
            let id = node.over(blob);
            node.begin_persist(id);
            id
        }
        "a persist over the blob" => {
            // Another object over the same blob, which the persist does not carry.
            node.over(blob);
            let carried = node.over(blob);
            node.begin_persist(carried);
            blob
        }
        "a copy that brought the blob" => {
            let begun = node.local.begin_copy(&node.world.state, &[], vec![blob]);
            begun.expect("it is sealed");
            node.over(blob);
            blob
        }
        "a delete of the object" => {
            let id = node.over(blob);
            let other = node.blob();
            let other = node.persistent(other);
            node.begin_delete(&deletion(&[id, other]));
            id
        }
        "a delete that names the blob" => {
            node.persistent(blob);
            node.over(blob);
            node.begin_delete(&deletion(&[blob]));
            blob
        }
        "a deferred free of the blob" => {
            let other = node.blob();
            let other = node.persistent(other);
            node.begin_delete(&deletion(&[other]));
            let events = [vineyard_raft::state::Event::BlobsReleased(vec![blob])];
            node.local.follow(&node.world.state, &events);
            blob
        }
        row => panic!("the test does not know how to make {row:?}"),
    };
    (node, id)
}

/// Asks for what the column says. Returns the outcome as the table has it.
fn ask(node: &mut Node, column: &str, id: ObjectId) -> String {
    match column {
        "refer to it" => told(node.create(over(id))),
        "persist it, or an object over it" => {
            let transients = node.local.catalog.transients();
            let over = match id.is_blob() {
                false => id,
                // The one with the least id is not carried by the persist.
                true => match transients.first() {
                    Some(id) => *id,
                    None => match node.create(over(id)) {
                        Ok(Ok(id)) => id,
                        other => return told(other),
                    },
                },
            };
            told(node.local.begin_persist(&node.world.state, &[over]))
        }
        "label it" if id.is_blob() => "-".to_owned(),
        "label it" => {
            let labels = [("key".to_owned(), "value".to_owned())].into();
            told(node.local.label(&node.world.state, id, labels))
        }
        "delete it" => {
            let deletion = deletion(&[id]);
            told(
                node.local
                    .delete(&node.world.state, &deletion, true)
                    .map(Ok),
            )
        }
        "read it" => {
            let read = node.local.read(&node.world.state, &[id]).expect("small");
            match read.has(&[id]) {
                true => "goes on".to_owned(),
                false => "unknown".to_owned(),
            }
        }
        column => panic!("the test does not know how to ask: {column:?}"),
    }
}

fn told<T>(outcome: Attempt<Result<T, vineyard_wire::Status>>) -> String {
    match outcome {
        Ok(Ok(_)) => "goes on".to_owned(),
        Ok(Err(status)) => format!("refused {}", status.code as u8),
        Err(_waiter) => "waits".to_owned(),
    }
}

#[test]
fn what_is_under_way_means_what_the_table_says() {
    let (columns, rows) = table();
    assert_eq!(
        (columns.len(), rows.len()),
        (5, 8),
        "the whole table is read"
    );
    for (row, cells) in rows {
        for (column, said) in columns.iter().zip(cells) {
            let (mut node, id) = under_way(row);
            let told = ask(&mut node, column, id);
            assert_eq!(told, said, "{row}, asked to {column}");
        }
    }
}
