//! Matches variants to the baseline: chooses the value of a setting so that a quantity is equal.

use crate::config::{Diagnostics, Document, RunPlace, is_valid_model};
use crate::model;
use crate::results::{ChosenValue, CorpusInfo, MatchedVariant};
use crate::spec::{
    Match, MatchedQuantity, MatchedSetting, MlpHidden, ModelKind, Percent, RunPart, RunSpec,
};
use crate::text::units;
use crate::train;
use std::collections::HashMap;

/// A run whose steps are counted.
#[derive(Debug, Clone)]
pub(super) struct CountedRun {
    pub(super) spec: RunSpec,
    pub(super) part: RunPart,
    /// Index of its corpus.
    pub(super) corpus: usize,
}

/// Changes the setting of `sweep.match` in each variant but the baseline, and returns the chosen
/// values. `runs` has the seeds of a variant one after another.
///
/// # Errors
/// All variants that cannot be matched within the tolerance, and those that are invalid with the
/// chosen value.
pub(super) fn match_variants(
    document: &Document,
    baseline: &str,
    runs: &mut [CountedRun],
    corpora: &[CorpusInfo],
) -> Result<Vec<MatchedVariant>, Vec<Diagnostics>> {
    let Some(matching) = document.matching() else {
        return Ok(Vec::new());
    };
    if let Some(error) = searched_target(document, matching, baseline, runs, corpora) {
        return Err(vec![error]);
    }
    // Each size, and each shorter training of a search, is matched to that of the baseline.
    let of_baseline = runs.iter().filter(|run| run.spec.variant == baseline);
    let targets: HashMap<(Option<usize>, usize), (ModelKind, f64)> = of_baseline
        .map(|run| {
            let vocab_size = corpora[run.corpus].vocab_size;
            let quantity = quantity(matching.what, &run.spec, vocab_size);
            (stage(run), (run.spec.model.kind, quantity))
        })
        .collect();
    let mut matched: Vec<MatchedVariant> = Vec::new();
    let mut errors = Vec::new();
    // Each combination of a search is matched by itself.
    let settings = |run: &CountedRun| {
        let combination = run.part.tuned.map(|tuned| tuned.combination);
        (combination, stage(run))
    };
    let same_settings = |a: &CountedRun, b: &CountedRun| {
        a.spec.variant == b.spec.variant && settings(a) == settings(b)
    };
    for seeds in runs.chunk_by_mut(same_settings) {
        let CountedRun { spec, corpus, part } = &seeds[0];
        let Some(&(kind, target)) = targets.get(&stage(&seeds[0])) else {
            continue;
        };
        if spec.variant == baseline {
            continue;
        }
        let covered = matching.covers(spec.model.kind, kind);
        let chosen = covered.then(|| closest(matching, spec, corpora[*corpus].vocab_size, target));
        // Of several sizes, the largest is the one that is compared.
        if part.smaller_size.is_none() {
            list(&mut matched, &spec.variant, *part, chosen);
        }
        let Some(chosen) = chosen else {
            continue;
        };
        if chosen.mismatch.abs() > matching.tolerance.fraction() {
            let (message, help) = refusal(matching, &spec.variant, baseline, chosen);
            let run = RunPlace {
                variant: &spec.variant,
                part: *part,
            };
            errors.push(document.error_of_variant(run, message, help));
            continue;
        }
        for CountedRun { spec, corpus, .. } in seeds.iter_mut() {
            set(spec, matching.by, chosen.value);
            // A length in FLOPs is another number of steps for another model.
            count_steps(spec, &corpora[*corpus]);
        }
        errors.extend(document.check_matched(&seeds[0].spec, seeds[0].part));
    }
    match errors.is_empty() {
        true => Ok(matched),
        false => Err(errors),
    }
}

/// The size of a run and the index of its training in successive halving, which decide its length.
fn stage(run: &CountedRun) -> (Option<usize>, usize) {
    let rung = run.part.tuned.map_or(0, |tuned| tuned.rung);
    (run.part.smaller_size, rung)
}

/// Adds the chosen value of a variant to the list. The first combination stands for the others, which differ only if
/// the search varies the model. Its last training, which is the longest, replaces the shorter ones.
fn list(
    matched: &mut Vec<MatchedVariant>,
    variant: &str,
    part: RunPart,
    chosen: Option<ChosenValue>,
) {
    let is_first = part.tuned.is_none_or(|tuned| tuned.combination == 0);
    match matched.last_mut() {
        Some(last) if last.variant == variant && is_first => last.chosen = chosen,
        Some(last) if last.variant == variant => {}
        _ => matched.push(MatchedVariant {
            variant: variant.to_owned(),
            chosen,
        }),
    }
}

/// The error of a search that changes the quantity of the baseline. The variants could then be matched to
/// one combination of the baseline and compared with another.
fn searched_target(
    document: &Document,
    matching: Match,
    baseline: &str,
    runs: &[CountedRun],
    corpora: &[CorpusInfo],
) -> Option<Diagnostics> {
    // There is no search at several sizes.
    let is_of_baseline =
        |run: &&CountedRun| run.spec.variant == baseline && run.part.smaller_size.is_none();
    let of_baseline = runs.iter().filter(is_of_baseline);
    let mut quantities = of_baseline.map(|run| {
        let vocab_size = corpora[run.corpus].vocab_size;
        (run, quantity(matching.what, &run.spec, vocab_size))
    });
    // The shorter trainings of successive halving have other quantities, in every combination.
    let mut first_of_stage = HashMap::new();
    let (run, first, other) = quantities.find_map(|(run, quantity)| {
        let first = *first_of_stage.entry(stage(run)).or_insert(quantity);
        (quantity != first).then_some((run, first, quantity))
    })?;
    let what = matching.what.name();
    let message = format!(
        "the search changes the {what} of `{baseline}`, to which the variants are matched: combination \
         {} differs from the first one by {}",
        run.part.tuned.map_or(1, |tuned| tuned.combination + 1),
        units::mismatch(other / first - 1.0),
    );
    let help = format!(
        "search over settings that do not change the {what} of `{baseline}`, or remove `sweep.match`"
    );
    Some(document.error_at(None, "sweep.tune", message, Some(help)))
}

/// The value with which the quantity of a run is closest to `target`; the smaller of two that are
/// equally close.
fn closest(matching: Match, spec: &RunSpec, vocab_size: usize, target: f64) -> ChosenValue {
    let Match { what, by, .. } = matching;
    // The width of a model is a multiple of its number of heads.
    let unit = match by {
        MatchedSetting::NEmbd => spec.model.n_head.max(1) as u64,
        MatchedSetting::MlpHidden | MatchedSetting::NLayer | MatchedSetting::Steps => 1,
    };
    let last = (by.max() / unit).max(1);
    let with = |index: u64| {
        let mut spec = spec.clone();
        set(&mut spec, by, index * unit);
        spec
    };
    let is_valid =
        |index: &u64| spec.model.kind != ModelKind::Gpt || is_valid_model(&with(*index).model);
    let mismatch = |index: u64| quantity(what, &with(index), vocab_size) / target - 1.0;
    let above = first_where(last, |index| mismatch(index) >= 0.0);
    // Without a valid value, checking the run later says what is wrong.
    let below = (1..above).rev().find(is_valid);
    let above = (above..=last).find(is_valid).or(below).unwrap_or(1);
    let chosen = |index: u64| ChosenValue {
        value: index * unit,
        mismatch: mismatch(index),
    };
    let (below, above) = (chosen(below.unwrap_or(above)), chosen(above));
    match below.mismatch.abs() <= above.mismatch.abs() {
        true => below,
        false => above,
    }
}

/// The first index from 1 to `last` for which a condition holds, or `last`. The condition holds for
/// every index after the first. The search does not go far beyond it: very large models take long to
/// measure.
fn first_where(last: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let mut high = 1;
    while high < last && !holds(high) {
        high = (high * 2).min(last);
    }
    let mut low = 1;
    while low < high {
        let middle = low + (high - low) / 2;
        match holds(middle) {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    low
}

/// Converts the lengths of a run into steps, given its corpus.
pub(super) fn count_steps(spec: &mut RunSpec, corpus: &CorpusInfo) {
    let size = model::size(&spec.model, corpus.vocab_size, spec.sequence_length());
    spec.count_steps(corpus.train_tokens, size.flops_per_token);
}

/// The quantity of a run. It grows with each of the settings that can be chosen for it.
fn quantity(what: MatchedQuantity, spec: &RunSpec, vocab_size: usize) -> f64 {
    let size = || model::size(&spec.model, vocab_size, spec.sequence_length());
    let tokens = || spec.tokens_per_step().saturating_mul(spec.train.steps) as f64;
    match what {
        MatchedQuantity::Params => size().params as f64,
        MatchedQuantity::Flops => size().flops_per_token * tokens(),
        MatchedQuantity::Tokens => tokens(),
        MatchedQuantity::Time => train::reference_seconds(spec, vocab_size),
    }
}

/// Sets a setting. A value that a run has already keeps its form, such as `4x`.
fn set(spec: &mut RunSpec, setting: MatchedSetting, value: u64) {
    let size = usize::try_from(value).unwrap_or(usize::MAX);
    match setting {
        MatchedSetting::MlpHidden if spec.model.mlp_width() == size => {}
        MatchedSetting::MlpHidden => spec.model.mlp_hidden = MlpHidden::Width(size),
        MatchedSetting::NEmbd => spec.model.n_embd = size,
        MatchedSetting::NLayer => spec.model.n_layer = size,
        MatchedSetting::Steps if spec.train.steps == value => {}
        MatchedSetting::Steps => {
            spec.train.set_steps(value);
        }
    }
}

/// The message and the help for a variant that is not within the tolerance.
fn refusal(
    matching: Match,
    variant: &str,
    baseline: &str,
    closest: ChosenValue,
) -> (String, String) {
    let Match {
        what,
        by,
        tolerance,
    } = matching;
    let message = format!(
        "`{variant}` cannot be matched to `{baseline}`: with `{}: {}`, the closest value, the \
         difference in {} is {}, and the tolerance is {tolerance}",
        by.path(),
        closest.value,
        what.name(),
        units::mismatch(closest.mismatch),
    );
    let others = what.settings().iter().filter(|setting| **setting != by);
    let others: Vec<_> = others.map(|one| format!("`{}`", one.path())).collect();
    let mut ways = Vec::new();
    if !others.is_empty() {
        ways.push(format!("match by another setting ({})", others.join(", ")));
    }
    let needed = (closest.mismatch.abs() * 100.0).ceil();
    if needed < Percent::BOUND {
        ways.push(format!("set `sweep.match.tolerance` to {needed}% or more"));
    }
    ways.push("change the variant".to_owned());
    (message, ways.join(", or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_text;
    use crate::results::testing::plan_of;
    use crate::spec::Mlp;
    use proptest::prelude::*;

    const VOCAB_SIZE: usize = 65;

    fn runs(text: &str) -> Vec<RunSpec> {
        let text = format!("name: test\n{text}");
        let document = from_text("test.yaml", &text, &[]).unwrap_or_else(|e| panic!("{e}"));
        document.expand().unwrap_or_else(|e| panic!("{e}")).runs
    }

    fn matching(what: MatchedQuantity, by: MatchedSetting) -> Match {
        let tolerance = Percent::new(1.0);
        Match {
            what,
            by,
            tolerance,
        }
    }

    #[test]
    fn gated_mlp_gets_the_parameters_of_one_that_is_not_gated() {
        let text = "model: {mlp_hidden: 4x, n_embd: 96}
sweep: {variants: {gelu: {}, swiglu: {model: {mlp: swiglu}}}}";
        let [gelu, swiglu] = &runs(text)[..] else {
            panic!("two runs");
        };
        let by_width = matching(MatchedQuantity::Params, MatchedSetting::MlpHidden);
        let target = quantity(MatchedQuantity::Params, gelu, VOCAB_SIZE);
        // Two thirds of 4 x 96.
        let chosen = closest(by_width, swiglu, VOCAB_SIZE, target);
        assert_eq!(chosen.value, 256);
        assert_eq!(chosen.mismatch, 0.0);
        // The baseline's own value keeps its form, and so the identity of its runs.
        let own = closest(by_width, gelu, VOCAB_SIZE, target);
        let mut same = gelu.clone();
        set(&mut same, MatchedSetting::MlpHidden, own.value);
        assert_eq!(same, *gelu);
    }

    #[test]
    fn width_stays_divisible_and_rotary_heads_even() {
        let text = "model: {n_head: 6, n_embd: 96, positions: {kind: rotary}}
sweep: {variants: {a: {}, deep: {model: {n_layer: 7}}}}";
        let specs = runs(text);
        let target = quantity(MatchedQuantity::Params, &specs[0], VOCAB_SIZE);
        let by_embd = matching(MatchedQuantity::Params, MatchedSetting::NEmbd);
        let chosen = closest(by_embd, &specs[1], VOCAB_SIZE, target);
        assert_eq!(chosen.value % 12, 0, "an even number of columns per head");
        let mut deep = specs[1].clone();
        set(&mut deep, MatchedSetting::NEmbd, chosen.value);
        assert!(is_valid_model(&deep.model));
        for other in [chosen.value - 12, chosen.value + 12] {
            set(&mut deep, MatchedSetting::NEmbd, other);
            let mismatch = quantity(MatchedQuantity::Params, &deep, VOCAB_SIZE) / target - 1.0;
            assert!(mismatch.abs() >= chosen.mismatch.abs());
        }
    }

    #[test]
    fn steps_of_another_batch_size_give_the_same_tokens() {
        let text = "train: {steps: 300, batch_size: 12}
sweep: {variants: {a: {}, large: {train: {batch_size: 36}}}}";
        let specs = runs(text);
        let target = quantity(MatchedQuantity::Tokens, &specs[0], VOCAB_SIZE);
        let by_steps = matching(MatchedQuantity::Tokens, MatchedSetting::Steps);
        let chosen = closest(by_steps, &specs[1], VOCAB_SIZE, target);
        assert_eq!((chosen.value, chosen.mismatch), (100, 0.0));
    }

    /// The runs of an experiment after matching them to `a`.
    struct Matching {
        runs: Vec<CountedRun>,
        corpora: Vec<CorpusInfo>,
        matched: Result<Vec<MatchedVariant>, Vec<Diagnostics>>,
    }

    fn matched_runs(text: &str) -> Matching {
        let document = from_text("test.yaml", text, &[]).unwrap_or_else(|e| panic!("{e}"));
        let expansion = document.expand().unwrap_or_else(|e| panic!("{e}"));
        let corpora = plan_of(text).corpora;
        let runs = expansion.runs.into_iter().zip(expansion.parts);
        let counted = runs.map(|(spec, part)| CountedRun {
            spec,
            part,
            corpus: 0,
        });
        let mut runs: Vec<CountedRun> = counted.collect();
        let matched = match_variants(&document, "a", &mut runs, &corpora);
        Matching {
            runs,
            corpora,
            matched,
        }
    }

    /// The errors of matching the runs of a sweep.
    fn errors_of(sweep: &str) -> Vec<String> {
        let text = format!(
            "name: x\nsweep:\n  seeds: 2\n{sweep}\n  variants: {{a: {{}}, b: {{model: {{n_layer: 2}}}}}}"
        );
        let errors = matched_runs(&text).matched.err();
        errors.iter().flatten().map(|e| e.to_string()).collect()
    }

    #[test]
    fn each_shorter_training_of_a_search_is_matched_to_that_of_the_baseline() {
        let text = |matching: &str, change: &str| {
            format!(
                "name: x
train: {{steps: 300, batch_size: 12}}
sweep:
  seeds: 2
  match: {{{matching}, tolerance: 5%}}
  tune: {{grid: {{optimizer.lr: [0.001, 0.01]}}, halving: {{steps: [60, 120]}}}}
  variants: {{a: {{}}, b: {{{change}}}}}"
            )
        };
        let batches = "train: {batch_size: 36}";
        let layers = "model: {n_layer: 2}";
        for (matching, change) in [
            ("what: tokens, by: train.steps", batches),
            ("what: flops, by: train.steps", layers),
            ("what: time, by: train.steps", layers),
        ] {
            let Matching { runs, matched, .. } = matched_runs(&text(matching, change));
            let steps = |variant: &str| -> Vec<u64> {
                let own = runs.iter().filter(|run| run.spec.variant == variant);
                let mut steps: Vec<u64> = own.map(|run| run.spec.train.steps).collect();
                steps.dedup();
                steps
            };
            assert_eq!(steps("a"), [60, 120, 300, 60, 120, 300]);
            let own = steps("b");
            assert_eq!(own.len(), 6, "{matching}: {own:?}");
            assert!(own[0] < own[1] && own[1] < own[2] && own[..3] == own[3..]);
            if change == batches {
                assert_eq!(own[..3], [20, 40, 100]);
            }
            // What is listed is the value of the longest training.
            let matched = matched.unwrap_or_else(|errors| panic!("{}", errors[0]));
            let listed = matched
                .iter()
                .map(|one| one.chosen.map(|chosen| chosen.value));
            assert_eq!(listed.collect::<Vec<_>>(), [Some(own[2])]);
        }
        let wide = text("what: flops, by: model.mlp_hidden", "model: {mlp: swiglu}");
        let Matching { runs, matched, .. } = matched_runs(&wide);
        assert!(matched.is_ok());
        let of_variant = runs.iter().filter(|run| run.spec.variant == "b");
        let mut widths: Vec<usize> = of_variant.map(|run| run.spec.model.mlp_width()).collect();
        widths.dedup();
        assert_eq!(widths.len(), 1, "one model at every length");
    }

    #[test]
    fn each_size_is_matched_to_the_baseline_of_its_size() {
        let sweep = "  match: {what: params, by: model.mlp_hidden}\n  \
                     scale: {sizes: [{model: {n_embd: 32}}, {model: {n_embd: 64}}]}";
        let text = format!(
            "name: x\nsweep:\n{sweep}\n  variants: {{a: {{}}, b: {{model: {{mlp: swiglu}}}}}}"
        );
        let Matching {
            runs,
            corpora,
            matched,
        } = matched_runs(&text);
        let (matched, runs) = (matched.unwrap(), &runs);
        let params =
            |run: &CountedRun| quantity(MatchedQuantity::Params, &run.spec, corpora[0].vocab_size);
        for (own, base) in [(2, 0), (3, 1)] {
            let mismatch = params(&runs[own]) / params(&runs[base]) - 1.0;
            assert!(mismatch.abs() < 0.01, "{mismatch}");
        }
        // What is listed is the value at the largest size.
        let [
            MatchedVariant {
                chosen: Some(chosen),
                ..
            },
        ] = &matched[..]
        else {
            panic!("{matched:?}");
        };
        let MlpHidden::Width(width) = runs[3].spec.model.mlp_hidden else {
            panic!("{:?}", runs[3].spec.model.mlp_hidden);
        };
        assert_eq!(chosen.value, width as u64);
    }

    #[test]
    fn a_search_that_changes_the_target_is_refused() {
        let by_steps = "  match: {what: tokens, by: train.steps}\n  tune: ";
        let changed = format!("{by_steps}{{grid: {{train.batch_size: [12, 24]}}}}");
        let errors = errors_of(&changed);
        insta::assert_snapshot!(errors.join("\n"));
        let harmless = format!("{by_steps}{{grid: {{optimizer.lr: [0.001, 0.01]}}}}");
        assert_eq!(errors_of(&harmless), [""; 0]);
        // The batch size changes the tokens, and not the parameters.
        let params = "  match: {what: params, by: model.mlp_hidden, tolerance: 90%}\n  tune: {grid: {train.batch_size: [12, 24]}}";
        assert_eq!(errors_of(params), [""; 0]);
    }

    #[test]
    fn largest_values_are_those_of_the_schema() {
        use MatchedSetting::{NEmbd, NLayer, Steps};
        for setting in [NEmbd, NLayer, Steps] {
            let out_of_range =
                |value: u64| crate::config::out_of_range(setting.path(), value as f64).is_some();
            assert!(!out_of_range(setting.max()) && out_of_range(setting.max() + 1));
        }
    }

    proptest! {
        #[test]
        fn chosen_value_is_better_than_its_neighbours(
            pair in (0usize..4).prop_flat_map(|what| {
                use MatchedQuantity::{Flops, Params, Time, Tokens};
                let what = [Params, Flops, Tokens, Time][what];
                (Just(what), proptest::sample::select(what.settings()))
            }),
            layers in 1usize..4,
            heads in 1usize..4,
            head_size in 2usize..20,
            hidden in 1usize..200,
            steps in 1u64..500,
            batch_size in 1usize..40,
        ) {
            let (what, by) = pair;
            let base = runs("model: {n_embd: 48, n_head: 2, n_layer: 2, block_size: 16}");
            let mut spec = base[0].clone();
            spec.model.mlp = Mlp::Swiglu;
            spec.model.n_layer = layers;
            spec.model.n_head = heads;
            spec.model.n_embd = heads * head_size;
            spec.model.mlp_hidden = MlpHidden::Width(hidden);
            spec.train.steps = steps;
            spec.train.batch_size = batch_size;
            let target = quantity(what, &base[0], VOCAB_SIZE);
            let chosen = closest(matching(what, by), &spec, VOCAB_SIZE, target);
            let unit = match by {
                MatchedSetting::NEmbd => heads as u64,
                _ => 1,
            };
            prop_assert!(chosen.value >= unit && chosen.value.is_multiple_of(unit));
            let mismatch = |value: u64| {
                let mut spec = spec.clone();
                set(&mut spec, by, value);
                quantity(what, &spec, VOCAB_SIZE) / target - 1.0
            };
            prop_assert_eq!(mismatch(chosen.value), chosen.mismatch);
            for neighbour in [chosen.value - unit, chosen.value + unit] {
                if (1..=by.max()).contains(&neighbour) {
                    prop_assert!(mismatch(neighbour).abs() >= chosen.mismatch.abs());
                }
            }
        }
    }
}
