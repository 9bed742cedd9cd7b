//! The table: medians, ratios, what is required, and the floors of the same run beside them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vineyard_tests::statistics::median;

use super::rows::{ENCRYPTED_ROWS, IMPORT_SECONDS_MAX, PACKAGE_ROWS, Row, SERVER_ROWS};

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

/// One comparison: what was measured on both sides, and what is required.
#[derive(Debug)]
pub(super) struct Table {
    title: &'static str,
    /// What the columns are called.
    columns: [&'static str; 2],
    required: &'static [Row],
    rows: BTreeMap<String, Figures>,
}

#[derive(Debug)]
pub(super) struct Report {
    /// The released client on both servers.
    pub(super) servers: Table,
    /// The released client on the released server, our package on our node.
    pub(super) package: Table,
    /// Our nodes, which talk in plain between loopback addresses, and our nodes that encrypt there too.
    pub(super) encrypted: Table,
    /// What `import vineyard` took, in seconds, once a round.
    pub(super) imports: Vec<f64>,
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

impl Table {
    fn new(title: &'static str, columns: [&'static str; 2], required: &'static [Row]) -> Self {
        Self {
            title,
            columns,
            required,
            rows: BTreeMap::new(),
        }
    }

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
    fn failed(&self) -> impl Iterator<Item = String> {
        let passes = |row: &Row| {
            self.rows
                .get(row.name)
                .is_some_and(|figures| figures.passes(row))
        };
        let failed = self.required.iter().filter(move |row| !passes(row));
        failed.map(|row| format!("{}: {}", self.title, row.name))
    }

    fn print(&self) {
        println!(
            "{:38} {:>12} {:>12}      {:>8} {:>9}",
            self.title, self.columns[0], self.columns[1], "ratio", "required"
        );
        let none = Figures::default();
        for row in self.required {
            let figures = self.rows.get(row.name).unwrap_or(&none);
            let verdict = if figures.passes(row) { "pass" } else { "FAIL" };
            println!(
                "{:38} {} {} {:4} {} {:>9.2}  {verdict}",
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
        println!();
    }

    fn to_json(&self) -> Value {
        let rows = self.required.iter().map(|row| {
            let figures = self.rows.get(row.name);
            let value = figures.map(|figures| {
                json!({"unit": figures.unit, "released": figures.released, "ours": figures.ours,
                    "ratio": figures.ratio(), "required": row.ratio_min, "errors": figures.errors,
                    "pass": figures.passes(row)})
            });
            (row.name.to_owned(), value.unwrap_or(Value::Null))
        });
        Value::Object(rows.collect())
    }
}

const RELEASED_AND_OURS: [&str; 2] = ["released", "ours"];

impl Default for Report {
    fn default() -> Self {
        Self {
            servers: Table::new("released client", RELEASED_AND_OURS, SERVER_ROWS),
            package: Table::new("our package", RELEASED_AND_OURS, PACKAGE_ROWS),
            encrypted: Table::new("between our nodes", ["plain", "TLS"], ENCRYPTED_ROWS),
            imports: Vec::new(),
            floors: Vec::new(),
            broken: Vec::new(),
            client: Value::Null,
        }
    }
}

impl Report {
    /// What is missing, in error or too slow. Without the package its rows are not asked for.
    pub(super) fn failed(&self, with_package: bool) -> Vec<String> {
        let mut failed: Vec<String> = self.servers.failed().collect();
        if with_package {
            failed.extend(self.package.failed());
            failed.extend(self.encrypted.failed());
            if !self.imports_in_time() {
                failed.push("import vineyard".to_owned());
            }
        }
        failed
    }

    fn imports_in_time(&self) -> bool {
        median(&self.imports).is_some_and(|seconds| seconds < IMPORT_SECONDS_MAX)
    }

    /// `import vineyard`, whose limit is a time and not a ratio.
    fn print_import(&self) {
        let verdict = if self.imports_in_time() {
            "pass"
        } else {
            "FAIL"
        };
        println!(
            "{:38} {:>12} {} s    {:8} {:>9}  {verdict}",
            "import vineyard",
            "",
            cell(median(&self.imports), 12),
            "",
            format!("< {IMPORT_SECONDS_MAX}")
        );
    }

    pub(super) fn print(&self, with_package: bool) {
        self.servers.print();
        if with_package {
            self.package.print();
            self.encrypted.print();
            self.print_import();
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
        let floors = self.floors.iter().map(|(name, figure, unit)| {
            ((*name).to_owned(), json!({"figure": figure, "unit": unit}))
        });
        json!({"rows": self.servers.to_json(), "package": self.package.to_json(),
            "encrypted": self.encrypted.to_json(),
            "import_seconds": self.imports, "floors": floors.collect::<serde_json::Map<_, _>>(), "client": self.client,
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
        let rows = SERVER_ROWS.iter().map(|row| {
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
        report.servers.add(Side::Released, &all_rows(1000.0, 1.0));
        assert_eq!(report.failed(false).len(), SERVER_ROWS.len());
        report.servers.add(Side::Ours, &all_rows(1.0, 5.0));
        assert!(report.failed(false).is_empty());
    }

    #[test]
    fn a_slower_row_fails_and_so_does_an_error() {
        let mut report = Report::default();
        report.servers.add(Side::Released, &all_rows(1000.0, 1.0));
        report.servers.add(Side::Ours, &all_rows(1001.0, 0.7));
        assert_eq!(report.failed(false).len(), SERVER_ROWS.len());
        let mut report = Report::default();
        report.servers.add(Side::Released, &all_rows(1000.0, 1.0));
        report.servers.add(Side::Ours, &all_rows(1.0, 5.0));
        report
            .servers
            .add(Side::Ours, &json!({"get_name": {"error": "hung"}}));
        assert_eq!(report.failed(false), ["released client: get_name"]);
    }

    #[test]
    fn the_package_has_rows_and_a_limit_of_its_own() {
        let mut report = Report::default();
        report.servers.add(Side::Released, &all_rows(1000.0, 1.0));
        report.servers.add(Side::Ours, &all_rows(1.0, 5.0));
        let others = PACKAGE_ROWS.len() + ENCRYPTED_ROWS.len();
        assert_eq!(report.failed(true).len(), others + 1);
        report.encrypted.add(Side::Released, &all_rows(1.0, 1.0));
        report.encrypted.add(Side::Ours, &all_rows(1.1, 0.5));
        report.package.add(Side::Released, &all_rows(1000.0, 1.0));
        report.package.add(Side::Ours, &all_rows(60.0, 0.96));
        report.imports = vec![0.1, 0.2, 0.9];
        assert!(report.failed(true).is_empty());
        report.imports.push(0.9);
        assert_eq!(report.failed(true), ["import vineyard"]);
    }
}
