//! The table: medians, ratios, what is required, and the floors of the same run beside them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vineyard_tests::statistics::median;

use super::rows::{ROWS, Row};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Released,
    Ours,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Released => "released server",
            Self::Ours => "our node",
        }
    }
}

/// Keys under which the scripts write a figure; of `gbps` more is better, of the others less.
const UNITS: [(&str, &str); 4] = [
    ("us", "us"),
    ("median", "us"),
    ("ms", "ms"),
    ("gbps", "GB/s"),
];

/// What one row was on both sides, one figure a round.
#[derive(Debug, Default)]
struct Figures {
    unit: &'static str,
    released: Vec<f64>,
    ours: Vec<f64>,
    /// What a script said instead of a figure.
    errors: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Report {
    rows: BTreeMap<String, Figures>,
    pub(super) floors: Vec<(&'static str, f64, &'static str)>,
    /// Scripts that failed as a whole.
    pub(super) broken: Vec<String>,
    /// What our client's bench printed.
    pub(super) client: Value,
}

impl Figures {
    /// How many times faster ours is; absent without figures of both sides.
    fn ratio(&self) -> Option<f64> {
        let (released, ours) = (median(&self.released)?, median(&self.ours)?);
        Some(if self.unit == "GB/s" {
            ours / released
        } else {
            released / ours
        })
    }

    fn passes(&self, row: &Row) -> bool {
        self.errors.is_empty() && self.ratio().is_some_and(|ratio| ratio >= row.ratio_min)
    }
}

impl Report {
    /// Takes what one run of a script measured.
    pub(super) fn add(&mut self, side: Side, measured: &Value) {
        for (name, row) in measured.as_object().into_iter().flatten() {
            let figures = self.rows.entry(name.clone()).or_default();
            if let Some(error) = row["error"].as_str() {
                figures.errors.push(format!("{}: {error}", side.name()));
            }
            let found = UNITS
                .iter()
                .find_map(|(key, unit)| Some((row[*key].as_f64()?, *unit)));
            if let Some((figure, unit)) = found {
                figures.unit = unit;
                match side {
                    Side::Released => figures.released.push(figure),
                    Side::Ours => figures.ours.push(figure),
                }
            }
        }
    }

    /// The names of the rows that are missing, in error or too slow.
    pub(super) fn failed(&self) -> Vec<&'static str> {
        let passes = |row: &Row| {
            self.rows
                .get(row.name)
                .is_some_and(|figures| figures.passes(row))
        };
        ROWS.iter()
            .filter(|row| !passes(row))
            .map(|row| row.name)
            .collect()
    }

    pub(super) fn print(&self) {
        println!(
            "{:38} {:>12} {:>12}      {:>8} {:>9}",
            "case", "released", "ours", "ratio", "required"
        );
        let none = Figures::default();
        for row in ROWS {
            let figures = self.rows.get(row.name).unwrap_or(&none);
            let verdict = if figures.passes(row) { "pass" } else { "FAIL" };
            println!(
                "{:38} {} {} {:4} {} {:>9.1}  {verdict}",
                row.name,
                cell(median(&figures.released), 12),
                cell(median(&figures.ours), 12),
                figures.unit,
                cell(figures.ratio(), 8),
                row.ratio_min
            );
            for error in &figures.errors {
                println!("    {error}");
            }
        }
        println!("\nfloors of this machine, measured in this run");
        for (name, figure, unit) in &self.floors {
            println!("{name:38} {figure:12.2} {unit}");
        }
        println!("\nour client on our node");
        for (name, row) in self.client.as_object().into_iter().flatten() {
            let found = UNITS
                .iter()
                .find_map(|(key, unit)| Some((row[*key].as_f64()?, *unit)));
            let (figure, unit) = found.unzip();
            println!(
                "{name:38} {} {}",
                cell(figure, 12),
                unit.unwrap_or("missing")
            );
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let rows = ROWS.iter().map(|row| {
            let figures = self.rows.get(row.name);
            let value = figures.map(|figures| {
                json!({"unit": figures.unit, "released": figures.released, "ours": figures.ours,
                    "ratio": figures.ratio(), "required": row.ratio_min, "errors": figures.errors,
                    "pass": figures.passes(row)})
            });
            (row.name.to_owned(), value.unwrap_or(Value::Null))
        });
        let floors = self.floors.iter().map(|(name, figure, unit)| {
            ((*name).to_owned(), json!({"figure": figure, "unit": unit}))
        });
        json!({"rows": rows.collect::<serde_json::Map<_, _>>(),
            "floors": floors.collect::<serde_json::Map<_, _>>(), "client": self.client,
            "broken": self.broken})
    }
}

fn cell(figure: Option<f64>, width: usize) -> String {
    figure.map_or_else(
        || format!("{:>width$}", "missing"),
        |figure| format!("{figure:width$.2}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_rows(time: f64, bandwidth: f64) -> Value {
        let rows = ROWS.iter().map(|row| {
            let moves_bytes = row.name.contains("MiB") || row.name == "migrate big";
            let figure = if moves_bytes {
                json!({"gbps": bandwidth})
            } else {
                json!({"us": time})
            };
            (row.name.to_owned(), figure)
        });
        Value::Object(rows.collect())
    }

    #[test]
    fn a_row_that_is_missing_fails() {
        let mut report = Report::default();
        report.add(Side::Released, &all_rows(1000.0, 1.0));
        assert_eq!(report.failed().len(), ROWS.len());
        report.add(Side::Ours, &all_rows(1.0, 5.0));
        assert!(report.failed().is_empty());
    }

    #[test]
    fn a_slower_row_fails_and_so_does_an_error() {
        let mut report = Report::default();
        report.add(Side::Released, &all_rows(1000.0, 1.0));
        report.add(Side::Ours, &all_rows(1001.0, 0.7));
        assert_eq!(report.failed().len(), ROWS.len());
        let mut report = Report::default();
        report.add(Side::Released, &all_rows(1000.0, 1.0));
        report.add(Side::Ours, &all_rows(1.0, 5.0));
        report.add(Side::Ours, &json!({"get_name": {"error": "hung"}}));
        assert_eq!(report.failed(), ["get_name"]);
    }
}
