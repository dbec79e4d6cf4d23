//! The colors of the plots.

use plotters::style::RGBColor;

// The style sheet in `canvas` replaces these colors on a dark page.
pub(super) const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
pub(super) const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
pub(super) const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6e);
pub(super) const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
/// Lines of this color are dashed.
pub(super) const REFERENCE: RGBColor = RGBColor(0x6e, 0x77, 0x81);
/// Shared by the variants that are not highlighted.
pub(super) const OTHERS: RGBColor = RGBColor(0xa8, 0xb0, 0xb8);

/// Six of the eight colors of Okabe & Ito (2008), which people with any form of color blindness can
/// distinguish. Black is the color of the baseline, and yellow is too light for a line.
pub(super) const COLORS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];
