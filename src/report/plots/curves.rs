use super::Drawn;
use super::axis::Axis;
use super::legend::Legend;
use super::lines::{Chart, Line, Marks, labelled_at_the_right, lines, settled, xs};
use super::series;
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::report::loaded_results::Run;
use crate::results::{Metric, RunState, StepMetric};
use crate::text::units;

/// Title of the x axis of the course of training.
pub(super) fn text_title(ranking: &Ranking) -> String {
    let title = match ranking.same_tokens() {
        true => "training tokens",
        false => "bytes of training text",
    };
    title.to_owned()
}

/// Measures training in bytes instead of tokens if the variants have different tokens: a token of another
/// tokenizer stands for another length of text.
fn in_bytes(ranking: &Ranking, lines: &mut [Line]) {
    if ranking.same_tokens() {
        return;
    }
    for line in lines {
        let bytes = line.variant.bytes_per_training_token();
        let partial = line.partial_runs.iter_mut().flat_map(|run| &mut run.points);
        for (x, _) in line.curve.points.iter_mut().chain(partial) {
            *x *= bytes;
        }
        for (x, ..) in &mut line.curve.band {
            *x *= bytes;
        }
    }
}

/// The evaluations of a run that diverged or has not ended. One that diverged has no value at its last step.
fn partial_curve(run: &Run) -> Vec<(f64, f64)> {
    let tokens = |step: u64| step as f64 * run.tokens_per_step() as f64;
    let evaluations = run.evaluations();
    let mut points: Vec<_> = evaluations
        .map(|e| (tokens(e.step), e.bits_per_byte))
        .collect();
    if run.state() != RunState::Diverged {
        return points;
    }
    let evaluated = run.evaluations().last().map(|e| e.step);
    let last = run.metrics.last().map(Metric::step);
    points.extend(
        last.filter(|_| last > evaluated)
            .map(|step| (tokens(step), f64::INFINITY)),
    );
    points
}

fn validation_lines<'a>(ranking: &'a Ranking<'a>, legend: &Legend) -> Vec<Line<'a>> {
    let mut lines = lines(ranking, legend, series::validation, partial_curve);
    in_bytes(ranking, &mut lines);
    // N-gram counts have one value, which is drawn as a horizontal line for comparison.
    let end = xs(&lines).fold(0.0, f64::max);
    for line in lines.iter_mut().filter(|line| !line.variant.is_trained()) {
        if let Some(&(_, bits)) = line.curve.points.first() {
            line.curve.points = [0.0, 0.5, 1.0].map(|share| (share * end, bits)).to_vec();
            line.curve.band.clear();
        }
    }
    lines
}

pub(super) fn loss(ranking: &Ranking, legend: &Legend) -> Drawn {
    let lines = validation_lines(ranking, legend);
    let bound = ranking
        .entropy_bound()
        .map(|bound| (bound, "entropy bound"));
    let counts = ranking.bigram_counts();
    let counts = counts.map(|bits| (bits, "bigram from counts"));
    let references: Vec<_> = bound.into_iter().chain(counts).collect();
    let shown = settled(&lines).chain(references.iter().map(|(value, _)| *value));
    let y = Axis::linear(shown)?;
    let seeds = seeds(ranking);
    let mut caption = format!("Mean over {seeds}. The band spans the lowest to the highest seed.");
    caption += cut_off(&lines, &y);
    let has_partial = |has_diverged| {
        let mut runs = lines.iter().flat_map(|line| &line.partial_runs);
        runs.any(|run| run.has_diverged == has_diverged)
    };
    if has_partial(true) {
        caption += " A cross marks where a run diverged.";
    }
    if has_partial(false) {
        caption += " A thin line is a run that has not finished.";
    }
    let chart = Chart {
        title: "Validation loss (bits per byte, lower is better)".to_owned(),
        caption,
        x_title: text_title(ranking),
        x: Axis::from_zero(xs(&lines))?,
        y,
        front: Vec::new(),
        references,
        marks: Marks::Lines,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_right(&chart, &lines);
    chart.drawn(&lines, svg)
}

/// Which runs a mean includes, in words.
pub(super) fn seeds(ranking: &Ranking) -> &'static str {
    match ranking.variants.iter().any(Variant::is_incomplete) {
        true => "the seeds with a result",
        false => "the seeds",
    }
}

/// Said if curves start above the plot.
pub(super) fn cut_off(lines: &[Line], y: &Axis) -> &'static str {
    let mut points = lines.iter().flat_map(|line| &line.curve.points);
    match points.any(|(_, value)| *value > y.high()) {
        true => " The start of training is cut off.",
        false => "",
    }
}

/// If final values differ by more than this factor, the full plot shows the difference well enough.
const CLOSE: f64 = 1.25;

/// The second half of training.
pub(super) struct SecondHalf<'a> {
    /// The variants that end close to the best.
    pub(super) lines: Vec<Line<'a>>,
    /// Names of the variants that end far from the best.
    far: Vec<&'a str>,
    /// Where training ends, on the x axis.
    pub(super) end: f64,
}

/// The second half of training, if two variants or more end close to the best.
pub(super) fn second_half<'a>(ranking: &'a Ranking<'a>, legend: &Legend) -> Option<SecondHalf<'a>> {
    let mut lines = validation_lines(ranking, legend);
    let end = xs(&lines).fold(0.0, f64::max);
    for line in &mut lines {
        line.partial_runs.clear();
        line.curve.points.retain(|(x, _)| *x >= 0.5 * end);
        line.curve.band.retain(|(x, ..)| *x >= 0.5 * end);
    }
    let last = |line: &Line| line.curve.points.last().map(|(_, y)| *y);
    let ends: Vec<f64> = lines.iter().filter_map(last).collect();
    let near = near_the_best(ends)?;
    lines.retain(|line| line.curve.points.len() > 1);
    let (near, far): (Vec<Line>, Vec<Line>) = lines
        .into_iter()
        .partition(|line| last(line).is_some_and(|y| y <= near));
    (near.len() > 1).then(|| SecondHalf {
        lines: near,
        far: far.iter().map(|line| line.variant.name).collect(),
        end,
    })
}

impl SecondHalf<'_> {
    /// Which variants are not shown, as the end of a sentence.
    pub(super) fn without(&self) -> String {
        match &self.far[..] {
            [] => String::new(),
            [one] => format!(", without {one}, which ends far from the best"),
            far => format!(
                ", without the {} variants that end far from the best",
                far.len()
            ),
        }
    }

    /// Whether the full plot shows the final values well enough.
    fn is_wide(&self) -> bool {
        let last = |line: &Line| line.curve.points.last().map(|(_, y)| *y);
        let ends = || self.lines.iter().filter_map(last);
        ends().fold(0.0, f64::max) > CLOSE * ends().fold(f64::INFINITY, f64::min)
    }
}

/// The second half of training, without the variants that end far from the best. `None` where this
/// shows no more than the full plot.
pub(super) fn loss_end(ranking: &Ranking, legend: &Legend) -> Drawn {
    let half = second_half(ranking, legend).filter(|half| !half.is_wide())?;
    let without = half.without();
    let SecondHalf { lines, end, .. } = half;
    let values = lines.iter().flat_map(|line| {
        let band = line
            .curve
            .band
            .iter()
            .flat_map(|(_, low, high)| [*low, *high]);
        line.curve.points.iter().map(|(_, y)| *y).chain(band)
    });
    let chart = Chart {
        title: "Validation loss in the second half of training (bits per byte)".to_owned(),
        caption: format!(
            "The same curves on a finer scale{without}. Differences are tested seed by seed, so bands can overlap although a difference is clear."
        ),
        x_title: text_title(ranking),
        x: Axis::between(0.5 * end, end),
        y: Axis::linear(values)?,
        front: Vec::new(),
        references: Vec::new(),
        marks: Marks::Lines,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_right(&chart, &lines);
    chart.drawn(&lines, svg)
}

/// The highest final value that is close to the lowest. It lies below the first gap that is more
/// than 1.5 times as wide as the range of all values below the gap.
fn near_the_best(mut ends: Vec<f64>) -> Option<f64> {
    ends.sort_by(f64::total_cmp);
    let lowest = *ends.first()?;
    let far = |pair: &&[f64]| pair[0] > lowest && pair[1] - pair[0] > 1.5 * (pair[0] - lowest);
    let gap = ends.windows(2).skip(ends.len() / 2).find(far);
    gap.map(|pair| pair[0]).or(ends.last().copied())
}

/// The curves of a value of each step.
fn step_lines<'a>(
    ranking: &'a Ranking<'a>,
    legend: &Legend,
    value: impl Fn(&StepMetric) -> f64,
) -> Vec<Line<'a>> {
    let curve = |variant: &Variant| series::steps(variant, &value);
    let mut lines = lines(ranking, legend, curve, |_| Vec::new());
    in_bytes(ranking, &mut lines);
    lines
}

/// The caption of a value of each step.
fn step_caption(ranking: &Ranking, lines: &[Line], y: &Axis) -> String {
    let seeds = seeds(ranking);
    let cut_off = cut_off(lines, y);
    format!("Mean over {seeds} and over neighboring steps.{cut_off}")
}

pub(super) fn train_loss(ranking: &Ranking, legend: &Legend) -> Drawn {
    let lines = step_lines(ranking, legend, |step| step.loss);
    let y = Axis::linear(settled(&lines))?;
    let per_token = match ranking.same_tokens() {
        true => "",
        false => {
            " The tokenizers differ, so losses per token cannot be compared between the variants."
        }
    };
    let chart = Chart {
        title: "Batch loss during training (nats per token)".to_owned(),
        caption: step_caption(ranking, &lines, &y) + per_token,
        x_title: text_title(ranking),
        x: Axis::from_zero(xs(&lines))?,
        y,
        front: Vec::new(),
        references: Vec::new(),
        marks: Marks::Lines,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_right(&chart, &lines);
    chart.drawn(&lines, svg)
}

pub(super) fn grad_norm(ranking: &Ranking, legend: &Legend) -> Drawn {
    let lines = step_lines(ranking, legend, |step| step.grad_norm);
    let settled: Vec<f64> = settled(&lines).collect();
    let y = Axis::logarithmic_beyond(20.0, &settled)?;
    let chart = Chart {
        title: "Gradient norm before clipping".to_owned(),
        caption: step_caption(ranking, &lines, &y),
        x_title: text_title(ranking),
        x: Axis::from_zero(xs(&lines))?,
        y,
        front: Vec::new(),
        references: Vec::new(),
        marks: Marks::Lines,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_right(&chart, &lines);
    chart.drawn(&lines, svg)
}

#[cfg(test)]
mod tests {
    use super::{near_the_best, partial_curve};
    use crate::report::testing::Folder;

    #[test]
    fn a_run_diverges_at_its_last_step_and_not_at_its_last_evaluation() {
        let folder = Folder::new("diverged");
        let run = folder.run("gpt", 1).curve(1.5);
        run.without_evaluations_after(200).diverged("loss is NaN");
        folder.write_plan();
        let results = folder.results();
        let points = partial_curve(&results.runs[0]);
        let tokens = 12.0 * 64.0;
        assert_eq!(points.last(), Some(&(500.0 * tokens, f64::INFINITY)));
        assert_eq!(points[points.len() - 2].0, 200.0 * tokens);
    }

    #[test]
    fn a_bigram_model_is_far_from_transformers() {
        let near = near_the_best(vec![3.49, 1.534, 1.482, 1.522, 1.523, 1.482]);
        assert_eq!(near, Some(1.534));
        assert_eq!(near_the_best(vec![1.50, 1.52, 1.51]), Some(1.52));
        assert_eq!(near_the_best(vec![]), None);
    }
}
