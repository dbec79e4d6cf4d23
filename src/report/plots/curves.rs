use super::Drawn;
use super::axis::Axis;
use super::legend::Legend;
use super::lines::{Chart, Line, labelled_at_the_end, labelled_at_the_right, lines, settled, xs};
use super::series;
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::report::loaded_results::Run;
use crate::results::{Metric, StepMetric};
use crate::text::units;

/// Title of the x axis of the course of training.
fn text_title(ranking: &Ranking) -> String {
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
        let diverged = line.diverged_runs.iter_mut().flatten();
        for (x, _) in line.curve.points.iter_mut().chain(diverged) {
            *x *= bytes;
        }
        for (x, ..) in &mut line.curve.band {
            *x *= bytes;
        }
    }
}

/// The evaluations of a run that diverged, and the last step that it recorded. What diverged there has no value.
fn diverged_curve(run: &Run) -> Vec<(f64, f64)> {
    let tokens = |step: u64| step as f64 * run.tokens_per_step() as f64;
    let evaluations = run.evaluations();
    let mut points: Vec<_> = evaluations
        .map(|e| (tokens(e.step), e.bits_per_byte))
        .collect();
    let evaluated = run.evaluations().last().map(|e| e.step);
    let last = run.metrics.last().map(Metric::step);
    points.extend(
        last.filter(|_| last > evaluated)
            .map(|step| (tokens(step), f64::INFINITY)),
    );
    points
}

fn validation_lines<'a>(ranking: &'a Ranking<'a>, legend: &Legend) -> Vec<Line<'a>> {
    let mut lines = lines(ranking, legend, series::validation, diverged_curve);
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
    if lines.iter().any(|line| !line.diverged_runs.is_empty()) {
        caption += " A cross marks where a run diverged.";
    }
    let chart = Chart {
        title: "Validation loss (bits per byte, lower is better)".to_owned(),
        caption,
        x_title: text_title(ranking),
        x: Axis::from_zero(xs(&lines))?,
        y,
        references,
        has_points: false,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_right(&chart, &lines);
    chart.drawn(svg)
}

/// Which runs a mean includes, in words.
fn seeds(ranking: &Ranking) -> &'static str {
    match ranking.variants.iter().any(Variant::is_incomplete) {
        true => "the seeds with a result",
        false => "the seeds",
    }
}

/// Said if curves start above the plot.
fn cut_off(lines: &[Line], y: &Axis) -> &'static str {
    let mut points = lines.iter().flat_map(|line| &line.curve.points);
    match points.any(|(_, value)| *value > y.high()) {
        true => " The start of training is cut off.",
        false => "",
    }
}

/// If final values differ by more than this factor, the full plot shows the difference well enough.
const CLOSE: f64 = 1.25;

/// The second half of training, without the variants that end far from the best. `None` where this
/// shows no more than the full plot.
pub(super) fn loss_end(ranking: &Ranking, legend: &Legend) -> Drawn {
    let mut lines = validation_lines(ranking, legend);
    let end = xs(&lines).fold(0.0, f64::max);
    for line in &mut lines {
        line.diverged_runs.clear();
        line.curve.points.retain(|(x, _)| *x >= 0.5 * end);
        line.curve.band.retain(|(x, ..)| *x >= 0.5 * end);
    }
    let last = |line: &Line| line.curve.points.last().map(|(_, y)| *y);
    let ends: Vec<f64> = lines.iter().filter_map(last).collect();
    let near = near_the_best(ends)?;
    let best = lines.iter().filter_map(last).fold(f64::INFINITY, f64::min);
    if near > CLOSE * best {
        return None;
    }
    lines.retain(|line| line.curve.points.len() > 1);
    let (near, far): (Vec<Line>, Vec<Line>) = lines
        .into_iter()
        .partition(|line| last(line).is_some_and(|y| y <= near));
    let lines = near;
    let without = match &far[..] {
        [] => String::new(),
        [one] => format!(
            ", without {}, which ends far from the best",
            one.variant.name
        ),
        far => format!(
            ", without the {} variants that end far from the best",
            far.len()
        ),
    };
    if lines.len() < 2 {
        return None;
    }
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
        references: Vec::new(),
        has_points: false,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_right(&chart, &lines);
    chart.drawn(svg)
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
        references: Vec::new(),
        has_points: false,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_right(&chart, &lines);
    chart.drawn(svg)
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
        references: Vec::new(),
        has_points: false,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_right(&chart, &lines);
    chart.drawn(svg)
}

pub(super) fn time(ranking: &Ranking, legend: &Legend) -> Drawn {
    let mut lines = lines(ranking, legend, series::over_time, |_| Vec::new());
    let longest = xs(&lines).fold(0.0, f64::max);
    let (unit, seconds) = match longest {
        0.0..300.0 => ("seconds", 1.0),
        300.0..18_000.0 => ("minutes", 60.0),
        _ => ("hours", 3600.0),
    };
    for (x, _) in lines.iter_mut().flat_map(|line| &mut line.curve.points) {
        *x /= seconds;
    }
    let end = |line: &Line| line.curve.points.last().map(|(x, _)| *x);
    let ends: Vec<f64> = lines.iter().filter_map(end).collect();
    let times: Vec<f64> = xs(&lines).collect();
    let y = Axis::linear(settled(&lines))?;
    let seeds = seeds(ranking);
    let cut_off = cut_off(&lines, &y);
    let chart = Chart {
        title: "Validation loss against training time (bits per byte, lower is better)".to_owned(),
        caption: format!(
            "Mean over {seeds}. The dot marks the end of training. Times depend on the machine and on what else it does.{cut_off}"
        ),
        x_title: format!("training time in {unit}, without evaluation and sampling"),
        x: match Axis::logarithmic_beyond(5.0, &ends)?.is_logarithmic() {
            true => Axis::logarithmic_beyond(5.0, &times)?,
            false => Axis::from_zero(times)?,
        },
        y,
        references: Vec::new(),
        has_points: false,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_end(&chart, &lines);
    chart.drawn(svg)
}

#[cfg(test)]
mod tests {
    use super::{diverged_curve, near_the_best};
    use crate::report::testing::Folder;

    #[test]
    fn a_run_diverges_at_its_last_step_and_not_at_its_last_evaluation() {
        let folder = Folder::new("diverged");
        let run = folder.run("gpt", 1).curve(1.5);
        run.without_evaluations_after(200).diverged("loss is NaN");
        folder.write_plan();
        let results = folder.results();
        let points = diverged_curve(&results.runs[0]);
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
