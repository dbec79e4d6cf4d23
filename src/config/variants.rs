//! The variants of a sweep. Each is the document, merged with what the variant changes, with a
//! combination of the grid, and with the overrides, in this order.

use super::canonical_names::FormerNames;
use super::diagnostic::{AtSize, Diagnostic};
use super::error_kind::{ErrorKind, shortened};
use super::grid::{Combination, combinations};
use super::merge::merge;
use super::random_values::with_drawn_values;
use super::seed_checks::{check_seeds, integer, seed_count};
use super::sizes::{overlays, sized_documents};
use super::spans::{Sources, Span};
use super::suggest::hint;
use super::text_budget::TextBudget;
use super::tree::{Entry, Layer, Node, Value};
use super::variant_names;
use crate::spec::RunPart;
use std::collections::HashMap;
use std::ops::Range;

/// Name of the variant if a sweep has no variants and no grid.
const ONLY_VARIANT: &str = "base";

/// The keys of a section that has combinations.
const SEARCHED: [&str; 3] = ["grid", "zip", "random"];

/// A variant with all layers merged, but not yet typed.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: String,
    /// The part of the file that asks for it.
    pub(super) span: Span,
    pub(super) tree: Node,
    /// Number of the combination of `sweep.tune`, if there is one.
    pub(super) combination: Option<usize>,
    /// Index in `sweep.scale.sizes`, if it is not the largest size.
    pub(super) smaller_size: Option<usize>,
}

/// What the settings of a run come from besides its seed: a variant, and its combination or its size.
#[derive(Debug, Clone, Copy)]
pub struct RunPlace<'a> {
    /// Name of the variant.
    pub variant: &'a str,
    /// Its combination in a search, and its size.
    pub part: RunPart,
}

/// All variants of a document.
#[derive(Debug)]
pub(super) struct Variants {
    list: Vec<Variant>,
    /// The combinations or the sizes of each variant, in order.
    by_name: HashMap<String, Range<usize>>,
    /// What each size changes, if there are several.
    sizes: Vec<Span>,
    /// All errors of the sweep.
    pub(super) errors: Vec<Diagnostic>,
}

impl Variants {
    /// Expands a document.
    pub(super) fn of(
        document: &Node,
        overrides: &Node,
        sources: &Sources,
        former_names: &FormerNames,
    ) -> Self {
        let mut errors = Vec::new();
        let list = expand(document, overrides, sources, former_names, &mut errors);
        let mut by_name = HashMap::new();
        let mut start = 0;
        for variants in list.chunk_by(|a, b| a.name == b.name) {
            let end = start + variants.len();
            by_name.insert(variants[0].name.clone(), start..end);
            start = end;
        }
        let sizes = document.get("sweep").map_or(&[][..], overlays);
        Self {
            by_name,
            sizes: sizes.iter().map(|size| size.span).collect(),
            list,
            errors,
        }
    }

    /// The variants in the order of the file, each with all combinations of `sweep.tune`, or all sizes.
    pub(super) fn all(&self) -> &[Variant] {
        &self.list
    }

    /// The variant of a name, at its largest size.
    pub(super) fn named(&self, name: &str) -> Option<&Variant> {
        self.all_named(name).last()
    }

    /// The variant of a run, with its combination or at its size.
    pub(super) fn of_run(&self, run: RunPlace) -> Option<&Variant> {
        let all = self.all_named(run.variant);
        let combination = run.part.tuned.map(|tuned| tuned.combination);
        match combination.or(run.part.smaller_size) {
            Some(index) => all.get(index),
            None => all.last(),
        }
    }

    fn all_named(&self, name: &str) -> &[Variant] {
        let range = self.by_name.get(name).cloned();
        range.map_or(&[], |range| &self.list[range])
    }

    /// The size of a variant, if there are several.
    pub(super) fn size_of(&self, variant: &Variant) -> Option<AtSize> {
        let largest = self.sizes.len().checked_sub(1)?;
        let index = variant.smaller_size.unwrap_or(largest);
        Some(AtSize {
            index,
            count: self.sizes.len(),
            span: *self.sizes.get(index)?,
        })
    }

    /// What each size changes, if there are several.
    pub(super) fn sizes(&self) -> &[Span] {
        &self.sizes
    }

    /// Name of the variant that the others are compared with.
    pub(super) fn baseline(&self, document: &Node) -> String {
        let written = document.at("sweep.baseline");
        let written = written.and_then(|entry| entry.value.as_str());
        let first = self.list.first().map(|variant| variant.name.as_str());
        written.or(first).unwrap_or(ONLY_VARIANT).to_owned()
    }
}

/// All variants of a document, in the order of the file.
fn expand(
    document: &Node,
    overrides: &Node,
    sources: &Sources,
    former_names: &FormerNames,
    errors: &mut Vec<Diagnostic>,
) -> Vec<Variant> {
    let (document, sweep) = split(document);
    let (overrides, _) = split(overrides);
    let written = sweep.as_ref().map_or(&[][..], Node::entries);
    if let Some(sweep) = sweep.as_ref().filter(|_| written.is_empty()) {
        errors.push(Diagnostic::new(sweep.span, ErrorKind::EmptySweep));
    }
    let absent = Node::empty_map(document.span);
    let sweep = sweep.as_ref().unwrap_or(&absent);
    check_seeds(sweep, errors);
    let Some(sweep) = with_drawn_values(sweep, errors) else {
        return Vec::new();
    };
    let sweep = &sweep;
    let Ok(tune) = tune_section(sweep, errors) else {
        return Vec::new();
    };
    let tune = tune.as_ref();
    let tuned = tune.and_then(|tune| combinations(tune, 1, errors));
    let searched = tuned.as_ref().map(|tuned| tuned.len().max(1));
    let runs_per_variant = runs_per_variant(sweep, tune.zip(searched));
    let sized = sized_documents(&document, sweep, errors);
    let per_combination = named(sweep).len().max(1).saturating_mul(runs_per_variant);
    let per_combination = per_combination.saturating_mul(sized.len());
    let combinations = combinations(sweep, per_combination, errors);

    let name_of = |name: Option<&str>, combination: &Combination| {
        variant_names::of_combination(name, &combination.settings, sources, former_names)
    };
    let mut budget = TextBudget::new();
    let untuned = sized.iter().map(|document| {
        untuned(
            document,
            sweep,
            combinations.as_deref(),
            &name_of,
            &mut budget,
        )
    });
    let mut by_size: Vec<Vec<Variant>> = match untuned.collect() {
        Ok(by_size) => by_size,
        Err(error) => {
            errors.push(error);
            return Vec::new();
        }
    };
    for variants in &mut by_size {
        variant_names::make_unique(variants.iter_mut().map(|variant| &mut variant.name));
    }
    let untuned = in_order_of_variants(by_size);
    check_baseline(sweep, &untuned, errors);
    if untuned.len() == sized.len()
        && let Some(seeds) = sweep
            .get("seeds")
            .filter(|seeds| seeds.get("until").is_some())
    {
        errors.push(Diagnostic::new(seeds.span, ErrorKind::NothingToDecide));
    }
    let copies = 1 + runs_per_variant / searched.unwrap_or(1);
    let all = with_last_layers(untuned, tuned.as_deref(), &overrides, copies, budget);
    all.unwrap_or_else(|error| {
        errors.push(error);
        Vec::new()
    })
}

/// `sweep.tune` with the values that it draws, if the sweep has one. `Err` if the values cannot be drawn.
fn tune_section(sweep: &Node, errors: &mut Vec<Diagnostic>) -> Result<Option<Node>, ()> {
    let tune = sweep.get("tune").filter(|tune| tune.value != Value::Null);
    let Some(tune) = tune else {
        return Ok(None);
    };
    if SEARCHED.iter().all(|key| tune.get(key).is_none()) {
        errors.push(Diagnostic::new(tune.span, ErrorKind::NoSearch));
    }
    let tune = with_drawn_values(tune, errors).ok_or(())?;
    for lists in SEARCHED.iter().filter_map(|key| tune.get(key)) {
        check_tunable(lists, errors);
    }
    Ok(Some(tune))
}

/// The number of runs of one variant at one size, given `sweep.tune` and the number of its combinations.
fn runs_per_variant(sweep: &Node, search: Option<(&Node, usize)>) -> usize {
    let Some((tune, combinations)) = search else {
        return seed_count(sweep);
    };
    let halving = tune.get("halving").and_then(|halving| halving.get("steps"));
    let rungs = 1 + halving.map_or(0, |steps| steps.items().len());
    let searched = tune.get("seeds").and_then(integer).unwrap_or(1);
    let searched = searched.saturating_mul(rungs);
    combinations.saturating_mul(seed_count(sweep) + searched)
}

/// All variants with each combination of the search, and with the overrides. Each is copied into `copies` runs.
fn with_last_layers(
    untuned: Vec<Variant>,
    tuned: Option<&[Combination]>,
    overrides: &Node,
    copies: usize,
    mut budget: TextBudget,
) -> Result<Vec<Variant>, Diagnostic> {
    let mut variants = Vec::new();
    for variant in untuned {
        for (tree, combination) in last_layers(&variant.tree, tuned, overrides) {
            budget.take(&tree, copies, variant.span)?;
            variants.push(Variant {
                name: variant.name.clone(),
                span: variant.span,
                tree,
                combination,
                smaller_size: variant.smaller_size,
            });
        }
    }
    Ok(variants)
}

/// The variants of all sizes, the smallest of which comes first, in the order of the variants and within each of its
/// sizes.
fn in_order_of_variants(by_size: Vec<Vec<Variant>>) -> Vec<Variant> {
    let sizes = by_size.len();
    let mut by_size: Vec<_> = by_size.into_iter().map(Vec::into_iter).collect();
    let mut ordered = Vec::new();
    loop {
        for (size, variants) in by_size.iter_mut().enumerate() {
            let Some(variant) = variants.next() else {
                return ordered;
            };
            ordered.push(Variant {
                smaller_size: (size + 1 < sizes).then_some(size),
                ..variant
            });
        }
    }
}

/// Each named variant with each combination of the grid, without the layers that come last.
fn untuned(
    document: &Node,
    sweep: &Node,
    combinations: Option<&[Combination<'_>]>,
    name_of: &dyn Fn(Option<&str>, &Combination<'_>) -> String,
    budget: &mut TextBudget,
) -> Result<Vec<Variant>, Diagnostic> {
    let nothing = Node::empty_map(document.span);
    let overlays: Vec<(Option<&str>, &Node, Span)> = match named(sweep) {
        [] => vec![(None, &nothing, sweep.span)],
        named => named
            .iter()
            .map(|entry| (Some(entry.key.as_str()), &entry.value, entry.key_span))
            .collect(),
    };
    let mut variants = Vec::new();
    let mut add = |name: String, span: Span, tree: Node| -> Result<(), Diagnostic> {
        budget.take(&tree, 1, span)?;
        variants.push(Variant {
            name,
            span,
            tree,
            combination: None,
            smaller_size: None,
        });
        Ok(())
    };
    for (name, over, span) in overlays {
        let tree = merge(document, over, Layer::Variant);
        let Some(combinations) = combinations else {
            add(name.unwrap_or(ONLY_VARIANT).to_owned(), span, tree)?;
            continue;
        };
        for combination in combinations {
            let name = name_of(name, combination);
            add(name, combination.span, combination.applied_to(&tree))?;
        }
    }
    Ok(variants)
}

/// The variants of a sweep that have a name in the file.
fn named(sweep: &Node) -> &[Entry] {
    sweep.get("variants").map_or(&[][..], Node::entries)
}

/// A variant with each combination of the search, if there is one, and with the overrides.
fn last_layers<'a>(
    variant: &'a Node,
    tuned: Option<&'a [Combination<'a>]>,
    overrides: &'a Node,
) -> impl Iterator<Item = (Node, Option<usize>)> + 'a {
    let untuned = tuned.is_none().then_some((None, None)).into_iter();
    let tuned = tuned.into_iter().flatten().enumerate();
    let tuned = tuned.map(|(index, combination)| (Some(combination), Some(index)));
    untuned.chain(tuned).map(move |(combination, index)| {
        let tree = combination.map(|combination| combination.applied_to(variant));
        let tree = tree.as_ref().unwrap_or(variant);
        (merge(tree, overrides, Layer::Override), index)
    })
}

/// Keys of the whole experiment that no run reads. They can be long, and each variant would copy them.
const NOT_OF_RUNS: [&str; 4] = ["claims", "description", "expect", "report"];

/// The part of the document that its runs are made of, and its sweep.
fn split(document: &Node) -> (Node, Option<Node>) {
    let (sweep, rest): (Vec<Entry>, Vec<Entry>) = document
        .entries()
        .iter()
        .filter(|entry| !NOT_OF_RUNS.contains(&entry.key.as_str()))
        .cloned()
        .partition(|entry| entry.key == "sweep");
    let rest = Node {
        span: document.span,
        value: Value::Map(rest),
    };
    let sweep = sweep.into_iter().next().map(|entry| Node {
        // Errors about the whole sweep mark its key.
        span: entry.key_span,
        value: entry.value.value,
    });
    let sweep = sweep.filter(|sweep| matches!(sweep.value, Value::Map(_)));
    (rest, sweep)
}

/// Reports settings that a search cannot vary: results on different texts cannot be compared, and samples
/// change no result.
fn check_tunable(grid: &Node, errors: &mut Vec<Diagnostic>) {
    for axis in grid.entries() {
        let section = axis.key.split('.').next();
        if matches!(section, Some("data" | "sample")) {
            let kind = ErrorKind::NotTunable(axis.key.clone());
            errors.push(Diagnostic::new(axis.key_span, kind));
        }
    }
}

fn check_baseline(sweep: &Node, variants: &[Variant], errors: &mut Vec<Diagnostic>) {
    let Some(node) = sweep.get("baseline") else {
        return;
    };
    let names: Vec<_> = variants
        .iter()
        .map(|variant| variant.name.as_str())
        .collect();
    if let Some(name) = node.as_str()
        && !names.is_empty()
        && !names.contains(&name)
    {
        let kind = ErrorKind::UnknownBaseline {
            name: shortened(name),
            hint: hint(name, &names),
        };
        errors.push(Diagnostic::new(node.span, kind));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Expansion, from_text};
    use crate::spec::{Mlp, Norm, OptimizerKind, RunSpec, TunedRun};

    fn expand(sweep: &str, overrides: &[&str]) -> Expansion {
        let text = format!("name: test\nsweep:\n{sweep}");
        let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
        let document = from_text("test.yaml", &text, &overrides).unwrap_or_else(|e| panic!("{e}"));
        document.expand().unwrap_or_else(|e| panic!("{e}"))
    }

    fn names(expansion: &Expansion) -> Vec<&str> {
        expansion
            .runs
            .iter()
            .map(|run| run.variant.as_str())
            .collect()
    }

    #[test]
    fn without_a_sweep_there_is_one_run() {
        let document = from_text("test.yaml", "name: test", &[]).unwrap();
        let Expansion { baseline, runs, .. } = document.expand().unwrap();
        assert_eq!(baseline, "base");
        let [
            RunSpec {
                variant, seed: 1, ..
            },
        ] = &runs[..]
        else {
            panic!("{runs:?}");
        };
        assert_eq!(variant, "base");
    }

    #[test]
    fn seeds_alone_repeat_the_document() {
        let expansion = expand("  seeds: [3, 1, 2]", &[]);
        let seeds: Vec<_> = expansion.runs.iter().map(|run| run.seed).collect();
        assert_eq!(seeds, [3, 1, 2]);
    }

    #[test]
    fn the_first_variant_is_the_baseline_unless_another_is_named() {
        let variants = "  variants: {b: {}, a: {model: {norm: rmsnorm}}}";
        assert_eq!(expand(variants, &[]).baseline, "b");
        assert_eq!(expand(variants, &["sweep.baseline=a"]).baseline, "a");
    }

    #[test]
    fn a_grid_is_all_combinations_the_last_axis_fastest() {
        let grid = "  grid: {model.norm: [layernorm, rmsnorm], model.n_layer: [1, 2]}";
        let expansion = expand(grid, &[]);
        assert_eq!(
            names(&expansion),
            [
                "layernorm+n_layer-1",
                "layernorm+n_layer-2",
                "rmsnorm+n_layer-1",
                "rmsnorm+n_layer-2"
            ]
        );
        let last = &expansion.runs[3].model;
        assert_eq!((last.norm, last.n_layer), (Norm::Rmsnorm, 2));
    }

    #[test]
    fn excludes_come_before_includes_and_compare_numbers_as_numbers() {
        let grid = "  grid: {optimizer.lr: [1, 2.0], train.steps: [10, 20]}
  exclude: [{optimizer.lr: 2}, {train.steps: 20, optimizer.lr: 1.0}]
  include: [{optimizer.lr: 2.0, model.mlp: swiglu}]";
        let expansion = expand(grid, &[]);
        assert_eq!(names(&expansion), ["lr-1+steps-10", "lr-2.0+swiglu"]);
        assert_eq!(expansion.runs[1].model.mlp, Mlp::Swiglu);
    }

    #[test]
    fn a_grid_multiplies_named_variants() {
        let expansion = expand(
            "  variants: {small: {model: {n_layer: 1}}, large: {}}\n  grid: {train.steps: [5, 6]}",
            &[],
        );
        let expected = [
            "small+steps-5",
            "small+steps-6",
            "large+steps-5",
            "large+steps-6",
        ];
        assert_eq!(names(&expansion), expected);
        assert_eq!(expansion.runs[1].model.n_layer, 1);
    }

    #[test]
    fn a_grid_of_sections_changes_several_fields() {
        let expansion = expand(
            "  grid: {optimizer: [{kind: adamw}, {kind: sgd, lr: 0.1}]}",
            &[],
        );
        assert_eq!(names(&expansion), ["adamw", "sgd-lr-0.1"]);
        let sgd = &expansion.runs[1].optimizer;
        assert_eq!((sgd.kind, sgd.lr), (OptimizerKind::Sgd, 0.1));
    }

    #[test]
    fn names_of_combinations_are_legal_short_and_distinct() {
        let long = "x".repeat(100);
        let grid = format!("  grid: {{data.source: [texts/a.txt, texts-a.txt, ../b, {long}]}}");
        let expansion = expand(&grid, &[]);
        let names = names(&expansion);
        assert_eq!(names[..3], ["texts-a.txt", "texts-a.txt-2", "b"]);
        assert_eq!(names[3].len(), 64);
    }

    #[test]
    fn every_variant_is_tuned_over_the_same_combinations() {
        let expansion = expand(
            "  seeds: [1, 2]
  variants: {a: {}, b: {model: {norm: rmsnorm}}}
  tune: {grid: {optimizer.lr: [0.1, 0.2]}, seeds: 1}",
            &[],
        );
        let run = |(run, tuned): (&RunSpec, &Option<TunedRun>)| {
            let tuned = tuned.unwrap();
            let (seed, lr) = (run.seed, run.optimizer.lr);
            (
                run.variant.clone(),
                tuned.combination,
                tuned.is_search,
                seed,
                lr,
            )
        };
        let tuned = expansion.parts.iter().map(|part| &part.tuned);
        let runs = expansion.runs.iter().zip(tuned).map(run);
        let expected = |name: &str| {
            let run = |combination, is_search, seed, lr| {
                (name.to_owned(), combination, is_search, seed, lr)
            };
            [
                run(0, true, 1001, 0.1),
                run(0, false, 1, 0.1),
                run(0, false, 2, 0.1),
                run(1, true, 1001, 0.2),
                run(1, false, 1, 0.2),
                run(1, false, 2, 0.2),
            ]
        };
        assert_eq!(
            runs.collect::<Vec<_>>(),
            [expected("a"), expected("b")].concat()
        );
    }

    #[test]
    fn an_override_is_the_last_word() {
        let variants = "  variants:
    a: {train: {steps: 10}, model: {norm: rmsnorm}}
    b: {train: {steps: 20}}";
        let expansion = expand(variants, &["train.steps=5", "train.steps=7"]);
        assert!(expansion.runs.iter().all(|run| run.train.steps == 7));
        assert_eq!(expansion.runs[0].model.norm, Norm::Rmsnorm);
    }

    #[test]
    fn overrides_reach_into_the_sweep() {
        let sweep =
            "  variants: {v1.0: {model: {norm: rmsnorm}}, v1: {}}\n  grid: {train.steps: [1, 2]}";
        let expansion = expand(
            sweep,
            &[
                "sweep.seeds=[7]",
                "sweep.variants.v1.0.model.n_layer=1",
                "sweep.grid.train.steps=[9]",
            ],
        );
        assert_eq!(names(&expansion), ["v1.0+steps-9", "v1+steps-9"]);
        assert_eq!(expansion.runs[0].model.n_layer, 1);
        assert_eq!(expansion.runs[0].seed, 7);
        assert_eq!(names(&expand(sweep, &["sweep=null"])), ["base"]);

        let tuned = expand(
            "  tune: {grid: {optimizer.lr: [0.1, 0.2], train.steps: [5, 6]}, seeds: 1}",
            &["sweep.tune.grid.optimizer.lr=[0.3]"],
        );
        assert!(tuned.runs.iter().all(|run| run.optimizer.lr == 0.3));
        assert_eq!(tuned.runs.len(), 4);
    }

    #[test]
    fn a_source_is_replaced_as_a_whole() {
        let sha256 = "0".repeat(64);
        let text = format!(
            "name: test\ndata: {{source: {{url: 'https://example.org/', sha256: {sha256:?}}}}}\n\
             sweep: {{variants: {{a: {{data: {{source: {{url: 'https://example.org/b'}}}}}}}}}}"
        );
        let error = from_text("test.yaml", &text, &[]).unwrap_err();
        assert!(
            error.to_string().contains("missing key `sha256`"),
            "{error}"
        );
    }

    #[test]
    fn aliases_and_merge_keys_work() {
        let expansion = expand(
            "  variants:
    small: &small {model: &model {n_layer: 1, n_embd: 32}}
    alias: {model: *model, train: {steps: 5}}
    merged: {<<: *small, train: {steps: 6}}
    nested: {model: {<<: *model, n_layer: 3}}",
            &[],
        );
        let sizes = expansion
            .runs
            .iter()
            .map(|run| (run.model.n_layer, run.model.n_embd));
        assert_eq!(
            sizes.collect::<Vec<_>>(),
            [(1, 32), (1, 32), (1, 32), (3, 32)]
        );
    }
}
