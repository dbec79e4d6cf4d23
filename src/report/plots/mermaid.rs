//! The ends of the loss curves as a Mermaid chart, which GitHub draws in a comment without a file.

use super::axis::Axis;
use super::curves::{SecondHalf, second_half, text_title};
use super::legend::Legend;
use super::lines::Line;
use super::palette::COLORS;
use crate::report::analysis::ranking::Ranking;
use crate::text::units;
use plotters::style::RGBColor;

/// Points of a curve. Mermaid draws them at equal distances.
const POINTS: usize = 25;

/// The color of the baseline, which can be seen on light and dark pages.
const BASELINE: (&str, &str) = ("#6e7781", "grey");

/// The names of the colors of `palette::COLORS`, in their order.
const COLOR_NAMES: [&str; COLORS.len()] =
    ["blue", "vermilion", "green", "pink", "orange", "light blue"];

/// A chart and what its lines mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct MermaidChart {
    pub(in crate::report) source: String,
    pub(in crate::report) caption: String,
}

/// The second half of training of the baseline and of the best variants. `None` without two curves that end close
/// to each other.
pub(in crate::report) fn mermaid_chart(ranking: &Ranking) -> Option<MermaidChart> {
    let legend = Legend::new(ranking);
    let mut half = second_half(ranking, &legend)?;
    half.lines.retain(|line| line.is_highlighted);
    half.lines.sort_by_key(|line| !line.variant.is_baseline);
    if half.lines.len() < 2 {
        return None;
    }
    let ends = half
        .lines
        .iter()
        .filter_map(|line| line.curve.points.last());
    // A chart has one x axis for all curves, which end with the shortest training.
    let end = ends.map(|(x, _)| *x).fold(half.end, f64::min);
    let starts = half
        .lines
        .iter()
        .filter_map(|line| line.curve.points.first());
    let start = starts.map(|(x, _)| *x).fold(0.0, f64::max);
    if start >= end {
        return None;
    }
    let curves: Vec<Vec<f64>> = half
        .lines
        .iter()
        .map(|line| resampled(&line.curve.points, start, end))
        .collect();
    let y = Axis::linear(curves.iter().flatten().copied())?;
    let palette: Vec<String> = half.lines.iter().map(|line| color(line).0).collect();
    let (scale, unit) = match end {
        end if end >= 1e7 => (1e6, " (millions)"),
        end if end >= 1e4 => (1e3, " (thousands)"),
        _ => (1.0, ""),
    };
    let decimals = (y.decimals() + 2).min(6);
    let mut source = format!(
        "%%{{init: {{\"themeVariables\": {{\"xyChart\": {{\"plotColorPalette\": \"{}\"}}}}}}}}%%\n\
         xychart-beta\n  \
         x-axis \"{}{unit}\" {} --> {}\n  \
         y-axis \"bits per byte\" {:.decimals$} --> {:.decimals$}",
        palette.join(", "),
        text_title(ranking),
        start / scale,
        end / scale,
        y.low(),
        y.high(),
    );
    for curve in &curves {
        let values: Vec<String> = curve.iter().map(|y| format!("{y:.decimals$}")).collect();
        source += &format!("\n  line [{}]", values.join(", "));
    }
    Some(MermaidChart {
        source,
        caption: caption(ranking, &half),
    })
}

/// The color of a line and its name, the same as in the other plots of the report.
fn color(line: &Line) -> (String, &'static str) {
    let index = COLORS.iter().position(|color| *color == line.color);
    match index {
        Some(index) => {
            let RGBColor(red, green, blue) = line.color;
            (
                format!("#{red:02x}{green:02x}{blue:02x}"),
                COLOR_NAMES[index],
            )
        }
        None => (BASELINE.0.to_owned(), BASELINE.1),
    }
}

fn caption(ranking: &Ranking, half: &SecondHalf) -> String {
    let line = |line: &Line| format!("{} {}", color(line).1, line.variant.name);
    let lines: Vec<String> = half.lines.iter().map(line).collect();
    let others = ranking.variants.len() - lines.len();
    let others = match others {
        0 => String::new(),
        others => format!(" Not shown: {}.", units::plural(others, "variant")),
    };
    format!(
        "Validation loss at the end of training, mean over the seeds: {}.{others}",
        units::list(&lines)
    )
}

/// The values of a curve at [`POINTS`] equal distances, by linear interpolation.
fn resampled(points: &[(f64, f64)], start: f64, end: f64) -> Vec<f64> {
    let value = |x: f64| {
        let after = points
            .partition_point(|(px, _)| *px < x)
            .clamp(1, points.len() - 1);
        let ((x0, y0), (x1, y1)) = (points[after - 1], points[after]);
        y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).clamp(0.0, 1.0)
    };
    let step = (end - start) / (POINTS - 1) as f64;
    (0..POINTS)
        .map(|index| value(start + index as f64 * step))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Folder, variant};

    #[test]
    fn curves_are_resampled_at_equal_distances() {
        let points = [(0.0, 4.0), (10.0, 2.0), (40.0, 1.0)];
        let values = resampled(&points, 10.0, 34.0);
        assert_eq!(values.len(), POINTS);
        assert_eq!(values[0], 2.0);
        assert!((values[POINTS - 1] - 1.2).abs() < 1e-12);
        assert!((values[12] - 1.6).abs() < 1e-12);
    }

    /// The best variants and the baseline have a color each, which is that of the other plots.
    #[test]
    fn the_best_variants_are_shown() {
        let folder = Folder::new("many");
        variant(&folder, "gpt", 2, 1.60, |run| run);
        for index in 0..9 {
            let end = 1.58 - 0.005 * f64::from(index);
            variant(&folder, &format!("v{index}"), 2, end, |run| run);
        }
        let results = folder.results();
        let chart = mermaid_chart(&Ranking::new(&results)).unwrap();
        assert_eq!(chart.source.matches("line [").count(), 7);
        assert!(chart.caption.contains(": grey gpt, "), "{}", chart.caption);
        for best in 3..9 {
            assert!(
                chart.caption.contains(&format!(" v{best}")),
                "{}",
                chart.caption
            );
        }
        assert!(
            chart.caption.ends_with("Not shown: 3 variants."),
            "{}",
            chart.caption
        );
    }
}
