//! What the file of an experiment sets for each variant.

use crate::spec::{Experiment, Sweep, TrainingLength};
use serde_yaml::{Mapping, Value};
use std::collections::HashMap;

/// Paths of the settings that a sweep changes.
#[derive(Debug)]
pub(super) struct WrittenSettings {
    by_variant: HashMap<String, Vec<String>>,
    /// Paths of the grid. The variants of a grid are combinations, whose names are not those of the
    /// entries, so that the paths of all entries belong to every variant.
    of_grid: Option<Vec<String>>,
    /// Paths of the search, which belong to every variant.
    of_search: Vec<String>,
}

/// Paths of settings that were written. A path covers everything below it.
#[derive(Debug)]
pub(super) struct Named<'a>(Vec<&'a str>);

impl WrittenSettings {
    /// `None` without a sweep.
    pub(super) fn of(experiment: &Experiment) -> Option<Self> {
        let sweep = experiment.sweep.as_ref()?;
        let entries = sweep.variants.iter().filter_map(|(name, overlay)| {
            let mut paths = Vec::new();
            collect("", overlay.as_mapping()?, &mut paths);
            Some((name.as_str()?.to_owned(), paths))
        });
        let by_variant: HashMap<_, _> = entries.collect();
        let has_combinations = sweep.combined_paths().next().is_some();
        let of_grid = has_combinations.then(|| {
            let all = by_variant.values().flatten().cloned();
            all.chain(combined_paths(sweep)).collect()
        });
        Some(Self {
            by_variant,
            of_grid,
            of_search: sweep.tuned_paths().map(str::to_owned).collect(),
        })
    }

    /// The settings that the sweep changes for any of the variants.
    pub(super) fn by(&self, variants: &[&str]) -> Named<'_> {
        let mut paths: Vec<&str> = match &self.of_grid {
            Some(paths) => paths.iter().map(String::as_str).collect(),
            None => {
                let lists = variants
                    .iter()
                    .filter_map(|name| self.by_variant.get(*name));
                lists.flatten().map(String::as_str).collect()
            }
        };
        paths.extend(self.of_search.iter().map(String::as_str));
        Named(paths)
    }
}

impl Named<'_> {
    /// Whether a setting was written, or a part of it, or the section that it is in. Each length of
    /// training is a number of steps.
    pub(super) fn covers(&self, path: &str) -> bool {
        let below = |path: &str, section: &str| {
            let rest = path.strip_prefix(section);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.0.iter().any(|written| {
            let is_length = TrainingLength::PATHS.contains(written) && path == "train.steps";
            below(path, written) || below(written, path) || is_length
        })
    }
}

fn combined_paths(sweep: &Sweep) -> Vec<String> {
    let included = sweep.include.iter().filter_map(Value::as_mapping);
    let included = included.flat_map(Mapping::keys).filter_map(Value::as_str);
    let paths = sweep.combined_paths().chain(included);
    paths.map(str::to_owned).collect()
}

/// Adds the paths of all values of a mapping that are not mappings themselves.
fn collect(section: &str, mapping: &Mapping, paths: &mut Vec<String>) {
    for (key, value) in mapping {
        let Some(key) = key.as_str() else {
            continue;
        };
        let path = match section {
            "" => key.to_owned(),
            _ => format!("{section}.{key}"),
        };
        match value {
            Value::Mapping(inner) => collect(&path, inner, paths),
            _ => paths.push(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sweep: &str) -> WrittenSettings {
        let text = format!("{{name: x, sweep: {sweep}}}");
        WrittenSettings::of(&serde_yaml::from_str(&text).unwrap()).unwrap()
    }

    #[test]
    fn overlay_of_a_variant_and_of_the_baseline_are_written() {
        let written = written(
            "{variants: {a: {model: {n_embd: 64}}, b: {train: {tokens: 5}}, c: {data: {source: names}}}}",
        );
        let named = written.by(&["a", "b"]);
        for path in ["model.n_embd", "model", "train.tokens", "train.steps"] {
            assert!(named.covers(path), "{path}");
        }
        for path in ["model.n_embd_other", "model.n_layer", "data.source"] {
            assert!(!named.covers(path), "{path}");
        }
    }

    #[test]
    fn every_path_of_a_grid_is_written() {
        let written = written(
            "{variants: {a: {model: {bias: true}}}, grid: {train: [{batch_size: 1}]}, include: [{model.norm: none}]}",
        );
        let named = written.by(&["anything"]);
        for path in [
            "train.batch_size",
            "train.steps",
            "model.norm",
            "model.bias",
        ] {
            assert!(named.covers(path), "{path}");
        }
        assert!(!named.covers("model.n_layer"));
    }
}
