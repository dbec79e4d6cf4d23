//! Placement of names, so that they cover neither each other nor the data.

use super::canvas::{Point, text_width};

/// Heights near the wanted ones, in the same order, at least `gap` apart and between `low` and
/// `high` where they all fit.
pub(super) fn spread(wanted: &[i32], gap: i32, low: i32, high: i32) -> Vec<i32> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&index| wanted[index]);
    let mut placed: Vec<i32> = order.iter().map(|&index| wanted[index]).collect();
    let mut floor = low;
    for y in &mut placed {
        *y = (*y).max(floor);
        floor = *y + gap;
    }
    let mut ceiling = high;
    for y in placed.iter_mut().rev() {
        *y = (*y).min(ceiling);
        ceiling = *y - gap;
    }
    let mut spread = vec![0; wanted.len()];
    for (&index, y) in order.iter().zip(placed) {
        spread[index] = y;
    }
    spread
}

/// Points along a line, so close together that no name fits between two of them.
pub(super) fn along(line: &[Point]) -> Vec<Point> {
    let points = |pair: &[Point]| {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let pieces = ((x1 - x0).abs().max((y1 - y0).abs()) / 15).clamp(1, 100);
        (0..pieces).map(move |i| (x0 + (x1 - x0) * i / pieces, y0 + (y1 - y0) * i / pieces))
    };
    line.windows(2).flat_map(points).collect()
}

#[derive(Debug, Clone, Copy)]
struct Area {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

impl Area {
    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn inside(&self, other: &Self) -> bool {
        self.left >= other.left
            && self.right <= other.right
            && self.top >= other.top
            && self.bottom <= other.bottom
    }

    fn around((x, y): Point, reach: i32) -> Self {
        Self {
            left: x - reach,
            right: x + reach,
            top: y - reach,
            bottom: y + reach,
        }
    }
}

/// The position of a text beside the point that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The end of the text next to the point, at half the height of the text.
    pub(super) anchor: Point,
    /// Whether the text lies to the left of its point.
    pub(super) is_left: bool,
}

/// A position for each text. Each takes the nearest one that covers no point, no obstacle and no
/// earlier text.
pub(super) fn beside(
    points: &[Point],
    texts: &[String],
    size: i32,
    bounds: (Point, Point),
    obstacles: &[Point],
) -> Vec<Position> {
    let ((left, top), (right, bottom)) = bounds;
    let bounds = Area {
        left,
        right,
        top,
        bottom,
    };
    let dots = points.iter().map(|&point| Area::around(point, 10));
    let lines = obstacles.iter().map(|&point| Area::around(point, 3));
    let mut taken: Vec<Area> = dots.chain(lines).collect();
    let mut positions = Vec::with_capacity(points.len());
    for (&(x, y), text) in points.iter().zip(texts) {
        let width = text_width(text, size);
        let line = size + 4;
        let area = |left: i32, middle: i32| Area {
            left,
            right: left + width,
            top: middle - line / 2,
            bottom: middle + line / 2,
        };
        let offsets = (0..=48).map(|step: i32| (step + 1) / 2 * if step % 2 == 0 { 1 } else { -1 });
        let candidates = offsets.flat_map(|offset| {
            let away = 20 + offset.abs().min(2) * 10;
            let middle = y + offset * line * 2 / 3;
            [
                (false, area(x + away, middle)),
                (true, area(x - away - width, middle)),
            ]
        });
        let is_free = |(_, area): &(bool, Area)| {
            area.inside(&bounds) && !taken.iter().any(|t| area.overlaps(t))
        };
        let free = candidates.clone().find(is_free);
        let (is_left, area) = free.unwrap_or_else(|| (false, area((x + 20).min(right - width), y)));
        let end = if is_left { area.right } else { area.left };
        positions.push(Position {
            anchor: (end, (area.top + area.bottom) / 2),
            is_left,
        });
        taken.push(area);
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_move_as_little_as_possible() {
        assert_eq!(spread(&[100, 300, 200], 30, 0, 400), [100, 300, 200]);
        assert_eq!(spread(&[100, 105, 102], 30, 0, 400), [100, 160, 130]);
        assert_eq!(spread(&[399, 398], 30, 0, 400), [400, 370]);
    }

    #[test]
    fn names_of_the_same_point_do_not_overlap() {
        let points = vec![(200, 200); 8];
        let texts = vec!["variant".to_owned(); 8];
        let positions = beside(&points, &texts, 20, ((0, 0), (800, 600)), &[]);
        for (index, a) in positions.iter().enumerate() {
            for b in &positions[..index] {
                let same_line = (a.anchor.1 - b.anchor.1).abs() < 20;
                assert!(!same_line || a.is_left != b.is_left, "{a:?} {b:?}");
            }
        }
    }
}
