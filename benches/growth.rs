//! Plots how the time and memory of a training step grow with the size of the model:
//! `cargo bench --bench growth`. It uses one thread. Each size runs in its own process, so that the peak
//! memory of the process belongs to this size. Needs Linux. Writes growth.svg next to this file.

mod setup;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, Ranged};
use plotters::prelude::*;
use runner::kernels::CpuBackend;
use runner::train::peak_memory_mb;
use setup::{SIZES, Size, Training};
use std::error::Error;
use std::fs;
use std::ops::Range;
use std::process::Command;
use std::time::{Duration, Instant};

/// The first argument of a process that measures one size.
const ONE_SIZE: &str = "one-size";

/// The size from which each plot varies one dimension.
const BASE: Size = SIZES[1];

/// A dimension: its name, its values, and the function that sets it.
type Dimension = (&'static str, &'static [usize], fn(usize) -> Size);

const DIMENSIONS: [Dimension; 4] = [
    ("width", &[32, 64, 128, 256, 512], |n_embd| Size {
        n_embd,
        ..BASE
    }),
    ("layers", &[1, 2, 4, 8, 16], |n_layer| Size {
        n_layer,
        ..BASE
    }),
    (
        "block size",
        &[16, 32, 64, 128, 256, 512, 1024],
        |block_size| Size { block_size, ..BASE },
    ),
    ("batch size", &[3, 6, 12, 24, 48], |batch_size| Size {
        batch_size,
        ..BASE
    }),
];

/// Time and memory of one size.
#[derive(Debug, Clone, Copy)]
struct Cost {
    milliseconds: f64,
    mebibytes: f64,
}

/// A row of plots: which cost it shows, its title and its colour.
type Panel = (fn(&Cost) -> f64, &'static str, RGBColor);

const PANELS: [Panel; 2] = [
    (
        |cost| cost.milliseconds,
        "a step, ms",
        RGBColor(0, 114, 178),
    ),
    (
        |cost| cost.mebibytes,
        "peak memory, MiB",
        RGBColor(213, 94, 0),
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    setup::in_the_environment_of_a_worker();
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == ONE_SIZE) {
        return measure_here(&arguments[at + 1..]);
    }
    // The text is prepared here, outside the processes whose memory is measured.
    Training::<CpuBackend>::new(&BASE);
    let mut measured = Vec::new();
    for (name, values, sized) in DIMENSIONS {
        let mut points = Vec::new();
        for &value in values {
            let size = sized(value);
            let cost = measure(&size)?;
            eprintln!(
                "{name} {value}: {:.2} ms for {} tokens, {:.0} MiB",
                cost.milliseconds,
                size.tokens(),
                cost.mebibytes
            );
            points.push((value as f64, cost));
        }
        measured.push((name, points));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/growth.svg");
    fs::write(path, draw(&measured)?)?;
    println!("{path}");
    Ok(())
}

/// Measures a size in its own process.
fn measure(size: &Size) -> Result<Cost, Box<dyn Error>> {
    let numbers = [size.n_layer, size.n_embd, size.block_size, size.batch_size];
    let measured = Command::new(std::env::current_exe()?)
        .arg(ONE_SIZE)
        .args(numbers.map(|number| number.to_string()))
        .output()?;
    let text = String::from_utf8(measured.stdout)?;
    let (milliseconds, mebibytes) = text.trim().split_once(' ').ok_or("a process that died")?;
    Ok(Cost {
        milliseconds: milliseconds.parse()?,
        mebibytes: mebibytes.parse()?,
    })
}

/// Prints the median time of a step and the peak memory of this process.
fn measure_here(numbers: &[String]) -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = numbers
        .iter()
        .map(|n| n.parse())
        .collect::<Result<_, _>>()?;
    let &[n_layer, n_embd, block_size, batch_size] = numbers.as_slice() else {
        return Err("a size is four numbers".into());
    };
    let size = Size {
        n_layer,
        n_embd,
        block_size,
        batch_size,
        ..BASE
    };
    let times = setup::on_threads(1, || {
        let mut training = Training::<CpuBackend>::new(&size);
        training.step();
        let (mut times, started) = (Vec::new(), Instant::now());
        while times.len() < 7 || started.elapsed() < Duration::from_secs(1) {
            let step = Instant::now();
            training.step();
            times.push(step.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        times
    });
    println!("{} {}", times[times.len() / 2], peak_memory_mb());
    Ok(())
}

/// The costs of the values of one dimension.
type Series = (&'static str, Vec<(f64, Cost)>);

/// Draws one row of plots for time and one for memory, with one column per dimension.
fn draw(measured: &[Series]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (1200, 560)).into_drawing_area();
        area.fill(&WHITE)?;
        let title = format!(
            "{} layers, {} wide, {} x {} tokens in a batch, and what changes when one of them does",
            BASE.n_layer, BASE.n_embd, BASE.batch_size, BASE.block_size
        );
        let area = area.titled(&title, ("sans-serif", 20))?;
        let cells = area.split_evenly((PANELS.len(), measured.len()));
        for (row, panel) in PANELS.iter().enumerate() {
            let costs = measured.iter().flat_map(|(_, points)| points);
            let values = logarithms(costs.map(|(_, cost)| panel.0(cost)));
            for (column, series) in measured.iter().enumerate() {
                draw_panel(
                    &cells[row * measured.len() + column],
                    panel,
                    series,
                    values.clone(),
                )?;
            }
        }
        area.present()?;
    }
    Ok(svg)
}

/// Both axes are logarithmic with base 2, with the same scale in a row. The grey lines show growth in
/// proportion to the dimension and end at the last measured point.
fn draw_panel(
    area: &DrawingArea<SVGBackend, Shift>,
    &(cost_of, unit, colour): &Panel,
    (dimension, points): &Series,
    values: Range<f64>,
) -> Result<(), Box<dyn Error>> {
    let points: Vec<(f64, f64)> = points
        .iter()
        .map(|(value, cost)| (value.log2(), cost_of(cost).log2()))
        .collect();
    let sizes = logarithms(points.iter().map(|(size, _)| size.exp2()));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(Powers(sizes.clone()), Powers(values.clone()))?;
    let power = |exponent: &f64| format!("{}", exponent.exp2());
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(228, 231, 235))
        .axis_style(RGBColor(89, 99, 110))
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 15))
        .x_desc(*dimension)
        .y_desc(unit)
        .x_label_formatter(&power)
        .y_label_formatter(&power)
        .draw()?;
    let last = points[points.len() - 1];
    let proportional = [(sizes.start, last.1 - (last.0 - sizes.start)), last];
    let visible = proportional.map(|(x, y)| match y < values.start {
        true => (x + values.start - y, values.start),
        false => (x, y),
    });
    chart.draw_series(LineSeries::new(
        visible,
        RGBColor(168, 176, 184).stroke_width(2),
    ))?;
    chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(3)))?;
    chart.draw_series(
        points
            .into_iter()
            .map(|at| Circle::new(at, 4, colour.filled())),
    )?;
    Ok(())
}

/// The smallest range of integer exponents of two that contains the values.
fn logarithms(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (mut low, mut high) = (f64::MAX, f64::MIN);
    for value in values {
        low = low.min(value.log2().floor());
        high = high.max(value.log2().ceil());
    }
    low..high
}

/// An axis of exponents with a tick at each integer.
struct Powers(Range<f64>);

impl Ranged for Powers {
    type FormatOption = plotters::coord::ranged1d::NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.0.start) / (self.0.end - self.0.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        let steps = (self.0.end - self.0.start) as i32;
        let stride = if steps > 7 { 2 } else { 1 };
        (0..=steps)
            .step_by(stride)
            .map(|step| self.0.start + f64::from(step))
            .collect()
    }

    fn range(&self) -> Range<f64> {
        self.0.clone()
    }
}

impl plotters::coord::ranged1d::ValueFormatter<f64> for Powers {
    fn format(value: &f64) -> String {
        format!("{}", value.exp2())
    }
}
