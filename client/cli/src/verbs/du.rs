//! `du`: what the memory of the nodes is used for. The sums add up to the bytes that the nodes say are used.

mod by_client;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vineyard_client::{Client, ClusterStatus};
use vineyard_node::config::size;
use vineyard_wire::meta::key;
use vineyard_wire::{ObjectId, Tree};

use super::status::name_of;
use crate::args::{By, ConnectArgs, Du, Format};
use crate::failure::{Failure, Tried};
use crate::{find, output, tree};

const NAMES_MAX: u64 = 1 << 20;
const WITHOUT_A_NAME: &str = "(without a name)";
const NOT_LISTED: &str = "(not listed)";
const HELD_BY_NOBODY: &str = "(held by no client)";
const WHAT_IS_NOT_LISTED: &str = "not listed: blobs that are still written, further copies, and what other nodes have that is not persisted";
/// Blobs whose sizes are asked for at once.
const ASKED_MAX: usize = 1000;

pub(crate) async fn run(place: &ConnectArgs, format: Format, du: &Du) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let account = match du.by {
        By::Client => {
            let status = client.cluster_status().await;
            let status = status.tried(|| "ask for the cluster's status".to_owned())?;
            by_client::account(&client, &status, format).await
        }
        By::Node | By::Type | By::Name => of_objects(&client, du.by).await?,
    };
    match format {
        Format::Json => output::print_json(&account.json()),
        Format::Table => account.show(du.by),
    }
}

async fn of_objects(client: &Client, by: By) -> Result<Account, Failure> {
    let found = client.list_metadatas("*", false, u64::MAX).await;
    let found = found.tried(|| "list the objects".to_owned())?;
    let names = match by {
        By::Name => client.list_names("*", false, NAMES_MAX).await,
        By::Node | By::Type | By::Client => Ok(BTreeMap::new()),
    };
    let names = names.tried(|| "list the names".to_owned())?;
    let sizes = sizes(client, &found).await?;
    let status = client.cluster_status().await;
    let status = status.tried(|| "ask for the cluster's status".to_owned())?;
    Ok(account(&found, &sizes, &names, &status, by))
}

/// Every blob of the objects and its size. A list has the sizes of this node's blobs; those of others are asked for.
async fn sizes(
    client: &Client,
    found: &BTreeMap<ObjectId, Tree>,
) -> Result<BTreeMap<ObjectId, u64>, Failure> {
    let mut sizes: BTreeMap<ObjectId, u64> = found.iter().filter_map(size_of).collect();
    let blobs = found.values().flat_map(tree::blobs).map(|blob| blob.id);
    let others: BTreeSet<ObjectId> = blobs.filter(|id| !sizes.contains_key(id)).collect();
    let others: Vec<ObjectId> = others.into_iter().collect();
    for some in others.chunks(ASKED_MAX) {
        let told = client.get_metadatas(some, false).await;
        let told = told.tried(|| "ask for the sizes of blobs".to_owned())?;
        sizes.extend(told.iter().filter_map(size_of));
    }
    Ok(sizes)
}

fn size_of((id, tree): (&ObjectId, &Tree)) -> Option<(ObjectId, u64)> {
    let size = tree::number(tree, key::LENGTH).filter(|_| id.is_blob())?;
    Some((*id, size))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    objects: u64,
    bytes: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    lines: BTreeMap<String, Line>,
    /// What the nodes that answer say is used.
    used: u64,
    /// Of objects, on nodes that do not answer, or that have ended since.
    away: u64,
    /// Of deleted blobs that are still read; not used, and not free.
    deleted: u64,
}

/// Counts the bytes of each blob once: for the first object in the list of claims that has it.
fn account(
    found: &BTreeMap<ObjectId, Tree>,
    sizes: &BTreeMap<ObjectId, u64>,
    names: &BTreeMap<String, ObjectId>,
    status: &ClusterStatus,
    by: By,
) -> Account {
    let mut account = Account::default();
    let mut answering = BTreeSet::new();
    for node in &status.nodes {
        let Some(stats) = &node.stats else { continue };
        answering.insert(node.instance_id);
        account.used += stats.memory_usage;
        account.deleted += node.pieces.map_or(0, |pieces| pieces.deleted_bytes);
        if by == By::Node {
            account
                .lines
                .entry(name_of(status, node.instance_id))
                .or_default();
        }
    }
    let mut counted = BTreeSet::new();
    for (label, object) in claims(found, names, by) {
        let mut places = BTreeSet::new();
        for blob in blobs(object) {
            if !counted.insert(blob.id) {
                continue;
            }
            let bytes = sizes.get(&blob.id).copied().unwrap_or_default();
            if !answering.contains(&blob.instance) {
                account.away += bytes;
                continue;
            }
            let line = label
                .clone()
                .unwrap_or_else(|| name_of(status, blob.instance));
            let line = account.lines.entry(line);
            line.or_default().bytes += bytes;
            places.insert(blob.instance);
        }
        match label {
            Some(label) => account.lines.entry(label).or_default().objects += 1,
            None => {
                for place in places {
                    let line = account.lines.entry(name_of(status, place));
                    line.or_default().objects += 1;
                }
            }
        }
    }
    account
}

/// The blobs of an object, or the one that it is.
fn blobs(object: &Tree) -> Vec<tree::BlobPart> {
    match tree::bare_blob(object) {
        Some(blob) => vec![blob],
        None => tree::blobs(object),
    }
}

/// The objects that blobs are counted for, in this order, and the line for each; without one the blob's place is it.
fn claims<'a>(
    found: &'a BTreeMap<ObjectId, Tree>,
    names: &BTreeMap<String, ObjectId>,
    by: By,
) -> Vec<(Option<String>, &'a Tree)> {
    let parts = tree::parts(found);
    let wholes = found.iter().filter(|(id, _)| !parts.contains(id));
    match by {
        By::Node | By::Client => wholes.map(|(_, tree)| (None, tree)).collect(),
        By::Type => wholes
            .map(|(_, tree)| (Some(tree::text(tree, key::TYPENAME).to_owned()), tree))
            .collect(),
        By::Name => {
            let named = names
                .iter()
                .filter_map(|(name, id)| Some((*id, name.clone(), found.get(id)?)));
            let mut first = BTreeSet::new();
            let named = named.filter(|(id, _, _)| first.insert(*id));
            let mut claims: Vec<_> = named.map(|(_, name, tree)| (Some(name), tree)).collect();
            let rest = wholes.filter(|(id, _)| !first.contains(id));
            claims.extend(rest.map(|(_, tree)| (Some(WITHOUT_A_NAME.to_owned()), tree)));
            claims
        }
    }
}

impl Account {
    fn counted(&self) -> u64 {
        self.lines.values().map(|line| line.bytes).sum()
    }

    fn rest(&self) -> u64 {
        self.used.saturating_sub(self.counted())
    }

    fn json(&self) -> Value {
        let lines = self.lines.iter().map(
            |(label, line)| json!({ "label": label, "objects": line.objects, "bytes": line.bytes }),
        );
        json!({
            "lines": lines.collect::<Vec<_>>(),
            "not_listed_bytes": self.rest(),
            "used_bytes": self.counted() + self.rest(),
            "deleted_bytes": self.deleted,
            "away_bytes": self.away,
        })
    }

    fn show(&self, by: By) -> Result<(), Failure> {
        let header = match by {
            By::Node => "NODE",
            By::Type => "TYPE",
            By::Name => "NAME",
            By::Client => "CLIENT",
        };
        let (what, rest) = match by {
            By::Client => ("BLOBS", HELD_BY_NOBODY),
            By::Node | By::Type | By::Name => ("OBJECTS", NOT_LISTED),
        };
        let mut table = output::Table::new(&["BYTES", what, header], &[0, 1]);
        let mut lines: Vec<_> = self.lines.iter().collect();
        lines.sort_by_key(|(_, line)| std::cmp::Reverse(line.bytes));
        for (label, line) in lines {
            table.row([
                size::show(line.bytes),
                line.objects.to_string(),
                label.clone(),
            ]);
        }
        table.row([size::show(self.rest()), "-".to_owned(), rest.to_owned()]);
        table.row([
            size::show(self.counted() + self.rest()),
            "-".to_owned(),
            "used in all".to_owned(),
        ]);
        output::print_table(&table)?;
        output::print("")?;
        if by != By::Client {
            output::print(WHAT_IS_NOT_LISTED)?;
        }
        if self.deleted > 0 {
            let deleted = size::show(self.deleted);
            output::print(&format!(
                "not counted: {deleted} of deleted objects that are still read"
            ))?;
        }
        if self.away > 0 {
            let away = size::show(self.away);
            output::print(&format!(
                "not counted: {away} on nodes that do not answer, or have ended since"
            ))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Part, object};
    use crate::verbs::status::tests::status;
    use vineyard_wire::InstanceId;
    use vineyard_wire::meta::BLOB_TYPENAME;

    const BLOB: u64 = 1 << 63;

    /// Two objects that share a blob, a whole around one of them, and one on a node that does not answer.
    fn objects() -> BTreeMap<ObjectId, Tree> {
        let made = |typename: &str, instance, blobs: &[(u64, usize)]| {
            let parts = blobs.iter().map(|(id, bytes)| {
                let part = Part {
                    id: ObjectId(BLOB | id),
                    bytes: *bytes,
                };
                (format!("part_{id}"), part)
            });
            object(typename, InstanceId(instance), &parts.collect::<Vec<_>>())
        };
        let bare = |id| {
            let mut tree = object(BLOB_TYPENAME, InstanceId(0), &[]);
            tree.insert(key::ID.into(), ObjectId(BLOB | id).to_string().into());
            tree
        };
        let one = made("demo::One", 0, &[(1, 100), (2, 20)]);
        let mut whole = made("demo::Whole", 0, &[]);
        let mut member = one.clone();
        member.insert(key::ID.into(), ObjectId(1).to_string().into());
        whole.insert("member".into(), member.into());
        BTreeMap::from([
            (ObjectId(1), one),
            (ObjectId(2), made("demo::Other", 0, &[(2, 20), (3, 3)])),
            (ObjectId(3), whole),
            (ObjectId(4), made("demo::Away", 1, &[(4, 4)])),
            (ObjectId(BLOB | 1), bare(1)),
            (ObjectId(BLOB | 5), bare(5)),
        ])
    }

    fn lines(by: By, names: &[(&str, u64)]) -> (Account, Vec<(String, u64, u64)>) {
        let names = names
            .iter()
            .map(|(name, id)| ((*name).into(), ObjectId(*id)));
        let mut status = status();
        status.nodes[0].stats.as_mut().unwrap().memory_usage = 200;
        let sizes = [(1, 100), (2, 20), (3, 3), (4, 4), (5, 5)];
        let sizes = sizes.map(|(id, bytes)| (ObjectId(BLOB | id), bytes)).into();
        let account = account(&objects(), &sizes, &names.collect(), &status, by);
        let lines = account.lines.iter();
        let lines = lines.map(|(label, line)| (label.clone(), line.objects, line.bytes));
        let lines = lines.collect();
        (account, lines)
    }

    #[test]
    fn every_blob_is_counted_once_and_the_sums_add_up() {
        let (account, found) = lines(By::Type, &[]);
        let line = |label: &str, objects, bytes| (label.to_owned(), objects, bytes);
        assert_eq!(
            found,
            [
                line("demo::Away", 1, 0),
                line("demo::Other", 1, 23),
                line("demo::Whole", 1, 100),
                line(BLOB_TYPENAME, 1, 5)
            ]
        );
        assert_eq!(
            (account.counted(), account.rest(), account.away),
            (128, 72, 4)
        );
        assert_eq!(account.json()["used_bytes"], 200);
        let (account, found) = lines(By::Node, &[]);
        assert_eq!(found, [line("host0 (i0)", 3, 128)]);
        assert_eq!(account.rest(), 72);
        let (account, found) = lines(By::Name, &[("a", 1), ("b", 1)]);
        assert_eq!(found, [line(WITHOUT_A_NAME, 4, 8), line("a", 1, 120)]);
        assert_eq!(account.rest(), 72);
    }
}
