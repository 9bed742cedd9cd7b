//! What is printed: tables for people, JSON for programs, complaints on stderr.
//!
//! Promise: this is the only door to the terminal, and what leaves by it is harmless there, also where strangers
//! chose the names and type names in it. Only an object's bytes (`get -o -`) go another way, as they are.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, presets};
use serde::Serialize;
use serde_json::json;
use vineyard_net::text::{printable, printable_json};

use crate::args::Format;
use crate::failure::Failure;

/// Columns of text under headers.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// Columns whose index is in `right` hold numbers.
    pub(crate) fn new(headers: &[&str], right: &[usize]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(headers);
        for index in right {
            let column = table
                .column_mut(*index)
                .expect("the index is one of the headers'");
            column.set_cell_alignment(CellAlignment::Right);
        }
        Self(table)
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // Escaped here, so that the widths are those of what is printed.
        let cells = cells.into_iter().map(|cell| printable(&cell).into_owned());
        self.0.add_row(cells);
    }

    /// Without the blanks at the ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        let bare = |line: String| {
            let line = line.strip_prefix(" ").unwrap_or(&line);
            line.trim_end().to_owned()
        };
        self.0.lines().map(bare).collect()
    }
}

pub(crate) fn print_table(table: &Table) -> Result<(), Failure> {
    table.lines().iter().try_for_each(|line| print(line))
}

/// Prints `value` as indented JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).expect("what is printed has a JSON form");
    put(&printable_json(&text))
}

/// Prints `value` as JSON on one line.
pub(crate) fn print_line(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).expect("what is printed has a JSON form");
    put(&printable_json(&text))
}

/// Prints `line` and a line end.
pub(crate) fn print(line: &str) -> Result<(), Failure> {
    put(&printable(line))
}

/// Makes room for the next of several looks: a clean screen on a terminal, nothing elsewhere.
pub(crate) fn clear() -> Result<(), Failure> {
    const HOME_AND_CLEAR: &str = "\u{1b}[H\u{1b}[2J";
    match io::stdout().is_terminal() {
        true => put(HOME_AND_CLEAR),
        false => Ok(()),
    }
}

/// Prints text of many lines that this program wrote itself.
pub(crate) fn print_text(text: &str) -> Result<(), Failure> {
    put(text.trim_end())
}

/// A reader that went away (`| head`) is no failure.
fn put(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::local("write to the standard output", error))
        }
        _ => Ok(()),
    }
}

/// Says on stderr what went wrong, on one line.
pub(crate) fn complain(message: &str) {
    eprintln!("vineyardctl: {}", printable(message));
}

/// Says on stderr what ended the command: for programs as one JSON object on one line.
pub(crate) fn complain_of(format: Format, failure: &Failure) {
    match format {
        Format::Json => eprintln!("{}", printable_json(&failure.json().to_string())),
        Format::Table => complain(&failure.to_string()),
    }
}

/// Says on stderr what is not as it was asked for, and ends nothing.
pub(crate) fn warn(format: Format, message: &str) {
    match format {
        Format::Json => {
            let text = json!({ "warning": message }).to_string();
            eprintln!("{}", printable_json(&text));
        }
        Format::Table => complain(message),
    }
}

/// Prints `text` on stderr, line by line.
pub(crate) fn show(text: &str) {
    for line in text.lines() {
        eprintln!("{}", printable(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_in_its_row_and_its_column() {
        let mut table = Table::new(&["NAME", "ID"], &[]);
        table.row(["a\u{1b}[2J\nb".to_owned(), "o1".to_owned()]);
        table.row(["c".to_owned(), "o2".to_owned()]);
        let lines = table.lines();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert_eq!(lines[1], "a\\u{1b}[2J\\u{a}b  o1");
        assert_eq!(lines[1].find("o1"), lines[2].find("o2"), "{lines:#?}");
    }
}
