use super::canvas::{Canvas, Error, Frame};
use super::palette::{GRID, REFERENCE};
use crate::report::analysis::ranking::{Ranking, Variant};

/// Differences that do not matter.
pub(super) struct Limits {
    /// The smallest difference that matters, if it lies within the plot.
    pub(super) margin: Option<f64>,
    /// Standard deviation of the baseline over its seeds.
    noise: Option<f64>,
}

/// How much of the band of [`Limits::noise`] a plot can show.
#[derive(Debug, PartialEq)]
enum Band {
    /// From the left to the right end.
    Visible(i32, i32),
    /// It would look like the background.
    WiderThanThePlot,
    /// There is none, or it is as narrow as the line at 0.
    None,
}

impl Limits {
    pub(super) fn of(ranking: &Ranking, reach: f64) -> Self {
        let baseline = ranking.baseline();
        Self {
            margin: ranking
                .absolute_margin
                .filter(|margin| *margin <= 2.0 * reach),
            noise: baseline
                .and_then(Variant::sd)
                .filter(|sd| sd.is_finite() && *sd > 0.0),
        }
    }

    fn band(&self, frame: &Frame) -> Band {
        /// Width of the line at 0.
        const NARROW: i32 = 4;
        let Some(noise) = self.noise else {
            return Band::None;
        };
        let (left, right) = (frame.x(-noise), frame.x(noise));
        if left <= frame.left && right >= frame.right {
            return Band::WiderThanThePlot;
        }
        match right - left > NARROW {
            true => Band::Visible(left.max(frame.left), right.min(frame.right)),
            false => Band::None,
        }
    }

    pub(super) fn draw(&self, canvas: &Canvas, frame: &Frame) -> Result<(), Error> {
        if let Band::Visible(left, right) = self.band(frame) {
            let corners = vec![
                (left, frame.top),
                (right, frame.top),
                (right, frame.bottom),
                (left, frame.bottom),
            ];
            canvas.shape(corners, GRID, 0.6)?;
        }
        for margin in self.margin.iter().flat_map(|margin| [-margin, *margin]) {
            let x = frame.x(margin);
            canvas.line(vec![(x, frame.top), (x, frame.bottom)], REFERENCE, 3)?;
        }
        Ok(())
    }

    /// Half of the width of the band that is drawn. `None` without one.
    pub(super) fn shown_noise(&self, frame: &Frame) -> Option<f64> {
        match self.band(frame) {
            Band::Visible(..) => self.noise,
            Band::WiderThanThePlot | Band::None => None,
        }
    }

    pub(super) fn caption(&self, frame: &Frame) -> String {
        let mut text = String::new();
        if self.margin.is_some() {
            text += " The dashed lines are the margin: smaller differences do not matter.";
        }
        text += match self.band(frame) {
            Band::Visible(..) => {
                " The grey band is one standard deviation of the baseline over its seeds."
            }
            Band::WiderThanThePlot => {
                " One standard deviation of the baseline over its seeds is wider than the plot."
            }
            Band::None => "",
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::axis::Axis;
    use super::*;

    #[test]
    fn a_band_that_fills_the_plot_is_not_drawn() {
        let frame = Frame {
            left: 100,
            right: 900,
            top: 0,
            bottom: 100,
            x: Axis::between(-1.0, 1.0),
            y: Axis::between(0.0, 1.0),
        };
        let band = |noise| {
            let noise = Some(noise);
            Limits {
                margin: None,
                noise,
            }
            .band(&frame)
        };
        assert_eq!(band(0.5), Band::Visible(300, 700));
        assert_eq!(band(2.0), Band::WiderThanThePlot);
        assert_eq!(band(0.001), Band::None);
    }
}
