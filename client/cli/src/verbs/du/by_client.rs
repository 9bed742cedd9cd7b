//! `du --by client`: what the clients of each node hold. A blob that several hold counts for the first of them.

use vineyard_client::{Client, ClusterStatus};

use super::{Account, Line};
use crate::args::Format;
use crate::verbs::status::name_of;
use crate::{clients, output};

pub(super) async fn account(client: &Client, status: &ClusterStatus, format: Format) -> Account {
    let mut account = Account::default();
    for (node, told) in clients::descriptions(client, &status.nodes).await {
        let name = name_of(status, node.instance_id);
        let Some(stats) = &node.stats else {
            output::warn(format, &format!("{name} does not answer, and is left out"));
            continue;
        };
        account.used += stats.memory_usage;
        account.deleted += node.pieces.map_or(0, |pieces| pieces.deleted_bytes);
        let told = match told {
            Ok(told) => told,
            Err(failure) => {
                output::warn(format, &format!("what clients of {name} hold: {failure}"));
                continue;
            }
        };
        for holds in &told.sessions {
            let line = Line {
                objects: holds.blobs - holds.deleted_blobs,
                bytes: holds.bytes - holds.deleted_bytes,
            };
            let label = format!("{name} {}", clients::label(holds));
            account.lines.insert(label, line);
        }
        if told.sessions_left_out > 0 {
            let more = told.sessions_left_out;
            let text = format!("{name} has {more} more clients, which hold less than those shown");
            output::warn(format, &text);
        }
    }
    account
}
