//! Tables, on the terminal and in RESULTS.md.

use crate::scope::Scope;
use crate::stage::Setting;
use std::path::Path;
use std::process::Command;
use std::{fmt, fs};

/// Rows of text under a heading; the first row names the columns.
pub struct Table {
    heading: &'static str,
    note: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const N: usize>(heading: &'static str, note: &'static str, columns: [&str; N]) -> Self {
        Self { heading, note, rows: vec![columns.map(str::to_owned).to_vec()] }
    }

    /// Adds a row, and shows that it is done.
    pub fn push<const N: usize>(&mut self, row: [String; N]) {
        eprintln!("{}", row.join("  "));
        self.rows.push(row.to_vec());
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        (0..self.rows[0].len()).map(width).collect()
    }
}

/// As Markdown that can be read as it is.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.heading, self.note)?;
        let widths = self.widths();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:width$} "));
            writeln!(f, "|{}|", cells.collect::<Vec<_>>().join("|"))?;
            if index == 0 {
                let rules = widths.iter().map(|width| "-".repeat(width + 2));
                writeln!(f, "|{}|", rules.collect::<Vec<_>>().join("|"))?;
            }
        }
        Ok(())
    }
}

/// Whether a goal was reached.
pub fn verdict(reached: bool) -> String {
    if reached { "yes" } else { "no" }.to_owned()
}

/// `1592356.6` is `1,592 k`.
pub fn thousands(rate: f64) -> String {
    let thousands = (rate / 1000.0).round();
    if thousands < 1000.0 {
        format!("{thousands} k")
    } else {
        format!("{},{:03} k", (thousands / 1000.0).floor(), thousands % 1000.0)
    }
}

/// Writes what a whole run came to into benches/RESULTS.md.
pub fn write(tables: &[Table], scope: &Scope) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
    let tables: String = tables.iter().map(|table| format!("\n{table}")).collect();
    fs::write(path, format!("{}{tables}", preface(scope))).expect("a place for the results");
}

fn preface(scope: &Scope) -> String {
    format!(
        "# What `make bench` measured\n\n\
         {} with the module, loaded by {}, on {}.\n\
         Each ratio is the median of {} rounds of about {} s a side, in turn, with the least and the greatest of them \
         in parentheses.\n",
        Setting::Bare.stage().version(),
        benchmark_version(),
        machine(),
        scope.rounds(),
        scope.seconds(),
    )
}

fn benchmark_version() -> String {
    let output = Command::new("redis-benchmark").arg("--version").output().expect("redis-benchmark");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The kind of the machine: its processor, and how many cores of it there are.
fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} cores of {}", model.map_or("an unknown processor", |(_, model)| model))
}
