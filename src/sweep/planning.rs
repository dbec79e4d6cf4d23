use super::matching::{CountedRun, count_steps, match_variants};
use super::slow_notice::notify_if_slow;
use super::{Error, Machine, machine};
use crate::config::{Diagnostics, Document, Expansion, nearest};
use crate::data::{self, DataError};
use crate::hash::hex;
use crate::model;
use crate::results::{CorpusInfo, PlannedRun, SweepPlan};
use crate::spec::{
    Data, MatchedSetting, ModelKind, Precision, RunSpec, Source, Tokenizer, TokenizerKind,
};
use crate::text::terminal::print_note;
use crate::text::units;
use crate::train::{Device, optim};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// Time after which the user is told that a text is being read.
const NOTICE_DELAY: Duration = Duration::from_secs(1);

/// Makes the plan of an experiment: reads and tokenizes its data (stored under `cache`), and gives each
/// run its size, identity and name. All errors of the data are reported together, each at the place in
/// the file that causes it.
pub fn build(
    document: &Document,
    expansion: Expansion,
    cache: &Path,
    command: String,
    device: Device,
) -> Result<SweepPlan, Error> {
    let mut errors = Vec::new();
    errors.extend(missing_template(document));
    let mut corpora = Corpora::new(cache);
    let mut prompts = HashSet::new();
    let free_memory_mb = Machine::of_this_process().free_memory_mb;
    let mut counted = Vec::new();
    let mut all_prepared = true;
    for (mut spec, tuned) in expansion.runs.into_iter().zip(expansion.tuned) {
        match corpora.prepare(&spec) {
            Prepared::Ready(corpus) => {
                count_steps(&mut spec, &corpora.infos[corpus]);
                errors.extend(document.check_counted(&spec));
                errors.extend(too_short(document, &spec, &corpora.infos[corpus]));
                if prompts.insert((corpus, spec.sample.prompt.clone())) {
                    errors.extend(unknown_prompt(document, &spec, &mut corpora, corpus));
                }
                counted.push(CountedRun {
                    spec,
                    tuned,
                    corpus,
                });
                continue;
            }
            Prepared::Refused(error) if error.is_machine_failure() => {
                return Err(Error::Data(error));
            }
            Prepared::Refused(error) => errors.push(refused(document, &spec, &error)),
            Prepared::RefusedBefore => {}
        }
        all_prepared = false;
    }
    let mut matched = Vec::new();
    if all_prepared {
        match match_variants(document, &expansion.baseline, &mut counted, &corpora.infos) {
            Ok(variants) => matched = variants,
            Err(refused) => errors.extend(refused),
        }
    }
    let mut runs = Vec::new();
    for run in counted {
        errors.extend(too_many_steps(document, &run.spec));
        errors.extend(bf16_on_gpu(document, &run.spec, device));
        let corpus = run.corpus;
        let run = planned(run, &corpora.infos[corpus]);
        if device == Device::Cpu
            && let Some(free) = free_memory_mb
        {
            errors.extend(too_large(document, &run, &corpora.infos[corpus], free));
        }
        runs.push(run);
    }
    if errors.is_empty() {
        let specs = runs.iter().map(|run: &PlannedRun| &run.spec);
        errors.extend(document.check_counted_values(specs, &expansion.baseline));
    }
    if let Some(all) = Diagnostics::merged(errors) {
        return Err(Error::Config(all));
    }
    let mut plan = SweepPlan {
        experiment: document.experiment().clone(),
        baseline: expansion.baseline,
        earlier: Vec::new(),
        matched,
        command,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config_hash: String::new(),
        machine: machine::describe(device),
        corpora: corpora.infos,
        runs,
    };
    plan.remove_repetitions();
    plan.config_hash = config_hash(&plan.runs);
    Ok(plan)
}

/// The corpora of a sweep. Each distinct (data, tokenizer) pair is prepared once.
struct Corpora<'a> {
    cache: &'a Path,
    infos: Vec<CorpusInfo>,
    seen: Vec<(Data, Tokenizer, Option<usize>)>,
    /// Tokenizers that were read, by the index of their corpus.
    tokenizers: Vec<Option<data::Tokenizer>>,
}

enum Prepared {
    /// Index into the corpora.
    Ready(usize),
    Refused(DataError),
    /// The same pair was refused, and reported, for an earlier run.
    RefusedBefore,
}

impl<'a> Corpora<'a> {
    fn new(cache: &'a Path) -> Self {
        Self {
            cache,
            infos: Vec::new(),
            seen: Vec::new(),
            tokenizers: Vec::new(),
        }
    }

    fn prepare(&mut self, spec: &RunSpec) -> Prepared {
        let pair = |(data, tokenizer, _): &&(Data, Tokenizer, _)| {
            *data == spec.data && *tokenizer == spec.tokenizer
        };
        if let Some((_, _, corpus)) = self.seen.iter().find(pair) {
            return corpus.map_or(Prepared::RefusedBefore, Prepared::Ready);
        }
        let notify = || {
            print_note(&preparing(spec));
        };
        let result = notify_if_slow(NOTICE_DELAY, notify, || {
            data::prepare_with_notices(&spec.data, &spec.tokenizer, self.cache, &mut print_note)
        });
        let prepared = match result {
            Ok(info) => Prepared::Ready(self.add(info)),
            Err(error) => Prepared::Refused(error),
        };
        let corpus = match prepared {
            Prepared::Ready(corpus) => Some(corpus),
            _ => None,
        };
        let pair = (spec.data.clone(), spec.tokenizer.clone(), corpus);
        self.seen.push(pair);
        prepared
    }

    /// The tokenizer of a corpus, which is read on first use: reading a large one takes long.
    fn tokenizer(&mut self, corpus: usize) -> Result<&data::Tokenizer, DataError> {
        if self.tokenizers.len() <= corpus {
            self.tokenizers.resize_with(corpus + 1, || None);
        }
        let slot = &mut self.tokenizers[corpus];
        if slot.is_none() {
            *slot = Some(data::open(self.cache, &self.infos[corpus].key)?.tokenizer);
        }
        Ok(slot.as_ref().expect("the tokenizer was just read"))
    }

    /// Adds a corpus. Pairs that differ only in values without effect are one corpus.
    fn add(&mut self, info: CorpusInfo) -> usize {
        let known = self.infos.iter().position(|known| known.key == info.key);
        known.unwrap_or_else(|| {
            self.infos.push(info);
            self.infos.len() - 1
        })
    }
}

/// The notice while a corpus is being prepared.
fn preparing(spec: &RunSpec) -> String {
    let source = &spec.data.source;
    let kind = spec.tokenizer.kind;
    if kind.has_trained_vocabulary() {
        format!("reading {source} and training a {kind} tokenizer on it")
    } else {
        format!("reading {source} and encoding it")
    }
}

fn planned(run: CountedRun, info: &CorpusInfo) -> PlannedRun {
    let CountedRun {
        spec,
        tuned,
        corpus,
    } = run;
    let size = model::size(&spec.model, info.vocab_size, spec.sequence_length());
    let identity = spec.identity(&info.content_sha256());
    PlannedRun {
        name: spec.run_name(&identity),
        identity,
        corpus,
        params: size.params,
        params_non_embedding: size.params_non_embedding,
        flops_per_token: size.flops_per_token,
        tuned,
        spec,
    }
}

fn config_hash(runs: &[PlannedRun]) -> String {
    let mut hash = Sha256::new();
    for run in runs {
        hash.update(&run.identity);
    }
    hex(&hash.finalize())
}

/// An error of the data, at the value in the file that has to be changed.
fn refused(document: &Document, spec: &RunSpec, error: &DataError) -> Diagnostics {
    let (path, help) = match error {
        DataError::Missing { path } => ("data.source", Some(sources(&path.to_string_lossy()))),
        DataError::VocabTooLarge { .. } | DataError::VocabTooSmall { .. } => {
            ("tokenizer.vocab_size", None)
        }
        DataError::TooLongToTrainOn { .. } => ("tokenizer.kind", None),
        DataError::MissingTokenizer { .. } => {
            let help = "a path is relative to the folder the command is run in".to_owned();
            ("tokenizer.path", Some(help))
        }
        DataError::ReadTokenizer { .. } | DataError::TooLongWhenNormalized { .. } => {
            ("tokenizer.path", None)
        }
        DataError::NotATokenizer { .. } => {
            let help =
                "give a `tokenizer.json` as the library tokenizers writes it, or another kind";
            ("tokenizer.path", Some(help.to_owned()))
        }
        DataError::TooLongToEncodeWhole { .. } | DataError::Tokenizer { .. }
            if spec.tokenizer.kind == TokenizerKind::File =>
        {
            ("tokenizer.path", None)
        }
        _ => ("data.source", None),
    };
    document.error_at(Some(&spec.variant), path, error.to_string(), help)
}

/// Lists the sources, and suggests the one that `word` is similar to.
fn sources(word: &str) -> String {
    let named = Source::NAMED.map(|source| source.to_string());
    let meant = nearest(word, &named);
    let meant = meant.map_or(String::new(), |name| format!("did you mean `{name}`? "));
    let named = named.map(|name| format!("`{name}`")).join(", ");
    format!(
        "{meant}a source is {named}, a path from the folder the command is run in, a glob, or \
         {{url, sha256}}"
    )
}

fn too_short(document: &Document, spec: &RunSpec, info: &CorpusInfo) -> Option<Diagnostics> {
    if spec.model.kind == ModelKind::Ngram {
        return None; // it has no windows
    }
    let error = data::check_sequence_length(info, spec.sequence_length()).err()?;
    let key = match spec.train.sequence_length {
        Some(_) => "train.sequence_length",
        None => "model.block_size",
    };
    let help = format!("use a smaller {key}, more text, or another val_fraction");
    let variant = Some(spec.variant.as_str());
    Some(document.error_at(variant, key, error.to_string(), Some(help)))
}

/// Checks a length in epochs or FLOPs, which can be any number of steps.
fn too_many_steps(document: &Document, spec: &RunSpec) -> Option<Diagnostics> {
    let (steps, most) = (spec.train.steps, MatchedSetting::Steps.max());
    if steps <= most {
        return None;
    }
    let steps = match steps {
        u64::MAX => format!("more than {:.1e}", u64::MAX as f64), // the count is saturated
        steps => units::exact(steps),
    };
    let message = format!(
        "this is {steps} optimizer steps, and at most {} are possible",
        units::exact(most)
    );
    let help = "train for a shorter time, or use larger batches".to_owned();
    let path = spec.train.length().path();
    Some(document.error_at(Some(&spec.variant), path, message, Some(help)))
}

/// Only the CPU has products in bfloat16.
fn bf16_on_gpu(document: &Document, spec: &RunSpec, device: Device) -> Option<Diagnostics> {
    if device == Device::Cpu || spec.train.precision == Precision::F32 {
        return None;
    }
    let message = "bfloat16 is for the CPU, and these runs would be trained on a GPU".to_owned();
    let help = "train with --device cpu, or in f32".to_owned();
    Some(document.error_at(Some(&spec.variant), "train.precision", message, Some(help)))
}

/// Checks that the memory is large enough for the weights, their gradients and the optimizer states.
/// Otherwise the system would kill the run.
fn too_large(
    document: &Document,
    run: &PlannedRun,
    info: &CorpusInfo,
    free: f64,
) -> Option<Diagnostics> {
    // One matrix each for weights and gradients, and the states of the optimizer.
    let copies = 2 + optim::state_count(run.spec.optimizer.kind).min as u64;
    let bytes = run.params.saturating_mul(4 * copies);
    let needed = bytes as f64 / f64::from(1 << 20);
    if needed <= free {
        return None;
    }
    let message = format!(
        "the weights, gradients and optimizer states of {} take {}, and {} of memory are free",
        run.spec.variant,
        units::memory(needed),
        units::memory(free)
    );
    let (path, help) = match run.spec.model.kind {
        ModelKind::Bigram => {
            let vocab_size = info.vocab_size;
            let table = format!("{vocab_size} x {vocab_size} weights");
            let help = format!(
                "a bigram has {table}, one for each pair of tokens; take a tokenizer with fewer"
            );
            ("model.kind", help)
        }
        // It has no weights but counts, of what the text has.
        ModelKind::Ngram => return None,
        ModelKind::Gpt => (
            "model.n_embd",
            "take a smaller model, or a tokenizer with fewer tokens".to_owned(),
        ),
    };
    let variant = Some(run.spec.variant.as_str());
    Some(document.error_at(variant, path, message, Some(help)))
}

/// Checks that the prompt can be encoded, before hours of training.
fn unknown_prompt(
    document: &Document,
    spec: &RunSpec,
    corpora: &mut Corpora<'_>,
    corpus: usize,
) -> Option<Diagnostics> {
    let encoded = match corpora.tokenizer(corpus) {
        Ok(tokenizer) => tokenizer.encode(&spec.sample.prompt).err(),
        Err(error) => Some(error),
    };
    let error = encoded?;
    let (message, help) = match document.is_set(&spec.variant, "sample.prompt") {
        true => (
            format!("`sample.prompt` cannot be encoded: {error}"),
            "use characters of the training text, or a byte or bpe tokenizer",
        ),
        false => (
            format!(
                "the default of `sample.prompt` ({:?}) cannot be encoded: {error}",
                spec.sample.prompt
            ),
            "set `sample.prompt` to characters of the training text, or use a byte or bpe tokenizer",
        ),
    };
    let help = help.to_owned();
    let variant = Some(spec.variant.as_str());
    Some(document.error_at(variant, "sample.prompt", message, Some(help)))
}

/// Checks that the template of the report can be read, before hours of training.
fn missing_template(document: &Document) -> Option<Diagnostics> {
    let path = document.experiment().report.template.as_ref()?;
    let error = std::fs::File::open(path).err()?;
    let message = format!("cannot read the template {path}: {error}");
    Some(document.error_at(None, "report.template", message, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_text;

    #[test]
    fn bf16_is_refused_on_a_gpu_with_its_place() {
        let text = "name: test\ntrain:\n  precision: bf16\n";
        let document = from_text("test.yaml", text, &[]).unwrap();
        let runs = document.expand().unwrap().runs;
        let refused = |device| bf16_on_gpu(&document, &runs[0], device);
        assert!(refused(Device::Cpu).is_none());
        let message = refused(Device::Cuda(0)).unwrap().to_string();
        assert!(message.contains("test.yaml:3:14"), "{message}");
    }
}
