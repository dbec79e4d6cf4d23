use super::{Findings, with_interval};
use crate::report::analysis::metric::Metric;
use crate::report::analysis::scaling::{AtSize, Estimated, Prediction, ScaledVariant, Scaling};
use crate::report::page_blocks::{Block, Column, Row, Table, Text};
use crate::report::plots::Placement;
use crate::stats::Verdict;
use crate::text::units::{self, NO_VALUE};

/// How the losses and their differences change with size.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let Some(scaling) = findings.scaling else {
        return Vec::new();
    };
    let metric = findings.ranking.metric;
    let mut blocks = vec![
        Block::heading(2, "Scaling"),
        Block::paragraph(scope(scaling)),
        Block::Table(sizes(scaling, metric)),
    ];
    if scaling.variants.iter().any(|scaled| scaled.trend.is_some()) {
        blocks.push(Block::paragraph(about_trends(scaling)));
        blocks.push(Block::Table(trends(scaling, metric)));
    }
    blocks.extend(findings.figures(Placement::Scaling));
    if scaling.variants.iter().any(|scaled| scaled.fit.is_some()) {
        blocks.push(Block::paragraph(about_fits(scaling)));
        blocks.push(Block::Table(fits(scaling, metric)));
        if scaling
            .variants
            .iter()
            .any(|scaled| scaled.prediction().is_some())
        {
            blocks.push(Block::paragraph(about_predictions(scaling)));
            blocks.push(Block::Table(predictions(scaling, metric)));
            blocks.extend(missed(scaling).map(Block::paragraph));
        }
    }
    blocks
}

fn scope(scaling: &Scaling) -> String {
    let mut sizes = scaling.variants.iter().flat_map(|scaled| &scaled.sizes);
    let has_interval = |at: &AtSize| at.difference.is_some_and(|d| d.interval.is_some());
    let interval = match sizes.any(has_interval) {
        true => ", with a 95 % interval that is not corrected for the number of sizes",
        false => "",
    };
    format!(
        "Everything else in this report is about the largest size. The difference is over the seeds that a variant shares \
         with the baseline of its size{interval}."
    )
}

fn about_trends(scaling: &Scaling) -> String {
    let mut trends = scaling
        .variants
        .iter()
        .filter_map(|scaled| scaled.trend.as_ref());
    let interval = match trends.any(|trend| trend.change.corrected.is_some()) {
        true => {
            " The 95 % interval is corrected for the number of variants, and not for the verdicts of the ranking."
        }
        false => "",
    };
    format!(
        "How the difference changes from the smallest to the largest size, on a straight line through the differences of \
         each seed, over the logarithm of the FLOPs. It uses the seeds that all sizes share.{interval}"
    )
}

fn about_fits(scaling: &Scaling) -> String {
    let intervals = match scaling.has_resampled_fits() {
        true => {
            ", and their 95 % intervals come from resampled seeds, as if the losses varied as much at every size and \
             independently of each other"
        }
        false => "",
    };
    format!(
        "The curves are power laws: loss = floor + A × FLOPs^−exponent. They are fitted to the means by least squares\
         {intervals}. With few seeds or sizes the floor is uncertain, and no curve says what happens far beyond the \
         largest size."
    )
}

fn about_predictions(scaling: &Scaling) -> String {
    let interval = match have_intervals(scaling) {
        true => " The interval has room for the seeds of both.",
        false => "",
    };
    format!(
        "A test of the curves: the mean loss at the largest size, predicted from the smaller sizes alone.{interval}"
    )
}

fn sizes(scaling: &Scaling, metric: Metric) -> Table {
    let columns = vec![
        Column::left("Variant"),
        Column::right("Parameters"),
        Column::right("FLOPs of training"),
        Column::right("Seeds"),
        Column::right(&format!("Mean {}", metric.title())),
        Column::left("Difference from the baseline"),
    ];
    let row = |(scaled, at): (&ScaledVariant, &AtSize)| {
        Row::new(vec![
            scaled.variant.name.into(),
            units::count(at.params as f64).into(),
            units::count(at.flops).into(),
            at.seeds().to_string().into(),
            metric.value(at.mean).into(),
            match at.difference {
                None if scaled.variant.is_baseline => "baseline".into(),
                None => NO_VALUE.into(),
                Some(difference) => with_interval(difference.mean, difference.interval, &|value| {
                    metric.difference(value)
                }),
            },
        ])
    };
    let rows = scaling.variants.iter().flat_map(|scaled| {
        let sizes = scaled.sizes.iter();
        sizes.map(move |at| (scaled, at))
    });
    Table {
        rows: rows.map(row).collect(),
        columns,
    }
}

fn trends(scaling: &Scaling, metric: Metric) -> Table {
    let columns = vec![
        Column::left("Variant"),
        Column::right("Seeds"),
        Column::left("Change of the difference"),
        Column::left("With size"),
    ];
    let row = |scaled: &ScaledVariant| {
        let trend = scaled.trend.as_ref()?;
        let name = trend.kind(metric).name();
        Some(Row::new(vec![
            scaled.variant.name.into(),
            trend.change.pairs.to_string().into(),
            with_interval(trend.change.mean, trend.change.corrected, &|value| {
                metric.difference(value)
            }),
            match trend.change.verdict {
                Verdict::Better => Text::new().success(name),
                Verdict::Worse => Text::new().warning(name),
                Verdict::Equivalent | Verdict::Inconclusive => name.into(),
            },
        ]))
    };
    Table {
        rows: scaling.variants.iter().filter_map(row).collect(),
        columns,
    }
}

fn fits(scaling: &Scaling, metric: Metric) -> Table {
    let columns = vec![
        Column::left("Variant"),
        Column::left("Exponent"),
        Column::left(&format!("Floor ({})", metric.unit())),
        Column::left("Baseline FLOPs for the same loss, times those of the variant"),
    ];
    let row = |scaled: &ScaledVariant| {
        let fit = scaled.fit.as_ref()?;
        let exponent = |value: f64| units::fixed(value, 3);
        Some(Row::new(vec![
            scaled.variant.name.into(),
            with_interval(fit.curve.exponent, fit.exponent_interval(), &exponent),
            match fit.floor() {
                Some(floor) => {
                    with_interval(floor, fit.floor_interval(), &|value| metric.value(value))
                }
                None => "not determined".into(),
            },
            match fit.flops_ratio {
                None => NO_VALUE.into(),
                Some(ratio) => times(ratio),
            },
        ]))
    };
    Table {
        rows: scaling.variants.iter().filter_map(row).collect(),
        columns,
    }
}

fn predictions(scaling: &Scaling, metric: Metric) -> Table {
    let has_intervals = have_intervals(scaling);
    let mut columns = vec![
        Column::left("Variant"),
        Column::left("Predicted"),
        Column::right("Measured"),
        Column::right("Measured − predicted"),
    ];
    if has_intervals {
        columns.push(Column::left("Within the interval"));
    }
    let row = |scaled: &ScaledVariant| {
        let prediction = scaled.prediction()?;
        let mut cells = vec![
            scaled.variant.name.into(),
            with_interval(prediction.predicted, prediction.interval, &|value| {
                metric.value(value)
            }),
            metric.value(prediction.measured).into(),
            metric
                .difference(prediction.measured - prediction.predicted)
                .into(),
        ];
        if has_intervals {
            cells.push(within_the_interval(prediction));
        }
        Some(Row::new(cells))
    };
    Table {
        rows: scaling.variants.iter().filter_map(row).collect(),
        columns,
    }
}

fn within_the_interval(prediction: &Prediction) -> Text {
    let interval = prediction.interval;
    match interval.map(|interval| interval.contains(prediction.measured)) {
        None => NO_VALUE.into(),
        Some(true) => Text::new().success("yes"),
        Some(false) => Text::new().warning("no"),
    }
}

/// Whether a prediction has an interval from resampled seeds.
fn have_intervals(scaling: &Scaling) -> bool {
    let mut predictions = scaling
        .variants
        .iter()
        .filter_map(ScaledVariant::prediction);
    predictions.any(|prediction| prediction.interval.is_some())
}

/// Which variants do not follow their curve, as a warning.
fn missed(scaling: &Scaling) -> Option<Text> {
    let is_missed = |scaled: &&ScaledVariant| {
        scaled.prediction().is_some_and(|prediction| {
            let interval = prediction.interval;
            interval.is_some_and(|interval| !interval.contains(prediction.measured))
        })
    };
    let missed = scaling.variants.iter().filter(is_missed);
    let names: Vec<&str> = missed.map(|scaled| scaled.variant.name).collect();
    let warning = format!(
        "The losses of {} are no power law over these sizes. Exponent, floor and FLOPs are those of a curve that does \
         not hold.",
        units::list(&names)
    );
    (!names.is_empty()).then(|| Text::new().warning(warning))
}

/// A ratio of FLOPs: `1.32`.
fn times(ratio: Estimated) -> Text {
    /// A larger ratio is far outside of what was measured.
    const MOST: f64 = 100.0;
    let times = |value: f64| match value {
        0.0..MOST => units::fixed(value, 2),
        _ => format!("more than {MOST}"),
    };
    match ratio.value {
        None => "more than any".into(),
        Some(value @ 0.0..MOST) => with_interval(value, ratio.interval, &times),
        Some(value) => times(value).into(),
    }
}

impl ScaledVariant<'_> {
    fn prediction(&self) -> Option<&Prediction> {
        self.fit.as_ref()?.prediction.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use crate::report::testing::{Folder, SEED_EFFECTS, unhashed};
    use crate::spec::{Mlp, Scale, Sweep};

    /// Losses of `gpt` at sizes of 10^4 to 10^5.5 parameters.
    fn loss(params: f64) -> f64 {
        1.3 + 30.0 * params.powf(-0.4)
    }

    /// A baseline and a variant whose gain is `gain` at the smallest size, and `growth` larger at each of the next.
    fn sized(seeds: u64, gain: f64, growth: f64) -> Folder {
        with_gains(seeds, [0.0, 1.0, 2.0, 3.0].map(|size| gain + growth * size))
    }

    /// A baseline and a variant with a gain at each size.
    fn with_gains(seeds: u64, gains: [f64; 4]) -> Folder {
        let folder = Folder::new("scaling");
        let sizes = "{sizes: [{model: {n_embd: 32}}, {model: {n_embd: 64}}, {model: {n_embd: 96}}, {model: {n_embd: 128}}]}";
        let scale: Scale = serde_yaml::from_str(sizes).unwrap();
        folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
            scale: Some(scale),
            ..Sweep::default()
        });
        for (name, is_gated) in [("gpt", false), ("swiglu", true)] {
            for size in 0..4 {
                let params = 10f64.powf(4.0 + 0.5 * size as f64);
                let gain = if is_gated { gains[size as usize] } else { 0.0 };
                for seed in 1..=seeds {
                    let own = if is_gated { 0.7 } else { 1.3 };
                    let noise = 0.001 * ((seed * 7 + size) as f64 * params * own).sin();
                    let shared = SEED_EFFECTS[seed as usize - 1] / 4.0;
                    let run = folder.run(name, seed).params(params as u64).spec(|spec| {
                        spec.model.n_embd = 32 * (size as usize + 1);
                        if is_gated {
                            spec.model.mlp = Mlp::Swiglu;
                        }
                    });
                    let run = match size {
                        3 => run,
                        _ => run.smaller_size(size as usize),
                    };
                    run.curve(loss(params) - gain + shared + noise).done();
                }
            }
        }
        folder
    }

    fn section(page: &str) -> &str {
        let start = page.find("## Scaling").unwrap();
        let end = start + page[start + 1..].find("\n## ").unwrap();
        &page[start..end]
    }

    #[test]
    fn a_gain_that_grows_with_size() {
        let folder = sized(3, 0.01, 0.02);
        let summary = folder.write();
        let page = folder.read("report.md");
        insta::assert_snapshot!(unhashed(section(&page)));
        let sentence = "The gain of swiglu grows with size";
        assert!(
            summary.answer.iter().any(|line| line.starts_with(sentence)),
            "{:?}",
            summary.answer
        );
        let [difference, loss] =
            ["scaling_difference", "scaling"].map(|name| folder.read(&format!("plots/{name}.svg")));
        assert!(difference.contains("no difference") && loss.contains("swiglu"));
        let json: serde_json::Value = serde_json::from_str(&folder.read("report.json")).unwrap();
        let scaling = serde_json::to_string_pretty(&json["scaling"]).unwrap();
        insta::assert_snapshot!(scaling);
    }

    #[test]
    fn a_curve_that_does_not_hold_is_said_to_be_none() {
        let folder = sized(3, 0.01, 0.02);
        folder.write();
        assert!(!folder.read("report.md").contains("no power law"));
        // At the largest size, the loss falls no further.
        let folder = with_gains(3, [0.0, 0.0, 0.0, -0.1]);
        folder.write();
        let page = folder.read("report.md");
        assert!(
            page.contains("The losses of swiglu are no power law"),
            "{page}"
        );
    }

    /// At the smaller sizes, the loss falls once and then rises a little, so that they determine no exponent.
    #[test]
    fn only_a_determined_curve_predicts_the_largest_size() {
        let losses = [2.5, 1.9, 1.91, 1.6];
        let gain =
            |size: i32| loss(10f64.powf(4.0 + 0.5 * f64::from(size))) - losses[size as usize];
        let gains = [0, 1, 2, 3].map(gain);
        let folder = with_gains(3, gains);
        folder.write();
        let json: serde_json::Value = serde_json::from_str(&folder.read("report.json")).unwrap();
        let fits = ["gpt", "swiglu"].map(|name| {
            let scaled = json["scaling"].as_array().unwrap().iter();
            let mut own = scaled.filter(|scaled| scaled["name"] == name);
            own.next().unwrap()["fit"].clone()
        });
        assert!(fits[0]["predicted"].is_number(), "{}", fits[0]);
        assert!(fits[1]["exponent"].is_number(), "{}", fits[1]);
        assert!(fits[1]["predicted"].is_null(), "{}", fits[1]);
    }

    #[test]
    fn a_floor_that_is_not_determined_is_null() {
        // Faster than any power of the FLOPs towards a floor that is not negative.
        let folder = with_gains(3, [-0.2, 0.2, 0.55, 0.85]);
        folder.write();
        assert!(folder.read("report.md").contains("not determined"));
        let json: serde_json::Value = serde_json::from_str(&folder.read("report.json")).unwrap();
        let fit = &json["scaling"][1]["fit"];
        assert!(fit["exponent"].is_number(), "{fit}");
        for member in ["floor", "floor_low", "floor_high"] {
            assert!(fit[member].is_null(), "{fit}");
        }
    }

    #[test]
    fn a_change_on_fewer_seeds_states_their_number() {
        let folder = sized(4, 0.01, 0.02);
        let summary = folder.write();
        let says = |summary: &crate::report::Summary, text: &str| {
            summary.answer.iter().any(|line| line.contains(text))
        };
        assert!(!says(&summary, "that all sizes share"));
        // As in a sweep that adds seeds at the largest size only.
        folder
            .plan
            .borrow_mut()
            .runs
            .retain(|run| run.smaller_size.is_none() || run.spec.seed <= 3);
        let summary = folder.write();
        assert!(
            says(&summary, "on the 3 seeds that all sizes share."),
            "{:?}",
            summary.answer
        );
        assert!(folder.read("report.md").contains("| swiglu | 3 |"));
    }

    #[test]
    fn the_words_follow_the_sign_of_the_difference() {
        for (gain, growth, sentence) in [
            (0.01, 0.02, "The gain of swiglu grows"),
            (0.09, -0.02, "The gain of swiglu shrinks"),
            (-0.01, -0.02, "The disadvantage of swiglu grows"),
            (-0.09, 0.02, "The disadvantage of swiglu shrinks"),
            (
                0.02,
                0.0,
                "Whether the difference of swiglu changes with size is inconclusive",
            ),
        ] {
            let summary = sized(3, gain, growth).write();
            let found = summary.answer.iter().any(|line| line.starts_with(sentence));
            assert!(found, "{sentence} {:?}", summary.answer);
        }
    }

    /// With a diverged run in the middle, the seed is left out of the trend, and its FLOPs do not count.
    #[test]
    fn a_diverged_run_at_one_size_leaves_the_others() {
        let folder = sized(3, 0.01, 0.02);
        folder
            .run("gpt", 4)
            .smaller_size(1)
            .params(31_622)
            .diverged("loss is not finite at step 3");
        folder.plan.borrow_mut().runs.sort_by_key(|run| {
            (
                run.spec.variant.clone(),
                run.smaller_size.unwrap_or(9),
                run.spec.seed,
            )
        });
        folder.write();
        let page = folder.read("report.md");
        let shown = section(&page);
        assert!(shown.contains("| gpt | 31.6 k | 72.9 G | 3 |"), "{shown}");
        assert!(shown.contains("gain grows"), "{shown}");
        // Runs of smaller sizes are named as such.
        assert!(page.contains("(size 2)"), "{page}");
    }

    #[test]
    fn a_removed_size_is_a_caution() {
        let folder = sized(3, 0.01, 0.02);
        let before = folder.plan.borrow().clone();
        let has_caution = || {
            let cautions = folder.write().cautions;
            let expected = "Changed after results were known: the sizes.";
            cautions.iter().any(|text| text.starts_with(expected))
        };
        assert!(!has_caution());
        {
            let mut plan = folder.plan.borrow_mut();
            let sweep = plan.experiment.sweep.as_mut().unwrap();
            sweep.scale.as_mut().unwrap().sizes.remove(0);
            plan.runs.retain(|run| run.smaller_size != Some(0));
            for run in &mut plan.runs {
                run.smaller_size = run.smaller_size.map(|size| size - 1);
            }
            plan.continue_from(&before, true);
        }
        assert!(has_caution());
    }

    #[test]
    fn one_seed_and_missing_runs_have_no_intervals() {
        let folder = sized(1, 0.01, 0.02);
        folder.write();
        let page = folder.read("report.md");
        let one = section(&page);
        assert!(one.contains("inconclusive"), "{one}");
        assert!(one.contains("power laws: loss = floor"), "{one}");
        for claim in ["interval", "resampled", "band"] {
            assert!(!one.contains(claim), "{claim} {one}");
        }
        let captions = folder.read("report.html");
        assert!(!captions.contains("95 % bands") && !captions.contains("with 95 % intervals"));
        // Without the largest size of the variant, nothing is fitted.
        let folder = sized(3, 0.01, 0.02);
        folder.plan.borrow_mut().runs.truncate(21);
        folder.write();
        let page = folder.read("report.md");
        let missing = section(&page);
        assert!(
            missing.contains("gpt") && !missing.contains("grows"),
            "{missing}"
        );
        folder.plan.borrow_mut().runs.truncate(3);
        folder.write();
        assert!(!folder.read("report.md").contains("grows"));
    }
}
