//! `ls`: the objects that this node knows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vineyard_client::{Client, Liveness};
use vineyard_node::config::size;
use vineyard_wire::meta::key;
use vineyard_wire::{InstanceId, ObjectId, Tree};

use crate::args::{ConnectArgs, Format, Ls, Sort};
use crate::failure::{Failure, Tried};
use crate::{clients, find, output, tree};

/// Names that are asked for, to show which objects have one.
const NAMES_MAX: u64 = 1 << 20;
/// Objects that are counted to say how many are not shown.
const COUNTED_MAX: u64 = 10_000;

pub(crate) async fn run(place: &ConnectArgs, format: Format, ls: &Ls) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let limit = if ls.all { u64::MAX } else { ls.limit };
    let listed = |limit| client.list_metadatas(&ls.pattern, false, limit);
    let tried = || format!("list the objects like {:?}", ls.pattern);
    let found = listed(limit).await.tried(tried)?;
    // Names need the cluster's agreement; without it objects can be listed all the same.
    let names = client.list_names("*", false, NAMES_MAX).await;
    if let Err(error) = &names {
        output::warn(format, &format!("names are not shown: {error}"));
    }
    let mut by_object: BTreeMap<ObjectId, Vec<String>> = BTreeMap::new();
    for (name, id) in names.unwrap_or_default() {
        by_object.entry(id).or_default().push(name);
    }
    let parts = tree::parts(&found);
    let rows = found.iter().map(|(id, tree)| Row {
        part: parts.contains(id),
        ..Row::of(*id, tree, by_object.remove(id))
    });
    let lost = match ls.lost {
        true => Some(lost(&client, &found).await?),
        false => None,
    };
    let held = match &ls.held_by {
        Some(who) => Some(held(&client, who, &found, format).await?),
        None => None,
    };
    let wanted = |row: &Row| {
        let is_lost = lost.as_ref().is_none_or(|lost| lost.contains(&row.id));
        let is_held = held.as_ref().is_none_or(|held| held.contains(&row.id));
        is_lost && is_held && (!ls.unnamed || (row.names.is_empty() && !row.part))
    };
    let mut rows: Vec<Row> = rows.filter(wanted).collect();
    match ls.sort {
        Sort::Id => {}
        Sort::Size => rows.sort_by_key(|row| std::cmp::Reverse(row.nbytes)),
        Sort::Type => rows.sort_by(|one, other| one.typename.cmp(&other.typename)),
    }
    show(format, &rows)?;
    if found.len() as u64 >= limit {
        let counted = listed(COUNTED_MAX.max(limit.saturating_add(1))).await;
        let counted = counted.tried(tried)?.len() as u64;
        if counted > limit {
            output::warn(format, &cut_short(limit, counted));
        }
    }
    Ok(())
}

/// Those with bytes that were on an instance which has ended: its node was started again, or is no member any more.
async fn lost(
    client: &Client,
    found: &BTreeMap<ObjectId, Tree>,
) -> Result<BTreeSet<ObjectId>, Failure> {
    let status = client.cluster_status().await;
    let status = status.tried(|| "ask for the cluster's status".to_owned())?;
    let nodes = status.nodes.iter();
    let nodes = nodes.filter(|n| !matches!(n.state, Liveness::Gone | Liveness::Stopped));
    let there: BTreeSet<InstanceId> = nodes.map(|node| node.instance_id).collect();
    let is_lost = |tree: &Tree| {
        let mut blobs = tree::blobs(tree).into_iter();
        blobs.any(|blob| !there.contains(&blob.instance))
    };
    let lost = found.iter().filter(|(_, tree)| is_lost(tree));
    Ok(lost.map(|(id, _)| *id).collect())
}

/// Those with blobs that a client holds. Blobs of no listed object are counted on stderr.
async fn held(
    client: &Client,
    who: &str,
    found: &BTreeMap<ObjectId, Tree>,
    format: Format,
) -> Result<BTreeSet<ObjectId>, Failure> {
    let held = clients::held_by(client, who).await?;
    let mut listed = BTreeSet::new();
    let mut is_held = |tree: &Tree| {
        let bare = tree::bare_blob(tree).into_iter();
        let all = bare.chain(tree::blobs(tree)).map(|blob| blob.id);
        let its: Vec<ObjectId> = all.filter(|id| held.contains(id)).collect();
        listed.extend(its.iter().copied());
        !its.is_empty()
    };
    let objects = found.iter().filter(|(_, tree)| is_held(tree));
    let objects = objects.map(|(id, _)| *id).collect();
    let others = held.len() - listed.len();
    if others > 0 {
        let all = held.len();
        output::warn(
            format,
            &format!("{others} of the {all} blobs that {who} holds belong to no listed object"),
        );
    }
    Ok(objects)
}

fn cut_short(shown: u64, counted: u64) -> String {
    let all = match counted >= COUNTED_MAX {
        true => format!("at least {counted}"),
        false => counted.to_string(),
    };
    format!("{shown} of {all} objects were listed; --limit N lists more, --all lists all")
}

/// How many objects, and their bytes; those of a part are those of its whole.
fn sum(rows: &[Row]) -> String {
    let wholes = rows.iter().filter(|row| !row.part);
    let bytes = wholes.filter_map(|row| row.nbytes).sum();
    let objects = if rows.len() == 1 { "object" } else { "objects" };
    format!("{} {objects}, {}", rows.len(), size::show(bytes))
}

fn show(format: Format, rows: &[Row]) -> Result<(), Failure> {
    match format {
        Format::Json => output::print_json(&rows.iter().map(Row::json).collect::<Vec<Value>>()),
        Format::Table => {
            let mut table =
                output::Table::new(&["ID", "TYPE", "SIZE", "NODE", "PERSISTED", "NAMES"], &[2]);
            for row in rows {
                table.row(row.cells());
            }
            output::print_table(&table)?;
            output::print("")?;
            output::print(&sum(rows))
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
    /// It is a part of another object of the list, whose size has its bytes.
    part: bool,
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
            part: false,
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
            "part": self.part,
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
    fn what_is_a_part_of_another_object_is_not_counted_again() {
        let part = tree::Part {
            id: ObjectId(2),
            bytes: 3 << 20,
        };
        let whole = tree::object("demo::Bytes", InstanceId(0), &[("a".into(), part)]);
        let blob = tree::object("vineyard::Blob", InstanceId(0), &[]);
        let found = BTreeMap::from([(ObjectId(1), whole), (ObjectId(2), blob)]);
        let parts = tree::parts(&found);
        assert_eq!(parts, BTreeSet::from([ObjectId(2)]));
        let rows = found.iter().map(|(id, tree)| Row {
            part: parts.contains(id),
            nbytes: Some(3 << 20),
            ..Row::of(*id, tree, None)
        });
        assert_eq!(sum(&rows.collect::<Vec<_>>()), "2 objects, 3 MiB");
    }

    #[test]
    fn a_list_that_is_cut_short_says_so() {
        let text = cut_short(1000, 1005);
        assert!(text.starts_with("1000 of 1005 objects"), "{text}");
        let text = cut_short(1000, COUNTED_MAX);
        assert!(text.contains("at least 10000"), "{text}");
    }

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
