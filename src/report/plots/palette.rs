use super::super::ranking::{Ranking, Variant};
use plotters::style::RGBColor;
use std::collections::BTreeMap;

// The style sheet of a plot (see `canvas`) turns these into their counterparts on a dark page.
pub(super) const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
pub(super) const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
pub(super) const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6e);
pub(super) const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
/// Lines of this colour are dashed.
pub(super) const REFERENCE: RGBColor = RGBColor(0x6e, 0x77, 0x81);
/// Variants that have no colour of their own.
const OTHERS: RGBColor = RGBColor(0xa8, 0xb0, 0xb8);

/// Six of the eight colours that people with any form of colour blindness can tell apart (Okabe &
/// Ito 2008), without black, which is the baseline's, and yellow, which is too light for a line.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];

/// A colour for each variant, the same in all plots of a report.
#[derive(Debug)]
pub(super) struct Palette(BTreeMap<String, RGBColor>);

impl Palette {
    /// More colours than there are could not be told apart: where there are more variants, the best
    /// have one and the rest share a grey.
    pub(super) fn new(ranking: &Ranking) -> Self {
        let mut coloured: Vec<&Variant> = ranking.variants.iter().collect();
        coloured.retain(|variant| !variant.is_baseline);
        coloured.truncate(COLOURS.len());
        // By their place in the file, so that colours stay when a seed is added.
        coloured.sort_by_key(|variant| variant.position);
        let colours = coloured.iter().zip(COLOURS);
        let colours = colours.map(|(variant, colour)| (variant.name.to_owned(), colour));
        let baseline = (ranking.baseline.to_owned(), INK);
        Self(colours.chain([baseline]).collect())
    }

    pub(super) fn of(&self, variant: &Variant) -> RGBColor {
        self.0.get(variant.name).copied().unwrap_or(OTHERS)
    }

    /// Whether the variant has a colour of its own.
    pub(super) fn stands_out(&self, variant: &Variant) -> bool {
        self.0.contains_key(variant.name)
    }
}
