//! Reports of experiments that end with decisions: sequential seeds, margins, and other metrics.

use super::Summary;
use super::testing::{Folder, RunBuilder, SEED_EFFECTS, unhashed, variant};
use crate::spec::{
    Compare, CompareMetric, Margin, Norm, Percent, Seeds, SequentialSeeds, Sweep, Tune, Until,
};
use serde_yaml::Mapping;
use std::fs;

fn sequential(folder: &Folder, min: u64, max: u64) {
    let range = SequentialSeeds {
        min,
        max,
        until: Until::Decided,
    };
    folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
        seeds: Seeds::Sequential(range),
        ..Sweep::default()
    });
}

/// Adds a variant, number `which`, with one run for each difference from the baseline. The runs of other
/// seeds up to `seeds` have not started.
fn planned(folder: &Folder, name: &str, which: usize, seeds: u64, differences: &[f64]) {
    for seed in 1..=seeds {
        let run = folder
            .run(name, seed)
            .spec(|spec| spec.model.block_size = 64 + which);
        let effect = SEED_EFFECTS[seed as usize % SEED_EFFECTS.len()];
        match differences.get(seed as usize - 1) {
            Some(difference) => run.curve(1.52 + effect + difference).done(),
            None => run.not_started(),
        }
    }
}

fn decided() -> (Folder, Summary) {
    let folder = Folder::new("decided");
    sequential(&folder, 3, 6);
    folder.plan.borrow_mut().experiment.compare.margin = Some(Margin::Absolute(0.01));
    planned(&folder, "gpt", 0, 6, &[0.0; 6]);
    planned(&folder, "swiglu", 1, 6, &[-0.030, -0.031, -0.029]);
    planned(&folder, "same", 2, 6, &[0.001, -0.001, 0.0, 0.0005]);
    planned(
        &folder,
        "noisy",
        3,
        6,
        &[0.03, -0.02, 0.05, -0.03, 0.02, 0.01],
    );
    let summary = folder.write();
    (folder, summary)
}

#[test]
fn report_of_a_sequential_sweep_with_a_margin() {
    let (folder, summary) = decided();
    assert_eq!((summary.counts.done, summary.counts.not_started), (19, 0));
    insta::assert_snapshot!(unhashed(&folder.read("report.md")));
    let plot = folder.read("plots/difference.svg");
    assert!(plot.contains("equivalent"), "{plot}");
}

/// What a report says of a variant that is better by 0.029 to 0.031, or by 49 % to 51 %.
#[test]
fn a_significant_difference_may_be_smaller_than_the_margin() {
    let speed = CompareMetric::TokensPerSecond;
    let percent = |percent| Margin::Percent(Percent::new(percent));
    for (metric, margin, is_within) in [
        (CompareMetric::BitsPerByte, Margin::Absolute(0.02), false),
        (CompareMetric::BitsPerByte, Margin::Absolute(0.0295), true),
        (CompareMetric::BitsPerByte, percent(1.95), true),
        (CompareMetric::BitsPerByte, percent(1.0), false),
        (speed, percent(50.0), false),
        (speed, percent(99.0), true),
    ] {
        let compare = Compare {
            metric,
            margin: Some(margin),
            ..Compare::default()
        };
        let folder = match metric == speed {
            true => two_speeds(compare),
            false => {
                let folder = Folder::new("margin");
                folder.plan.borrow_mut().experiment.compare = compare;
                planned(&folder, "gpt", 0, 3, &[0.0; 3]);
                planned(&folder, "swiglu", 1, 3, &[-0.030, -0.031, -0.029]);
                folder
            }
        };
        let answer = folder.write().answer;
        let headline = answer[0].contains(", perhaps by less than the margin: the difference is");
        let starts = |text: &String| text.starts_with("Significant, but perhaps smaller than");
        assert_eq!(headline, is_within, "{answer:?}");
        assert_eq!(answer.iter().any(starts), is_within, "{answer:?}");
    }
}

#[test]
fn a_run_that_is_not_needed_any_more_is_left_out() {
    let (folder, _) = decided();
    let before = folder.read("report.md");
    let stopped = folder.plan.borrow().runs[10].name.clone();
    assert!(stopped.starts_with("swiglu-s5"), "{stopped}");
    fs::create_dir_all(folder.path().join("runs").join(stopped).join("checkpoint")).unwrap();
    folder.write();
    assert_eq!(folder.read("report.md"), before);
}

/// Two variants whose speeds differ by the factor 2 and whose losses are about the same.
fn two_speeds(compare: Compare) -> Folder {
    let folder = Folder::new("speed");
    folder.plan.borrow_mut().experiment.compare = compare;
    fn timed(run: RunBuilder, seconds: f64) -> RunBuilder {
        let seconds = seconds + run.spec.seed as f64 / 10.0;
        run.seconds(seconds)
    }
    variant(&folder, "gpt", 3, 1.52, |run| timed(run, 40.0));
    variant(&folder, "fast", 3, 1.521, |run| {
        timed(run.spec(|spec| spec.model.norm = Norm::Rmsnorm), 20.0)
    });
    folder
}

#[test]
fn a_higher_speed_is_better() {
    let folder = two_speeds(Compare {
        metric: CompareMetric::TokensPerSecond,
        ..Compare::default()
    });
    let summary = folder.write();
    insta::assert_snapshot!(
        summary.answer[0],
        @"fast is better than the baseline gpt: the difference is +9,458 tokens per second (95 % interval +9,283 to +9,633). It has the highest speed: 19,010 tokens per second (mean of 3 seeds)."
    );
    assert!(
        summary
            .cautions
            .iter()
            .any(|text| text.contains("--jobs 1"))
    );
    let page = folder.read("report.md");
    assert!(
        page.contains("Difference to gpt: training speed (tokens per second)"),
        "{page}"
    );
    assert!(folder.read("plots/difference.svg").contains("better →"));
}

#[test]
fn a_loss_that_is_not_reached_is_not_tested() {
    let compare = |target_loss: f64| Compare {
        metric: CompareMetric::StepsToLoss,
        target_loss: Some(target_loss),
        ..Compare::default()
    };
    let summary = two_speeds(compare(1.2)).write();
    assert!(
        summary.answer[0].contains(" steps (mean of 3 seeds)"),
        "{:?}",
        summary.answer
    );
    let folder = two_speeds(compare(0.1));
    let summary = folder.write();
    assert!(
        summary
            .cautions
            .iter()
            .any(|text| text.contains("3 of 3 of fast")),
        "{:?}",
        summary.cautions
    );
    let page = folder.read("report.md");
    assert!(
        page.contains("loss not reached") && !page.contains("inf"),
        "{page}"
    );
}

#[test]
fn a_setting_without_effect_is_a_caution() {
    let folder = Folder::new("same");
    planned(&folder, "gpt", 0, 3, &[0.0; 3]);
    planned(&folder, "other", 1, 3, &[0.0; 3]);
    let summary = folder.write();
    assert!(
        summary.answer[0].starts_with("No variant has a lower loss"),
        "{:?}",
        summary.answer
    );
    assert_eq!(
        summary.answer[1],
        "Exactly the same results as the baseline: other."
    );
    assert!(folder.read("report.md").contains("| same results |"));
    let cautions = summary.cautions;
    assert!(
        cautions
            .iter()
            .any(|text| text.contains("exactly the same: other")),
        "{cautions:?}"
    );
}

#[test]
fn a_verdict_that_the_end_of_training_changes_is_a_caution() {
    let folder = Folder::new("late");
    // `late` is worse until the last evaluation, and `early` is better all the time.
    for (name, which, offsets) in [
        ("gpt", 0, [0.0; 2]),
        ("late", 1, [0.3, -0.1]),
        ("early", 2, [-0.1; 2]),
        ("short", 3, [-0.3, 0.1]),
    ] {
        for seed in 1..=3 {
            let [before, end] = offsets.map(|offset| 2.0 + offset + 0.001 * (which * seed) as f64);
            let run = folder
                .run(name, seed)
                .spec(|spec| spec.model.n_layer = 1 + which as usize);
            run.evaluations(&[(0, 6.0), (400, before), (500, end)])
                .done();
        }
    }
    let cautions = folder.write().cautions;
    assert!(
        cautions.iter().any(|text| text.ends_with(
            "change them again: late was worse and is better; short was better and is worse."
        )),
        "{cautions:?}"
    );
}

#[test]
fn the_seeds_that_many_variants_need_are_a_range() {
    let folder = Folder::new("range");
    planned(&folder, "gpt", 0, 3, &[0.0; 3]);
    planned(&folder, "clear", 1, 3, &[-0.01, -0.06, -0.03]);
    for which in 2..9 {
        let name = format!("unclear_{which}");
        planned(&folder, &name, which, 3, &[0.03, -0.03, 0.00003]);
    }
    let answer = folder.write().answer.join(" ");
    assert!(
        answer.contains(" to more than 1000 seeds, depending on the variant, would decide")
            || answer.contains("with more than 1000 seeds would decide"),
        "{answer}"
    );
    assert!(!answer.contains(" seeds to "), "{answer}");
}

#[test]
fn a_changed_margin_is_a_caution() {
    let folder = Folder::new("changed");
    planned(&folder, "gpt", 0, 3, &[0.0; 3]);
    planned(&folder, "other", 1, 3, &[0.01, 0.02, 0.015]);
    let mut before = folder.plan.borrow().clone();
    before.experiment.compare.margin = Some(Margin::Percent(Percent::new(0.5)));
    folder.plan.borrow_mut().continue_from(&before, true);
    let cautions = folder.write().cautions;
    assert!(
        cautions
            .iter()
            .any(|text| text.contains("it was bits per byte with margin 0.5 %")),
        "{cautions:?}"
    );
}

#[test]
fn removed_seeds_are_a_caution() {
    let withdrawn = |before: u64, now: u64| {
        let folder = Folder::new("fewer");
        sequential(&folder, 3, before);
        planned(&folder, "gpt", 0, 3, &[0.0; 3]);
        planned(&folder, "other", 1, 3, &[0.01, 0.02, 0.015]);
        let earlier = folder.plan.borrow().clone();
        sequential(&folder, 3, now);
        folder.plan.borrow_mut().continue_from(&earlier, true);
        let cautions = folder.write().cautions;
        let expected = "An earlier plan had seeds that this one does not have.";
        cautions.iter().any(|text| text.starts_with(expected))
    };
    assert!(withdrawn(6, 4));
    assert!(!withdrawn(4, 6));
}

/// Adds a variant with one run of the search and three runs of the comparison for each of three learning
/// rates. `search` has the results of the search. The comparison with the best rate has the others.
fn tuned(folder: &Folder, name: &str, which: usize, search: [f64; 3], compared: [f64; 3]) {
    let best = (0..3)
        .min_by(|&a, &b| search[a].total_cmp(&search[b]))
        .unwrap();
    for (combination, lr) in [0.001, 0.002, 0.004].into_iter().enumerate() {
        let run = |seed| {
            folder.run(name, seed).spec(|spec| {
                spec.model.n_layer = 1 + which;
                spec.optimizer.lr = lr;
            })
        };
        let searched = run(1001).tuned(combination, true);
        match search[combination].is_finite() {
            true => searched.curve(search[combination]).done(),
            false => searched.diverged("loss is not finite at step 12"),
        }
        for (seed, bits) in (1..).zip(compared) {
            let run = run(seed).tuned(combination, false);
            match combination == best {
                true => run.curve(bits).done(),
                false => run.not_started(),
            }
        }
    }
}

fn tuned_sweep() -> Folder {
    let folder = Folder::new("tuned");
    folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
        seeds: Seeds::Count(3),
        variants: serde_yaml::from_str("{gpt: {}, deep: {model: {n_layer: 2}}}").unwrap(),
        tune: Some(Tune {
            grid: serde_yaml::from_str("optimizer.lr: [0.001, 0.002, 0.004]").unwrap(),
            zip: Mapping::new(),
            random: None,
            halving: None,
            tpe: None,
            seeds: 1,
        }),
        ..Sweep::default()
    });
    tuned(&folder, "gpt", 0, [1.56, 1.53, 1.54], [1.52, 1.541, 1.507]);
    tuned(
        &folder,
        "deep",
        1,
        [1.5, 1.55, f64::INFINITY],
        [1.49, 1.512, 1.476],
    );
    folder
}

#[test]
fn report_of_tuned_variants() {
    let folder = tuned_sweep();
    let summary = folder.write();
    assert_eq!((summary.counts.done, summary.counts.not_started), (11, 0));
    let json: serde_json::Value = serde_json::from_str(&folder.read("report.json")).unwrap();
    for (row, variant, rate) in [(0, "deep", "0.001"), (1, "gpt", "0.002")] {
        let own = &json["variants"][row];
        assert_eq!(
            (&own["name"], &own["tuned"]["optimizer.lr"]),
            (&variant.into(), &rate.parse::<f64>().unwrap().into())
        );
        assert_eq!(summary.ranking.cell(row, "variant"), variant);
        assert_eq!(
            summary.ranking.cell(row, "chosen by the search"),
            format!("optimizer.lr {rate}")
        );
    }
    assert_eq!(
        summary.cautions,
        [
            "The best optimizer.lr of deep is the smallest value tried (0.001). Smaller values may be better.",
        ]
    );
    let page = unhashed(&folder.read("report.md"));
    let section = page.split("## Tuning").nth(1).unwrap();
    insta::assert_snapshot!(section.split("\n## ").next().unwrap());
    assert!(page.starts_with("# tuned"));
    let csv = folder.read("summary.csv");
    let columns = |run: &str| {
        let line = csv.lines().find(|line| line.contains(run)).unwrap();
        line.rsplitn(6, ',')
            .skip(2)
            .take(3)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(columns("variant,seed"), ["size", "combination", "search"]);
    assert_eq!(columns("deep-s1001-"), ["", "1", "true"]);
    assert_eq!(columns("gpt-s1-"), ["", "2", "false"]);
    // That a run of the search diverged is a result.
    assert!(!page.contains("## Failed and unfinished runs"), "{page}");
    insta::assert_snapshot!(page.lines().nth(4).unwrap());
}

#[test]
fn the_search_of_a_single_variant_compares_nothing() {
    let folder = Folder::new("single");
    folder.plan.borrow_mut().experiment.sweep =
        tuned_sweep().plan.borrow().experiment.sweep.clone();
    tuned(&folder, "gpt", 0, [1.56, 1.53, 1.54], [1.52, 1.541, 1.507]);
    folder.write();
    let page = folder.read("report.md");
    let section = page.split("## Tuning").nth(1).unwrap();
    let section = section.split("![").next().unwrap();
    assert!(
        !section.contains("baseline") && !section.contains("Verdict"),
        "{section}"
    );
}

#[test]
fn a_best_value_at_the_end_of_a_flat_search_is_no_caution() {
    let folder = tuned_sweep();
    // No learning rate would make up for a difference that is ten times as large.
    for (search, compared, cautions) in [
        ([2.2, 2.3, 2.4], [2.22, 2.242, 2.205], 1),
        ([2.5, 2.55, 2.6], [2.52, 2.541, 2.507], 0),
    ] {
        let worse = Folder::new("worse");
        worse.plan.borrow_mut().experiment.sweep = folder.plan.borrow().experiment.sweep.clone();
        tuned(&worse, "gpt", 0, [1.56, 1.53, 1.54], [1.52, 1.541, 1.507]);
        tuned(&worse, "deep", 1, search, compared);
        assert_eq!(worse.write().cautions.len(), cautions);
        let says_why =
            "so far from the baseline that values beyond it would hardly change the verdict";
        assert_eq!(worse.read("report.md").contains(says_why), cautions == 0);
    }
    // Equal values are not a reason to try others.
    let equal = Folder::new("equal");
    equal.plan.borrow_mut().experiment.sweep = folder.plan.borrow().experiment.sweep.clone();
    tuned(&equal, "gpt", 0, [1.5, 1.5, 1.6], [1.52, 1.541, 1.507]);
    assert_eq!(equal.write().cautions, [""; 0]);
    // Of `deep`, the best value is better than its neighbor by 0.05.
    for (margin, cautions) in [(0.04, 1), (0.06, 0)] {
        folder.plan.borrow_mut().experiment.compare.margin = Some(Margin::Absolute(margin));
        assert_eq!(folder.write().cautions.len(), cautions, "{margin}");
        let says_why = "The best optimizer.lr of deep is the smallest value tried (0.001). The last step to this value gained at most the margin";
        assert_eq!(folder.read("report.md").contains(says_why), cautions == 0);
    }
}

#[test]
fn an_unreached_loss_is_worse_than_any_other() {
    let folder = Folder::new("steps");
    sequential(&folder, 3, 6);
    folder.plan.borrow_mut().experiment.compare = Compare {
        metric: CompareMetric::StepsToLoss,
        target_loss: Some(1.0),
        ..Compare::default()
    };
    let bits = 1.0 / std::f64::consts::LN_2;
    // The step at which each run reaches the loss. It never does at 900.
    for (name, which, steps) in [
        ("gpt", 1, [900, 100, 110]),
        ("slow", 2, [900; 3]),
        ("fast", 3, [50, 60, 70]),
    ] {
        for seed in 1..=6 {
            let run = folder
                .run(name, seed)
                .spec(|spec| spec.model.n_layer = which);
            match steps.get(seed as usize - 1) {
                Some(900) => run
                    .evaluations(&[(0, 3.0 * bits), (500, 2.0 * bits)])
                    .done(),
                Some(step) => run
                    .evaluations(&[(0, 3.0 * bits), (*step, bits), (500, bits)])
                    .done(),
                None => run.not_started(),
            }
        }
    }
    let summary = folder.write();
    assert!(
        summary.answer[0].starts_with("fast has the fewest steps"),
        "{:?}",
        summary.answer
    );
    let order: Vec<&str> = summary
        .ranking
        .rows
        .iter()
        .map(|row| row[1].as_str())
        .collect();
    assert_eq!(order[0], "fast");
}

#[test]
fn a_variant_that_never_reaches_the_loss_has_no_rank() {
    let folder = Folder::new("ranks");
    folder.plan.borrow_mut().experiment.compare = Compare {
        metric: CompareMetric::StepsToLoss,
        target_loss: Some(1.0),
        ..Compare::default()
    };
    let bits = 1.0 / std::f64::consts::LN_2;
    // The step at which each run reaches the loss, if it does.
    for (name, which, steps) in [
        ("gpt", 1, [None, None, None]),
        ("never", 2, [None, None, None]),
        ("once", 3, [Some(10), None, None]),
        ("twice", 4, [Some(300), Some(310), None]),
        ("always", 5, [Some(400), Some(410), Some(420)]),
    ] {
        for (seed, step) in (1..).zip(steps) {
            let run = folder
                .run(name, seed)
                .spec(|spec| spec.model.n_layer = which);
            let end = match step {
                Some(step) => vec![(0, 3.0 * bits), (step, bits), (500, bits)],
                None => vec![(0, 3.0 * bits), (500, 2.0 * bits)],
            };
            run.evaluations(&end).done();
        }
    }
    let rows = folder.write().ranking.rows;
    let ranks: Vec<[&str; 2]> = rows.iter().map(|row| [&*row[0], &row[1]]).collect();
    assert_eq!(
        ranks,
        [
            ["1", "always"],
            ["2", "twice"],
            ["3", "once"],
            ["", "gpt"],
            ["", "never"]
        ]
    );
    let json: serde_json::Value = serde_json::from_str(&folder.read("report.json")).unwrap();
    let ranks = json["variants"].as_array().unwrap().iter();
    let ranks: Vec<Option<u64>> = ranks.map(|variant| variant["rank"].as_u64()).collect();
    assert_eq!(ranks, [Some(1), Some(2), Some(3), None, None]);
}

/// Adds a variant with these losses, in bits per byte. The runs of other seeds up to 6 have not started.
fn with_losses(folder: &Folder, name: &str, which: usize, losses: &[f64]) {
    for seed in 1..=6 {
        let run = folder
            .run(name, seed)
            .spec(|spec| spec.model.n_layer = which)
            .params(1000 * which as u64);
        match losses.get(seed as usize - 1) {
            Some(loss) => run.evaluations(&[(0, 8.0), (500, *loss)]).done(),
            None => run.not_started(),
        }
    }
}

/// `worse` has a lower mean than the baseline, because it lacks the seeds with high losses.
fn with_an_easy_half(others: &[f64; 6]) -> (Folder, Summary) {
    let folder = Folder::new("halves");
    sequential(&folder, 3, 6);
    let baseline = [1.0, 1.1, 1.2, 2.0, 2.1, 2.2];
    with_losses(&folder, "gpt", 1, &baseline);
    with_losses(&folder, "worse", 2, &[1.05, 1.151, 1.249]);
    let others: Vec<f64> = baseline.iter().zip(others).map(|(a, b)| a + b).collect();
    with_losses(&folder, "other", 3, &others);
    let summary = folder.write();
    (folder, summary)
}

#[test]
fn the_answer_states_the_mean_on_the_same_seeds() {
    let (_, summary) = with_an_easy_half(&[0.09, -0.08, 0.07, -0.03, 0.05, -0.05]);
    let answer = &summary.answer[0];
    assert!(
        answer.starts_with(
            "The baseline gpt has the lowest loss on average on the seeds that it shares with each variant, 1.6000 bits per byte (mean of 6 seeds), but"
        ),
        "{answer}"
    );
    let (_, summary) = with_an_easy_half(&[-0.09, 0.08, -0.07, 0.03, -0.05, 0.05]);
    let answer = &summary.answer[0];
    assert!(
        answer.starts_with(
            "other has the lowest loss relative to the baseline on the same seeds: 1.5917 bits per byte (mean of the baseline plus the mean difference on 6 shared seeds)."
        ),
        "{answer}"
    );
}

#[test]
fn a_front_agrees_with_the_ranking() {
    let (folder, summary) = with_an_easy_half(&[0.09, -0.08, 0.07, -0.03, 0.05, -0.05]);
    let order: Vec<&str> = summary.ranking.rows.iter().map(|row| &*row[1]).collect();
    assert_eq!(order, ["gpt", "other", "worse"]);
    let page = folder.read("report.md");
    assert!(page.contains("the best: gpt (parameters)"), "{page}");
    assert!(page.contains("are compared as in the ranking"), "{page}");
}

#[test]
fn an_incomplete_variant_is_on_no_front() {
    let folder = Folder::new("incomplete");
    for (name, which, loss) in [
        ("gpt", 1, 1.5),
        ("good", 2, 1.4),
        ("best", 3, 1.35),
        ("broken", 4, 1.3),
    ] {
        for seed in 1..=3 {
            let run = folder
                .run(name, seed)
                .spec(|spec| spec.model.n_layer = which)
                .params(800_000 + which as u64);
            match (name, seed) {
                ("broken", 3) => run.diverged("loss is NaN"),
                _ => run.evaluations(&[(0, 3.0), (500, loss)]).done(),
            }
        }
    }
    folder.write();
    let page = folder.read("report.md");
    assert!(
        page.contains("the best: gpt, good and best (parameters)"),
        "{page}"
    );
    assert!(
        page.contains("Left out, because not every seed has a result: broken."),
        "{page}"
    );
    assert!(
        page.contains("Variants without a result for every seed are left out of them."),
        "{page}"
    );
}

#[test]
fn an_unfinished_search_is_shown() {
    let folder = Folder::new("searching");
    folder.plan.borrow_mut().experiment.sweep =
        tuned_sweep().plan.borrow().experiment.sweep.clone();
    tuned(&folder, "gpt", 0, [1.56, 1.53, 1.54], [1.52, 1.541, 1.507]);
    for (combination, lr) in [0.001, 0.002, 0.004].into_iter().enumerate() {
        let run = |seed| folder.run("deep", seed).spec(|spec| spec.optimizer.lr = lr);
        run(1001).tuned(combination, true).not_started();
        for seed in 1..=3 {
            run(seed).tuned(combination, false).not_started();
        }
    }
    let summary = folder.write();
    assert!(
        summary.answer[0].starts_with("Only gpt has finished"),
        "{:?}",
        summary.answer
    );
    let page = folder.read("report.md");
    assert!(page.contains("search not finished"), "{page}");
}
