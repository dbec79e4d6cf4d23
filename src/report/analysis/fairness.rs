//! Differences between the variants that the question of an experiment may not ask for, in sentences.

use super::batch_pairing::different_batches;
use super::config_diff::{Change, changes};
use super::matched_variants::is_matched;
use super::ranking::{Ranking, Variant};
use super::wording::shortened;
use super::written_settings::WrittenSettings;
use crate::config::applies;
use crate::results::SweepPlan;
use crate::spec::{MatchedQuantity, RunSpec};
use crate::text::units::{self, change, count};

/// Most settings of a variant that a sentence names.
const MOST_SETTINGS: usize = 3;

/// The setting whose value is compared as a width.
const MLP_HIDDEN: &str = "model.mlp_hidden";

/// Settings that do not change what a model learns.
const WITHOUT_INFLUENCE: [&str; 6] = [
    "data.max_bytes",
    "train.eval_every",
    "train.eval_train",
    "train.checkpoint_every",
    "train.save_every",
    "train.detect_anomaly",
];

/// Reasons why a difference between variants may come from something else than what they change.
pub(super) fn unfair_differences(plan: &SweepPlan, ranking: &Ranking) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(timed_runs(ranking));
    let Some(baseline) = ranking.baseline().filter(|v| v.is_trained()) else {
        return found;
    };
    let compared = Compared {
        plan,
        ranking,
        baseline,
    };
    found.extend(compared.unnamed_settings());
    found.extend(compared.tokens());
    found.extend(compared.bytes());
    found.extend(compared.parameters());
    found.extend(compared.flops());
    found.extend(compared.context());
    found.extend(compared.batches());
    found
}

/// Variants whose results depend on the speed of the machine.
fn timed_runs(ranking: &Ranking) -> Option<String> {
    let is_timed = |v: &&Variant| v.spec().train.planned_steps().is_none();
    let timed = ranking.variants.iter().filter(is_timed);
    let timed: Vec<String> = timed.map(|v| v.name.to_owned()).collect();
    let which = match timed.len() == ranking.variants.len() {
        true => "The runs".to_owned(),
        false => format!("The runs of {}", shortened(timed.clone())),
    };
    (!timed.is_empty()).then(|| {
        format!(
            "{which} are trained for a fixed time (train.seconds). Their number of steps depends on the machine and on what else it does, so their results cannot be repeated exactly. They get equal numbers of threads if the whole sweep is trained with the same `--jobs` on one machine."
        )
    })
}

/// The trained variants of a sweep and their baseline.
struct Compared<'a> {
    plan: &'a SweepPlan,
    ranking: &'a Ranking<'a>,
    baseline: &'a Variant<'a>,
}

impl Compared<'_> {
    /// The trained variants without the baseline.
    fn others(&self) -> impl Iterator<Item = &Variant<'_>> {
        let variants = self.ranking.variants.iter();
        variants.filter(|variant| variant.is_trained() && !variant.is_baseline)
    }

    fn is_same_kind(&self, variant: &Variant) -> bool {
        variant.spec().model.kind == self.baseline.spec().model.kind
    }

    /// Settings that differ although neither variant sets them, because they follow from another setting. What
    /// `sweep.match` has chosen makes the comparison fairer, and is listed elsewhere.
    fn unnamed_settings(&self) -> Option<String> {
        let written = WrittenSettings::of(&self.plan.experiment)?;
        let sweep = self.plan.experiment.sweep.as_ref();
        let matched = sweep.and_then(|sweep| Some(sweep.matching.as_ref()?.by.path()));
        let unnamed = |variant: &Variant| {
            let named = written.by(&[variant.name, self.baseline.name]);
            let is_unnamed = |change: &Change| {
                let path = change.path.as_str();
                !named.covers(path)
                    && Some(path) != matched
                    && !path.starts_with("sample.")
                    && !WITHOUT_INFLUENCE.contains(&path)
            };
            let [own, base] = [variant, self.baseline].map(Variant::spec);
            let mut unnamed = changes(own, base);
            unnamed.retain(|change| change.path != MLP_HIDDEN);
            unnamed.extend(changed_width(variant, self.baseline));
            unnamed.retain(|change| is_unnamed(change) && applies_to_both(change, own, base));
            unnamed
        };
        let differing = self.others().filter_map(|variant| {
            let unnamed = unnamed(variant);
            let shown = unnamed.iter().take(MOST_SETTINGS).map(|change| {
                let Change {
                    path,
                    value,
                    baseline,
                } = change;
                format!("{path} {value} instead of {baseline}")
            });
            let mut shown: Vec<String> = shown.collect();
            if unnamed.len() > MOST_SETTINGS {
                shown.push(format!("{} more", unnamed.len() - MOST_SETTINGS));
            }
            let settings = format!("{} ({})", variant.name, shown.join(", "));
            (!unnamed.is_empty()).then_some(settings)
        });
        let differing: Vec<String> = differing.collect();
        (!differing.is_empty()).then(|| {
            format!(
                "Some settings differ from the baseline although the variants do not set them, because they follow from other settings: {}.",
                shortened(differing)
            )
        })
    }

    fn tokens(&self) -> Option<String> {
        let tokens = |v: &Variant| Some(v.training_tokens()? as f64);
        // In a fixed time, equal variants take slightly different numbers of steps.
        let mut variants = self.ranking.variants.iter();
        let is_timed = variants.any(|v| v.spec().train.planned_steps().is_none());
        let (what, tolerance) = match is_timed {
            true => (
                "The number of training tokens differs by more than 10 %",
                1.1,
            ),
            false => ("The number of training tokens differs", 1.0),
        };
        self.unmatched(
            what,
            Some(MatchedQuantity::Tokens),
            tolerance,
            count,
            tokens,
        )
    }

    /// Bytes are compared where tokens cannot be, because the tokenizers differ.
    fn bytes(&self) -> Option<String> {
        let tokenizer = |v: &Variant| v.corpus.tokenizer_sha256.clone();
        let of_baseline = tokenizer(self.baseline);
        let bytes = |v: &Variant| Some(v.training_tokens()? as f64 * v.bytes_per_training_token());
        let comparable = |v: &Variant| match v.is_baseline || tokenizer(v) != of_baseline {
            true => bytes(v),
            false => None,
        };
        let what = "The amount of training text that the models see differs, because a token of another tokenizer has another length";
        self.unmatched(what, None, 1.01, units::bytes, comparable)
    }

    fn parameters(&self) -> Option<String> {
        // A bigram model is not a smaller transformer, so its size is not compared.
        let params = |v: &Variant| self.is_same_kind(v).then(|| v.params() as f64);
        let what = "The number of parameters differs by more than 10 %";
        self.unmatched(what, Some(MatchedQuantity::Params), 1.1, count, params)
    }

    fn flops(&self) -> Option<String> {
        let per_token = |v: &Variant| v.representative.planned.flops_per_token;
        let flops = |v: &Variant| {
            let same_cost = !v.is_baseline && per_token(v) == per_token(self.baseline);
            // With the same cost per token, the number of tokens says it all.
            let comparable = self.is_same_kind(v) && !same_cost;
            Some(per_token(v) * v.training_tokens().filter(|_| comparable)? as f64)
        };
        let what = "The FLOPs of training differ by more than 10 %";
        self.unmatched(what, Some(MatchedQuantity::Flops), 1.1, count, flops)
    }

    fn context(&self) -> Option<String> {
        let context = |variant: &Variant| variant.spec().sequence_length();
        let differs = |variant: &Variant| context(variant) != context(self.baseline);
        self.others().any(differs).then(|| {
            "The context lengths differ, also during evaluation. Part of a difference may come from the longer context."
                .to_owned()
        })
    }

    /// Variants whose batches are not those of the baseline with the same seed.
    fn batches(&self) -> Option<String> {
        let unpaired = self.others().filter_map(|variant| {
            let reasons = different_batches(variant, self.baseline);
            let text = format!("{} ({})", variant.name, reasons.join(", "));
            (!reasons.is_empty()).then_some(text)
        });
        let unpaired: Vec<String> = unpaired.collect();
        (!unpaired.is_empty()).then(|| {
            format!(
                "Runs with equal seeds do not see the same batches as the baseline in every step: {}. These differences are noisier, but still valid.",
                shortened(unpaired)
            )
        })
    }

    /// The variants whose value is not within a factor of `tolerance` of the baseline's. A value of
    /// `None` is not compared, and neither is one that was matched.
    fn unmatched(
        &self,
        what: &str,
        matched: Option<MatchedQuantity>,
        tolerance: f64,
        format: impl Fn(f64) -> String,
        value: impl Fn(&Variant) -> Option<f64>,
    ) -> Option<String> {
        let base = value(self.baseline)?;
        let is_matched = |name: &str| matched.is_some_and(|what| is_matched(self.plan, name, what));
        let different = self.others().filter_map(|variant| {
            let value = value(variant)?;
            let ratio = value / base;
            let differs = ratio > tolerance || ratio < 1.0 / tolerance;
            let shown = format!("{} has {} ({})", variant.name, format(value), change(ratio));
            (differs && !is_matched(variant.name)).then_some(shown)
        });
        let different: Vec<String> = different.collect();
        (!different.is_empty()).then(|| {
            format!(
                "{what}: the baseline {} has {}; {}.",
                self.baseline.name,
                format(base),
                shortened(different)
            )
        })
    }
}

/// The widths of the MLPs, if they differ. The text of the setting can be equal then: a multiple or
/// `matched` gives a width that depends on other settings.
fn changed_width(variant: &Variant, baseline: &Variant) -> Option<Change> {
    let [own, base] = [variant, baseline].map(|variant| &variant.spec().model);
    (own.mlp_width() != base.mlp_width()).then(|| Change {
        path: MLP_HIDDEN.to_owned(),
        value: own.mlp_width().to_string(),
        baseline: base.mlp_width().to_string(),
    })
}

/// Whether a setting has an effect in both runs. One that another kind ignores has its default.
fn applies_to_both(change: &Change, own: &RunSpec, base: &RunSpec) -> bool {
    [own, base].iter().all(|run| applies(run, &change.path))
}

#[cfg(test)]
mod tests {
    use crate::report::testing::{Folder, corpus, variant};
    use crate::results::{ChosenValue, CorpusInfo, MatchedVariant};
    use crate::spec::{Mlp, OptimizerKind, TokenizerKind};

    /// A folder whose variants are those of a sweep.
    fn swept(sweep: &str) -> Folder {
        let folder = Folder::new("fair");
        folder.plan.borrow_mut().experiment.sweep = Some(serde_yaml::from_str(sweep).unwrap());
        variant(&folder, "gpt", 2, 1.52, |run| run);
        folder
    }

    #[test]
    fn settings_that_follow_from_others_are_a_caution() {
        let folder = swept(
            "{variants: {gpt: {}, large: {train: {batch_size: 24}}, gated: {model: {mlp: swiglu}}, sgd: {optimizer: {kind: sgd}}}}",
        );
        // The document has a length in epochs and a value for AdamW.
        variant(&folder, "large", 2, 1.50, |run| {
            run.spec(|spec| {
                spec.train.batch_size = 24;
                spec.train.steps = 250;
            })
        });
        variant(&folder, "gated", 2, 1.51, |run| {
            run.spec(|spec| spec.model.mlp = Mlp::Swiglu)
        });
        variant(&folder, "sgd", 2, 1.60, |run| {
            run.spec(|spec| {
                spec.optimizer.kind = OptimizerKind::Sgd;
                spec.optimizer.betas = [0.8, 0.9];
            })
        });
        let cautions = folder.write().cautions;
        assert_eq!(
            cautions,
            [
                "Some settings differ from the baseline although the variants do not set them, because they follow from other settings: large (train.steps 250 instead of 500) and gated (model.mlp_hidden 344 instead of 512).",
                "Runs with equal seeds do not see the same batches as the baseline in every step: large (sequences per step, number of steps). These differences are noisier, but still valid.",
            ]
        );
    }

    #[test]
    fn gradient_accumulation_alone_changes_no_batch() {
        let folder = swept(
            "{variants: {gpt: {}, parts: {train: {batch_size: 3, gradient_accumulation_steps: 4}}}}",
        );
        variant(&folder, "parts", 2, 1.52, |run| {
            run.spec(|spec| {
                spec.train.batch_size = 3;
                spec.train.gradient_accumulation_steps = 4;
            })
        });
        assert_eq!(folder.write().cautions, [""; 0]);
    }

    #[test]
    fn a_quantity_that_was_matched_is_no_caution() {
        for (what, is_caution) in [("params", false), ("flops", true)] {
            let folder = swept(&format!(
                "{{match: {{what: {what}, by: model.n_layer, tolerance: 50%}}, variants: {{gpt: {{}}, gated: {{model: {{mlp: swiglu}}}}}}}}"
            ));
            folder.plan.borrow_mut().matched = vec![MatchedVariant {
                variant: "gated".to_owned(),
                chosen: Some(ChosenValue {
                    value: 5,
                    mismatch: 0.2,
                }),
            }];
            variant(&folder, "gated", 2, 1.5, |run| {
                run.params(965_000).spec(|spec| spec.model.n_layer = 5)
            });
            let cautions = folder.write().cautions;
            let parameters = cautions.iter().any(|c| c.contains("number of parameters"));
            let flops = cautions.iter().any(|c| c.contains("FLOPs of training"));
            assert_eq!(
                (parameters, flops),
                (is_caution, !is_caution),
                "{cautions:?}"
            );
            // The chosen value is no caution either.
            assert!(
                !cautions.iter().any(|c| c.contains("n_layer")),
                "{cautions:?}"
            );
            let remaining = match what {
                "params" => "(matched: parameters +20 %)",
                _ => "(matched: training FLOPs +20 %)",
            };
            assert!(folder.read("report.md").contains(remaining));
        }
    }

    #[test]
    fn another_tokenizer_sees_another_amount_of_text() {
        let folder = swept("{variants: {gpt: {}, bpe: {tokenizer: {kind: bpe}}}}");
        folder.plan.borrow_mut().corpora.push(CorpusInfo {
            tokenizer_sha256: "c3".repeat(32),
            train_tokens: 300_000,
            val_tokens: 33_000,
            ..corpus()
        });
        variant(&folder, "bpe", 2, 1.5, |run| {
            run.corpus(1)
                .spec(|spec| spec.tokenizer.kind = TokenizerKind::Bpe)
        });
        let cautions = folder.write().cautions;
        // 384,000 tokens: one byte each, or three.
        let text = "the baseline gpt has 384 kB; bpe has 1.15 MB (+200 %)";
        assert!(cautions.iter().any(|c| c.contains(text)), "{cautions:?}");
        assert!(
            cautions.iter().any(|c| c.contains("bpe (tokenizer)")),
            "{cautions:?}"
        );
    }

    #[test]
    fn cautions_about_many_variants_stay_short() {
        let names: Vec<String> = (0..20).map(|n| format!("v{n}")).collect();
        let variants: Vec<String> = names.iter().map(|name| format!("{name}: {{}}")).collect();
        let folder = swept(&format!(
            "{{variants: {{gpt: {{}}, {}}}}}",
            variants.join(", ")
        ));
        for (n, name) in names.iter().enumerate() {
            variant(&folder, name, 2, 1.5, |run| {
                run.spec(|spec| spec.train.steps = 600 + n as u64)
            });
        }
        let cautions = folder.write().cautions;
        assert_eq!(cautions.len(), 3, "{cautions:?}");
        for caution in cautions {
            assert!(caution.contains("and 14 other variants"), "{caution}");
        }
    }
}
