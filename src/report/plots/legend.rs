use super::palette::{COLORS, INK, OTHERS};
use super::short_names::short_names;
use crate::report::analysis::ranking::{Ranking, Variant};
use plotters::style::RGBColor;
use std::collections::HashMap;

/// The color and the short name of each variant, the same in all plots of a report.
#[derive(Debug)]
pub(super) struct Legend {
    colors: HashMap<String, RGBColor>,
    names: HashMap<String, String>,
}

impl Legend {
    /// If there are more variants than colors, the best variants get the colors and the others share
    /// a grey.
    pub(super) fn new(ranking: &Ranking) -> Self {
        let mut colored: Vec<&Variant> = ranking.variants.iter().collect();
        colored.retain(|variant| !variant.is_baseline);
        colored.truncate(COLORS.len());
        // Colors follow the order of the file, so that a new seed does not change them.
        colored.sort_by_key(|variant| variant.position);
        let colors = colored.iter().zip(COLORS);
        let colors = colors.map(|(variant, color)| (variant.name.to_owned(), color));
        let baseline = (ranking.baseline.to_owned(), INK);
        Self {
            colors: colors.chain([baseline]).collect(),
            names: names(ranking),
        }
    }

    pub(super) fn color(&self, variant: &Variant) -> RGBColor {
        self.colors.get(variant.name).copied().unwrap_or(OTHERS)
    }

    /// Whether the variant has a color of its own.
    pub(super) fn is_highlighted(&self, variant: &Variant) -> bool {
        self.colors.contains_key(variant.name)
    }

    /// The short name of a variant.
    pub(super) fn name(&self, variant: &str) -> &str {
        self.names.get(variant).map_or("", String::as_str)
    }
}

/// The short names of all variants and of the baseline, in the order of the file, which does not depend on
/// results.
fn names(ranking: &Ranking) -> HashMap<String, String> {
    let mut variants: Vec<&Variant> = ranking.variants.iter().collect();
    variants.sort_by_key(|variant| variant.position);
    let mut names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
    if !names.contains(&ranking.baseline) {
        names.push(ranking.baseline);
    }
    let short = short_names(&names);
    names.into_iter().map(str::to_owned).zip(short).collect()
}
