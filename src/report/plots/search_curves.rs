use super::Drawn;
use super::axis::Axis;
use super::legend::Legend;
use super::lines::{Chart, Line, Marks, labelled_at_the_right, lines, xs};
use super::series::Curve;
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::report::analysis::tuning::{number_at, run_of};
use crate::stats::without_far_above;

/// The result of the search against the first of the varied settings that is a number. With several
/// settings, each point has the best values of the others.
pub(super) fn best_values(ranking: &Ranking, legend: &Legend) -> Drawn {
    let is_better_higher = ranking.metric.kind.is_better_higher();
    let paths = ranking.tuned_paths.iter();
    let path = paths.copied().find(|path| {
        let searches = ranking
            .variants
            .iter()
            .filter_map(|variant| variant.search.as_ref());
        let mut runs = searches.flat_map(|(_, runs)| runs);
        runs.all(|run| number_at(run, path).is_some())
    })?;
    let lines = lines(
        ranking,
        legend,
        |variant| curve(variant, path, is_better_higher),
        |_| Vec::new(),
    );
    let mut values: Vec<f64> = xs(&lines).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let others = match ranking.tuned_paths.len() {
        1 => "",
        // A value that was drawn has other values of its own.
        _ if ranking.has_drawn_values => " The other settings differ from point to point.",
        _ => " Each point has the best values of the other settings.",
    };
    let direction = if is_better_higher { "higher" } else { "lower" };
    let y = Axis::linear(near_the_best(means(&lines), is_better_higher))?;
    let failed = match (has_failed(ranking), ranking.has_halving) {
        (true, true) => " A combination that ended early, failed or diverged has no point.",
        (true, false) => " A combination that failed or diverged has no point.",
        (false, _) => "",
    };
    let far = match means(&lines).iter().any(|mean| *mean > y.high()) {
        true => " A combination that is far worse than the others lies outside of the plot.",
        false => "",
    };
    let chart = Chart {
        title: format!("Search: {} ({direction} is better)", ranking.metric.title()),
        caption: format!(
            "Mean over the seeds of the search, one point for each value of {path}.{others}{failed}{far}"
        ),
        x_title: path.to_owned(),
        x: x_axis(values)?,
        y,
        front: Vec::new(),
        references: Vec::new(),
        marks: match ranking.has_drawn_values {
            true => Marks::Points,
            false => Marks::JoinedPoints,
        },
        x_tick: |value| value.to_string(),
    };
    let svg = labelled_at_the_right(&chart, &lines);
    chart.drawn(&lines, svg)
}

/// Whether a combination of a search that has ended has no mean.
fn has_failed(ranking: &Ranking) -> bool {
    let variants = ranking.variants.iter();
    let searches = variants.filter_map(|variant| variant.search.as_ref());
    let ended = searches.filter(|(search, _)| search.has_ended);
    let mut means = ended.flat_map(|(search, _)| &search.combinations);
    means.any(|(_, mean)| mean.is_none())
}

/// An axis for the values of a setting, in increasing order. A logarithmic axis has no place for 0.
pub(super) fn x_axis(values: Vec<f64>) -> Option<Axis> {
    match values.first()? {
        ..=0.0 => Axis::linear(values),
        _ => Some(Axis::logarithmic_beyond(3.0, &values)?.with_ticks(values)),
    }
}

/// The means of all points.
fn means(lines: &[Line]) -> Vec<f64> {
    let points = lines.iter().flat_map(|line| &line.curve.points);
    points.map(|(_, mean)| *mean).collect()
}

/// The values without those that are so far above the others that these could not be told apart.
pub(super) fn near_the_best(values: Vec<f64>, is_better_higher: bool) -> Vec<f64> {
    /// Largest distance from the best value, in distances of the median.
    const FAR: f64 = 6.0;
    match is_better_higher {
        true => values,
        false => without_far_above(values, FAR),
    }
}

/// (value at the path, best mean of the combinations with this value), in the order of the values.
fn curve(variant: &Variant, path: &str, is_better_higher: bool) -> Curve {
    let Some((search, runs)) = &variant.search else {
        return Curve::default();
    };
    let mut points: Vec<(f64, f64)> = Vec::new();
    for &(combination, mean) in &search.combinations {
        let x = run_of(runs, combination).and_then(|run| number_at(run, path));
        let Some((x, y)) = x.zip(mean) else {
            continue;
        };
        let best = if is_better_higher { f64::max } else { f64::min };
        match points.iter_mut().find(|(known, _)| *known == x) {
            Some((_, known)) => *known = best(*known, y),
            None => points.push((x, y)),
        }
    }
    points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    Curve {
        points,
        band: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::chart_data::ChartData;
    use super::super::legend::Legend;
    use super::*;
    use crate::report::testing::Folder;
    use crate::spec::Sweep;

    #[test]
    fn all_values_of_the_search_are_inside_of_the_plot() {
        let folder = Folder::new("tuned");
        let values = [(0.0001, 1.8), (0.003, 1.5), (0.01, 1.6)];
        for (combination, (lr, bits)) in values.into_iter().enumerate() {
            let run = folder.run("gpt", 1001).tuned(combination, true);
            run.spec(|spec| spec.optimizer.lr = lr).curve(bits).done();
        }
        let compared = folder.run("gpt", 1).tuned(1, false);
        compared
            .spec(|spec| spec.optimizer.lr = 0.003)
            .curve(1.5)
            .done();
        folder.write_plan();
        let results = folder.results();
        let ranking = Ranking::new(&results);
        let curve = |variant: &Variant| curve(variant, "optimizer.lr", false);
        let lines = lines(&ranking, &Legend::new(&ranking), curve, |_| Vec::new());
        assert_eq!(means(&lines), [1.8, 1.5, 1.6]);
    }

    #[test]
    fn values_that_were_drawn_are_not_joined() {
        let lines_of = |tune: &str| {
            let folder = Folder::new("drawn");
            folder.plan.borrow_mut().experiment.sweep = Some(Sweep {
                tune: Some(serde_yaml::from_str(tune).unwrap()),
                ..Sweep::default()
            });
            for (combination, lr) in [0.001, 0.003, 0.01].into_iter().enumerate() {
                let run = folder.run("gpt", 1001).tuned(combination, true);
                run.spec(|spec| spec.optimizer.lr = lr)
                    .curve(1.5 + lr)
                    .done();
            }
            folder.run("gpt", 1).tuned(0, false).curve(1.5).done();
            folder.write_plan();
            let results = folder.results();
            let ranking = Ranking::new(&results);
            let drawing = best_values(&ranking, &Legend::new(&ranking))
                .unwrap()
                .unwrap();
            assert!(drawing.svg.matches("<circle").count() >= 3);
            let ChartData::Curves(curves) = drawing.data.unwrap() else {
                panic!("it is a plot of curves");
            };
            curves.has_lines
        };
        assert!(lines_of("{grid: {optimizer.lr: [0.001, 0.003, 0.01]}}"));
        let drawn = "{n: 3, settings: {optimizer.lr: {log_uniform: [0.001, 0.01]}}}";
        assert!(!lines_of(&format!("{{random: {drawn}}}")));
    }

    #[test]
    fn an_axis_with_zero_is_linear() {
        let axis = x_axis(vec![0.0, 0.1, 1.0]).unwrap();
        assert!(!axis.is_logarithmic());
        assert!(axis.share(0.0) > 0.0 && axis.share(1.0) < 1.0);
        let axis = x_axis(vec![0.001, 0.1, 1.0]).unwrap();
        assert!(axis.is_logarithmic());
        assert_eq!(axis.ticks, [0.001, 0.1, 1.0]);
    }

    #[test]
    fn values_far_above_the_others_are_outside_of_the_plot() {
        let values = vec![2.0, 1.5, 1.6, 1.55, 2490.0];
        assert_eq!(near_the_best(values, false), [1.5, 1.55, 1.6, 2.0]);
        assert_eq!(near_the_best(vec![1.0, 2.0, 90.0], true), [1.0, 2.0, 90.0]);
        let equal = vec![1.5, 1.5, 1.5, 1.6, 1.7];
        assert_eq!(near_the_best(equal.clone(), false), equal);
    }
}
