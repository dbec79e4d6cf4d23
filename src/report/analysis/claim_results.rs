//! The tests of the claims of an experiment.

use super::claim_evidence::{Measured, against_target, in_pairs, unpaired};
use super::wording;
use crate::report::loaded_results::Results;
use crate::spec::{Claim, ClaimMetric, ComparisonTest, Statement};
use crate::stats::MeanTest;
use crate::text::units;
use serde::Serialize;

/// The result of the test of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimResult {
    /// The test of the claim is significant.
    Holds,
    /// The test of its opposite is significant.
    Fails,
    /// Neither is, or there is no test yet.
    Open,
}

/// A claim with its result. All numbers are formatted, and empty where there are none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestedClaim {
    /// The claim as a sentence without a full stop.
    pub claim: String,
    pub result: ClaimResult,
    /// Why the result is open. Empty if it is not.
    pub reason: String,
    /// Whether it is open because runs have not finished.
    #[serde(skip)]
    pub waits_for_runs: bool,
    /// Number of its runs that failed or diverged.
    #[serde(skip)]
    pub failed_runs: usize,
    /// Number of seeds or pairs that the test uses, and how many there should be if some are missing:
    /// `7 of 8`, `5 pairs`, `4 and 6`.
    pub seeds: String,
    /// Mean of the variant, and that of the variant that it is compared with.
    pub mean: String,
    /// Mean minus target, or difference of the means.
    pub difference: String,
    /// Test statistic with its distribution: `t(7) = −9.05`, `z = −4.41`.
    pub statistic: String,
    /// One-sided p-value of the claim.
    pub p: String,
    /// Largest p-value with which the claim holds.
    pub level: String,
}

impl ClaimResult {
    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Open => "open",
        }
    }
}

/// The results of all claims, in the order of the file.
pub(crate) fn test_claims(results: &Results) -> Vec<TestedClaim> {
    let claims = results.plan.experiment.claims.iter();
    // An experiment file with a claim that makes no statement is rejected.
    claims
        .filter_map(|claim| Some(test_claim(results, claim, claim.statement()?)))
        .collect()
}

fn test_claim(results: &Results, claim: &Claim, statement: Statement) -> TestedClaim {
    let variant = resolve(results, &claim.variant);
    let own = Measured::new(results, claim, variant);
    let is_upward = statement.is_upward(claim.metric);
    let (bound, evidence, measured) = match statement {
        Statement::Below(value) | Statement::Above(value) => {
            let evidence = against_target(&own, value, claim.sigma);
            (units::as_written(value), evidence, vec![own])
        }
        Statement::BetterThan { variant, by, test } => {
            let name = resolve(results, variant);
            let other = Measured::new(results, claim, name);
            let null = if is_upward { by } else { -by };
            let evidence = match test {
                ComparisonTest::Paired => in_pairs(&own, &other, null),
                ComparisonTest::Welch => unpaired(&own, &other, null),
            };
            let by = match by {
                0.0 => String::new(),
                by => format!(" by more than {}", units::as_written(by)),
            };
            (format!("that of {name}{by}"), evidence, vec![own, other])
        }
    };
    let direction = if is_upward { "above" } else { "below" };
    let sentence = format!("The mean {} is {direction} {bound}", metric(claim, variant));
    let missing = missing(claim, &measured);
    let is_open = |measured: &Measured| measured.unfinished > 0 || measured.searching.is_some();
    let waits_for_runs = measured.iter().any(is_open);
    let test = evidence.test.filter(|_| missing.is_none());
    let p = test.map(|test| match is_upward {
        true => (test.p_above, test.p_below),
        false => (test.p_below, test.p_above),
    });
    let (result, reason) = match (missing, p) {
        (Some(reason), _) => (ClaimResult::Open, reason),
        (None, Some((p, opposite))) => decide(p, opposite, claim.p),
        (None, None) => (
            ClaimResult::Open,
            format!("too few seeds: {}", evidence.too_few),
        ),
    };
    let format = format_of(claim.metric);
    let means: Vec<String> = evidence.means.into_iter().map(format).collect();
    let difference = evidence.difference;
    TestedClaim {
        claim: sentence,
        result,
        reason,
        waits_for_runs,
        failed_runs: measured.iter().map(|measured| measured.failed).sum(),
        seeds: evidence.seeds,
        mean: units::list(&means),
        difference: difference.map_or(String::new(), |value| units::signed(value, format)),
        statistic: test.map_or(String::new(), |test| statistic(&test)),
        p: p.map_or(String::new(), |(p, _)| units::p_value(p)),
        level: units::as_written(claim.p),
    }
}

/// The result of a test with the p-value `p`, and why it is open. `opposite` is the p-value of the test in
/// the other direction. The level is below 0.5, so at most one of the two is significant.
fn decide(p: f64, opposite: f64, level: f64) -> (ClaimResult, String) {
    if p <= level {
        (ClaimResult::Holds, String::new())
    } else if opposite <= level {
        (ClaimResult::Fails, String::new())
    } else {
        let p = units::p_value(p);
        (
            ClaimResult::Open,
            format!("not significant in either direction, p {p}"),
        )
    }
}

/// Why a claim cannot be tested yet, if runs or their values are missing.
fn missing(claim: &Claim, measured: &[Measured]) -> Option<String> {
    let searching = measured.iter().flat_map(|measured| &measured.searching);
    let searching: Vec<&str> = searching.map(String::as_str).collect();
    if !searching.is_empty() {
        let names = units::list(&searching);
        return Some(format!(
            "the search for the best settings of {names} has not ended"
        ));
    }
    let total = |count: fn(&Measured) -> usize| measured.iter().map(count).sum::<usize>();
    let all = units::plural(total(|measured| measured.seeds), "run");
    let unfinished = total(|measured| measured.unfinished);
    let unmeasured = total(|measured| measured.unmeasured);
    if unfinished > 0 {
        return Some(format!("{unfinished} of {all} not finished"));
    }
    let when = claim.at_step.map(|step| format!(" at step {step}"));
    let when = when.unwrap_or_default();
    (unmeasured > 0).then(|| format!("{unmeasured} of {all} not evaluated{when}"))
}

/// The variant that a claim calls by a name.
fn resolve<'a>(results: &'a Results, name: &'a str) -> &'a str {
    let plan = &results.plan;
    let is_variant = |name: &str| plan.runs.iter().any(|run| run.spec.variant == name);
    Claim::variant_named(name, &plan.baseline, is_variant)
}

/// The metric of a claim and when it is measured: `validation loss of gpt at step 500`.
fn metric(claim: &Claim, variant: &str) -> String {
    let name = match (claim.metric, claim.metric.loss()) {
        (_, Some(loss)) => wording::measure(loss),
        (ClaimMetric::TokensPerSecond, None) => "number of tokens per second",
        (_, None) => "duration in seconds",
    };
    let when = match claim.at_step {
        None => String::new(),
        Some(0) => " before training".to_owned(),
        Some(step) => format!(" at step {step}"),
    };
    format!("{name} of {variant}{when}")
}

/// The format of a value of a metric.
fn format_of(metric: ClaimMetric) -> fn(f64) -> String {
    match metric {
        ClaimMetric::TokensPerSecond => units::rounded,
        ClaimMetric::Seconds => units::seconds,
        ClaimMetric::ValLoss | ClaimMetric::BitsPerByte | ClaimMetric::TrainSplitLoss => {
            units::precise_loss
        }
    }
}

fn statistic(test: &MeanTest) -> String {
    let value = units::statistic(test.statistic);
    match test.degrees_of_freedom {
        Some(degrees) => format!("t({}) = {value}", units::degrees_of_freedom(degrees)),
        None => format!("z = {value}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::report::Summary;
    use crate::report::testing::{Folder, SEED_EFFECTS};
    use crate::spec::{Seeds, SequentialSeeds, Sweep, Until};
    use std::f64::consts::LN_2;

    /// A results folder with the claims of a list in YAML.
    fn folder(claims: &str) -> Folder {
        let folder = Folder::new("claims");
        folder.plan.borrow_mut().experiment.claims = serde_yaml::from_str(claims).unwrap();
        folder
    }

    /// Adds runs that end with these validation losses, in nats per token.
    fn runs(folder: &Folder, variant: &str, losses: &[f64]) {
        for (seed, loss) in (1..).zip(losses) {
            let bits = [(0, 6.0), (250, loss / LN_2 + 0.5), (500, loss / LN_2)];
            folder.run(variant, seed).evaluations(&bits).done();
        }
    }

    fn results(summary: &Summary) -> Vec<&'static str> {
        let claims = summary.claims.iter();
        claims.map(|claim| claim.result.name()).collect()
    }

    /// Losses of five seeds around a mean, with the effects of the seeds.
    fn around(mean: f64) -> [f64; 5] {
        let noise = [0.001, -0.002, 0.0, 0.002, -0.001];
        let seeds = SEED_EFFECTS.iter().zip(noise);
        let values: Vec<f64> = seeds.map(|(effect, noise)| mean + effect + noise).collect();
        values.try_into().unwrap()
    }

    #[test]
    fn report_of_claims() {
        let folder = folder(
            "- {variant: muon, metric: val_loss, better_than: baseline, by: 0.005, p: 0.01}
- {variant: muon, metric: bits_per_byte, better_than: gpt, test: welch}
- {variant: muon, metric: val_loss, better_than: gpt, by: 0.05}
- {variant: muon, metric: val_loss, below: 3.28, p: 0.01, sigma: 0.0013}
- {variant: muon, metric: val_loss, above: 3.26}
- {variant: gpt, metric: val_loss, below: 3.29, at_step: 250}
- {variant: muon, metric: tokens_per_second, better_than: gpt}
- {variant: muon, metric: seconds, below: 60}
- {variant: late, metric: val_loss, below: 3}",
        );
        runs(&folder, "gpt", &around(3.29).map(|loss| loss - 0.0005));
        let mut other = around(3.27);
        other[1] += 0.002;
        runs(&folder, "muon", &other);
        folder.run("late", 1).not_started();
        folder.run("late", 2).not_started();
        let summary = folder.write();
        assert_eq!(
            results(&summary),
            [
                "holds", "holds", "fails", "holds", "open", "fails", "open", "holds", "open"
            ]
        );
        let page = folder.read("report.md");
        let start = page.find("## Claims").unwrap();
        let end = start + page[start..].find("### What each").unwrap();
        insta::assert_snapshot!(format!(
            "{}\n\n{}",
            summary.answer.last().unwrap(),
            &page[start..end]
        ));
    }

    #[test]
    fn runs_without_a_value_are_left_out() {
        let folder = folder(
            "- {variant: muon, metric: val_loss, better_than: gpt}
- {variant: muon, metric: val_loss, better_than: gpt, test: welch}
- {variant: few, metric: val_loss, below: 3.3}
- {variant: few, metric: val_loss, below: 3.3, sigma: 0.01}
- {variant: gpt, metric: val_loss, below: 3.3, at_step: 300}
- {variant: gpt, metric: train_split_loss, below: 3.3}",
        );
        runs(&folder, "gpt", &[3.29, 3.31, 3.28]);
        runs(&folder, "muon", &[3.19, 3.2]);
        folder.run("muon", 3).diverged("loss is NaN");
        runs(&folder, "few", &[3.2]);
        folder.run("few", 2).failed("out of memory");
        let summary = folder.write();
        assert_eq!(
            results(&summary),
            ["holds", "holds", "open", "holds", "open", "open"]
        );
        let seeds: Vec<&str> = summary.claims.iter().map(|c| c.seeds.as_str()).collect();
        assert_eq!(
            seeds,
            [
                "2 of 3 pairs",
                "2 of 3 and 3",
                "1 of 2",
                "1 of 2",
                "0 of 3",
                "0 of 3"
            ]
        );
        let reason = |index: usize| summary.claims[index].reason.as_str();
        assert_eq!(
            reason(2),
            "too few seeds: 1 seed with a value, and the test needs two"
        );
        assert_eq!(reason(4), "3 of 3 runs not evaluated at step 300");
        assert_eq!(reason(5), "3 of 3 runs not evaluated");
        assert!(
            folder
                .read("report.md")
                .contains("Runs that failed or diverged are left out of the tests.")
        );
        assert!(summary.claims.iter().all(|claim| !claim.waits_for_runs));
    }

    #[test]
    fn there_is_no_test_before_all_runs_have_ended() {
        let folder = folder("- {variant: gpt, metric: val_loss, below: 3.3}");
        runs(&folder, "gpt", &[3.19, 3.2]);
        folder.run("gpt", 3).interrupted();
        let claim = &folder.write().claims[0];
        assert_eq!(
            (claim.reason.as_str(), claim.p.as_str()),
            ("1 of 3 runs not finished", "")
        );
        assert_eq!(claim.mean, "3.19500");
        assert!(claim.waits_for_runs);
    }

    #[test]
    fn claims_about_times_are_a_caution() {
        for (metric, is_caution) in [("seconds", true), ("bits_per_byte", false)] {
            let folder = folder(&format!("- {{variant: gpt, metric: {metric}, below: 60}}"));
            runs(&folder, "gpt", &[3.19, 3.2]);
            let cautions = folder.write().cautions;
            let found = cautions
                .iter()
                .any(|c| c.starts_with("Times depend on the"));
            assert_eq!(found, is_caution, "{cautions:?}");
        }
    }

    #[test]
    fn an_unfinished_search_is_not_a_run() {
        let folder = folder("- {variant: muon, metric: val_loss, better_than: gpt}");
        runs(&folder, "gpt", &[3.19, 3.2]);
        for combination in 0..2 {
            let rate = 0.1 * (1.0 + combination as f64);
            let run = |seed| {
                let run = folder
                    .run("muon", seed)
                    .spec(|spec| spec.optimizer.lr = rate);
                run.tuned(combination, seed > 1000)
            };
            run(1001).not_started();
            run(1).not_started();
        }
        let claim = &folder.write().claims[0];
        assert_eq!(
            claim.reason,
            "the search for the best settings of muon has not ended"
        );
        assert!(claim.waits_for_runs);
    }

    /// The later seeds are chosen by looking at the results of the first ones.
    #[test]
    fn of_a_sequential_design_the_first_seeds_are_used() {
        let folder = folder("- {variant: muon, metric: val_loss, better_than: gpt}");
        runs(&folder, "gpt", &around(3.29));
        runs(&folder, "muon", &[3.26, 3.285, 3.25, 9.0, 9.0]);
        folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
            seeds: Seeds::Sequential(SequentialSeeds {
                min: 3,
                max: 5,
                until: Until::Decided,
            }),
            ..Sweep::default()
        });
        let claim = &folder.write().claims[0];
        assert_eq!(
            (claim.seeds.as_str(), claim.result.name()),
            ("3 pairs", "holds")
        );
        assert!(
            folder
                .read("report.md")
                .contains("The tests use only the first 3 seeds of each variant")
        );
    }

    #[test]
    fn seeds_that_were_changed_are_mentioned() {
        let folder = folder("- {variant: gpt, metric: val_loss, below: 3.3}");
        runs(&folder, "gpt", &[3.19, 3.2]);
        let seeds = |seeds: Seeds| {
            Some(Sweep {
                seeds,
                ..Sweep::default()
            })
        };
        // The seeds of an earlier plan, and of this one.
        let change = |before: Seeds, now: Seeds| {
            let mut earlier = folder.plan.borrow().clone();
            earlier.experiment.sweep = seeds(before);
            let mut plan = folder.plan.borrow_mut();
            plan.experiment.sweep = seeds(now);
            plan.continue_from(&earlier, true);
            let last = plan.earlier.pop();
            plan.earlier = last.into_iter().collect();
        };
        change(Seeds::Count(1), Seeds::Count(2));
        folder.write();
        let caution =
            "The seeds were changed after results were known, so a claim may hold by chance";
        assert!(folder.read("report.md").contains(caution));

        // A raised maximum leaves the first seeds as they were.
        let up_to = |max| {
            Seeds::Sequential(SequentialSeeds {
                min: 2,
                max,
                until: Until::Decided,
            })
        };
        change(up_to(4), up_to(6));
        folder.write();
        assert!(!folder.read("report.md").contains(caution));
    }

    #[test]
    fn only_failed_runs_of_the_claims_are_mentioned() {
        let folder = folder("- {variant: gpt, metric: val_loss, below: 3.3}");
        runs(&folder, "gpt", &[3.19, 3.2]);
        folder.run("muon", 1).diverged("loss is NaN");
        folder.write();
        let sentence = "Runs that failed or diverged are left out of the tests.";
        assert!(!folder.read("report.md").contains(sentence));
    }

    #[test]
    fn a_plan_of_an_earlier_version_has_no_claims() {
        let folder = folder("[]");
        runs(&folder, "gpt", &[3.19, 3.2]);
        folder.write_plan();
        let path = folder.path().join("plan.json");
        let mut plan: serde_json::Value = serde_json::from_str(&folder.read("plan.json")).unwrap();
        let experiment = plan["experiment"].as_object_mut().unwrap();
        experiment.remove("claims").unwrap();
        plan.as_object_mut().unwrap().remove("sha256").unwrap();
        std::fs::write(path, plan.to_string()).unwrap();
        assert_eq!(folder.try_write().unwrap().claims, []);
        assert!(!folder.read("report.md").contains("Claims"));
    }
}
