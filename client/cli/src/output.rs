//! Tables for people, JSON for programs.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// A table with `headers`; columns whose index is in `right` hold numbers.
pub(crate) fn table(headers: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headers);
    for index in right {
        let column = table
            .column_mut(*index)
            .expect("the index is one of the headers'");
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Prints a table without the blanks at the ends of its lines.
pub(crate) fn print_table(table: &Table) -> Result<(), Failure> {
    let lines: Vec<String> = table
        .lines()
        .map(|line| {
            line.strip_prefix(" ")
                .unwrap_or(&line)
                .trim_end()
                .to_owned()
        })
        .collect();
    print(&lines.join("\n"))
}

/// Prints `value` as indented JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).expect("what is printed has a JSON form");
    print(&text)
}

/// Prints `text` and a line end. A reader that went away (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::local("write to the standard output", error))
        }
        _ => Ok(()),
    }
}
