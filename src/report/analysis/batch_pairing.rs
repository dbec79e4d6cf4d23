use super::ranking::Variant;
use crate::results::CorpusInfo;
use crate::spec::RunSpec;

/// Why runs of a variant do not see the batches of the baseline with the same seed, in words. Gradient
/// accumulation alone changes no batch.
pub(super) fn different_batches(variant: &Variant, baseline: &Variant) -> Vec<&'static str> {
    let [(own, own_text), (base, base_text)] = [variant, baseline].map(|v| (v.spec(), v.corpus));
    let text = |text: &CorpusInfo| (text.data_sha256.clone(), text.train_bytes);
    // The parameters of a sampled encoding are not part of the tokenizer.
    let tokens = |run: &RunSpec, text: &CorpusInfo| {
        let tokenizer = &run.tokenizer;
        let sampling = (tokenizer.alpha, tokenizer.nbest, tokenizer.dropout);
        (text.tokenizer_sha256.clone(), sampling)
    };
    let steps = |run: &RunSpec| run.train.planned_steps();
    let other_steps = steps(own) != steps(base) || steps(own).is_none();
    let differences = [
        (text(own_text) != text(base_text), "text"),
        (
            tokens(own, own_text) != tokens(base, base_text),
            "tokenizer",
        ),
        (
            own.train.sequences_per_step() != base.train.sequences_per_step(),
            "sequences per step",
        ),
        (
            own.sequence_length() != base.sequence_length(),
            "sequence length",
        ),
        (
            own.train.batches != base.train.batches,
            "order of the batches",
        ),
        (other_steps, "number of steps"),
    ];
    let differences = differences.into_iter().filter(|(differs, _)| *differs);
    differences.map(|(_, name)| name).collect()
}
