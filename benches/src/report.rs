//! Samples, medians with their spread, and the table.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::machine::Machine;

/// All samples of one row on one side, in one state of the machine.
#[derive(Debug, Serialize)]
pub struct Series {
    /// Row.
    pub row: String,
    /// Side.
    pub side: String,
    /// `quiet` or `loaded`.
    pub state: String,
    /// Unit of the samples.
    pub unit: &'static str,
    /// One sample for each round, in order.
    pub samples: Vec<f64>,
}

/// Everything a run found.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Where and when.
    pub machine: Machine,
    /// The raw numbers.
    pub series: Vec<Series>,
    /// What could not be measured, and why.
    pub missing: Vec<String>,
}

/// Median, lower and upper quartile.
pub fn quartiles(samples: &[f64]) -> (f64, f64, f64) {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |numerator: usize| {
        sorted.get((sorted.len().saturating_sub(1) * numerator + 2) / 4).copied()
    };
    (at(2).unwrap_or(f64::NAN), at(1).unwrap_or(f64::NAN), at(3).unwrap_or(f64::NAN))
}

impl Results {
    /// Adds one sample.
    pub fn add(&mut self, row: &str, side: &str, state: &str, unit: &'static str, sample: f64) {
        let same = |series: &&mut Series| {
            series.row == row && series.side == side && series.state == state
        };
        if let Some(series) = self.series.iter_mut().find(same) {
            series.samples.push(sample);
            return;
        }
        let (row, side, state) = (row.to_owned(), side.to_owned(), state.to_owned());
        self.series.push(Series { row, side, state, unit, samples: vec![sample] });
    }

    /// A table of medians, quartiles and ratios to native, one per state.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for state in ["quiet", "loaded"] {
            let mut sides: Vec<&str> = Vec::new();
            let mut rows: Vec<&str> = Vec::new();
            let mut cells: BTreeMap<(&str, &str), &Series> = BTreeMap::new();
            for series in self.series.iter().filter(|series| series.state == state) {
                if !sides.contains(&series.side.as_str()) {
                    sides.push(&series.side);
                }
                if !rows.contains(&series.row.as_str()) {
                    rows.push(&series.row);
                }
                cells.insert((&series.row, &series.side), series);
            }
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n{state}\n\n| row | {} |", sides.join(" | "));
            let _ = writeln!(text, "|---|{}", "---|".repeat(sides.len()));
            for row in rows {
                let native = cells.get(&(row, "native")).map(|series| quartiles(&series.samples).0);
                let shown: Vec<String> = sides
                    .iter()
                    .map(|side| cells.get(&(row, *side)).map_or("–".into(), |s| cell(s, native)))
                    .collect();
                let _ = writeln!(text, "| {row} | {} |", shown.join(" | "));
            }
        }
        for missing in &self.missing {
            let _ = writeln!(text, "\nnot measured: {missing}");
        }
        text
    }
}

fn cell(series: &Series, native: Option<f64>) -> String {
    let (median, lower, upper) = quartiles(&series.samples);
    let (scale, unit) = match (series.unit, median) {
        ("ns", median) if median >= 1e6 => (1e6, "ms"),
        ("ns", median) if median >= 1e4 => (1e3, "µs"),
        ("bytes", _) => (1_048_576.0, "MiB"),
        (unit, _) => (1.0, unit),
    };
    let ratio = match native {
        Some(native) if series.side != "native" && native > 0.0 => {
            format!(" ({:.2}×)", median / native)
        }
        _ => String::new(),
    };
    format!("{:.1} {unit} [{:.1}, {:.1}]{ratio}", median / scale, lower / scale, upper / scale)
}

#[cfg(test)]
mod tests {
    use super::quartiles;

    #[test]
    fn quartiles_of_a_few() {
        assert_eq!(quartiles(&[5.0, 1.0, 4.0, 2.0, 3.0]), (3.0, 2.0, 4.0));
        assert_eq!(quartiles(&[7.0]), (7.0, 7.0, 7.0));
        assert!(quartiles(&[]).0.is_nan());
    }
}
