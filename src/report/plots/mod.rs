//! The plots of a report, as SVG for light and dark pages.
//!
//! Each plot first computes its series and then draws them. To add a plot, add its file and its line
//! in [`PLOTS`], which names the place of the report that shows it.

mod axis;
mod canvas;
mod chart_data;
mod cost_curves;
mod curves;
mod difference_range;
mod factor_plots;
mod forest;
mod labels;
mod legend;
mod lines;
mod margin_band;
mod mermaid;
mod palette;
mod parallel_coordinates;
mod pareto_front;
mod scaling_curves;
mod scatter;
mod search_curves;
mod series;
mod short_names;
mod text_forest;

use super::ReportError;
use super::analysis::factors::Factors;
use super::analysis::ranking::Ranking;
use super::analysis::scaling::Scaling;
use super::analysis::setting_importance::SettingImportance;
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
    /// The drawing for a narrow screen, where the page does not draw the values itself.
    narrow: Option<String>,
    /// Its values as JSON, for the HTML page. `None` if the page shows the drawing only.
    data: Option<String>,
}

/// The part of a report that shows a plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    Ranking,
    /// The effects of the factors of a grid.
    Factors,
    Scaling,
    Tuning,
    /// The settings of a search.
    Settings,
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
    narrow: Option<String>,
    data: Option<ChartData>,
}

/// `None` where there is nothing to draw.
type Drawn = Option<Result<Drawing, canvas::Error>>;

/// What the plots show.
pub(super) struct Shown<'a> {
    pub(super) ranking: &'a Ranking<'a>,
    /// The effects of the factors of a grid.
    pub(super) factors: Option<&'a Factors<'a>>,
    /// The settings of a search or of random combinations.
    pub(super) importance: Option<&'a SettingImportance<'a>>,
    /// The variants at several sizes.
    pub(super) scaling: Option<&'a Scaling<'a>>,
}

/// Gathers the series of one plot and draws them.
type Draw = fn(&Shown, &Legend) -> Drawn;

/// File name without extension, place and function of every plot, in the order of the report.
const PLOTS: &[(&str, Placement, Draw)] = &[
    ("difference", Placement::Ranking, |shown, legend| {
        forest::difference(shown.ranking, legend)
    }),
    ("interaction", Placement::Factors, |shown, _| {
        factor_plots::interaction(shown.ranking.metric, shown.factors?)
    }),
    ("heat_map", Placement::Factors, |shown, _| {
        factor_plots::heat_map(shown.ranking.metric, shown.factors?)
    }),
    ("scaling_difference", Placement::Scaling, |shown, legend| {
        scaling_curves::differences(shown.ranking.metric, shown.scaling?, legend)
    }),
    ("scaling", Placement::Scaling, |shown, legend| {
        scaling_curves::losses(shown.ranking.metric, shown.scaling?, legend)
    }),
    ("tuning", Placement::Tuning, |shown, legend| {
        search_curves::best_values(shown.ranking, legend)
    }),
    ("combinations", Placement::Settings, |shown, _| {
        parallel_coordinates::combinations(shown.ranking.metric, shown.importance?)
    }),
    ("loss", Placement::Training, |shown, legend| {
        curves::loss(shown.ranking, legend)
    }),
    ("loss_end", Placement::Training, |shown, legend| {
        curves::loss_end(shown.ranking, legend)
    }),
    ("params", Placement::Cost, |shown, legend| {
        scatter::params(shown.ranking, legend)
    }),
    ("flops", Placement::Cost, |shown, legend| {
        cost_curves::flops(shown.ranking, legend)
    }),
    ("time", Placement::Cost, |shown, legend| {
        cost_curves::time(shown.ranking, legend)
    }),
    ("train_loss", Placement::MoreTraining, |shown, legend| {
        curves::train_loss(shown.ranking, legend)
    }),
    ("grad_norm", Placement::MoreTraining, |shown, legend| {
        curves::grad_norm(shown.ranking, legend)
    }),
];

/// File names of all plots, without extension.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PLOTS.iter().map(|&(name, ..)| name)
}

/// Draws every plot that has data.
pub(super) fn draw(shown: &Shown) -> Result<Vec<Plot>, ReportError> {
    let legend = Legend::new(shown.ranking);
    let mut plots = Vec::new();
    for &(name, placement, draw) in PLOTS {
        let Some(drawn) = draw(shown, &legend) else {
            continue;
        };
        let Drawing {
            title,
            caption,
            svg,
            narrow,
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
            narrow,
            data,
        });
    }
    Ok(plots)
}
