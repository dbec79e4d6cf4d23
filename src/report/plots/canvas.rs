use super::axis::Axis;
use super::palette::{GRID, INK, MUTED, PAPER};
use crate::text::escape::visible_line;
use crate::text::width::{display_width, shorten};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Write as _;

pub(super) type Error = DrawingAreaErrorKind<std::io::Error>;
pub(super) type Point = (i32, i32);

/// Width of a drawing in its own units. Plotters draws at integer coordinates only, so one pixel of
/// the plot at its natural size has two units, which makes curves smooth.
pub(super) const WIDTH: i32 = 1600;
const UNITS_PER_PIXEL: i32 = 2;

/// Width of a drawing for a narrow screen.
pub(super) const NARROW_WIDTH: i32 = 760;

pub(super) const TITLE: i32 = 30;
pub(super) const BODY: i32 = 26;
pub(super) const SMALL: i32 = 23;

/// What SVG attributes cannot express: the colors on a dark page, and which lines are dashed. A plot
/// has its own background, so that it is readable on a page of any color.
const STYLE: &str = "\
.plot text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}\
.plot [stroke='#6E7781']{stroke-dasharray:16 10}\
@media(prefers-color-scheme:dark){\
.plot [fill='#FFFFFF']{fill:#0D1117}\
.plot [fill='#24292F']{fill:#E6EDF3}.plot [stroke='#24292F']{stroke:#E6EDF3}\
.plot [fill='#59636E']{fill:#9198A1}.plot [stroke='#59636E']{stroke:#9198A1}\
.plot [stroke='#E4E7EB']{stroke:#2A313C}.plot [fill='#E4E7EB']{fill:#2A313C}\
.plot [stroke='#A8B0B8']{stroke:#59636E}.plot [fill='#A8B0B8']{fill:#59636E}\
.plot [stroke='#0072B2']{stroke:#3D9BE0}.plot [fill='#0072B2']{fill:#3D9BE0}}";

/// The area of an unfinished drawing.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Paints a drawing of [`WIDTH`] by `height` units and returns its SVG.
pub(super) fn svg(
    title: &str,
    height: i32,
    paint: impl FnOnce(&Canvas) -> Result<(), Error>,
) -> Result<String, Error> {
    svg_of_size(title, (WIDTH, height), paint)
}

/// Paints a drawing of this width and height. A title that is too wide is shortened.
pub(super) fn svg_of_size(
    title: &str,
    (width, height): (i32, i32),
    paint: impl FnOnce(&Canvas) -> Result<(), Error>,
) -> Result<String, Error> {
    let mut drawn = String::new();
    {
        let size = (width as u32, height as u32);
        let area = SVGBackend::with_string(&mut drawn, size).into_drawing_area();
        area.fill(&PAPER)?;
        let canvas = Canvas { area };
        let shown = shorten(title, columns_in(width - 72, TITLE));
        canvas.bold(&shown, (36, 44), TITLE)?;
        paint(&canvas)?;
        canvas.area.present()?;
    }
    Ok(finish(&drawn, title, (width, height)))
}

/// Replaces the opening tag by one that scales with its page, has a title and carries the style.
fn finish(drawn: &str, title: &str, (width, height): (i32, i32)) -> String {
    let body = drawn.split_once('\n').map_or(drawn, |(_, body)| body);
    let mut svg = String::with_capacity(drawn.len() + STYLE.len() + 300);
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" width=\"{}\" \
         height=\"{}\" viewBox=\"0 0 {width} {height}\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n",
        width / UNITS_PER_PIXEL,
        height / UNITS_PER_PIXEL,
        visible_line(title)
            .replace('&', "&amp;")
            .replace('<', "&lt;"),
    );
    // The style sets the font family. A viewer without style sheets uses `sans-serif`.
    svg + &body.replace(" opacity=\"1\"", "")
}

impl Canvas<'_> {
    pub(super) fn line(
        &self,
        points: Vec<Point>,
        color: RGBColor,
        width: u32,
    ) -> Result<(), Error> {
        let style = color.stroke_width(width);
        self.area.draw(&PathElement::new(points, style))
    }

    pub(super) fn shape(
        &self,
        points: Vec<Point>,
        color: RGBColor,
        opacity: f64,
    ) -> Result<(), Error> {
        self.area
            .draw(&Polygon::new(points, color.mix(opacity).filled()))
    }

    pub(super) fn dot(
        &self,
        at: Point,
        radius: i32,
        color: RGBColor,
        opacity: f64,
    ) -> Result<(), Error> {
        self.area
            .draw(&Circle::new(at, radius, color.mix(opacity).filled()))
    }

    pub(super) fn square(&self, (x, y): Point, half: i32, color: RGBColor) -> Result<(), Error> {
        let corners = [(x - half, y - half), (x + half, y + half)];
        self.area.draw(&Rectangle::new(corners, color.filled()))
    }

    /// Marks where a run diverged.
    pub(super) fn cross(&self, (x, y): Point, color: RGBColor) -> Result<(), Error> {
        const ARM: i32 = 9;
        self.line(vec![(x - ARM, y - ARM), (x + ARM, y + ARM)], color, 4)?;
        self.line(vec![(x - ARM, y + ARM), (x + ARM, y - ARM)], color, 4)
    }

    pub(super) fn text(
        &self,
        text: &str,
        at: Point,
        side: HPos,
        size: i32,
        color: RGBColor,
    ) -> Result<(), Error> {
        self.write(text, at, side, size, color, FontStyle::Normal)
    }

    pub(super) fn bold(&self, text: &str, at: Point, size: i32) -> Result<(), Error> {
        self.write(text, at, HPos::Left, size, INK, FontStyle::Bold)
    }

    fn write(
        &self,
        text: &str,
        at: Point,
        side: HPos,
        size: i32,
        color: RGBColor,
        weight: FontStyle,
    ) -> Result<(), Error> {
        // The SVG backend divides the size of a font by 1.24.
        let font = FontDesc::new(FontFamily::SansSerif, f64::from(size) * 1.24, weight);
        let style = font.color(&color).pos(Pos::new(side, VPos::Center));
        // A control character would make the file malformed. A name can come from somebody else.
        self.area.draw(&Text::new(visible_line(text), at, style))
    }
}

/// Estimated width of a text. The font of the viewer is unknown, so the estimate is generous.
pub(super) fn text_width(text: &str, size: i32) -> i32 {
    (display_width(text) as f64 * f64::from(size) * 0.62).ceil() as i32
}

/// Number of columns of text that fit into a width.
pub(super) fn columns_in(width: i32, size: i32) -> usize {
    (f64::from(width.max(0)) / (f64::from(size) * 0.62)) as usize
}

/// The number of units of a share of a length. Far outside of the frame it is limited, so that positions
/// can be added.
fn distance(share: f64, length: i32) -> i32 {
    const LIMIT: f64 = 1e6;
    (share * f64::from(length)).round().clamp(-LIMIT, LIMIT) as i32
}

/// The rectangle that holds the data, and how values map to it.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Frame {
    pub(super) fn x(&self, value: f64) -> i32 {
        self.left + distance(self.x.share(value), self.right - self.left)
    }

    pub(super) fn y(&self, value: f64) -> i32 {
        self.bottom - distance(self.y.share(value), self.bottom - self.top)
    }

    pub(super) fn at(&self, (x, y): (f64, f64)) -> Point {
        (self.x(x), self.y(y))
    }

    /// Grid, ticks and the title of the x axis. The y axis is named by the title of the plot.
    pub(super) fn draw(
        &self,
        canvas: &Canvas,
        x_title: &str,
        x_tick: impl Fn(f64) -> String,
        y_tick: impl Fn(f64) -> String,
    ) -> Result<(), Error> {
        for &tick in &self.y.ticks {
            let y = self.y(tick);
            canvas.line(vec![(self.left, y), (self.right, y)], GRID, 2)?;
            canvas.text(
                &y_tick(tick),
                (self.left - 16, y),
                HPos::Right,
                SMALL,
                MUTED,
            )?;
        }
        for &tick in &self.x.ticks {
            let x = self.x(tick);
            canvas.line(vec![(x, self.bottom), (x, self.bottom + 10)], MUTED, 2)?;
            canvas.text(
                &x_tick(tick),
                (x, self.bottom + 34),
                HPos::Center,
                SMALL,
                MUTED,
            )?;
        }
        let corner = [(self.left, self.bottom), (self.right, self.bottom)];
        canvas.line(corner.to_vec(), MUTED, 2)?;
        let middle = (self.left + self.right) / 2;
        canvas.text(
            x_title,
            (middle, self.bottom + 76),
            HPos::Center,
            SMALL,
            MUTED,
        )
    }
}
