//! The changes between two tables of runs, such as those of two revisions of an experiment.

mod changed_data;
mod compared_rows;
mod gate;
mod lost_results;

pub use changed_data::ChangedData;
pub use gate::{Gate, GateResult};
pub use lost_results::{LostResults, LostSeed, LostState};

use super::recorded_summary::SummaryRow;
use crate::spec::{CompareMetric, Margin};
use crate::stats::{Comparison, ConfidenceInterval, Design, compare, mean, paired_differences};
use changed_data::changed_data;
use compared_rows::{are_seed_free, rows_of, values, variants};
use lost_results::lost_results;
use schemars::JsonSchema;
use serde::Serialize;

/// The change of a metric of a variant from the earlier to the later results.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct VariantChange {
    pub variant: String,
    pub metric: CompareMetric,
    /// Number of seeds that both tables have. 1 for an exact change.
    pub seeds: usize,
    /// Whether the values are the same with every seed, so that the change is exact.
    pub exact: bool,
    /// Mean of the metric on these seeds, before and after.
    pub before: f64,
    pub after: f64,
    /// Mean of the paired differences, after minus before.
    pub difference: f64,
    /// The ends of its confidence interval. Its level is corrected for the number of comparisons. Null with one seed,
    /// for an exact change, and if no value has changed.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// The largest worsening that the gate accepts, in the unit of the metric. Null without a gate.
    pub tolerance: Option<f64>,
    pub result: GateResult,
}

/// A metric of a variant without a value before and after for any common seed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct NoCommonValue {
    pub variant: String,
    pub metric: CompareMetric,
}

/// The changes between two tables of runs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ResultChanges {
    /// The worst result of all changes and lost results. Null if nothing was compared.
    pub result: Option<GateResult>,
    /// For each gate, the variants in the order of the later table.
    pub changes: Vec<VariantChange>,
    /// For each gate, the variants that have lost results, in the order of the earlier table.
    pub lost: Vec<LostResults>,
    /// The variants with another text or tokenizer than before, as far as the tables say it.
    pub changed_data: Vec<ChangedData>,
    /// Variants that only the earlier table has.
    pub only_before: Vec<String>,
    /// Variants that only the later table has.
    pub only_after: Vec<String>,
    /// Variants that both tables have without a common seed.
    pub no_common_seed: Vec<String>,
    /// Those with a common seed that had no value before on any of them.
    pub no_common_value: Vec<NoCommonValue>,
    /// Number of runs in the later table that belong to a search or to a smaller size. They are not compared.
    pub runs_not_compared: usize,
}

/// A metric, and the tolerance of its gate.
type Tested = (CompareMetric, Option<Margin>);

/// Compares the finished runs of two tables, by variant and seed. Runs of a search are not compared. `gates` are the
/// metrics to compare, each with its tolerance; without gates, bits per byte are compared.
pub fn result_changes(
    before: &[SummaryRow],
    after: &[SummaryRow],
    gates: &[Gate],
) -> ResultChanges {
    let tables = [before, after];
    let [names_before, names_after] = tables.map(variants);
    let (common, only_after): (Vec<&str>, Vec<&str>) =
        (names_after.iter()).partition(|name| names_before.contains(name));
    let only_before = names_before.iter().filter(|name| !common.contains(name));
    let metrics = metrics(gates);
    let of_metrics = |names: &[&'_ str]| -> Vec<(String, Tested)> {
        let of_metric =
            |&tested: &Tested| names.iter().map(move |name| ((*name).to_owned(), tested));
        metrics.iter().flat_map(of_metric).collect()
    };
    let lost = of_metrics(&names_before).into_iter();
    let lost = lost.filter_map(|(variant, (metric, tolerance))| {
        lost_results(tables, &variant, metric, tolerance.is_some())
    });
    let changed_data = common.iter().filter_map(|name| changed_data(tables, name));
    let owned = |name: &&str| (*name).to_owned();
    let mut result = ResultChanges {
        result: None,
        changes: Vec::new(),
        lost: lost.collect(),
        changed_data: changed_data.collect(),
        only_before: only_before.map(owned).collect(),
        only_after: only_after.iter().map(owned).collect(),
        no_common_seed: Vec::new(),
        no_common_value: Vec::new(),
        runs_not_compared: after.iter().filter(|row| !row.is_compared).count(),
    };
    let compared = of_metrics(&common);
    let design = Design::fixed(compared.len());
    for (variant, tested) in compared {
        match result.change(tables, &variant, tested, &design) {
            Some(change) => result.changes.push(change),
            None => result.add_not_compared(tables, variant, tested.0),
        }
    }
    result.result = result.worst();
    result
}

fn metrics(gates: &[Gate]) -> Vec<Tested> {
    match gates {
        [] => vec![(CompareMetric::BitsPerByte, None)],
        gates => {
            let tested = |gate: &Gate| (gate.metric, Some(gate.tolerance));
            gates.iter().map(tested).collect()
        }
    }
}

impl ResultChanges {
    /// `None` if nothing was compared. Without a gate, a lost result is not compared.
    fn worst(&self) -> Option<GateResult> {
        let changes = self.changes.iter().map(|change| change.result);
        let lost = self.lost.iter().map(|lost| lost.result);
        let worst = changes.chain(lost).max();
        worst.filter(|result| !self.changes.is_empty() || *result != GateResult::NotTested)
    }

    /// Says why a metric of a variant is not compared, if its lost results do not say it.
    fn add_not_compared(
        &mut self,
        [before, after]: [&[SummaryRow]; 2],
        variant: String,
        metric: CompareMetric,
    ) {
        let is_after = |row: &SummaryRow| {
            row.seed.is_some() && rows_of(after, &variant).any(|other| other.seed == row.seed)
        };
        let have_common_seed = rows_of(before, &variant).any(is_after);
        let is_lost = |lost: &LostResults| lost.variant == variant && lost.metric == metric;
        if !have_common_seed {
            if !self.no_common_seed.contains(&variant) {
                self.no_common_seed.push(variant);
            }
        } else if !self.lost.iter().any(is_lost) {
            self.no_common_value.push(NoCommonValue { variant, metric });
        }
    }

    /// `None` without a common value.
    fn change(
        &self,
        tables: [&[SummaryRow]; 2],
        variant: &str,
        (metric, tolerance): Tested,
        design: &Design,
    ) -> Option<VariantChange> {
        let is_exact = tables
            .iter()
            .all(|rows| are_seed_free(rows, variant, metric));
        let values = tables.map(|rows| values(rows, variant, metric));
        let pairs = Pairs::new(values, is_exact);
        let before = mean(&pairs.before)?;
        let comparison = pairs.comparison(design)?;
        let interval = comparison.corrected.filter(|_| !pairs.are_equal());
        let tolerance = tolerance.map(|tolerance| tolerance.absolute(before));
        let exact = ConfidenceInterval {
            low: comparison.mean,
            high: comparison.mean,
        };
        let result = match tolerance {
            Some(_) if metric.is_per_token() && self.has_other_tokenizer(variant) => {
                GateResult::Undecided
            }
            _ if pairs.are_equal() => GateResult::Unchanged,
            None => GateResult::NotTested,
            Some(tolerance) => {
                let change = if is_exact { Some(exact) } else { interval };
                GateResult::of(change, tolerance, metric.is_better_higher())
            }
        };
        Some(VariantChange {
            variant: variant.to_owned(),
            metric,
            seeds: pairs.differences.len(),
            exact: is_exact,
            before,
            after: mean(&pairs.after)?,
            difference: comparison.mean,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            tolerance,
            result,
        })
    }

    fn has_other_tokenizer(&self, variant: &str) -> bool {
        let mut changed = self.changed_data.iter();
        changed.any(|changed| changed.variant == variant && changed.tokenizer)
    }
}

/// The values of the seeds that both tables have.
struct Pairs {
    before: Vec<f64>,
    after: Vec<f64>,
    /// After minus before.
    differences: Vec<f64>,
    is_exact: bool,
}

impl Pairs {
    /// The values are (seed, value). Values that are the same with every seed are compared once, whatever their seed.
    fn new([before, after]: [Vec<(u64, f64)>; 2], is_exact: bool) -> Self {
        let first = |values: &[(u64, f64)]| -> Vec<(u64, f64)> {
            values
                .iter()
                .take(1)
                .map(|(_, value)| (0, *value))
                .collect()
        };
        let [before, after] = match is_exact {
            true => [first(&before), first(&after)],
            false => [before, after],
        };
        let paired = paired_differences(&after, &before);
        let common = |values: &[(u64, f64)]| -> Vec<f64> {
            let is_common = |seed| paired.iter().any(|(other, _)| *other == seed);
            let common = values.iter().filter(|(seed, _)| is_common(*seed));
            common.map(|(_, value)| *value).collect()
        };
        Self {
            before: common(&before),
            after: common(&after),
            differences: paired.iter().map(|(_, difference)| *difference).collect(),
            is_exact,
        }
    }

    /// `None` without a pair.
    fn comparison(&self, design: &Design) -> Option<Comparison> {
        match (self.is_exact, self.differences.as_slice()) {
            (true, [difference]) => Some(Comparison::exact(*difference, design)),
            (_, differences) => compare(differences, design),
        }
    }

    fn are_equal(&self) -> bool {
        self.differences.iter().all(|difference| *difference == 0.0)
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
        changes.result.unwrap()
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
        let worst = |before, after| result_changes(before, after, &gates).result;
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
    fn tolerance_as_a_share_of_the_earlier_mean() {
        let gates = [Gate {
            metric: CompareMetric::BitsPerByte,
            tolerance: Margin::Percent(crate::spec::Percent::new(5.0)),
        }];
        let (before, after) = (rows("a", &[2.0, 2.0]), rows("a", &[2.01, 2.011]));
        let changes = result_changes(&before, &after, &gates).changes;
        assert!((changes[0].tolerance.unwrap() - 0.1).abs() < 1e-12);
    }

    fn with_status(variant: &str, seed: u64, status: &str) -> SummaryRow {
        SummaryRow {
            status: status.to_owned(),
            ..row(variant, seed, f64::NAN)
        }
    }

    fn counted(seed: u64, bits_per_byte: f64) -> SummaryRow {
        SummaryRow {
            flops_per_token: Some(0.0),
            ..row("counted", seed, bits_per_byte)
        }
    }

    #[test]
    fn lost_results_are_not_passed() {
        let before = rows("a", &[2.0, 2.1, 1.9, 2.0]);
        let gates = [gate(CompareMetric::BitsPerByte, 0.1)];
        let with = |lost: Vec<SummaryRow>| {
            let after: Vec<SummaryRow> = before[..3].iter().cloned().chain(lost).collect();
            let tested = result_changes(&before, &after, &gates);
            let untested = result_changes(&before, &after, &[]);
            assert_eq!(untested.result, Some(GateResult::NotTested));
            assert_eq!(untested.lost[0].seeds, tested.lost[0].seeds);
            let [lost] = tested.lost[0].seeds[..] else {
                panic!("{tested:?}");
            };
            assert_eq!(lost.seed, 4);
            (lost.state, tested.result.unwrap())
        };
        for (status, expected) in [
            ("diverged", (LostState::Diverged, GateResult::Worse)),
            ("failed", (LostState::Failed, GateResult::Worse)),
            ("stopped", (LostState::NotDone, GateResult::Undecided)),
            ("done", (LostState::NoValue, GateResult::Undecided)),
        ] {
            assert_eq!(with(vec![with_status("a", 4, status)]), expected);
        }
        let absent = (LostState::Absent, GateResult::Undecided);
        assert_eq!(with(Vec::new()), absent);
        let infinite = vec![row("a", 4, f64::INFINITY)];
        assert_eq!(with(infinite), (LostState::NoValue, GateResult::Undecided));
    }

    #[test]
    fn a_variant_that_is_gone_is_undecided() {
        let mut before = rows("a", &[2.0, 2.1]);
        before.extend(rows("gone", &[1.0]));
        let after = rows("a", &[2.0, 2.1]);
        let gates = [gate(CompareMetric::BitsPerByte, 0.1)];
        let changes = result_changes(&before, &after, &gates);
        assert_eq!(changes.result, Some(GateResult::Undecided));
        assert_eq!(changes.lost[0].variant, "gone");
    }

    #[test]
    fn what_had_no_value_before_is_not_lost() {
        let mut before = rows("a", &[2.0, 2.1]);
        before.push(with_status("a", 3, "diverged"));
        before.push(with_status("b", 1, "diverged"));
        let after = before.clone();
        let gates = [gate(CompareMetric::BitsPerByte, 0.1)];
        let changes = result_changes(&before, &after, &gates);
        assert_eq!(changes.result, Some(GateResult::Unchanged));
        assert_eq!(changes.lost, []);
        assert!(changes.no_common_seed.is_empty());
        assert_eq!(changes.no_common_value[0].variant, "b");
    }

    #[test]
    fn lost_results_alone_are_no_comparison_without_a_gate() {
        let (before, after) = (rows("a", &[2.0]), vec![with_status("a", 1, "failed")]);
        assert_eq!(result_changes(&before, &after, &[]).result, None);
        let gates = [gate(CompareMetric::BitsPerByte, 0.1)];
        let changes = result_changes(&before, &after, &gates);
        assert_eq!(changes.result, Some(GateResult::Worse));
        assert!(changes.no_common_seed.is_empty() && changes.no_common_value.is_empty());
    }

    #[test]
    fn counted_models_differ_exactly() {
        let result = |after: SummaryRow, metric, tolerance| {
            let gates = [gate(metric, tolerance)];
            let changes = result_changes(&[counted(1, 2.0)], &[after], &gates);
            let [change] = changes.changes.as_slice() else {
                panic!("{changes:?}");
            };
            assert!(changes.lost.is_empty());
            (change.exact, change.result)
        };
        let bits = CompareMetric::BitsPerByte;
        assert_eq!(
            result(counted(1, 2.5), bits, 0.1),
            (true, GateResult::Worse)
        );
        assert_eq!(
            result(counted(1, 2.05), bits, 0.1),
            (true, GateResult::Passed)
        );
        // The seed makes no difference.
        assert_eq!(
            result(counted(7, 2.0), bits, 0.1),
            (true, GateResult::Unchanged)
        );
        let speed = CompareMetric::TokensPerSecond;
        let slower = result(counted(1, 2.5), speed, 1.0);
        assert_eq!(slower, (false, GateResult::Undecided), "a measurement");
    }

    #[test]
    fn other_tokenizers_have_other_losses_per_token() {
        let with_hashes = |text: &str, tokenizer: &str, loss: f64| -> Vec<SummaryRow> {
            let rows = rows("a", &[loss, loss + 0.1, loss + 0.201]).into_iter();
            rows.map(|row| SummaryRow {
                val_loss: row.bits_per_byte,
                data_sha256: Some(text.to_owned()),
                tokenizer_sha256: Some(tokenizer.to_owned()),
                ..row
            })
            .collect()
        };
        let gate_on = |metric, after: &[SummaryRow]| {
            let before = with_hashes("text", "characters", 2.0);
            let changes = result_changes(&before, after, &[gate(metric, 0.1)]);
            (changes.result.unwrap(), changes.changed_data)
        };
        let changed = |text, tokenizer| {
            let variant = "a".to_owned();
            vec![ChangedData {
                variant,
                text,
                tokenizer,
            }]
        };
        let (loss, bits) = (CompareMetric::ValLoss, CompareMetric::BitsPerByte);
        let other = with_hashes("text", "pieces", 1.0);
        assert_eq!(
            gate_on(loss, &other),
            (GateResult::Undecided, changed(false, true))
        );
        assert_eq!(
            gate_on(bits, &other),
            (GateResult::Passed, changed(false, true))
        );
        let other = with_hashes("other", "characters", 1.0);
        assert_eq!(
            gate_on(loss, &other),
            (GateResult::Passed, changed(true, false))
        );
        let same = with_hashes("text", "characters", 1.0);
        assert_eq!(gate_on(loss, &same), (GateResult::Passed, Vec::new()));
        let unknown = rows("a", &[1.0, 1.1, 1.201]);
        assert_eq!(gate_on(bits, &unknown), (GateResult::Passed, Vec::new()));
    }
}
