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

/// Bits per byte against the number of parameters, one point per variant.
pub(super) fn params(ranking: &Ranking, legend: &Legend) -> Drawn {
    let ranked: Vec<_> = ranking.ranked().collect();
    let sizes: Vec<f64> = ranked
        .iter()
        .map(|variant| variant.params() as f64)
        .collect();
    // Without different sizes, the plot shows nothing about size. The size of a table of counts or logits
    // cannot be compared with that of a transformer.
    let is_transformer = |variant: &&&Variant| variant.spec().model.kind == ModelKind::Gpt;
    let transformers = ranked.iter().filter(is_transformer);
    let transformers: Vec<f64> = transformers.map(|v| v.params() as f64).collect();
    if are_equal(&sizes) || (transformers.len() > 1 && are_equal(&transformers)) {
        return None;
    }
    // The others share a grey. Their names would cover the plot.
    let named = |variant: &&&Variant| legend.is_highlighted(variant);
    let texts: Vec<String> = ranked
        .iter()
        .filter(named)
        .map(|variant| legend.name(variant.name).to_owned())
        .collect();
    let values = ranked
        .iter()
        .filter_map(|variant| variant.range())
        .flat_map(|(low, high)| [low, high]);
    let frame = Frame {
        left: 130,
        right: right_edge(&texts),
        top: 96,
        bottom: HEIGHT - 120,
        x: Axis::logarithmic_beyond(5.0, &sizes)?,
        y: Axis::linear(values)?,
    };
    let decimals = frame.y.decimals();
    let title = "Validation loss against size (bits per byte, lower is better)";
    let points = ranked.iter().filter_map(|variant| {
        let loss = comparable_loss(ranking, variant)?;
        Some((variant.params() as f64, loss))
    });
    let front = front_of(points.collect());
    let caption = format!(
        "Mean over the seeds. The bar spans the lowest to the highest seed.{}",
        pareto_front::caption(ranking, &front)
    );
    let drawn = svg(title, HEIGHT, |canvas| {
        frame.draw(canvas, "parameters", units::tick, |tick| {
            units::fixed(tick, decimals)
        })?;
        let steps = front_steps(&frame, &front);
        let mut obstacles = along(&steps);
        draw_front(canvas, steps)?;
        let mut points = Vec::new();
        // The highlighted ones last, so that they are on top.
        let mut drawn = ranked.clone();
        drawn.sort_by_key(|variant| legend.is_highlighted(variant));
        for variant in &drawn {
            let (Some(mean), Some((low, high))) = (variant.mean_bits_per_byte(), variant.range())
            else {
                continue;
            };
            let size = variant.params() as f64;
            let bar = vec![frame.at((size, low)), frame.at((size, high))];
            canvas.line(bar, legend.color(variant), 4)?;
            canvas.dot(frame.at((size, mean)), 10, legend.color(variant), 1.0)?;
            let point = frame.at((size, mean));
            match legend.is_highlighted(variant) {
                true => points.push(point),
                false => obstacles.push(point),
            }
        }
        let bounds = ((frame.left, frame.top), (WIDTH - 10, frame.bottom));
        label_points(canvas, &points, &texts, bounds, &obstacles)
    });
    let series = ranked.iter().filter_map(|variant| {
        let (mean, (low, high)) = (variant.mean_bits_per_byte()?, variant.range()?);
        let size = variant.params() as f64;
        Some(Series {
            name: variant.name.to_owned(),
            color: chart_data::color(variant, legend.color(variant)),
            is_other: !legend.is_highlighted(variant),
            points: vec![[size, mean].map(Rounded)],
            front: comparable_loss(ranking, variant).map(Rounded),
            band: vec![[size, low, high].map(Rounded)],
            marks: Vec::new(),
            partial: Vec::new(),
        })
    });
    let data = ChartData::Curves(Box::new(Curves {
        title: title.to_owned(),
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
    let finish = |svg| Drawing {
        data: Some(data),
        narrow: None,
        title: title.to_owned(),
        caption,
        svg,
    };
    Some(drawn.map(finish))
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
