//! From a document to its runs: every variant is resolved and checked.

use super::claim_checks;
use super::compare_checks;
use super::conditional_keys::{self, Applicability};
use super::cross_checks::check;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::distinct_sizes::keep_distinct_sizes;
use super::document::{Document, typed};
use super::durations;
use super::error_kind::ErrorKind;
use super::expected_values;
use super::halving::{self, rungs};
use super::match_checks;
use super::override_causes::OverrideCauses;
use super::spans::Span;
use super::tpe_checks;
use super::variant_specs::VariantSpecs;
use super::variants::Variant;
use crate::spec::{Data, Match, ModelKind, RunPart, RunSettings, RunSpec, Source, TunedRun};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// All runs of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Expansion {
    /// Name of the variant that the others are compared with.
    pub baseline: String,
    /// Variants in the order of the file, and within each its seeds. In an experiment that tunes its
    /// variants, there are the seeds of the search and of the comparison for each combination. With
    /// several sizes, there are the seeds of each size, the smallest first.
    pub runs: Vec<RunSpec>,
    /// One for each of `runs`.
    pub parts: Vec<RunPart>,
}

impl Document {
    /// All runs, complete except for what depends on the data.
    ///
    /// # Errors
    /// All errors in the sweep and all contradictions between fields.
    pub fn expand(&self) -> Result<Expansion, Diagnostics> {
        let variants = self.variants();
        let mut errors = variants.errors.clone();
        let mut resolved: Vec<(&Variant, RunSpec)> = Vec::new();
        for variant in variants.all() {
            let mut found = Vec::new();
            let spec = self.resolve(variant, &mut found);
            resolved.extend(spec.map(|spec| (variant, spec)));
            let size = variants.size_of(variant);
            errors.extend(found.into_iter().map(|error| error.at_size(size)));
        }
        let are_resolved = resolved.len() == variants.all().len();
        errors.extend(unused_keys(variants.all()));
        let baseline = variants.baseline(&self.tree);
        errors.extend(self.keep_distinct_combinations(&mut resolved));
        if self.has_sizes() {
            errors.extend(keep_distinct_sizes(variants, &mut resolved, &baseline));
        }
        self.check_distinct(&resolved, &mut errors);
        // An unresolved variant would be reported as unknown, and so would all variants of a sweep that is
        // too large.
        if are_resolved && !resolved.is_empty() {
            let compared = || resolved.iter().filter(|(v, _)| v.smaller_size.is_none());
            let specs: Vec<_> = compared().map(|(_, spec)| spec).collect();
            let compare = &self.experiment.compare;
            let of_all_sizes = resolved.iter().map(|(v, spec)| (spec, variants.size_of(v)));
            let of_all_sizes: Vec<_> = of_all_sizes.collect();
            errors.extend(compare_checks::check(
                &self.tree,
                compare,
                &of_all_sizes,
                &baseline,
            ));
            let matching = self.matching();
            self.check_values(&specs, &baseline, matching, &mut errors);
            let tune = self
                .experiment
                .sweep
                .as_ref()
                .and_then(|sweep| sweep.tune.as_ref());
            if let Some(tune) = tune {
                let same = |a: &(&Variant, RunSpec), b: &(&Variant, RunSpec)| a.0.name == b.0.name;
                let of_variants = resolved.chunk_by(same).map(<[_]>::len);
                let combinations = of_variants.max().unwrap_or(0);
                errors.extend(tpe_checks::check(&self.tree, tune, combinations));
            }
            if let Some(halving) = tune.and_then(|tune| tune.halving.as_ref()) {
                errors.extend(halving::check(&self.tree, halving, specs.iter().copied()));
            }
            if let Some(matching) = matching {
                let found =
                    match_checks::check(&self.tree, matching, variants, &resolved, &baseline);
                errors.extend(found);
            }
        }
        if !errors.is_empty() {
            return Err(self.diagnostics(errors));
        }
        let sweep = self.experiment.sweep.clone().unwrap_or_default();
        let seeds = sweep.seeds.all();
        let tune = sweep.tune.as_ref();
        let halving = tune.and_then(|tune| tune.halving.as_ref());
        let searched = tune.map_or(Vec::new(), |tune| tune.search_seeds(&seeds));
        let (mut runs, mut parts) = (Vec::new(), Vec::new());
        let mut add = |variant: &Variant, spec: &RunSpec, seeds: &[u64], is_search, rung| {
            runs.extend(seeds.iter().map(|&seed| RunSpec {
                seed,
                ..spec.clone()
            }));
            let part = RunPart {
                tuned: variant.combination.map(|combination| TunedRun {
                    combination,
                    is_search,
                    rung,
                }),
                smaller_size: variant.smaller_size,
            };
            parts.extend(seeds.iter().map(|_| part));
        };
        for (variant, spec) in resolved {
            let rungs = rungs(halving, &spec);
            for (rung, spec) in rungs.iter().enumerate() {
                add(variant, spec, &searched, true, rung);
            }
            add(variant, &spec, &seeds, false, rungs.len() - 1);
        }
        Ok(Expansion {
            baseline,
            runs,
            parts,
        })
    }

    /// Whether the runs will measure what the experiment expects and claims, once the number of steps of
    /// every run is known that its data or its size decides.
    pub fn check_counted_values<'a>(
        &self,
        specs: impl Iterator<Item = &'a RunSpec>,
        baseline: &str,
    ) -> Option<Diagnostics> {
        let counted = |spec: &RunSpec| {
            let mut spec = spec.clone();
            if let Some(steps) = spec.train.planned_steps() {
                spec.train.set_steps(steps);
            }
            spec
        };
        let counted: Vec<RunSpec> = specs.map(counted).collect();
        let counted: Vec<&RunSpec> = counted.iter().collect();
        let mut errors = Vec::new();
        self.check_values(&counted, baseline, None, &mut errors);
        (!errors.is_empty()).then(|| self.diagnostics(errors))
    }

    /// Adds the errors in expected values and claims. `matching` says which variants will be changed to
    /// match the baseline.
    fn check_values(
        &self,
        specs: &[&RunSpec],
        baseline: &str,
        matching: Option<Match>,
        errors: &mut Vec<Diagnostic>,
    ) {
        let (tree, experiment) = (&self.tree, &self.experiment);
        let expected = &experiment.expect;
        let specs = VariantSpecs::new(specs);
        expected_values::check(tree, expected, &specs, baseline, matching, errors);
        claim_checks::check(tree, experiment, &specs, baseline, matching, errors);
    }

    /// Whether every variant is trained at several sizes.
    pub(super) fn has_sizes(&self) -> bool {
        let sweep = self.experiment.sweep.as_ref();
        sweep.is_some_and(|sweep| sweep.scale.is_some())
    }

    /// A variant as a run whose seed is not set yet. Contradictions between its fields are added to
    /// `errors`.
    fn resolve(&self, variant: &Variant, errors: &mut Vec<Diagnostic>) -> Option<RunSpec> {
        let applicable = conditional_keys::applicable(&variant.tree);
        let tree = durations::resolve_duration(&applicable, errors);
        let experiment = match typed(&tree) {
            Ok(experiment) => experiment,
            Err(diagnostic) => {
                errors.push(diagnostic);
                return None;
            }
        };
        let mut spec = RunSpec {
            variant: variant.name.clone(),
            seed: 0,
            data: experiment.data,
            tokenizer: experiment.tokenizer,
            model: experiment.model,
            optimizer: experiment.optimizer,
            train: experiment.train,
            sample: experiment.sample,
        };
        if spec.data.source != Source::Plays {
            let unused = Data::default();
            spec.data.plays_bytes = unused.plays_bytes;
            spec.data.plays_seed = unused.plays_seed;
        }
        if spec.model.kind == ModelKind::Ngram {
            spec.train.set_steps(0);
        }
        errors.extend(check(&spec, &variant.tree));
        Some(spec)
    }

    /// Removes combinations of `sweep.tune` that make no difference to a variant: the learning rate of a model
    /// that is counted, for example. It is an error if no variant has two.
    fn keep_distinct_combinations(
        &self,
        resolved: &mut Vec<(&Variant, RunSpec)>,
    ) -> Option<Diagnostic> {
        let tune = self.tree.at("sweep.tune")?;
        self.experiment.sweep.as_ref()?.tune.as_ref()?;
        let mut seen = HashSet::new();
        resolved.retain(|(variant, spec)| seen.insert((&variant.name, spec.result_settings())));
        let mut names = resolved
            .windows(2)
            .map(|pair| [&pair[0].0.name, &pair[1].0.name]);
        let has_choice = names.any(|[first, second]| first == second);
        // Without combinations, another error says why.
        let has_choice = has_choice || resolved.iter().all(|(v, _)| v.combination.is_none());
        (!has_choice).then(|| Diagnostic::new(tune.key_span, ErrorKind::NothingToTune))
    }

    /// Reports variants whose runs are identical: a comparison between them would be meaningless.
    fn check_distinct(&self, resolved: &[(&Variant, RunSpec)], errors: &mut Vec<Diagnostic>) {
        let mut causes = OverrideCauses::new(self);
        let mut first_with: HashMap<RunSettings, &Variant> = HashMap::new();
        let compared = resolved
            .iter()
            .filter(|(variant, _)| variant.smaller_size.is_none());
        for (variant, spec) in compared {
            let first = match first_with.entry(spec.result_settings()) {
                Entry::Vacant(entry) => {
                    entry.insert(variant);
                    continue;
                }
                Entry::Occupied(entry) => *entry.get(),
            };
            let kind = ErrorKind::SameVariants {
                first: first.name.clone(),
                second: variant.name.clone(),
                overrides: causes.of(&first.name, &variant.name),
            };
            let diagnostic = Diagnostic::new(variant.span, kind);
            errors.push(diagnostic.related(first.span, "identical to this one"));
        }
    }

    /// Whether two variants exist and have different runs.
    pub(super) fn are_distinct(&self, first: &str, second: &str) -> bool {
        let settings = |name| {
            let spec = self.resolve(self.variants().named(name)?, &mut Vec::new())?;
            Some(spec.result_settings())
        };
        settings(first)
            .zip(settings(second))
            .is_some_and(|(first, second)| first != second)
    }
}

/// Keys that are set but apply to no variant.
fn unused_keys(variants: &[Variant]) -> Vec<Diagnostic> {
    let mut used: HashSet<Span> = HashSet::new();
    let mut unused: HashMap<Span, ErrorKind> = HashMap::new();
    for variant in variants {
        for (span, applicability) in conditional_keys::applicability(&variant.tree) {
            match applicability {
                Applicability::Used => {
                    used.insert(span);
                }
                Applicability::Inherited => {}
                Applicability::Unused(kind) => {
                    unused.entry(span).or_insert(kind);
                }
            }
        }
    }
    unused.retain(|span, _| !used.contains(span));
    let unused = unused.into_iter();
    unused
        .map(|(span, kind)| Diagnostic::new(span, kind))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::document;
    use crate::spec::Model;

    #[test]
    fn a_variant_of_another_kind_inherits_nothing_that_does_not_apply() {
        let text = "name: test
model: {kind: gpt, n_layer: 7, block_size: 32}
optimizer: {kind: adamw, betas: [0.8, 0.9]}
sweep: {variants: {gpt: {}, bigram: {model: {kind: bigram}, optimizer: {kind: sgd}}}}";
        let runs = document(text, &[]).expand().unwrap().runs;
        assert_eq!(runs[0].model.n_layer, 7);
        let expected = Model {
            kind: ModelKind::Bigram,
            block_size: 32,
            ..Model::default()
        };
        assert_eq!(runs[1].model, expected);
        assert_eq!(runs[1].optimizer.betas, [0.9, 0.99]);
    }

    #[test]
    fn a_kind_set_by_an_override_makes_other_keys_inherited() {
        let text = "name: test\nmodel: {kind: gpt, n_layer: 7}";
        let runs = document(text, &["model.kind=bigram"])
            .expand()
            .unwrap()
            .runs;
        assert_eq!(runs[0].model.n_layer, Model::default().n_layer);
    }

    #[test]
    fn a_key_that_one_variant_uses_is_no_error() {
        let text = "name: test
optimizer: {momentum: 0.5}
sweep: {variants: {adamw: {}, sgd: {optimizer: {kind: sgd}}}}";
        let runs = document(text, &["optimizer.betas=[0.1, 0.2]"])
            .expand()
            .unwrap()
            .runs;
        assert_eq!(
            (runs[0].optimizer.momentum, runs[1].optimizer.momentum),
            (0.9, 0.5)
        );
        assert_eq!(runs[0].optimizer.betas, [0.1, 0.2]);
    }

    #[test]
    fn what_other_sources_ignore_makes_no_difference() {
        let text = "name: test\ndata: {source: names, plays_seed: 5}\n\
                    sweep: {variants: {a: {}, b: {data: {plays_seed: 6}}}}";
        let error = document(text, &[]).expand().unwrap_err();
        assert!(error.to_string().contains("are identical"), "{error}");
    }

    /// If the sweep were expanded again without each of the overrides, this test would take long.
    #[test]
    fn causes_of_identical_variants_are_searched_in_small_sweeps_only() {
        let error = |variants: usize| {
            let steps: Vec<String> = (1..=variants).map(|steps| steps.to_string()).collect();
            let text = format!(
                "name: test\nsweep: {{grid: {{train.steps: [{}]}}}}",
                steps.join(", ")
            );
            let overrides = ["train.steps=5"; 20];
            let error = document(&text, &overrides).expand().unwrap_err();
            error.to_string()
        };
        let cause = "`train.steps=5` on the command line";
        assert!(error(2).contains(cause));
        let large = error(9999);
        assert!(
            large.contains("are identical") && !large.contains("command line"),
            "{large}"
        );
    }

    #[test]
    fn what_does_not_change_the_result_makes_no_difference() {
        let text = "name: test
sweep: {variants: {a: {}, b: {train: {checkpoint_every: 7}, data: {max_bytes: 5000000}}}}";
        let error = document(text, &[]).expand().unwrap_err();
        assert!(error.to_string().contains("are identical"), "{error}");
    }
}
