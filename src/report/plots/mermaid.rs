//! The ends of the loss curves as a Mermaid chart, which GitHub draws in a comment without a file.

use super::axis::Axis;
use super::curves::{SecondHalf, second_half, text_title};
use super::legend::Legend;
use super::lines::Line;
use crate::report::analysis::ranking::Ranking;
use crate::text::units;

/// Most curves. Each has a color with a name.
const MOST_CURVES: usize = 7;

/// Points of a curve. Mermaid draws them at equal distances.
const POINTS: usize = 25;

/// The color of the baseline, and those of the other variants in the order of `palette::COLORS`.
const COLORS: [(&str, &str); MOST_CURVES] = [
    ("#6e7781", "grey"),
    ("#0072b2", "blue"),
    ("#d55e00", "vermilion"),
    ("#009e73", "green"),
    ("#cc79a7", "pink"),
    ("#e69f00", "orange"),
    ("#56b4e9", "light blue"),
];

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
    half.lines.sort_by_key(|line| !line.variant.is_baseline);
    half.lines.truncate(MOST_CURVES);
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
    let has_baseline = half.lines[0].variant.is_baseline;
    let colors = COLORS.iter().skip(usize::from(!has_baseline));
    let palette: Vec<&str> = colors.clone().map(|(color, _)| *color).collect();
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
    let names = colors.map(|(_, name)| *name);
    Some(MermaidChart {
        source,
        caption: caption(ranking, &half, names),
    })
}

fn caption<'a>(
    ranking: &Ranking,
    half: &SecondHalf,
    colors: impl Iterator<Item = &'a str>,
) -> String {
    let line = |(line, color): (&Line, &str)| format!("{color} {}", line.variant.name);
    let lines: Vec<String> = half.lines.iter().zip(colors).map(line).collect();
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

    #[test]
    fn curves_are_resampled_at_equal_distances() {
        let points = [(0.0, 4.0), (10.0, 2.0), (40.0, 1.0)];
        let values = resampled(&points, 10.0, 34.0);
        assert_eq!(values.len(), POINTS);
        assert_eq!(values[0], 2.0);
        assert!((values[POINTS - 1] - 1.2).abs() < 1e-12);
        assert!((values[12] - 1.6).abs() < 1e-12);
    }
}
