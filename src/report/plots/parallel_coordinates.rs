//! The combinations of a search: an axis for each setting and one for the result, and a line for each combination.

use super::axis::Axis;
use super::canvas::{Canvas, Error, NARROW_WIDTH, Point, SMALL, WIDTH, svg_of_size, text_width};
use super::palette::{COLORS, INK, MUTED, OTHERS, PAPER};
use super::search_curves::{near_the_best, x_axis};
use super::{Drawing, Drawn};
use crate::report::analysis::config_diff::shown;
use crate::report::analysis::metric::Metric;
use crate::report::analysis::setting_importance::{SettingImportance, Tried};
use crate::text::units;
use crate::text::width::shorten;
use plotters::style::text_anchor::HPos;
use serde_json::Value;

const HEIGHT: i32 = 860;
const TOP: i32 = 210;
const BOTTOM: i32 = HEIGHT - 60;
/// Where a line without a result ends.
const NO_RESULT: i32 = TOP - 44;

/// Most settings with an axis.
const MOST_AXES: usize = 7;

/// Most values of an axis that have a name each.
const MOST_NAMES: usize = 12;

/// Longest name of a value, in columns of text.
const COLUMNS: usize = 16;

// The same for a narrow screen.
const NARROW_AXES: usize = 3;
const NARROW_COLUMNS: usize = 8;

/// An upright axis.
struct Upright {
    title: String,
    scale: Scale,
}

enum Scale {
    Numbers(Axis),
    /// The names of the values, from the bottom.
    Names(Vec<String>),
}

impl Upright {
    fn new(title: String, values: &[Option<&Value>], is_linear: bool) -> Option<Self> {
        let known = || values.iter().copied().flatten();
        let numbers: Option<Vec<f64>> = known().map(Value::as_f64).collect();
        let scale = match numbers {
            Some(numbers) => {
                let mut ticks = numbers.clone();
                ticks.sort_by(f64::total_cmp);
                ticks.dedup();
                let axis = match is_linear {
                    true => Axis::linear(numbers)?,
                    false => x_axis(ticks.clone())?,
                };
                Scale::Numbers(axis.with_ticks(ticks))
            }
            None => {
                let mut names: Vec<String> = Vec::new();
                for name in known().map(shown) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                Scale::Names(names)
            }
        };
        Some(Self { title, scale })
    }

    /// Height of a value. `None` for a combination that has no such setting.
    fn y(&self, value: &Value) -> Option<i32> {
        match &self.scale {
            Scale::Numbers(axis) => Some(height(axis.share(value.as_f64()?))),
            Scale::Names(names) => {
                let name = shown(value);
                let position = names.iter().position(|other| *other == name)?;
                Some(position_of(position, names.len()))
            }
        }
    }

    /// Text and height of each label.
    fn labels(&self, columns: usize) -> Vec<(String, i32)> {
        match &self.scale {
            Scale::Numbers(axis) => {
                let ticks = axis.ticks.iter();
                ticks
                    .map(|tick| (units::tick(*tick), height(axis.share(*tick))))
                    .collect()
            }
            Scale::Names(names) if names.len() <= MOST_NAMES => {
                let named = names.iter().enumerate();
                named
                    .map(|(i, name)| (shorten(name, columns), position_of(i, names.len())))
                    .collect()
            }
            Scale::Names(_) => Vec::new(),
        }
    }
}

fn height(share: f64) -> i32 {
    BOTTOM - (share.clamp(0.0, 1.0) * f64::from(BOTTOM - TOP)).round() as i32
}

fn position_of(index: usize, names: usize) -> i32 {
    height((index as f64 + 0.5) / names as f64)
}

/// The axis of the variants, if there are several, and of the most important settings.
fn axes(importance: &SettingImportance, shown_settings: usize) -> Option<Vec<Upright>> {
    let tried = &importance.tried;
    let mut axes = Vec::new();
    if importance.has_variants {
        let names: Vec<Value> = tried.iter().map(|t| Value::from(t.variant)).collect();
        axes.push(Upright::new(
            "variant".to_owned(),
            &names.iter().map(Some).collect::<Vec<_>>(),
            false,
        )?);
    }
    // The most important setting is next to the result.
    for index in (0..shown_settings).rev() {
        let values = tried.iter().map(|tried| tried.values[index].as_ref());
        let values: Vec<Option<&Value>> = values.collect();
        let setting = &importance.settings[index];
        axes.push(Upright::new(
            setting.path.to_owned(),
            &values,
            setting.is_linear,
        )?);
    }
    Some(axes)
}

/// A line for each combination, of which the best quarter is highlighted.
pub(super) fn combinations(metric: Metric, importance: &SettingImportance) -> Drawn {
    let tried = &importance.tried;
    let shown_settings = importance.settings.len().min(MOST_AXES);
    let results = tried.iter().filter_map(|tried| tried.result).collect();
    let result = Axis::linear(near_the_best(results, metric.kind.is_better_higher()))?;
    let title = format!("Combinations and their {}", metric.title());
    let drawn = |width: i32, axes: Vec<Upright>, columns: usize| {
        let labels = axes[0].labels(columns);
        let widest = labels.iter().map(|(text, _)| text_width(text, SMALL)).max();
        svg_of_size(&title, (width, HEIGHT), |canvas| {
            let plot = Plot {
                canvas,
                axes: &axes,
                columns,
                result: &result,
                width,
                edges: (50 + widest.unwrap_or(0), width - 130),
            };
            plot.draw(importance, metric)
        })
    };
    let wide = drawn(WIDTH, axes(importance, shown_settings)?, COLUMNS);
    let mut few = axes(importance, shown_settings.min(NARROW_AXES))?;
    for axis in &mut few {
        let name = axis.title.rsplit('.').next().unwrap_or_default();
        axis.title = name.to_owned();
    }
    let narrow = drawn(NARROW_WIDTH, few, NARROW_COLUMNS);
    let of_each = if importance.has_variants {
        " of each variant"
    } else {
        ""
    };
    let mut caption = format!(
        "A line for each combination{of_each}. The best quarter{of_each} is blue, and the best one has a thick orange line. \
         The settings that matter most are on the right."
    );
    if tried.iter().any(|tried| tried.result.is_none()) {
        caption +=
            " A combination without a result diverged, did not reach the target, or ended early.";
    }
    if importance.settings.len() > shown_settings {
        caption += &format!(" Only {shown_settings} settings are shown.");
    }
    if shown_settings > NARROW_AXES {
        caption +=
            &format!(" A narrow screen shows the {NARROW_AXES} most important settings only.");
    }
    let both = wide.and_then(|svg| Ok((svg, narrow?)));
    Some(both.map(|(svg, narrow)| Drawing {
        title: title.clone(),
        caption,
        svg,
        narrow: Some(narrow),
        data: None,
    }))
}

struct Plot<'a, 'c> {
    canvas: &'a Canvas<'c>,
    /// All axes but that of the result.
    axes: &'a [Upright],
    /// Longest name of a value.
    columns: usize,
    result: &'a Axis,
    width: i32,
    /// Left and right end.
    edges: (i32, i32),
}

impl Plot<'_, '_> {
    fn x(&self, axis: usize) -> i32 {
        let (left, right) = self.edges;
        left + (right - left) * axis as i32 / self.axes.len() as i32
    }

    fn draw(&self, importance: &SettingImportance, metric: Metric) -> Result<(), Error> {
        let tried = &importance.tried;
        let mut order: Vec<&Tried> = tried.iter().collect();
        // The best lines are drawn last.
        order.sort_by(|a, b| b.place.total_cmp(&a.place));
        let is_best = |own: &Tried| {
            let mut others = tried.iter().filter(|other| other.variant == own.variant);
            own.result.is_some() && others.all(|other| other.place >= own.place)
        };
        for own in order {
            let (color, width) = match own.place {
                _ if is_best(own) => (COLORS[1], 7),
                ..=0.25 => (COLORS[0], 3),
                _ => (OTHERS, 2),
            };
            let points = self.points(own, importance.has_variants);
            self.canvas.line(points, color, width)?;
        }
        self.draw_axes(importance, metric)
    }

    /// The points of a line. A setting that does not apply is passed by.
    fn points(&self, tried: &Tried, has_variants: bool) -> Vec<Point> {
        let variant = Value::from(tried.variant);
        let settings = self.axes.len() - usize::from(has_variants);
        let values = tried.values[..settings].iter().rev().map(Option::as_ref);
        let variant = has_variants.then_some(Some(&variant));
        let values = variant.into_iter().chain(values);
        let axes = self.axes.iter().zip(values).enumerate();
        let points =
            axes.filter_map(|(index, (axis, value))| Some((self.x(index), axis.y(value?)?)));
        let y = match tried.result {
            Some(result) => height(self.result.share(result)),
            None => NO_RESULT,
        };
        points.chain([(self.edges.1, y)]).collect()
    }

    fn draw_axes(&self, importance: &SettingImportance, metric: Metric) -> Result<(), Error> {
        let canvas = self.canvas;
        let room = self.x(1) - self.x(0);
        for (index, axis) in self.axes.iter().enumerate() {
            let x = self.x(index);
            canvas.line(vec![(x, TOP), (x, BOTTOM)], MUTED, 3)?;
            for (text, y) in axis.labels(self.columns) {
                let width = text_width(&text, SMALL);
                let (left, right) = (x - 18 - width, x - 8);
                let corners = [
                    (left, y - 15),
                    (right, y - 15),
                    (right, y + 15),
                    (left, y + 15),
                ];
                canvas.shape(corners.to_vec(), PAPER, 0.8)?;
                canvas.line(vec![(x - 8, y), (x, y)], MUTED, 2)?;
                canvas.text(&text, (x - 14, y), HPos::Right, SMALL, INK)?;
            }
            // Long titles take turns in height.
            let is_long = text_width(&axis.title, SMALL) > room;
            let y = if is_long && index % 2 == 1 { 100 } else { 136 };
            let side = if index == 0 { HPos::Left } else { HPos::Center };
            let x = if index == 0 { 36 } else { x };
            canvas.text(&axis.title, (x, y), side, SMALL, INK)?;
        }
        let right = self.edges.1;
        canvas.line(vec![(right, TOP), (right, BOTTOM)], MUTED, 3)?;
        let decimals = self.result.decimals();
        for &tick in &self.result.ticks {
            let y = height(self.result.share(tick));
            canvas.line(vec![(right, y), (right + 8, y)], MUTED, 2)?;
            let text = units::fixed(tick, decimals);
            canvas.text(&text, (right + 16, y), HPos::Left, SMALL, INK)?;
        }
        if importance.tried.iter().any(|tried| tried.result.is_none()) {
            let at = (right + 10, NO_RESULT);
            canvas.text("no result", at, HPos::Left, SMALL, MUTED)?;
        }
        let y = if self.width < WIDTH { 100 } else { 136 };
        canvas.text(metric.unit(), (self.width - 20, y), HPos::Right, SMALL, INK)
    }
}
