//! `ls`: the objects that this node knows.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vineyard_node::config::size;
use vineyard_wire::meta::key;
use vineyard_wire::{InstanceId, ObjectId, Tree};

use crate::args::{ConnectArgs, Format, Ls};
use crate::failure::{Failure, Tried};
use crate::{find, output, tree};

/// Names that are asked for, to show which objects have one.
const NAMES_MAX: u64 = 1 << 20;

pub(crate) async fn run(place: &ConnectArgs, format: Format, ls: &Ls) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let found = client.list_metadatas(&ls.pattern, false, ls.limit).await;
    let found = found.tried(|| format!("list the objects like {:?}", ls.pattern))?;
    // Names need the cluster's agreement; without it objects can be listed all the same.
    let names = client.list_names("*", false, NAMES_MAX).await;
    if let Err(error) = &names {
        output::complain(&format!("names are not shown: {error}"));
    }
    let mut by_object: BTreeMap<ObjectId, Vec<String>> = BTreeMap::new();
    for (name, id) in names.unwrap_or_default() {
        by_object.entry(id).or_default().push(name);
    }
    let rows = found
        .iter()
        .map(|(id, tree)| Row::of(*id, tree, by_object.remove(id)));
    let rows: Vec<Row> = rows.collect();
    match format {
        Format::Json => output::print_json(&rows.iter().map(Row::json).collect::<Vec<Value>>()),
        Format::Table => {
            let mut table =
                output::Table::new(&["ID", "TYPE", "SIZE", "NODE", "PERSISTED", "NAMES"], &[2]);
            for row in &rows {
                table.row(row.cells());
            }
            output::print_table(&table)
        }
    }
}

#[derive(Debug, PartialEq)]
struct Row {
    id: ObjectId,
    typename: String,
    nbytes: Option<u64>,
    /// Absent for an object whose parts are on several instances.
    instance: Option<InstanceId>,
    persisted: bool,
    names: Vec<String>,
}

impl Row {
    fn of(id: ObjectId, tree: &Tree, names: Option<Vec<String>>) -> Self {
        let instance = tree::number(tree, key::INSTANCE_ID).map(InstanceId);
        let global = tree
            .get(key::GLOBAL)
            .and_then(Value::as_bool)
            .unwrap_or(false);
        Self {
            id,
            typename: tree::text(tree, key::TYPENAME).to_owned(),
            nbytes: tree::number(tree, key::NBYTES),
            instance: instance.filter(|one| !global && *one != InstanceId::UNSPECIFIED),
            persisted: tree.get(key::TRANSIENT).and_then(Value::as_bool) == Some(false),
            names: names.unwrap_or_default(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id.to_string(),
            "typename": self.typename,
            "nbytes": self.nbytes,
            "instance_id": self.instance,
            "persisted": self.persisted,
            "names": self.names,
        })
    }

    fn cells(&self) -> [String; 6] {
        [
            self.id.to_string(),
            self.typename.clone(),
            self.nbytes.map_or_else(|| "-".to_owned(), size::show),
            self.instance
                .map_or_else(|| "several".to_owned(), |one| one.to_string()),
            if self.persisted { "yes" } else { "no" }.to_owned(),
            self.names.join(", "),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_people_ask() {
        let mut tree = tree::object("demo::Bytes", InstanceId(2), &[]);
        tree.insert(key::TRANSIENT.into(), false.into());
        let row = Row::of(ObjectId(1), &tree, Some(vec!["a".into(), "b".into()]));
        let cells = [
            "o0000000000000001",
            "demo::Bytes",
            "0 B",
            "i2",
            "yes",
            "a, b",
        ];
        assert_eq!(row.cells(), cells);
        tree.insert(key::GLOBAL.into(), true.into());
        assert_eq!(
            Row::of(ObjectId(1), &tree, None).json()["instance_id"],
            Value::Null
        );
    }
}
