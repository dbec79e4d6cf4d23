//! Reports of experiments with claims.

use super::Summary;
use super::testing::{Folder, SEED_EFFECTS};
use crate::spec::{ModelKind, Seeds, SequentialSeeds, Sweep, Until};
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

/// The runs that are left can have a mean that is too good, as in the ranking.
#[test]
fn a_claim_with_runs_that_failed_or_diverged_is_open() {
    let folder = folder(
        "- {variant: muon, metric: val_loss, better_than: gpt}
- {variant: muon, metric: val_loss, better_than: gpt, test: welch}
- {variant: most, metric: val_loss, below: 3.3}
- {variant: most, metric: val_loss, below: 3.3, sigma: 0.01}
- {variant: not_a_number, metric: val_loss, below: 3.3}
- {variant: gpt, metric: val_loss, below: 3.3}",
    );
    runs(&folder, "gpt", &[3.28, 3.29, 3.285]);
    runs(&folder, "muon", &[3.19, 3.2]);
    folder.run("muon", 3).diverged("loss is NaN");
    runs(&folder, "most", &[3.2, 3.21]);
    for seed in 3..=5 {
        folder.run("most", seed).diverged("loss is NaN");
    }
    folder.run("most", 6).failed("out of memory");
    runs(&folder, "not_a_number", &[3.2, 3.21, f64::NAN]);
    let summary = folder.write();
    let found: Vec<_> = summary
        .claims
        .iter()
        .map(|claim| {
            (
                claim.result.name(),
                claim.reason.as_str(),
                claim.p.is_empty(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("open", "1 of 6 runs failed or diverged", true),
            ("open", "1 of 6 runs failed or diverged", true),
            ("open", "4 of 6 runs failed or diverged", true),
            ("open", "4 of 6 runs failed or diverged", true),
            ("open", "1 of 3 runs failed or diverged", true),
            ("holds", "", false),
        ]
    );
    let seeds: Vec<&str> = summary.claims.iter().map(|c| c.seeds.as_str()).collect();
    assert_eq!(
        seeds,
        [
            "2 of 3 pairs",
            "2 of 3 and 3",
            "2 of 6",
            "2 of 6",
            "2 of 3",
            "3"
        ]
    );
    assert!(folder.read("report.md").contains(WITH_FAILED_RUNS));
    assert!(summary.claims.iter().all(|claim| !claim.waits_for_runs));
}

/// What the report says of a claim with runs that have no result.
const WITH_FAILED_RUNS: &str = "A claim with runs that failed or diverged is open";

#[test]
fn a_claim_without_a_value_is_open() {
    let folder = folder(
        "- {variant: one, metric: val_loss, below: 3.3}
- {variant: one, metric: val_loss, below: 3.3, sigma: 0.01}
- {variant: gpt, metric: val_loss, below: 3.3, at_step: 300}
- {variant: gpt, metric: train_split_loss, below: 3.3}",
    );
    runs(&folder, "gpt", &[3.29, 3.31, 3.28]);
    runs(&folder, "one", &[3.2]);
    let summary = folder.write();
    assert_eq!(results(&summary), ["open", "holds", "open", "open"]);
    let seeds: Vec<&str> = summary.claims.iter().map(|c| c.seeds.as_str()).collect();
    assert_eq!(seeds, ["1", "1", "0 of 3", "0 of 3"]);
    let reason = |index: usize| summary.claims[index].reason.as_str();
    assert_eq!(
        reason(0),
        "too few seeds: 1 seed with a value, and the test needs two"
    );
    assert_eq!(reason(2), "3 of 3 runs not evaluated at step 300");
    assert_eq!(reason(3), "3 of 3 runs not evaluated");
}

/// The loss of counts is exact, so that the spread is that of the trained model alone.
#[test]
fn claims_about_counts_use_the_seeds_of_the_trained_model() {
    let folder = folder(
        "- {variant: gpt, metric: val_loss, better_than: pairs}
- {variant: pairs, metric: val_loss, better_than: gpt, test: welch}
- {variant: triples, metric: val_loss, better_than: pairs, by: 0.4}
- {variant: pairs, metric: val_loss, better_than: triples}
- {variant: pairs, metric: val_loss, below: 3.4, sigma: 0.1}
- {variant: pairs, metric: val_loss, above: 3.4}",
    );
    runs(&folder, "gpt", &[3.19, 3.2, 3.21]);
    for (name, order, loss) in [("pairs", 2, 3.3), ("triples", 3, 2.8)] {
        for seed in 1..=2 {
            let run = folder.run(name, seed).spec(|spec| {
                spec.model.kind = ModelKind::Ngram;
                spec.model.order = order;
            });
            run.evaluations(&[(0, loss / LN_2)]).done();
        }
    }
    let summary = folder.write();
    assert_eq!(
        results(&summary),
        ["holds", "fails", "holds", "fails", "holds", "fails"]
    );
    let shown: Vec<[&str; 3]> = summary
        .claims
        .iter()
        .map(|claim| [&*claim.seeds, &claim.statistic, &claim.p])
        .collect();
    assert_eq!(shown[0][..2], ["3", "t(2) = −17.32"]);
    assert_eq!(shown[1][..2], ["3", "t(2) = 17.32"]);
    assert!(
        shown[2..]
            .iter()
            .all(|claim| *claim == ["any", "exact", ""])
    );
    let answer = summary.answer.last().unwrap();
    assert!(
        answer.contains("below that of triples (exact); "),
        "{answer}"
    );
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
    let caution = "The seeds were changed after results were known, so a claim may hold by chance";
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
    assert!(!folder.read("report.md").contains(WITH_FAILED_RUNS));
}

#[test]
fn a_plan_of_an_earlier_version_has_no_claims() {
    let folder = folder("[]");
    runs(&folder, "gpt", &[3.19, 3.2]);
    folder.write_plan();
    let path = folder.path().join("plan.json");
    let mut plan: serde_json::Value = serde_json::from_str(&folder.read("plan.json")).unwrap();
    plan["experiment"]
        .as_object_mut()
        .unwrap()
        .remove("claims")
        .unwrap();
    plan.as_object_mut().unwrap().remove("sha256").unwrap();
    std::fs::write(path, plan.to_string()).unwrap();
    assert_eq!(folder.try_write().unwrap().claims, []);
    assert!(!folder.read("report.md").contains("Claims"));
}
