//! What was measured of streams and files, all in milliseconds: medians, ratios, and what is required.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vineyard_tests::statistics::median;

use super::rows::{Against, OURS, ROWS, Row};

/// What the scripts call the package that they measure.
const MEASURED: &str = "vineyard";

#[derive(Debug, Default)]
pub(super) struct Table {
    /// One figure a round, by row and by what was measured.
    figures: BTreeMap<(String, String), Vec<f64>>,
    /// What a script said instead of a figure.
    errors: Vec<String>,
}

impl Table {
    /// Takes what one run of a script measured of `side`. What it was compared with in the same process counts in the
    /// runs of our package alone.
    pub(super) fn add(&mut self, side: &str, measured: &Value) {
        for (row, works) in measured.as_object().into_iter().flatten() {
            for (work, figure) in works.as_object().into_iter().flatten() {
                let who = if work == MEASURED { side } else { work };
                match figure.as_f64() {
                    Some(ms) if work == MEASURED || side == OURS => {
                        let key = (row.clone(), who.to_owned());
                        self.figures.entry(key).or_default().push(ms);
                    }
                    Some(_) => {}
                    None => self.broken(format!("{side}: {row}: {figure}")),
                }
            }
        }
    }

    /// Notes what failed; the run then fails.
    pub(super) fn broken(&mut self, what: String) {
        self.errors.push(what);
    }

    fn ms(&self, name: &str, who: &str) -> Option<f64> {
        let figures = self.figures.get(&(name.to_owned(), who.to_owned()))?;
        median(figures)
    }

    /// Its median, that of the other, and how many times faster it is.
    fn compared(&self, row: &Row) -> (Option<f64>, Option<f64>, Option<f64>) {
        let its = self.ms(row.name, row.of);
        let other = match row.against {
            Against::Other(who) => self.ms(row.name, who),
            Against::Limit(ms) => Some(ms),
        };
        let ratio = its.zip(other).map(|(its, other)| other / its);
        (its, other, ratio)
    }

    fn passes(&self, row: &Row) -> bool {
        let (.., ratio) = self.compared(row);
        ratio.is_some_and(|ratio| ratio >= row.ratio_min)
    }

    /// The rows that are missing or too slow, and what failed.
    pub(super) fn failed(&self) -> Vec<String> {
        let slow = ROWS.iter().filter(|row| !self.passes(row));
        let slow = slow.map(|row| format!("{} of {} against {}", row.name, row.of, against(row)));
        slow.chain(self.errors.iter().cloned()).collect()
    }

    pub(super) fn print(&self) {
        println!("| row | of | ms | compared with | ms | ratio | required |  |");
        println!("|---|---|---|---|---|---|---|---|");
        for row in ROWS {
            let (its, other, ratio) = self.compared(row);
            println!(
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                row.name,
                row.of,
                cell(its),
                against(row),
                cell(other),
                cell(ratio),
                row.ratio_min,
                if self.passes(row) { "" } else { "FAIL" }
            );
        }
        for error in &self.errors {
            println!("{error}");
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut rows: BTreeMap<&str, BTreeMap<&str, &[f64]>> = BTreeMap::new();
        for ((row, who), figures) in &self.figures {
            rows.entry(row).or_default().insert(who, figures);
        }
        json!({"milliseconds": rows, "failed": self.failed()})
    }
}

fn against(row: &Row) -> &'static str {
    match row.against {
        Against::Other(who) => who,
        Against::Limit(_) => "the limit",
    }
}

fn cell(figure: Option<f64>) -> String {
    figure.map_or_else(|| "missing".to_owned(), |figure| format!("{figure:.2}"))
}

#[cfg(test)]
mod tests {
    use super::super::rows::{RELEASED, RELEASED_ON_OURS, RUST};
    use super::*;

    /// Every row, with these milliseconds for ours and for all others.
    fn filled(ours: f64, others: f64) -> Table {
        let mut table = Table::default();
        for row in ROWS {
            table.add(row.of, &json!({row.name: {MEASURED: ours}}));
            match row.against {
                Against::Other(who) if who == RELEASED => {
                    table.add(RELEASED, &json!({row.name: {MEASURED: others}}));
                }
                Against::Other(who) => table.add(OURS, &json!({row.name: {who: others}})),
                Against::Limit(_) => {}
            }
        }
        table
    }

    #[test]
    fn rows_that_are_missing_fail() {
        assert_eq!(Table::default().failed().len(), ROWS.len());
        assert_eq!(filled(1.0, 100.0).failed(), Vec::<String>::new());
    }

    #[test]
    fn rows_that_are_too_slow_fail() {
        // 1000 ms is beyond the limit of the one row that has one.
        assert_eq!(filled(1000.0, 250.0).failed().len(), ROWS.len());
    }

    #[test]
    fn an_error_fails() {
        let mut table = filled(1.0, 100.0);
        table.add(RUST, &json!({"any row": {"error": "it hung"}}));
        assert_eq!(table.failed(), ["our Rust client: any row: \"it hung\""]);
    }

    #[test]
    fn what_is_compared_with_counts_beside_our_package_alone() {
        let mut table = Table::default();
        table.add(RELEASED_ON_OURS, &json!({"a row": {"memcpy": 1.0}}));
        assert_eq!(table.ms("a row", "memcpy"), None);
        table.add(OURS, &json!({"a row": {"memcpy": 2.0}}));
        assert_eq!(table.ms("a row", "memcpy"), Some(2.0));
    }
}
