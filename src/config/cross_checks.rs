//! Checks of a resolved run whose fields are each valid but may contradict each other.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::limits::MAX_HIDDEN;
use super::spans::Span;
use super::tree::Node;
use crate::spec::{
    BatchOrder, Choice, EvaluatedWeights, Model, ModelKind, Norm, NormPosition, PositionKind,
    RunSpec, Schedule, ScheduleKind, Source, TokenizerKind,
};

/// Tokens of a byte-level vocabulary before the first merge.
const BYTES: usize = 256;

/// All contradictions between fields of a run.
pub(super) fn check(spec: &RunSpec, tree: &Node) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let mut report = |paths: [&str; 2], kind| {
        errors.push(Diagnostic::new(last_written(tree, paths), kind));
    };
    if spec.model.kind == ModelKind::Gpt {
        for (paths, kind) in transformer(&spec.model) {
            report(paths, kind);
        }
    }
    if spec.sequence_length() > spec.model.block_size {
        let kind = ErrorKind::SequenceLength {
            length: spec.sequence_length(),
            block_size: spec.model.block_size,
        };
        report(["train.sequence_length", "model.block_size"], kind);
    }
    let tokenizer = &spec.tokenizer;
    if tokenizer.kind == TokenizerKind::Bpe && tokenizer.vocab_size <= BYTES {
        let vocab_size = tokenizer.vocab_size;
        let kind = ErrorKind::BpeVocabSize { vocab_size };
        report(["tokenizer.vocab_size", "tokenizer.kind"], kind);
    }
    if tokenizer.nbest.is_some() && tokenizer.alpha.is_none() {
        report(
            ["tokenizer.nbest", "tokenizer"],
            ErrorKind::NbestWithoutAlpha,
        );
    }
    if spec.train.evaluate == Some(EvaluatedWeights::Ema) && spec.train.ema.is_none() {
        report(
            ["train.evaluate", "train.ema"],
            ErrorKind::EvaluateWithoutEma,
        );
    }
    let sampled = tokenizer.alpha.is_some() || tokenizer.dropout > 0.0;
    if sampled && spec.train.batches == BatchOrder::Sequential {
        report(["train.batches", "tokenizer"], ErrorKind::SampledSequential);
    }
    if tokenizer.kind == TokenizerKind::File && tokenizer.path.is_none() {
        report(["tokenizer.kind", "tokenizer"], ErrorKind::NoTokenizerPath);
    }
    let optimizer = &spec.optimizer;
    let schedule = &optimizer.schedule;
    let muon = &optimizer.muon;
    for (used, [nesterov, momentum], values) in [
        (
            optimizer.kind.uses("optimizer.nesterov"),
            ["optimizer.nesterov", "optimizer.momentum"],
            (optimizer.nesterov, optimizer.momentum),
        ),
        (
            optimizer.kind.uses("optimizer.muon"),
            ["optimizer.muon.nesterov", "optimizer.muon.momentum"],
            (muon.nesterov, muon.momentum),
        ),
    ] {
        if used && values == (true, 0.0) {
            report([nesterov, momentum], ErrorKind::Nesterov);
        }
    }
    if schedule.kind.falls_to_min_lr() && schedule.min_lr > optimizer.lr {
        let kind = ErrorKind::MinLr {
            min_lr: schedule.min_lr,
            lr: optimizer.lr,
        };
        report(["optimizer.schedule.min_lr", "optimizer.lr"], kind);
    }
    let sample = &spec.sample;
    if sample.temperature == 0.0 && sample.num_samples > 1 {
        let num_samples = sample.num_samples;
        let kind = ErrorKind::SameSamples { num_samples };
        report(["sample.temperature", "sample.num_samples"], kind);
    }
    let data = &spec.data;
    if data.source == Source::Plays && data.plays_bytes > data.max_bytes {
        let kind = ErrorKind::PlaysBytes {
            plays_bytes: data.plays_bytes,
            max_bytes: data.max_bytes,
        };
        report(["data.plays_bytes", "data.max_bytes"], kind);
    }
    if let Some(steps) = spec.known_steps() {
        errors.extend(check_schedule(spec, steps, tree));
    }
    errors
}

/// All errors in the learning rate schedule of a run of `steps` steps.
pub(super) fn check_schedule(spec: &RunSpec, steps: u64, tree: &Node) -> Vec<Diagnostic> {
    if spec.model.kind == ModelKind::Ngram {
        return Vec::new(); // it has no steps, but may inherit a schedule
    }
    let schedule = &spec.optimizer.schedule;
    let warmup_steps = schedule.warmup_steps;
    let decay_steps = schedule.decay_steps(steps);
    let (path, kind) = if warmup_steps > steps {
        (
            spec.train.length().path(),
            ErrorKind::Warmup {
                warmup_steps,
                steps,
            },
        )
    } else if warmup_steps + decay_steps > steps {
        let kind = ErrorKind::WarmupAndDecay {
            warmup_steps,
            decay_steps,
            steps,
        };
        ("optimizer.schedule.decay_fraction", kind)
    } else {
        return Vec::new();
    };
    let span = last_written(tree, ["optimizer.schedule.warmup_steps", path]);
    vec![Diagnostic::new(span, kind)]
}

/// A warning if the learning rate of a run with a counted number of steps does not fall to `min_lr`.
pub(super) fn unreached_min_lr(spec: &RunSpec, tree: &Node) -> Option<Diagnostic> {
    let Schedule {
        kind,
        warmup_steps,
        min_lr,
        ..
    } = spec.optimizer.schedule;
    let steps = spec.train.planned_steps().filter(|&steps| steps > 1)?;
    let is_trained = spec.model.kind != ModelKind::Ngram;
    let has_decay = kind != ScheduleKind::Wsd || spec.optimizer.schedule.decay_steps(steps) > 0;
    // The step after the warm-up has the full rate, and the last step has `min_lr`.
    let is_reached = has_decay && warmup_steps.saturating_add(1) < steps;
    if !is_trained || !kind.falls_to_min_lr() || min_lr >= spec.optimizer.lr || is_reached {
        return None;
    }
    let kind = ErrorKind::MinLrNotReached {
        min_lr,
        warmup_steps,
        steps,
    };
    let key = match has_decay {
        true => "optimizer.schedule.warmup_steps",
        false => "optimizer.schedule.decay_fraction",
    };
    let span = last_written(tree, [key, spec.train.length().path()]);
    Some(Diagnostic::new(span, kind))
}

/// Whether the fields of a transformer do not contradict each other.
pub fn is_valid_model(model: &Model) -> bool {
    transformer(model).is_empty()
}

/// All contradictions between fields of a transformer, with the paths of the two fields.
fn transformer(model: &Model) -> Vec<([&'static str; 2], ErrorKind)> {
    let mut errors = Vec::new();
    let mut report = |paths, kind| errors.push((paths, kind));
    let &Model { n_embd, n_head, .. } = model;
    if !n_embd.is_multiple_of(n_head) {
        let kind = ErrorKind::Heads { n_embd, n_head };
        report(["model.n_head", "model.n_embd"], kind);
    } else if model.positions.kind == PositionKind::Rotary && model.rotary_width() % 2.0 != 0.0 {
        let kind = ErrorKind::RotaryWidth {
            head_size: model.head_size(),
            width: model.rotary_width(),
        };
        let key = match model.positions.rotary_pct {
            1.0 => "model.positions.kind",
            _ => "model.positions.rotary_pct",
        };
        report([key, "model.n_head"], kind);
    }
    let n_kv_head = model.kv_heads();
    if !n_head.is_multiple_of(n_kv_head) {
        let kind = ErrorKind::KvHeads { n_head, n_kv_head };
        report(["model.n_kv_head", "model.n_head"], kind);
    }
    let block_size = model.block_size;
    if let Some(window) = model.sliding_window.filter(|&window| window > block_size) {
        let kind = ErrorKind::SlidingWindow { window, block_size };
        report(["model.sliding_window", "model.block_size"], kind);
    }
    if model.parallel_block && model.norm != Norm::None && model.norm_position != NormPosition::Pre
    {
        report(
            ["model.parallel_block", "model.norm_position"],
            ErrorKind::ParallelBlock,
        );
    }
    if !(1..=MAX_HIDDEN).contains(&model.mlp_width()) {
        let kind = ErrorKind::MlpWidth {
            width: model.mlp_width(),
            max: MAX_HIDDEN,
        };
        report(["model.mlp_hidden", "model.n_embd"], kind);
    }
    errors
}

/// The span of the field that comes from the later layer, or of the first one if both come from the
/// same layer.
fn last_written(tree: &Node, paths: [&str; 2]) -> Span {
    let [first, second] = paths.map(|path| tree.at(path));
    let entry = match (first, second) {
        (Some(first), Some(second)) if second.layer > first.layer => Some(second),
        (first, second) => first.or(second),
    };
    entry.map_or(tree.span, |entry| entry.value.span)
}
