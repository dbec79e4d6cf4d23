//! The changes between two tables of runs, such as those of two revisions of an experiment.

use super::recorded_summary::SummaryRow;
use crate::spec::{CompareMetric, Margin};
use crate::stats::{ConfidenceInterval, Design, compare, mean, paired_differences};
use schemars::JsonSchema;
use serde::Serialize;
use std::str::FromStr;

/// The largest acceptable worsening of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    pub metric: CompareMetric,
    /// In the unit of the metric, or a share of the earlier mean.
    pub tolerance: Margin,
}

/// `METRIC: TOLERANCE`, such as `bits_per_byte: 0.5%`.
impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (metric, tolerance) = text
            .split_once(':')
            .ok_or("expected METRIC: TOLERANCE, such as `bits_per_byte: 0.5%`")?;
        let metric: CompareMetric = serde_yaml::from_str(metric)
            .map_err(|_| format!("`{metric}` is no metric of a table of runs"))?;
        if metric == CompareMetric::StepsToLoss {
            return Err("a table of runs does not have the metric steps_to_loss".to_owned());
        }
        let tolerance = serde_yaml::from_str(tolerance).map_err(|_| {
            format!(
                "`{}` is not a number above 0 or a percentage, such as 0.5%",
                tolerance.trim()
            )
        })?;
        Ok(Self { metric, tolerance })
    }
}

/// The change of a metric of a variant from the earlier to the later results.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct VariantChange {
    pub variant: String,
    pub metric: CompareMetric,
    /// Number of seeds that both tables have.
    pub seeds: usize,
    /// Mean of the metric on these seeds, before and after.
    pub before: f64,
    pub after: f64,
    /// Mean of the paired differences, after minus before.
    pub difference: f64,
    /// The ends of its confidence interval. Its level is corrected for the number of comparisons. Null with one seed,
    /// and if no value has changed.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// The largest worsening that the gate accepts, in the unit of the metric. Null without a gate.
    pub tolerance: Option<f64>,
    pub result: GateResult,
}

/// Whether a variant has become worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateResult {
    /// No value has changed.
    Unchanged,
    /// It is not worse by more than the tolerance.
    Passed,
    /// There is no gate.
    NotTested,
    /// The interval contains both more and less than the tolerance, or there is only one seed.
    Undecided,
    /// It is worse by more than the tolerance.
    Worse,
}

/// The changes between two tables of runs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ResultChanges {
    /// For each gate, the variants in the order of the later table.
    pub changes: Vec<VariantChange>,
    /// Variants that only the earlier table has.
    pub only_before: Vec<String>,
    /// Variants that only the later table has.
    pub only_after: Vec<String>,
    /// Variants that both tables have without a common seed.
    pub no_common_seed: Vec<String>,
}

/// (seed, value) of the finished runs of a variant. Runs of a search are not compared.
type Values = Vec<(u64, f64)>;

/// Compares the finished runs of two tables, by variant and seed. `gates` are the metrics to compare, each with its
/// tolerance; without gates, bits per byte are compared.
pub fn result_changes(
    before: &[SummaryRow],
    after: &[SummaryRow],
    gates: &[Gate],
) -> ResultChanges {
    let (names_before, names_after) = (variants(before), variants(after));
    let without = |names: &[String], others: &[String]| -> Vec<String> {
        let absent = names.iter().filter(|name| !others.contains(name));
        absent.cloned().collect()
    };
    let common: Vec<&String> = names_after
        .iter()
        .filter(|name| names_before.contains(name))
        .collect();
    let metrics: Vec<(CompareMetric, Option<Margin>)> = match gates {
        [] => vec![(CompareMetric::BitsPerByte, None)],
        gates => gates
            .iter()
            .map(|gate| (gate.metric, Some(gate.tolerance)))
            .collect(),
    };
    let comparisons = common.len() * metrics.len();
    let mut changes = Vec::new();
    let mut no_common_seed = Vec::new();
    for (metric, tolerance) in metrics {
        for variant in &common {
            let [before, after] = [before, after].map(|rows| values(rows, variant, metric));
            match change(variant, metric, &before, &after, tolerance, comparisons) {
                Some(change) => changes.push(change),
                None if !no_common_seed.contains(*variant) => {
                    no_common_seed.push((*variant).clone());
                }
                None => {}
            }
        }
    }
    ResultChanges {
        changes,
        only_before: without(&names_before, &names_after),
        only_after: without(&names_after, &names_before),
        no_common_seed,
    }
}

impl ResultChanges {
    /// The worst result of all variants. `None` if nothing was compared.
    pub fn worst(&self) -> Option<GateResult> {
        self.changes.iter().map(|change| change.result).max()
    }
}

fn variants(rows: &[SummaryRow]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in rows.iter().filter(|row| row.is_compared) {
        if names.last() != Some(&row.variant) && !names.contains(&row.variant) {
            names.push(row.variant.clone());
        }
    }
    names
}

fn values(rows: &[SummaryRow], variant: &str, metric: CompareMetric) -> Values {
    let rows = rows
        .iter()
        .filter(|row| row.variant == variant && row.status == "done" && row.is_compared);
    let value = |row: &SummaryRow| Some((row.seed?, row.value(metric).filter(|v| v.is_finite())?));
    rows.filter_map(value).collect()
}

/// `None` without a common seed.
fn change(
    variant: &str,
    metric: CompareMetric,
    before: &Values,
    after: &Values,
    tolerance: Option<Margin>,
    comparisons: usize,
) -> Option<VariantChange> {
    let paired = paired_differences(after, before);
    let differences: Vec<f64> = paired.iter().map(|(_, difference)| *difference).collect();
    let is_common = |(seed, _): &&(u64, f64)| paired.iter().any(|(other, _)| other == seed);
    let mean_of = |values: &Values| {
        let common = values.iter().filter(is_common).map(|(_, value)| *value);
        mean(&common.collect::<Vec<_>>())
    };
    let (before, after) = (mean_of(before)?, mean_of(after)?);
    let design = Design::fixed(comparisons).with_better_higher(metric.is_better_higher());
    let comparison = compare(&differences, &design)?;
    let is_unchanged = differences.iter().all(|difference| *difference == 0.0);
    let interval = comparison.corrected.filter(|_| !is_unchanged);
    let tolerance = tolerance.map(|tolerance| tolerance.absolute(before));
    let result = match tolerance {
        _ if is_unchanged => GateResult::Unchanged,
        None => GateResult::NotTested,
        Some(tolerance) => gate_result(interval, tolerance, metric.is_better_higher()),
    };
    Some(VariantChange {
        variant: variant.to_owned(),
        metric,
        seeds: differences.len(),
        before,
        after,
        difference: comparison.mean,
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
        tolerance,
        result,
    })
}

fn gate_result(
    interval: Option<ConfidenceInterval>,
    tolerance: f64,
    is_better_higher: bool,
) -> GateResult {
    let Some(ConfidenceInterval { low, high }) = interval else {
        return GateResult::Undecided;
    };
    // The least and the most by which it may be worse.
    let (least, most) = match is_better_higher {
        true => (-high, -low),
        false => (low, high),
    };
    match (least > tolerance, most > tolerance) {
        (true, _) => GateResult::Worse,
        (false, true) => GateResult::Undecided,
        (false, false) => GateResult::Passed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(variant: &str, seed: u64, bits_per_byte: f64) -> SummaryRow {
        SummaryRow {
            variant: variant.to_owned(),
            seed: Some(seed),
            run: format!("{variant}-s{seed}"),
            status: "done".to_owned(),
            bits_per_byte: Some(bits_per_byte),
            tokens_per_second: Some(1000.0 / bits_per_byte),
            is_compared: true,
            ..SummaryRow::default()
        }
    }

    fn rows(variant: &str, values: &[f64]) -> Vec<SummaryRow> {
        let seeds = 1..;
        let values = seeds.zip(values);
        values
            .map(|(seed, &bits)| row(variant, seed, bits))
            .collect()
    }

    fn gate(metric: CompareMetric, tolerance: f64) -> Gate {
        Gate {
            metric,
            tolerance: Margin::Absolute(tolerance),
        }
    }

    fn worst(before: &[f64], after: &[f64], tolerance: f64) -> GateResult {
        let gates = [gate(CompareMetric::BitsPerByte, tolerance)];
        let changes = result_changes(&rows("a", before), &rows("a", after), &gates);
        changes.worst().unwrap()
    }

    #[test]
    fn every_result() {
        let before = [2.0, 2.1, 1.9];
        assert_eq!(worst(&before, &before, 0.0), GateResult::Unchanged);
        assert_eq!(worst(&before, &[2.5, 2.61, 2.39], 0.1), GateResult::Worse);
        assert_eq!(
            worst(&before, &[2.01, 2.111, 1.909], 0.1),
            GateResult::Passed
        );
        assert_eq!(worst(&before, &[1.5, 1.61, 1.39], 0.0), GateResult::Passed);
        assert_eq!(
            worst(&before, &[2.1, 2.0, 2.0], 0.01),
            GateResult::Undecided
        );
        assert_eq!(
            worst(&[2.0], &[2.5], 0.1),
            GateResult::Undecided,
            "one seed"
        );
    }

    #[test]
    fn a_metric_of_which_a_higher_value_is_better() {
        let [slow, fast] = [[2.0, 2.1, 1.9], [1.0, 1.05, 0.95]].map(|bits| rows("a", &bits));
        let gates = [gate(CompareMetric::TokensPerSecond, 10.0)];
        let worst = |before, after| result_changes(before, after, &gates).worst();
        assert_eq!(worst(&slow, &fast), Some(GateResult::Passed));
        assert_eq!(worst(&fast, &slow), Some(GateResult::Worse));
    }

    #[test]
    fn runs_are_matched_by_variant_and_seed() {
        let mut before = rows("a", &[2.0, 2.1, 1.9]);
        before.extend(rows("gone", &[1.0]));
        before.push(row("moved", 7, 1.0));
        let mut failed = row("a", 4, 9.0);
        failed.status = "failed".to_owned();
        let mut search = row("a", 5, 9.0);
        search.is_compared = false;
        let mut after = vec![row("moved", 8, 1.0), search, failed];
        after.extend([
            row("a", 2, 2.2),
            row("a", 1, 2.1),
            row("a", 9, 5.0),
            row("new", 1, 1.0),
        ]);
        let changes = result_changes(&before, &after, &[]);
        assert_eq!(changes.only_before, ["gone"]);
        assert_eq!(changes.only_after, ["new"]);
        assert_eq!(changes.no_common_seed, ["moved"]);
        let [change] = changes.changes.as_slice() else {
            panic!("{changes:?}");
        };
        assert_eq!((change.seeds, change.result), (2, GateResult::NotTested));
        assert!((change.difference - 0.1).abs() < 1e-12);
        assert!((change.before - 2.05).abs() < 1e-12);
    }

    #[test]
    fn gates_are_read_from_text() {
        let gate: Gate = "bits_per_byte: 0.5%".parse().unwrap();
        assert_eq!(gate.metric, CompareMetric::BitsPerByte);
        assert_eq!(gate.tolerance.absolute(2.0), 0.01);
        let gate: Gate = "tokens_per_second:100".parse().unwrap();
        assert_eq!(gate.tolerance, Margin::Absolute(100.0));
        for wrong in [
            "",
            "bits_per_byte",
            "loss: 1",
            "steps_to_loss: 1",
            "seconds: x",
            "seconds: -1",
        ] {
            assert!(wrong.parse::<Gate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn tolerance_as_a_share_of_the_earlier_mean() {
        let gates = [Gate {
            metric: CompareMetric::BitsPerByte,
            tolerance: Margin::Percent(crate::spec::Percent::new(5.0)),
        }];
        let (before, after) = (rows("a", &[2.0, 2.0]), rows("a", &[2.01, 2.011]));
        let changes = result_changes(&before, &after, &gates).changes;
        assert!((changes[0].tolerance.unwrap() - 0.1).abs() < 1e-12);
    }
}
