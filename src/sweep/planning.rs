use super::corpora::{Corpora, Prepared};
use super::matching::{CountedRun, count_steps, match_variants};
use super::{Error, Machine, machine};
use crate::config::{Diagnostics, Document, Expansion, MAX_TEMPLATE_BYTES, RunPlace, nearest};
use crate::data::{self, DataError};
use crate::hash::hex;
use crate::model;
use crate::results::{CorpusInfo, PlannedRun, SweepPlan};
use crate::spec::{
    MatchedSetting, ModelKind, Precision, RunPart, RunSpec, Source, TokenizerKind, TrainingLength,
};
use crate::text::units;
use crate::train::{Device, optim};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

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
    errors.extend(unreadable_template(document));
    let mut corpora = Corpora::new(cache);
    let free_memory_mb = Machine::of_this_process().free_memory_mb;
    let mut counted = Vec::new();
    let mut all_prepared = true;
    for (mut spec, part) in expansion.runs.into_iter().zip(expansion.parts) {
        match corpora.prepare(&spec) {
            Prepared::Ready(corpus) => {
                count_steps(&mut spec, &corpora.infos[corpus]);
                errors.extend(document.check_counted(&spec, part));
                errors.extend(too_short(document, &spec, part, &corpora.infos[corpus]));
                let prompt = check_prompt(document, &mut spec, part, &mut corpora, corpus);
                errors.extend(prompt);
                counted.push(CountedRun { spec, part, corpus });
                continue;
            }
            Prepared::Refused(error) if error.is_machine_failure() => {
                return Err(Error::Data(error));
            }
            Prepared::Refused(error) => errors.push(refused(document, &spec, part, &error)),
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
        errors.extend(too_many_steps(document, &run.spec, run.part));
        errors.extend(bf16_on_gpu(document, &run.spec, run.part, device));
        let corpus = run.corpus;
        let run = planned(run, &corpora.infos[corpus]);
        if device == Device::Cpu
            && let Some(free) = free_memory_mb
        {
            errors.extend(too_large(document, &run, &corpora.infos[corpus], free));
        }
        runs.push(run);
    }
    errors.extend(repeated_variants(document, &runs));
    errors.extend(sizes_out_of_order(document, &runs));
    if errors.is_empty() {
        let compared = runs
            .iter()
            .filter(|run: &&PlannedRun| run.smaller_size.is_none());
        let specs = compared.map(|run| &run.spec);
        errors.extend(document.check_counted_values(specs, &expansion.baseline));
    }
    if let Some(all) = Diagnostics::merged(errors) {
        return Err(Error::Config(all));
    }
    let mut experiment = document.experiment().clone();
    // Whoever reads the plan does not know the folder of the file.
    let template = document.template();
    let template = template.map(|path| std::path::absolute(&path).unwrap_or(path));
    experiment.report.template = template.map(|path| path.display().to_string());
    let mut plan = SweepPlan {
        experiment,
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

fn planned(run: CountedRun, info: &CorpusInfo) -> PlannedRun {
    let CountedRun { spec, part, corpus } = run;
    let size = model::size(&spec.model, info.vocab_size, spec.sequence_length());
    let identity = spec.identity(&info.content_sha256());
    PlannedRun {
        name: spec.run_name(&identity),
        identity,
        corpus,
        params: size.params,
        params_non_embedding: size.params_non_embedding,
        flops_per_token: size.flops_per_token,
        tuned: part.tuned,
        smaller_size: part.smaller_size,
        spec,
    }
}

/// Variants that differ only in the paths of files with the same contents. A comparison between them would be
/// meaningless.
fn repeated_variants(document: &Document, runs: &[PlannedRun]) -> Vec<Diagnostics> {
    let mut first_with: HashMap<&str, &str> = HashMap::new();
    let mut repeated = BTreeMap::new();
    for run in runs.iter().filter(|run| run.smaller_size.is_none()) {
        let variant = run.spec.variant.as_str();
        let first = *first_with.entry(&run.identity).or_insert(variant);
        if first != variant {
            repeated.entry(variant).or_insert(first);
        }
    }
    let error = |(variant, first): (&str, &str)| {
        let message = format!(
            "variant `{variant}` is the same as `{first}`: the files that they name have the same contents"
        );
        let help = "remove one of them, or name a file with other contents".to_owned();
        let part = RunPart::default();
        let error = document.error_of_variant(RunPlace { variant, part }, message, help);
        error.at_every_size()
    };
    repeated.into_iter().map(error).collect()
}

/// The first error of a size that is hardly larger than the one before.
fn sizes_out_of_order(document: &Document, runs: &[PlannedRun]) -> Option<Diagnostics> {
    let mut variants = runs.chunk_by(|a, b| a.spec.variant == b.spec.variant);
    let (number, [smaller, larger]) = variants.find_map(|runs| {
        let mut sizes: Vec<&PlannedRun> = runs.iter().collect();
        sizes.dedup_by_key(|run| run.smaller_size);
        let mut pairs = sizes.windows(2).map(|pair| [pair[0], pair[1]]);
        let number = pairs.position(|pair| !is_larger(pair))? + 1;
        Some((number, [sizes[number - 1], sizes[number]]))
    })?;
    let message = format!(
        "size {} of `{}` {}, and size {number} {}",
        number + 1,
        larger.spec.variant,
        cost_in_words(larger),
        cost_in_words(smaller)
    );
    let more = match larger.spec.train.length() {
        TrainingLength::Seconds(_) => "a longer training or a larger model",
        _ => "more FLOPs of training",
    };
    let help =
        format!("give each size {more} than the one before, and sort them, the smallest first");
    Some(document.error_of_size(number, message, help))
}

/// Whether the second of two sizes may be larger than the first. The FLOPs of a run for a fixed time are not known before
/// training, but they do not grow if neither the time nor the model does.
fn is_larger([smaller, larger]: [&PlannedRun; 2]) -> bool {
    /// Sizes that differ by less show no trend.
    const LEAST: f64 = 1.05;
    let grows = |smaller: f64, larger: f64| larger >= LEAST * smaller;
    let lengths = [smaller, larger].map(|run| run.spec.train.length());
    if let [
        TrainingLength::Seconds(shorter),
        TrainingLength::Seconds(longer),
    ] = lengths
    {
        return grows(shorter, longer) || grows(smaller.flops_per_token, larger.flops_per_token);
    }
    flops(smaller)
        .zip(flops(larger))
        .is_none_or(|(smaller, larger)| grows(smaller, larger))
}

/// FLOPs of training, unless its length is a time.
fn flops(run: &PlannedRun) -> Option<f64> {
    Some(run.spec.train.planned_steps()? as f64 * run.flops_per_step())
}

fn cost_in_words(run: &PlannedRun) -> String {
    match (flops(run), run.spec.train.length()) {
        (None, TrainingLength::Seconds(seconds)) => format!(
            "takes {} with {} FLOPs per token",
            units::duration(seconds),
            units::count(run.flops_per_token)
        ),
        (flops, _) => format!("takes {} FLOPs", units::count(flops.unwrap_or_default())),
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
fn refused(document: &Document, spec: &RunSpec, part: RunPart, error: &DataError) -> Diagnostics {
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
    let variant = &spec.variant;
    let run = RunPlace { variant, part };
    let error = document.error_at(Some(run), path, error.to_string(), help);
    match document.is_set_by_size(run, "tokenizer") {
        true => error,
        // The same data is not prepared again for the other sizes.
        false => error.at_every_size(),
    }
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

fn too_short(
    document: &Document,
    spec: &RunSpec,
    part: RunPart,
    info: &CorpusInfo,
) -> Option<Diagnostics> {
    if spec.model.kind == ModelKind::Ngram {
        return None; // it has no windows
    }
    let error = data::check_sequence_length(info, spec.sequence_length()).err()?;
    let key = match spec.train.sequence_length {
        Some(_) => "train.sequence_length",
        None => "model.block_size",
    };
    let help = format!("use a smaller {key}, more text, or another val_fraction");
    let variant = &spec.variant;
    let run = Some(RunPlace { variant, part });
    Some(document.error_at(run, key, error.to_string(), Some(help)))
}

/// Checks a length in epochs or FLOPs, which can be any number of steps.
fn too_many_steps(document: &Document, spec: &RunSpec, part: RunPart) -> Option<Diagnostics> {
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
    let variant = &spec.variant;
    let run = Some(RunPlace { variant, part });
    Some(document.error_at(run, path, message, Some(help)))
}

/// Only the CPU has products in bfloat16.
fn bf16_on_gpu(
    document: &Document,
    spec: &RunSpec,
    part: RunPart,
    device: Device,
) -> Option<Diagnostics> {
    if device == Device::Cpu || spec.train.precision == Precision::F32 {
        return None;
    }
    let message = "bfloat16 is for the CPU, and these runs would be trained on a GPU".to_owned();
    let help = "train with --device cpu, or in f32".to_owned();
    let variant = &spec.variant;
    let run = Some(RunPlace { variant, part });
    Some(document.error_at(run, "train.precision", message, Some(help)))
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
    let place = RunPlace {
        variant: &run.spec.variant,
        part: run.part(),
    };
    Some(document.error_at(Some(place), path, message, Some(help)))
}

/// Checks that the prompt can be encoded, before hours of training. The default, which nobody wrote, becomes
/// an empty prompt if it cannot be encoded.
fn check_prompt(
    document: &Document,
    spec: &mut RunSpec,
    part: RunPart,
    corpora: &mut Corpora<'_>,
    corpus: usize,
) -> Option<Diagnostics> {
    let error = match corpora.prompt_error(corpus, &spec.sample.prompt) {
        Ok(error) => error?,
        Err(error) => return Some(refused(document, spec, part, &error)),
    };
    let variant = spec.variant.clone();
    let run = RunPlace {
        variant: &variant,
        part,
    };
    if !document.is_set(run, "sample.prompt") {
        spec.sample.prompt.clear();
        return None;
    }
    let message = format!("`sample.prompt` cannot be encoded: {error}");
    let help = "use characters of the training text, or a byte or bpe tokenizer".to_owned();
    Some(document.error_at(Some(run), "sample.prompt", message, Some(help)))
}

/// Checks that the template of the report is a file that can be read, before hours of training. A pipe or a
/// device would have no end.
fn unreadable_template(document: &Document) -> Option<Diagnostics> {
    let path = document.template()?;
    let shown = path.display();
    let message = match fs::metadata(&path) {
        Err(error) => format!("cannot read the template {shown}: {error}"),
        Ok(file) if !file.is_file() => format!("the template {shown} is not a regular file"),
        Ok(file) if file.len() > MAX_TEMPLATE_BYTES => format!(
            "the template {shown} is larger than {}",
            units::memory((MAX_TEMPLATE_BYTES >> 20) as f64)
        ),
        Ok(_) => return None,
    };
    let help = "a path in the experiment file is relative to the folder of that file".to_owned();
    Some(document.error_at(None, "report.template", message, Some(help)))
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
        let refused = |device| bf16_on_gpu(&document, &runs[0], RunPart::default(), device);
        assert!(refused(Device::Cpu).is_none());
        let message = refused(Device::Cuda(0)).unwrap().to_string();
        assert!(message.contains("test.yaml:3:14"), "{message}");
    }

    fn plan(text: &str) -> Result<SweepPlan, String> {
        let document = from_text("test.yaml", text, &[]).unwrap();
        let expansion = document.expand().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let plan = build(
            &document,
            expansion,
            cache.path(),
            String::new(),
            Device::Cpu,
        );
        plan.map_err(|error| error.to_string())
    }

    #[test]
    fn variants_with_the_same_contents_under_two_paths_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["a.txt", "b.txt"].map(|name| folder.path().join(name));
        let text = "name: test\nmodel: {kind: bigram, block_size: 8}\nsweep:\n  variants:\n"
            .to_owned()
            + &format!("    a: {{data: {{source: {first:?}}}}}\n")
            + &format!("    b: {{data: {{source: {second:?}}}}}\n");
        fs::write(&first, "one text of several words ".repeat(50)).unwrap();
        fs::write(&second, "one text of several words ".repeat(50)).unwrap();
        let error = plan(&text).unwrap_err();
        assert!(
            error.contains("variant `b` is the same as `a`") && error.contains("test.yaml:6:"),
            "{error}"
        );
        fs::write(&second, "another text of several words ".repeat(50)).unwrap();
        plan(&text).unwrap();
    }

    #[test]
    fn an_error_of_the_data_names_the_size_that_has_it() {
        let text = "name: test
data: {plays_bytes: 20000}
model: {kind: bigram, block_size: 8}
optimizer: {schedule: {warmup_steps: 20}}
sweep:
  scale:
    sizes:
      - {train: {epochs: 0.05}}
      - {train: {epochs: 2}}
      - {train: {epochs: 4}}
";
        let error = plan(text).unwrap_err();
        assert!(
            error.contains("at size 1 of `sweep.scale`: `warmup_steps` (20) is more than the "),
            "{error}"
        );
        assert!(error.contains("test.yaml:8:26"), "{error}");
        let error = plan(&text.replace("0.05", "8")).unwrap_err();
        assert!(
            error.contains("size 2 of `base` takes") && error.contains("test.yaml:9:9"),
            "{error}"
        );
    }

    #[test]
    fn sizes_of_runs_for_a_fixed_time_are_in_order() {
        let plan_of = |sizes: [&str; 2]| {
            let [first, second] = sizes;
            plan(&format!(
                "name: test
data: {{plays_bytes: 20000}}
model: {{block_size: 8, n_embd: 32, n_layer: 1}}
train: {{seconds: 5}}
sweep:
  scale:
    sizes:
      - {first}
      - {second}
"
            ))
        };
        let [small, large] = ["{model: {n_embd: 32}}", "{model: {n_embd: 64}}"];
        let [short, long] = ["{train: {seconds: 4}}", "{train: {seconds: 9}}"];
        let steps = "{train: {steps: 1000}}";
        for sizes in [[small, large], [short, long], [steps, large]] {
            plan_of(sizes).unwrap_or_else(|e| panic!("{e}"));
        }
        for sizes in [[large, small], [long, short]] {
            let error = plan_of(sizes).unwrap_err();
            assert!(
                error.contains("size 2 of `base` takes ") && error.contains("test.yaml:9:9"),
                "{error}"
            );
            assert!(
                error.contains("FLOPs per token, and size 1 takes "),
                "{error}"
            );
        }
    }

    #[test]
    fn only_a_prompt_that_is_written_must_be_known_to_the_tokenizer() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("line.txt");
        fs::write(&source, "no end of a line ".repeat(50)).unwrap();
        let text = |sample: &str| {
            format!(
                "name: test\ndata: {{source: {source:?}}}\nmodel: {{kind: bigram, block_size: 8}}\n\
                 sample: {sample}\nsweep: {{variants: {{a: {{}}, b: {{model: {{block_size: 4}}}}}}}}"
            )
        };
        let plan_of = |sample: &str| plan(&text(sample));
        let prompts = |plan: SweepPlan| -> Vec<String> {
            let runs = plan.runs.into_iter();
            runs.map(|run| run.spec.sample.prompt).collect()
        };
        assert_eq!(plan_of("{tokens: 0}").map(prompts).unwrap(), ["", ""]);
        assert_eq!(plan_of("{prompt: no}").map(prompts).unwrap(), ["no", "no"]);
        let error = plan_of(r#"{prompt: "\n"}"#).unwrap_err();
        assert!(
            error.contains("`sample.prompt` cannot be encoded"),
            "{error}"
        );
        assert!(error.contains("test.yaml:4:18"), "{error}");
        assert_eq!(error.matches("cannot be encoded").count(), 1, "{error}");
    }

    /// If a mistake of the data expanded the sweep once for each variant, or searched all pairs of data and
    /// tokenizer, this test would take long.
    #[test]
    fn mistake_in_the_data_of_many_variants_is_reported_once() {
        let seeds: Vec<String> = (0..4000).map(|seed| seed.to_string()).collect();
        let text = format!(
            "name: test\ndata: {{source: nowhere.txt}}\nsweep: {{grid: {{train.steps: [{}], \
             model.n_layer: [1, 2]}}}}",
            seeds.join(", ").replacen("0, ", "", 1)
        );
        let error = plan(&text).unwrap_err();
        assert_eq!(
            error.matches("there is no file nowhere.txt").count(),
            1,
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn template_must_be_a_regular_file_of_a_reasonable_size() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.j2");
        fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
        for (path, expected) in [
            ("/dev/zero", "is not a regular file"),
            (folder.path().to_str().unwrap(), "is not a regular file"),
            (large.to_str().unwrap(), "is larger than 1 MiB"),
            ("none.j2", "cannot read the template none.j2"),
        ] {
            let text = format!("name: test\nreport: {{template: {path:?}}}");
            let document = from_text("test.yaml", &text, &[]).unwrap();
            let error = unreadable_template(&document).unwrap().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("test.yaml:2:20"), "{error}");
        }
    }
}
