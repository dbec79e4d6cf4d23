//! The values of a plot, from which the HTML page draws it again so that it can be explored.

use crate::report::analysis::ranking::Variant;
use serde::{Serialize, Serializer};

/// What `templates/report.js` draws.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum ChartData {
    /// Curves, or points if each series has one.
    Curves(Box<Curves>),
    /// Differences from the baseline.
    Differences(Differences),
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Curves {
    pub(super) title: String,
    pub(super) x_title: String,
    /// Ends of the axes.
    pub(super) x: [Rounded; 2],
    pub(super) y: [Rounded; 2],
    pub(super) log_x: bool,
    /// Whether the points are marked.
    pub(super) has_points: bool,
    /// Whether the points are joined by lines.
    pub(super) has_lines: bool,
    pub(super) series: Vec<Series>,
    /// Whether dashed steps join the ends of the series that no other beats.
    pub(super) has_front: bool,
    /// Horizontal lines: value and name.
    pub(super) references: Vec<(Rounded, String)>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Series {
    pub(super) name: String,
    /// `null` stands for the color of text.
    pub(super) color: Option<String>,
    /// Whether the series shares its color with others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_other: bool,
    pub(super) points: Vec<[Rounded; 2]>,
    /// The loss at the end by which it is compared with the others at the same cost. `None` if it is not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) front: Option<Rounded>,
    /// x, lowest, highest.
    pub(super) band: Vec<[Rounded; 3]>,
    /// Points that are marked, besides those of the curve if the chart marks these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) marks: Vec<[Rounded; 2]>,
    /// Curves of runs that are not part of the mean.
    pub(super) partial: Vec<Vec<[Rounded; 2]>>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Differences {
    pub(super) title: String,
    /// Ends of the axis.
    pub(super) x: [Rounded; 2],
    pub(super) margin: Option<Rounded>,
    /// Half of the width of the grey band around 0.
    pub(super) noise: Option<Rounded>,
    pub(super) rows: Vec<DifferenceRow>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct DifferenceRow {
    pub(super) name: String,
    /// Mean, interval and verdict.
    pub(super) label: String,
    pub(super) verdict: &'static str,
    pub(super) mean: Rounded,
    /// The thin line of the plot.
    pub(super) interval: Option<[Rounded; 2]>,
    /// The thick line, which is not corrected for the number of comparisons.
    pub(super) thick: Option<[Rounded; 2]>,
    pub(super) seeds: Vec<Rounded>,
}

/// A number with six digits, which are enough to draw it. One that is not finite is `null`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rounded(pub(super) f64);

impl Serialize for Rounded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match format!("{:.5e}", self.0).parse() {
            Ok(value) if f64::is_finite(value) => match value {
                value if value.fract() == 0.0 && value.abs() < 1e15 => {
                    serializer.serialize_i64(value as i64)
                }
                value => serializer.serialize_f64(value),
            },
            _ => serializer.serialize_none(),
        }
    }
}

/// A color of the page. The baseline has the color of text, which differs on a dark page.
pub(super) fn color(variant: &Variant, color: plotters::style::RGBColor) -> Option<String> {
    let plotters::style::RGBColor(red, green, blue) = color;
    (!variant.is_baseline).then(|| format!("#{red:02x}{green:02x}{blue:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let json = |value| serde_json::to_string(&Rounded(value)).unwrap();
        let values = [
            0.1 + 0.2,
            768_000.0,
            1.0 / 3.0,
            -2.5e-7,
            f64::NAN,
            f64::INFINITY,
        ];
        assert_eq!(
            values.map(json),
            ["0.3", "768000", "0.333333", "-2.5e-7", "null", "null"]
        );
    }
}
