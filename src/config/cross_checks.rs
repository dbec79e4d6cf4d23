//! Fields against each other, in a run that is resolved.

use super::diagnostic::Diagnostic;
use super::error_kind::Problem;
use super::spans::Place;
use super::tree::Node;
use crate::spec::{
    BatchOrder, Model, ModelKind, Norm, NormPosition, OptimizerKind, PositionKind, RunSpec, Source,
    TokenizerKind,
};

/// Tokens of a byte-level vocabulary before any is merged.
const BYTES: usize = 256;

/// Widest hidden layer of an MLP, however it is written.
const MOST_HIDDEN: usize = 1_000_000;

/// Everything wrong with a run whose every field is right by itself.
pub(super) fn check(spec: &RunSpec, tree: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut report = |paths: [&str; 2], problem| {
        found.push(Diagnostic::new(latest(tree, paths), problem));
    };
    if spec.model.kind == ModelKind::Gpt {
        for (paths, problem) in transformer(&spec.model) {
            report(paths, problem);
        }
    }
    if spec.sequence_length() > spec.model.block_size {
        let problem = Problem::SequenceLength {
            length: spec.sequence_length(),
            block_size: spec.model.block_size,
        };
        report(["train.sequence_length", "model.block_size"], problem);
    }
    let tokenizer = &spec.tokenizer;
    if tokenizer.kind == TokenizerKind::Bpe && tokenizer.vocab_size <= BYTES {
        let vocab_size = tokenizer.vocab_size;
        let problem = Problem::BpeVocabSize { vocab_size };
        report(["tokenizer.vocab_size", "tokenizer.kind"], problem);
    }
    if tokenizer.nbest.is_some() && tokenizer.alpha.is_none() {
        report(["tokenizer.nbest", "tokenizer"], Problem::NbestWithoutAlpha);
    }
    let sampled = tokenizer.alpha.is_some() || tokenizer.dropout > 0.0;
    if sampled && spec.train.batches == BatchOrder::Sequential {
        report(["train.batches", "tokenizer"], Problem::SampledInTurn);
    }
    if tokenizer.kind == TokenizerKind::File && tokenizer.path.is_none() {
        report(["tokenizer.kind", "tokenizer"], Problem::NoTokenizerPath);
    }
    let optimizer = &spec.optimizer;
    let schedule = &optimizer.schedule;
    let velocity = match optimizer.kind {
        OptimizerKind::Sgd => Some(("optimizer", optimizer.momentum, optimizer.nesterov)),
        OptimizerKind::Muon => {
            let muon = &optimizer.muon;
            Some(("optimizer.muon", muon.momentum, muon.nesterov))
        }
        _ => None,
    };
    if let Some((section, 0.0, true)) = velocity {
        let [nesterov, momentum] = ["nesterov", "momentum"].map(|key| format!("{section}.{key}"));
        report([&nesterov, &momentum], Problem::Nesterov);
    }
    if schedule.kind.falls_to_min_lr() && schedule.min_lr > optimizer.lr {
        let problem = Problem::MinLr {
            min_lr: schedule.min_lr,
            lr: optimizer.lr,
        };
        report(["optimizer.schedule.min_lr", "optimizer.lr"], problem);
    }
    let sample = &spec.sample;
    if sample.temperature == 0.0 && sample.num > 1 {
        let problem = Problem::SameTexts { num: sample.num };
        report(["sample.temperature", "sample.num"], problem);
    }
    let data = &spec.data;
    if data.source == Source::Plays && data.plays_bytes > data.max_bytes {
        let problem = Problem::PlaysBytes {
            plays_bytes: data.plays_bytes,
            max_bytes: data.max_bytes,
        };
        report(["data.plays_bytes", "data.max_bytes"], problem);
    }
    if let Some(steps) = spec.known_steps() {
        found.extend(check_schedule(spec, steps, tree));
    }
    found
}

/// Everything wrong with the schedule of a run of `steps`.
pub(super) fn check_schedule(spec: &RunSpec, steps: u64, tree: &Node) -> Vec<Diagnostic> {
    if spec.model.kind == ModelKind::Ngram {
        return Vec::new(); // it has no steps, and inherits a schedule from those that do
    }
    let schedule = &spec.optimizer.schedule;
    let warmup_steps = schedule.warmup_steps;
    let decay_steps = schedule.decay_steps(steps);
    let length = match (spec.train.epochs, spec.train.tokens) {
        (Some(_), _) => "train.epochs",
        (None, Some(_)) => "train.tokens",
        (None, None) => "train.steps",
    };
    let (path, problem) = if warmup_steps > steps {
        (
            length,
            Problem::Warmup {
                warmup_steps,
                steps,
            },
        )
    } else if warmup_steps + decay_steps > steps {
        let problem = Problem::WarmupAndDecay {
            warmup_steps,
            decay_steps,
            steps,
        };
        ("optimizer.schedule.decay_fraction", problem)
    } else {
        return Vec::new();
    };
    let place = latest(tree, ["optimizer.schedule.warmup_steps", path]);
    vec![Diagnostic::new(place, problem)]
}

/// Everything wrong with a transformer, with the two fields that do not go together.
fn transformer(model: &Model) -> Vec<([&'static str; 2], Problem)> {
    let mut found = Vec::new();
    let mut report = |paths, problem| found.push((paths, problem));
    let &Model { n_embd, n_head, .. } = model;
    if !n_embd.is_multiple_of(n_head) {
        let problem = Problem::Heads { n_embd, n_head };
        report(["model.n_head", "model.n_embd"], problem);
    } else if model.positions.kind == PositionKind::Rotary && model.rotary_width() % 2.0 != 0.0 {
        let problem = Problem::RotaryWidth {
            head_size: model.head_size(),
            width: model.rotary_width(),
        };
        let key = match model.positions.fraction {
            1.0 => "model.positions.kind",
            _ => "model.positions.fraction",
        };
        report([key, "model.n_head"], problem);
    }
    let n_kv_head = model.kv_heads();
    if !n_head.is_multiple_of(n_kv_head) {
        let problem = Problem::KvHeads { n_head, n_kv_head };
        report(["model.n_kv_head", "model.n_head"], problem);
    }
    let block_size = model.block_size;
    if let Some(window) = model.window.filter(|&window| window > block_size) {
        let problem = Problem::Window { window, block_size };
        report(["model.window", "model.block_size"], problem);
    }
    if model.parallel && model.norm != Norm::None && model.norm_position != NormPosition::Pre {
        report(["model.parallel", "model.norm_position"], Problem::Parallel);
    }
    if !(1..=MOST_HIDDEN).contains(&model.mlp_width()) {
        let problem = Problem::MlpWidth {
            width: model.mlp_width(),
            most: MOST_HIDDEN,
        };
        report(["model.mlp_hidden", "model.n_embd"], problem);
    }
    found
}

/// Where two fields were brought together: the place of the one written last, the first of them
/// where both are of one layer.
fn latest(tree: &Node, paths: [&str; 2]) -> Place {
    let [first, second] = paths.map(|path| tree.at(path));
    let entry = match (first, second) {
        (Some(first), Some(second)) if second.layer > first.layer => Some(second),
        (first, second) => first.or(second),
    };
    entry.map_or(tree.place, |entry| entry.value.place)
}
