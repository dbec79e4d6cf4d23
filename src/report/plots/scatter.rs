use super::axis::Axis;
use super::canvas::{BODY, Canvas, Error, Frame, Point, WIDTH, svg, text_width};
use super::chart_data::{self, ChartData, Curves, Rounded, Series};
use super::labels::{along, beside};
use super::legend::Legend;
use super::palette::{INK, MUTED};
use super::pareto_front::{self, draw_front, front_of, front_steps};
use super::{Drawing, Drawn};
use crate::report::analysis::cost::comparable_loss;
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::spec::ModelKind;
use crate::text::units;
use plotters::style::text_anchor::HPos;

const HEIGHT: i32 = 820;

const TITLE: &str = "Validation loss against size (bits per byte, lower is better)";

/// Bits per byte against the number of parameters, one point per variant.
pub(super) fn params(ranking: &Ranking, legend: &Legend) -> Drawn {
    let ranked: Vec<&Variant> = ranking.ranked().collect();
    if !have_different_sizes(&ranked) {
        return None;
    }
    // The others share a grey. Their names would cover the plot.
    let named = ranked
        .iter()
        .filter(|variant| legend.is_highlighted(variant));
    let names: Vec<String> = named
        .map(|variant| legend.name(variant.name).to_owned())
        .collect();
    let ranges = ranked.iter().filter_map(|variant| variant.range());
    let sizes: Vec<f64> = ranked.iter().map(|variant| size(variant)).collect();
    let frame = Frame {
        left: 130,
        right: right_edge(&names),
        top: 96,
        bottom: HEIGHT - 120,
        x: Axis::logarithmic_beyond(5.0, &sizes)?,
        y: Axis::linear(ranges.flat_map(|(low, high)| [low, high]))?,
    };
    let points = ranked
        .iter()
        .filter_map(|variant| Some((size(variant), comparable_loss(ranking, variant)?)));
    let front = front_of(points.collect());
    let drawn = svg(TITLE, HEIGHT, |canvas| {
        draw(canvas, &frame, &ranked, legend, &front)
    });
    let series = ranked
        .iter()
        .filter_map(|variant| series(ranking, legend, variant));
    let data = ChartData::Curves(Box::new(Curves {
        title: TITLE.to_owned(),
        x_title: "parameters".to_owned(),
        x: [frame.x.low(), frame.x.high()].map(Rounded),
        y: [frame.y.low(), frame.y.high()].map(Rounded),
        log_x: frame.x.is_logarithmic(),
        has_points: true,
        has_lines: false,
        series: series.collect(),
        has_front: !front.is_empty(),
        references: Vec::new(),
    }));
    let caption = format!(
        "Mean over the seeds. The bar spans the lowest to the highest seed.{}",
        pareto_front::caption(ranking, &front)
    );
    let finish = |svg| Drawing {
        data: Some(data),
        narrow: None,
        title: TITLE.to_owned(),
        caption,
        svg,
    };
    Some(drawn.map(finish))
}

/// Without different sizes, the plot shows nothing about size. The size of a table of counts or logits cannot be compared
/// with that of a transformer.
fn have_different_sizes(ranked: &[&Variant]) -> bool {
    let sizes: Vec<f64> = ranked.iter().map(|variant| size(variant)).collect();
    let transformers = ranked
        .iter()
        .filter(|variant| variant.spec().model.kind == ModelKind::Gpt);
    let transformers: Vec<f64> = transformers.map(|variant| size(variant)).collect();
    !are_equal(&sizes) && (transformers.len() < 2 || !are_equal(&transformers))
}

/// Number of parameters.
fn size(variant: &Variant) -> f64 {
    variant.params() as f64
}

/// Draws the points of the ranked variants, with the names of the highlighted ones.
fn draw(
    canvas: &Canvas,
    frame: &Frame,
    ranked: &[&Variant],
    legend: &Legend,
    front: &[(f64, f64)],
) -> Result<(), Error> {
    let decimals = frame.y.decimals();
    frame.draw(canvas, "parameters", units::tick, |tick| {
        units::fixed(tick, decimals)
    })?;
    let steps = front_steps(frame, front);
    let mut obstacles = along(&steps);
    draw_front(canvas, steps)?;
    let (mut points, mut names) = (Vec::new(), Vec::new());
    // The highlighted ones last, so that they are on top.
    let mut ordered = ranked.to_vec();
    ordered.sort_by_key(|variant| legend.is_highlighted(variant));
    for variant in ordered {
        let (Some(mean), Some((low, high))) = (variant.mean_bits_per_byte(), variant.range())
        else {
            continue;
        };
        let bar = [low, high].map(|loss| frame.at((size(variant), loss)));
        canvas.line(bar.to_vec(), legend.color(variant), 4)?;
        let point = frame.at((size(variant), mean));
        canvas.dot(point, 10, legend.color(variant), 1.0)?;
        match legend.is_highlighted(variant) {
            true => {
                points.push(point);
                names.push(legend.name(variant.name).to_owned());
            }
            false => obstacles.push(point),
        }
    }
    let bounds = ((frame.left, frame.top), (WIDTH - 10, frame.bottom));
    label_points(canvas, &points, &names, bounds, &obstacles)
}

/// The point of a variant for the page.
fn series(ranking: &Ranking, legend: &Legend, variant: &Variant) -> Option<Series> {
    let (mean, (low, high)) = (variant.mean_bits_per_byte()?, variant.range()?);
    Some(Series {
        name: variant.name.to_owned(),
        color: chart_data::color(variant, legend.color(variant)),
        is_other: !legend.is_highlighted(variant),
        points: vec![[size(variant), mean].map(Rounded)],
        front: comparable_loss(ranking, variant).map(Rounded),
        band: vec![[size(variant), low, high].map(Rounded)],
        marks: Vec::new(),
        partial: Vec::new(),
    })
}

/// Whether sizes differ by at most two percent.
fn are_equal(sizes: &[f64]) -> bool {
    let largest = sizes.iter().copied().fold(0.0, f64::max);
    sizes.iter().all(|size| *size > 0.98 * largest)
}

/// The right edge of a frame with room for names to the right of its points.
pub(super) fn right_edge(texts: &[String]) -> i32 {
    let widths = texts.iter().map(|text| text_width(text, BODY));
    WIDTH - 40 - widths.max().unwrap_or(0)
}

/// Writes a name beside each point. A thin line leads to a name that does not fit next to its point.
pub(super) fn label_points(
    canvas: &Canvas,
    points: &[Point],
    texts: &[String],
    bounds: (Point, Point),
    obstacles: &[Point],
) -> Result<(), Error> {
    let positions = beside(points, texts, BODY, bounds, obstacles);
    for ((&point, text), position) in points.iter().zip(texts).zip(positions) {
        let (x, y) = position.anchor;
        let (side, line_end) = match position.is_left {
            true => (HPos::Right, x + 4),
            false => (HPos::Left, x - 4),
        };
        if (y - point.1).abs() > BODY / 2 {
            canvas.line(vec![point, (line_end, y)], MUTED, 2)?;
        }
        canvas.text(text, (x, y), side, BODY, INK)?;
    }
    Ok(())
}
