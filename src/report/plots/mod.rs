//! The plots of a report, as SVG that reads on light and on dark pages.
//!
//! Each plot first gathers its series (tested) and then draws them (looked at).

mod axis;
mod canvas;
mod curves;
mod forest;
mod labels;
mod lines;
mod palette;
mod scatter;
mod series;

use super::ReportError;
use super::ranking::Ranking;
use palette::Palette;
use serde::Serialize;

/// A plot, drawn.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    /// Name of its file, without extension.
    pub(super) name: &'static str,
    title: String,
    /// What its marks mean.
    caption: String,
    pub(super) svg: String,
}

/// A drawing and its words.
struct Drawing {
    title: String,
    caption: String,
    svg: String,
}

/// `None` where there is nothing to draw.
type Drawn = Option<Result<Drawing, canvas::Error>>;

/// Gathers the series of one plot and draws them.
type Draw = fn(&Ranking, &Palette) -> Drawn;

/// All plots there may be, in the order of drawing: the name of the file, without extension, and what
/// draws it.
const PLOTS: [(&str, Draw); 7] = [
    ("difference", |ranking, _| forest::difference(ranking)),
    ("loss", curves::loss),
    ("loss_end", curves::loss_end),
    ("params", scatter::params),
    ("time", curves::time),
    ("train_loss", curves::train_loss),
    ("grad_norm", curves::grad_norm),
];

/// File names of all plots there may be, without extension.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PLOTS.into_iter().map(|(name, _)| name)
}

/// Draws every plot for which there is something to draw.
pub(super) fn draw(ranking: &Ranking) -> Result<Vec<Plot>, ReportError> {
    let palette = Palette::new(ranking);
    let mut plots = Vec::new();
    for (name, plot) in PLOTS {
        let Some(drawn) = plot(ranking, &palette) else {
            continue;
        };
        let Drawing {
            title,
            caption,
            svg,
        } = drawn.map_err(|error| ReportError::Plot {
            name,
            message: error.to_string(),
        })?;
        plots.push(Plot {
            name,
            title,
            caption,
            svg,
        });
    }
    Ok(plots)
}
