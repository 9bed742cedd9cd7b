//! `events`: what has changed in the cluster, as the node that is asked saw it.

use std::time::Duration;

use vineyard_client::Client;
use vineyard_wire::reply::{Event, ListedEvents};

use crate::args::{ConnectArgs, Events, Format};
use crate::failure::{Failure, Tried};
use crate::{find, output, time};

/// Between two looks of `-f`.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

pub(crate) async fn run(
    place: &ConnectArgs,
    format: Format,
    events: &Events,
) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let listed = all(&client, 0).await?;
    show(format, latest(&listed.events, events.limit))?;
    match events.follow {
        true => follow(place, format, client, listed.last).await,
        false => Ok(()),
    }
}

/// All that the node has after one: `last` is the number to go on after.
pub(crate) async fn all(client: &Client, after: u64) -> Result<ListedEvents, Failure> {
    let listed = client.list_events(after, u64::MAX).await;
    listed.tried(|| "ask for events".to_owned())
}

fn latest(events: &[Event], limit: u64) -> &[Event] {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    &events[events.len().saturating_sub(limit)..]
}

/// Until the command is interrupted. A node that does not answer is said, and tried again.
async fn follow(
    place: &ConnectArgs,
    format: Format,
    client: Client,
    mut after: u64,
) -> Result<(), Failure> {
    let mut kept = Some(client);
    loop {
        tokio::time::sleep(FOLLOW_EVERY).await;
        match look(place, &mut kept, after).await {
            Ok(listed) => {
                show(format, &listed.events)?;
                after = listed.last;
            }
            Err(failure) => {
                kept = None;
                output::complain_of(format, &failure);
            }
        }
    }
}

async fn look(
    place: &ConnectArgs,
    kept: &mut Option<Client>,
    after: u64,
) -> Result<ListedEvents, Failure> {
    let client = match kept.take() {
        Some(client) => client,
        None => find::connect(place).await?,
    };
    let mut listed = all(&client, after).await?;
    if listed.last < after {
        // The node was started again, and counts from 1.
        listed = all(&client, 0).await?;
    }
    *kept = Some(client);
    Ok(listed)
}

fn show(format: Format, events: &[Event]) -> Result<(), Failure> {
    events.iter().try_for_each(|event| match format {
        Format::Json => output::print_line(event),
        Format::Table => output::print(&line(event)),
    })
}

fn line(event: &Event) -> String {
    let Event { kind, text, .. } = event;
    format!("{}  {kind:<16}  {text}", time::utc(event.unix_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_and_what() {
        let event = Event {
            number: 1,
            unix_ms: 1_790_000_000_000,
            kind: "node_up".to_owned(),
            node: None,
            text: "blue (n1) answers again".to_owned(),
        };
        assert_eq!(
            line(&event),
            "2026-09-21T14:13:20Z  node_up           blue (n1) answers again"
        );
        let two = [event.clone(), event];
        assert_eq!(latest(&two, 1).len(), 1);
        assert_eq!(latest(&two, 9).len(), 2);
    }
}
