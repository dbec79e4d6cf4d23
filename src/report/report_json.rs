//! `report.json`: the results of a sweep for programs. `experiments/report.schema.json` describes it.

use super::Counts;
use super::analysis::claim_results::{ClaimResult, TestedClaim};
use super::analysis::ranking::Variant;
use super::analysis::reproduction::{CheckResult, MetricCheck};
use super::analysis::scaling::{AtSize, Fit, ScaledVariant};
use super::analysis::setting_importance::ImportantSetting;
use super::analysis::test_results::{TestResult, test_results};
use super::analysis::tuning::chosen_run;
use super::analysis::variant_verdict::VariantVerdict;
use super::analysis::wording::name_of;
use super::factors_json::FactorsJson;
use super::loaded_results::Results;
use super::sections::Findings;
use crate::config::values_at;
use crate::results::{CorpusInfo, Environment};
use crate::spec::CompareMetric;
use crate::stats::{Comparison, ConfidenceInterval, Paired};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Version of the format. It is raised when a member changes its meaning or is removed, and not when one is added.
const VERSION: u32 = 1;

/// The results of a sweep: how each variant compares with the baseline, and with what certainty.
///
/// Numbers that are not known, or not finite, are null.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReportJson<'a> {
    /// Version of this format: 1.
    schema: u32,
    /// Name of the experiment.
    experiment: &'a str,
    /// The question of the experiment.
    description: &'a str,
    /// Whether all runs that the comparison needs have finished.
    complete: bool,
    /// Name of the variant that the others are compared with.
    baseline: &'a str,
    /// The metric by which the variants are compared.
    metric: CompareMetric,
    unit: &'static str,
    better: Direction,
    /// The smallest difference that matters, in the unit of the metric.
    margin: Option<f64>,
    /// The answer to the question, in sentences.
    answer: &'a [String],
    /// In the order of the ranking, best first.
    variants: Vec<VariantJson<'a>>,
    /// The baseline and the variants at several sizes. Null for an experiment with one size.
    scaling: Option<Vec<ScaledJson<'a>>>,
    /// The effects of the factors of a grid. Null if there are none, or if they cannot be analyzed.
    factors: Option<FactorsJson<'a>>,
    /// The settings of a search, or of random combinations, the most important first. Null without them, before all their
    /// runs have ended, and with fewer than six combinations.
    settings: Option<Vec<SettingJson<'a>>>,
    /// In the order of the experiment.
    claims: Vec<ClaimJson<'a>>,
    /// The metrics that the experiment expects, in its order.
    expected: Vec<ExpectedJson<'a>>,
    /// The scores of these runs on the test split, in the order of their use. Absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    test_results: Vec<TestResultJson<'a>>,
    /// Reasons why the comparison is incomplete or not fair, in sentences.
    cautions: &'a [String],
    /// Number of runs by state.
    runs: Counts,
    /// The different versions, builds and processors that trained the runs.
    environment: Vec<&'a Environment>,
    hashes: Hashes<'a>,
}

/// Which values of the metric are better.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Lower,
    Higher,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VariantJson<'a> {
    name: &'a str,
    verdict: VariantVerdict,
    /// From 1. Variants with equal results have the same. Null without a result, and if no run reached the
    /// target loss.
    rank: Option<usize>,
    /// The seeds that have a value.
    seeds: Vec<u64>,
    /// The metric for each of these seeds.
    values: Vec<Option<f64>>,
    /// Mean of the values.
    mean: Option<f64>,
    /// Standard deviation of the values.
    sd: Option<f64>,
    /// The mean difference to the baseline on the same seeds. Null for the baseline, and where no seed is shared.
    difference: Option<DifferenceJson>,
    params: u64,
    /// FLOPs of the training of one run.
    flops: Option<f64>,
    /// Training tokens of one run.
    tokens: Option<u64>,
    /// Mean duration of a run, in seconds.
    seconds: Option<f64>,
    /// The values that the search of `sweep.tune` chose, by path, without those that do not apply. Null without a search,
    /// and before it has ended.
    tuned: Option<BTreeMap<&'a str, Json>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DifferenceJson {
    /// Number of seeds that both have.
    pairs: usize,
    /// Variant minus baseline, in the unit of the metric.
    mean: Option<f64>,
    /// The ends of the confidence interval from which the verdict follows. Its level is corrected for the number of
    /// comparisons, and for repeated tests. Null before the test, and for results that do not depend on the seed.
    low: Option<f64>,
    high: Option<f64>,
    /// Two-sided p-value of the paired t-test of this comparison by itself, without a correction.
    p: Option<f64>,
}

/// How the losses of a variant, and its difference from the baseline, change with size.
#[derive(Debug, Serialize, JsonSchema)]
struct ScaledJson<'a> {
    name: &'a str,
    /// Those with a result, the smallest first.
    sizes: Vec<SizeJson>,
    /// The change of the difference from the smallest to the largest size, of a line through the differences of each
    /// seed over the logarithm of the FLOPs. Null for the baseline, and before all runs have ended.
    change: Option<ChangeJson>,
    /// Null without a fit.
    fit: Option<FitJson>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SizeJson {
    params: u64,
    /// FLOPs of the training of one run.
    flops: f64,
    /// Number of seeds with a result.
    seeds: usize,
    /// Mean of the metric.
    mean: f64,
    /// Mean difference to the baseline at this size. Null for the baseline.
    difference: Option<f64>,
    /// The ends of its 95 % interval.
    low: Option<f64>,
    high: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ChangeJson {
    /// Number of seeds that all sizes of the variant and of the baseline share. The change is that of these seeds.
    seeds: usize,
    mean: f64,
    /// The ends of the interval, at a level that is corrected for the number of variants. Null with one seed.
    low: Option<f64>,
    high: Option<f64>,
    /// Whether the difference changes in favor of the variant.
    verdict: VariantVerdict,
}

/// The power law `floor + scale * (flops / reference)^-exponent`.
#[derive(Debug, Serialize, JsonSchema)]
struct FitJson {
    /// Null if the losses do not determine it. The curve then has the floor 0.
    floor: Option<f64>,
    /// The ends of its 95 % interval, as of all intervals here. Null with one seed, and without a floor.
    floor_low: Option<f64>,
    floor_high: Option<f64>,
    scale: f64,
    exponent: f64,
    exponent_low: Option<f64>,
    exponent_high: Option<f64>,
    reference: f64,
    /// How many times the FLOPs of this variant the baseline would need for the same loss at the largest size. Null for
    /// the baseline, and if no FLOPs would be enough.
    flops_ratio: Option<f64>,
    flops_ratio_low: Option<f64>,
    flops_ratio_high: Option<f64>,
    /// The loss at the largest size, predicted from the smaller ones. Null for fewer than four sizes, and if the losses
    /// of the smaller ones do not determine a curve.
    predicted: Option<f64>,
    predicted_low: Option<f64>,
    predicted_high: Option<f64>,
}

/// How the ranks of the results depend on one setting by itself.
#[derive(Debug, Serialize, JsonSchema)]
struct SettingJson<'a> {
    /// Its path, or the paths of `zip`, whose values are taken together.
    path: &'a str,
    /// Number of combinations to which it applies.
    combinations: usize,
    /// Share of the variation of the ranks, adjusted for what chance explains. Null with fewer than six combinations.
    share: Option<f64>,
    /// Probability of such a share without an effect, without a correction. Null if it cannot be tested, and for
    /// combinations that were chosen by results.
    p: Option<f64>,
    /// Corrected for the number of settings.
    significant: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ClaimJson<'a> {
    /// As a sentence.
    claim: &'a str,
    status: ClaimResult,
    /// Why it is open. Empty if it is not.
    reason: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ExpectedJson<'a> {
    variant: &'a str,
    /// The metric and when it is measured.
    metric: &'a str,
    /// Expected value and tolerance.
    expected: &'a str,
    /// Empty where nothing was measured.
    measured: &'a str,
    status: CheckResult,
}

/// The comparison of a variant with the baseline on the test split, in bits per byte.
#[derive(Debug, Serialize, JsonSchema)]
struct TestResultJson<'a> {
    variant: &'a str,
    /// How often the test split had been used, this use included.
    test_uses: usize,
    /// Number of seeds that both have.
    pairs: usize,
    /// Mean of the variant.
    mean: f64,
    /// Mean of the baseline.
    baseline_mean: f64,
    /// Variant minus baseline.
    difference: f64,
    /// The ends of the confidence interval. Null for results that do not depend on the seed.
    low: Option<f64>,
    high: Option<f64>,
    /// The level of the interval, which is higher for each further use of the test split.
    confidence: f64,
    /// `better`, `worse`, `equivalent` or `inconclusive`.
    verdict: &'static str,
}

impl<'a> TestResultJson<'a> {
    fn new(result: &TestResult<'a>) -> Self {
        let comparison = &result.tested.comparison;
        Self {
            variant: result.variant,
            test_uses: result.test_uses,
            pairs: comparison.pairs,
            mean: result.mean,
            baseline_mean: result.baseline_mean,
            difference: comparison.mean,
            low: comparison.corrected.map(|interval| interval.low),
            high: comparison.corrected.map(|interval| interval.high),
            confidence: result.tested.confidence,
            verdict: name_of(comparison.verdict),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct Hashes<'a> {
    /// SHA-256 of the identities of all runs.
    config: &'a str,
    /// SHA-256 of the texts.
    data: Vec<&'a str>,
}

/// The contents of `report.json`, with a final newline.
pub(super) fn report_json(findings: &Findings, runs: Counts) -> serde_json::Result<String> {
    let mut json = serde_json::to_string_pretty(&ReportJson::new(findings, runs))?;
    json.push('\n');
    Ok(json)
}

/// The JSON Schema of `report.json`.
pub fn report_schema() -> Json {
    schemars::schema_for!(ReportJson).to_value()
}

impl<'a> ReportJson<'a> {
    fn new(findings: &Findings<'a>, runs: Counts) -> Self {
        let (results, ranking) = (findings.results, findings.ranking);
        let plan = &results.plan;
        let metric = ranking.metric;
        let variants = ranking.variants.iter();
        Self {
            schema: VERSION,
            experiment: &plan.experiment.name,
            description: plan.experiment.description.trim(),
            complete: runs.are_complete(),
            baseline: ranking.baseline,
            metric: metric.kind,
            unit: metric.unit(),
            better: match metric.kind.is_better_higher() {
                true => Direction::Higher,
                false => Direction::Lower,
            },
            margin: ranking.absolute_margin,
            answer: findings.answer,
            variants: variants
                .map(|variant| VariantJson::new(variant, &ranking.tuned_paths))
                .collect(),
            scaling: findings.scaling.map(|scaling| {
                let variants = scaling.variants.iter();
                variants.map(ScaledJson::new).collect()
            }),
            factors: findings.factors.map(FactorsJson::new),
            settings: findings.importance.map(|importance| {
                let settings = importance.settings.iter();
                settings.map(SettingJson::new).collect()
            }),
            claims: findings.claims.iter().map(ClaimJson::new).collect(),
            expected: findings.checks.iter().map(ExpectedJson::new).collect(),
            test_results: test_results(results)
                .iter()
                .map(TestResultJson::new)
                .collect(),
            cautions: findings.cautions,
            runs,
            environment: environments(results),
            hashes: Hashes {
                config: &plan.config_hash,
                data: texts(&plan.corpora),
            },
        }
    }
}

impl<'a> VariantJson<'a> {
    fn new(variant: &Variant<'a>, tuned_paths: &[&'a str]) -> Self {
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        let tokens = variant.training_tokens();
        let flops = |tokens: u64| tokens as f64 * variant.representative.planned.flops_per_token;
        Self {
            name: variant.name,
            verdict: VariantVerdict::of(variant),
            rank: variant.rank,
            seeds: variant.values.iter().map(|(seed, _)| *seed).collect(),
            values: variant
                .values
                .iter()
                .map(|(_, value)| finite(*value))
                .collect(),
            mean: variant.mean().and_then(finite),
            sd: variant.sd().and_then(finite),
            difference: variant
                .comparison
                .map(|comparison| DifferenceJson::new(comparison, variant.differences)),
            params: variant.params(),
            flops: tokens.map(flops),
            tokens,
            seconds: variant.mean_of(|outcome| Some(outcome.seconds)),
            tuned: chosen_run(variant).map(|run| values_at(&run.planned.spec, tuned_paths)),
        }
    }
}

impl DifferenceJson {
    fn new(comparison: &Comparison, differences: &[(u64, f64)]) -> Self {
        let differences: Vec<f64> = differences.iter().map(|(_, value)| *value).collect();
        let interval = comparison.corrected;
        let tested = interval.and_then(|_| Paired::new(&differences));
        Self {
            pairs: comparison.pairs,
            mean: Some(comparison.mean).filter(|mean| mean.is_finite()),
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            p: tested.map(|paired| paired.p_value()),
        }
    }
}

impl<'a> ScaledJson<'a> {
    fn new(scaled: &ScaledVariant<'a>) -> Self {
        let size = |at: &AtSize| {
            let interval = at.difference.and_then(|difference| difference.interval);
            SizeJson {
                params: at.params,
                flops: at.flops,
                seeds: at.seeds(),
                mean: at.mean,
                difference: at.difference.map(|difference| difference.mean),
                low: interval.map(|interval| interval.low),
                high: interval.map(|interval| interval.high),
            }
        };
        let change = scaled.trend.as_ref().map(|trend| &trend.change);
        Self {
            name: scaled.variant.name,
            sizes: scaled.sizes.iter().map(size).collect(),
            change: change.map(|change| ChangeJson {
                seeds: change.pairs,
                mean: change.mean,
                low: change.corrected.map(|interval| interval.low),
                high: change.corrected.map(|interval| interval.high),
                verdict: change.verdict.into(),
            }),
            fit: scaled.fit.as_ref().map(FitJson::new),
        }
    }
}

impl FitJson {
    fn new(fit: &Fit) -> Self {
        let curve = fit.curve;
        let prediction = fit.prediction.as_ref();
        let floor = fit.floor();
        let [floor_low, floor_high] = ends(floor.and_then(|_| fit.floor_interval()));
        let [exponent_low, exponent_high] = ends(fit.exponent_interval());
        let ratio = fit.flops_ratio;
        let [flops_ratio_low, flops_ratio_high] = ends(ratio.and_then(|ratio| ratio.interval));
        let [predicted_low, predicted_high] =
            ends(prediction.and_then(|prediction| prediction.interval));
        Self {
            floor,
            floor_low,
            floor_high,
            scale: curve.scale,
            exponent: curve.exponent,
            exponent_low,
            exponent_high,
            reference: curve.reference,
            flops_ratio: ratio.and_then(|ratio| ratio.value),
            flops_ratio_low,
            flops_ratio_high,
            predicted: prediction.map(|prediction| prediction.predicted),
            predicted_low,
            predicted_high,
        }
    }
}

/// The ends of an interval, as far as they are finite.
fn ends(interval: Option<ConfidenceInterval>) -> [Option<f64>; 2] {
    let ends = interval.map(|interval| [interval.low, interval.high].map(Some));
    ends.unwrap_or_default()
        .map(|end| end.filter(|end| end.is_finite()))
}

impl<'a> SettingJson<'a> {
    fn new(setting: &'a ImportantSetting) -> Self {
        Self {
            path: &setting.path,
            combinations: setting.combinations,
            share: setting.share,
            p: setting.p,
            significant: setting.is_significant,
        }
    }
}

impl<'a> ClaimJson<'a> {
    fn new(tested: &'a TestedClaim) -> Self {
        Self {
            claim: &tested.claim,
            status: tested.result,
            reason: &tested.reason,
        }
    }
}

impl<'a> ExpectedJson<'a> {
    fn new(check: &'a MetricCheck) -> Self {
        Self {
            variant: &check.variant,
            metric: &check.metric,
            expected: &check.expected,
            measured: &check.measured,
            status: check.result,
        }
    }
}

fn environments(results: &Results) -> Vec<&Environment> {
    let statuses = results.runs.iter().filter_map(|run| run.status.as_ref());
    let all = statuses.flat_map(|status| {
        let earlier = status.earlier_environments.iter();
        earlier.chain(&status.environment)
    });
    distinct(all)
}

fn texts(corpora: &[CorpusInfo]) -> Vec<&str> {
    distinct(corpora.iter().map(|corpus| corpus.data_sha256.as_str()))
}

/// The values without repetitions, in the order of their first occurrence. There are few distinct ones.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Folder, ablation, unhashed, variant};

    fn json_of(folder: &Folder) -> Json {
        folder.write();
        serde_json::from_str(&folder.read("report.json")).unwrap()
    }

    #[test]
    fn report_of_an_ablation() {
        let folder = ablation();
        folder.write();
        insta::assert_snapshot!(unhashed(&folder.read("report.json")));
    }

    /// Empty, finished, and with runs in every state.
    #[test]
    fn every_report_agrees_with_the_schema() {
        let mixed = Folder::new("mixed");
        variant(&mixed, "gpt", 2, 1.52, |run| run);
        mixed.run("late", 1).not_started();
        mixed.run("broken", 1).failed("no memory");
        mixed.run("stopped", 1).stopped();
        variant(&mixed, "one", 1, 1.6, |run| run);
        let schema = report_schema();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for folder in [Folder::new("empty"), mixed, ablation()] {
            let json = json_of(&folder);
            let errors: Vec<String> = validator
                .iter_errors(&json)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{errors:?}");
        }
        let mut wrong = json_of(&ablation());
        wrong["variants"][0]["verdict"] = "good".into();
        assert!(!validator.is_valid(&wrong));
    }

    #[test]
    fn unfinished_runs_are_counted_and_have_no_verdict() {
        let folder = Folder::new("mixed");
        variant(&folder, "gpt", 2, 1.52, |run| run);
        folder.run("late", 1).not_started();
        folder.run("broken", 1).failed("no memory");
        let json = json_of(&folder);
        assert_eq!(json["complete"], false);
        assert_eq!(json["runs"]["failed"], 1);
        let late = &json["variants"].as_array().unwrap()[1];
        assert_eq!(
            (&late["verdict"], &late["rank"], &late["difference"]),
            (&"inconclusive".into(), &Json::Null, &Json::Null)
        );
    }
}
