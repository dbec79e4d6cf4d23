//! The plots of a report, as SVG for light and dark pages.
//!
//! Each plot first computes its series and then draws them. To add a plot, add its file and its line
//! in [`PLOTS`], which names the place of the report that shows it.

mod axis;
mod canvas;
mod chart_data;
mod cost_curves;
mod curves;
mod factor_plots;
mod forest;
mod labels;
mod legend;
mod lines;
mod margin_band;
mod mermaid;
mod palette;
mod scatter;
mod search_curves;
mod series;
mod short_names;
mod text_forest;

use super::ReportError;
use super::analysis::ranking::Ranking;
use chart_data::ChartData;
use legend::Legend;
pub(super) use mermaid::mermaid_chart;
use serde::Serialize;
pub(super) use text_forest::text_forest;

/// A finished plot.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Plot {
    /// Name of its file, without extension.
    pub(super) name: &'static str,
    #[serde(skip)]
    pub(super) placement: Placement,
    title: String,
    /// What the marks of the plot mean.
    caption: String,
    pub(super) svg: String,
    /// Its values as JSON, for the HTML page. `None` if the page shows the drawing only.
    data: Option<String>,
}

/// The part of a report that shows a plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    Ranking,
    /// The effects of the factors of a grid.
    Factors,
    Tuning,
    Training,
    /// Folded or linked plots of the training section.
    MoreTraining,
    Cost,
}

/// A drawing with its title and caption.
struct Drawing {
    title: String,
    caption: String,
    svg: String,
    data: Option<ChartData>,
}

/// `None` where there is nothing to draw.
type Drawn = Option<Result<Drawing, canvas::Error>>;

/// Gathers the series of one plot and draws them.
type Draw = fn(&Ranking, &Legend) -> Drawn;

/// File name without extension, place and function of every plot, in the order of the report.
const PLOTS: &[(&str, Placement, Draw)] = &[
    ("difference", Placement::Ranking, forest::difference),
    ("interaction", Placement::Factors, factor_plots::interaction),
    ("heat_map", Placement::Factors, factor_plots::heat_map),
    ("tuning", Placement::Tuning, search_curves::best_values),
    ("loss", Placement::Training, curves::loss),
    ("loss_end", Placement::Training, curves::loss_end),
    ("params", Placement::Cost, scatter::params),
    ("flops", Placement::Cost, cost_curves::flops),
    ("time", Placement::Cost, cost_curves::time),
    ("train_loss", Placement::MoreTraining, curves::train_loss),
    ("grad_norm", Placement::MoreTraining, curves::grad_norm),
];

/// File names of all plots, without extension.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PLOTS.iter().map(|&(name, ..)| name)
}

/// Draws every plot that has data.
pub(super) fn draw(ranking: &Ranking) -> Result<Vec<Plot>, ReportError> {
    let legend = Legend::new(ranking);
    let mut plots = Vec::new();
    for &(name, placement, draw) in PLOTS {
        let Some(drawn) = draw(ranking, &legend) else {
            continue;
        };
        let Drawing {
            title,
            caption,
            svg,
            data,
        } = drawn.map_err(|error| ReportError::Plot {
            name,
            message: error.to_string(),
        })?;
        let data = data.map(|data| serde_json::to_string(&data)).transpose()?;
        plots.push(Plot {
            name,
            placement,
            title,
            caption,
            svg,
            data,
        });
    }
    Ok(plots)
}
