//! Each name behaves as one register that all clients share, whichever node they ask.

use std::collections::BTreeMap;

use super::Judged;
use crate::history::Call;
use crate::linearizability::{Verdict, check};

pub const NAME: &str = "names_are_linearizable";

/// Judges the calls of every name; names start out pointing to nothing.
pub fn judge(histories: &BTreeMap<String, Vec<Call>>) -> Judged {
    for (name, calls) in histories {
        match check(None, calls) {
            Verdict::Linearizable => {}
            Verdict::Undecided => {
                return Err(format!(
                    "{name}: {} calls are too many to decide",
                    calls.len()
                ));
            }
            Verdict::Broken { explained } => return Err(tell(name, calls, &explained)),
        }
    }
    Ok(())
}

fn tell(name: &str, calls: &[Call], explained: &[usize]) -> String {
    let mut text = format!(
        "{name}: no order of its {} calls explains the answers;",
        calls.len()
    );
    let unexplained = (0..calls.len())
        .filter(|index| !explained.contains(index))
        .take(6);
    for index in unexplained {
        let Call {
            client,
            ask,
            told,
            invoked,
            returned,
        } = &calls[index];
        text += &format!(" [client {client}: {ask:?} -> {told:?} in {invoked}..{returned}]");
    }
    text
}
