//! Every mistake that an experiment can have, with its message. The line of help below a message is
//! in `error_help.rs`.

use super::limits::{
    MAX_COPIED_BYTES, MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MAX_RUNS, MAX_SWEEP_BYTES, MAX_VALUES,
};
use super::lookalike::Lookalike;
use crate::text::units::list;
use thiserror::Error;

/// A kind of mistake, with the values that its message shows.
#[derive(Debug, Clone, PartialEq, Error)]
pub(super) enum ErrorKind {
    // Reading.
    #[error("cannot read the file: {0}")]
    Unreadable(String),
    #[error("this is a folder, not an experiment file")]
    Folder,
    #[error("the file is larger than {} MiB", MAX_FILE_BYTES >> 20)]
    TooLarge,
    #[error("the file is not UTF-8 at byte {offset} (line {line}, column {column})")]
    NotUtf8 {
        offset: usize,
        line: usize,
        column: usize,
    },
    #[error("the file is empty")]
    Empty,
    // Extended files.
    #[error("`extends` takes the path of an experiment file, or a list of paths")]
    ExtendsNoPath,
    #[error("there is no file {0}")]
    MissingExtended(String),
    #[error("a file extends itself: {0}")]
    ExtendsItself(String),
    #[error("an extended file must be a mapping, such as `model: {{n_layer: 6}}`")]
    ExtendedNoMapping,
    #[error("the experiment reads more than {} files", MAX_FILES)]
    TooManyFiles,
    #[error("`extends` is of no use on the command line: overrides are merged after all files")]
    ExtendsOverridden,
    // YAML.
    #[error("invalid YAML: {0}")]
    Syntax(String),
    /// A key where the parser expects none, such as one that is indented too far.
    #[error("invalid YAML: {info}")]
    MisplacedKey { info: String, key: String },
    /// A character that YAML takes for text although it looks like syntax.
    #[error("this is {} (U+{:04X}), which YAML reads as text", .0.name, u32::from(.0.character))]
    Lookalike(Lookalike),
    #[error("the file is read as YAML 1.2, and says that it is YAML {0}")]
    YamlVersion(String),
    #[error("the text contains the control character U+{0:04X}")]
    ControlCharacter(u32),
    #[error("values are nested more than {} levels deep", MAX_DEPTH)]
    TooDeep,
    #[error("more than {} values after aliases are expanded", MAX_VALUES)]
    TooManyValues,
    #[error("aliases copy more than {} MiB of text", MAX_COPIED_BYTES >> 20)]
    TooMuchCopied,
    #[error("the file contains more than one YAML document")]
    SeveralDocuments,
    #[error("unsupported YAML tag `{0}`")]
    Tag(String),
    #[error("this alias refers to a value that contains the alias")]
    AliasOfItself,
    #[error("`<<` requires a mapping or a list of mappings")]
    MergeOfScalar,
    #[error("a key must be a string")]
    KeyNotString,
    #[error("duplicate key `{0}`")]
    DuplicateKey(String),
    // Overrides.
    #[error("invalid override `{0}`")]
    InvalidOverride(String),
    // Structure.
    #[error("unknown key `{key}` in {section}")]
    UnknownKey {
        key: String,
        section: String,
        hint: Hint,
    },
    #[error("`{old}` is the former name of `{new}`, and both are set")]
    BothNames { old: String, new: String },
    #[error("a variant cannot change `{0}`")]
    NotOfVariant(String),
    #[error("missing key `{key}` in {section}")]
    MissingKey {
        key: String,
        section: String,
        /// A valid value, or `...`.
        value: String,
        description: String,
    },
    #[error("a space is missing after the colon of `{key}`")]
    NoSpaceAfterColon { key: String, value: String },
    #[error("{subject} must be {expected}, not {found}")]
    WrongType {
        /// The path in quotes, or the whole experiment in words.
        subject: String,
        expected: String,
        found: &'static str,
        remedy: Option<String>,
    },
    #[error("invalid value `{found}` for `{path}`; expected {expected}")]
    InvalidChoice {
        path: String,
        found: String,
        expected: String,
        nearest: Option<String>,
    },
    #[error("`{path}` must be {range}, not {found}")]
    OutOfRange {
        path: String,
        range: String,
        found: String,
    },
    #[error("`{path}` must be a finite number")]
    NotFinite { path: String },
    #[error("`{path}` must have {range} items, not {found}")]
    WrongLength {
        path: String,
        range: String,
        found: usize,
    },
    #[error("`{path}` must not be empty")]
    EmptyValue { path: String },
    #[error("invalid value `{found}` for `{path}`")]
    InvalidText {
        path: String,
        found: String,
        /// The documentation of the field, which says what is valid.
        description: String,
        /// A similar text that is valid.
        similar: Option<String>,
    },
    #[error("invalid variant name `{0}`")]
    InvalidVariantName(String),
    // Sweeps.
    #[error("the sweep is empty")]
    EmptySweep,
    #[error("seed {0} is listed twice")]
    DuplicateSeed(u64),
    #[error("`max` is {most}, which is less than `min` ({least})")]
    SeedRange { least: i128, most: i128 },
    #[error("`until: decided` requires two variants to compare")]
    NothingToDecide,
    #[error("the baseline `{name}` is not a variant")]
    UnknownBaseline { name: String, hint: Hint },
    #[error("`{0}` requires a `grid`, a `zip` or `random`")]
    WithoutGrid(&'static str),
    /// A path that is set twice, once possibly as a part of another one.
    #[error("{}", overlap(.outer, .inner))]
    Overlap { outer: AxisPath, inner: AxisPath },
    #[error("the lists of `zip` have different lengths: {0}")]
    ZipLengths(String),
    #[error("a distribution has exactly one of `uniform`, `log_uniform`, `integer` and `choice`")]
    NotOneDistribution,
    #[error("`{0}` has no such values")]
    NoDistribution(String),
    #[error("`tune` has nothing to search over")]
    NoSearch,
    #[error("`{path}` is not a path of {}", either(.keys))]
    ExcludeNotInGrid {
        path: String,
        /// The keys that give the combinations.
        keys: Vec<String>,
    },
    #[error("this `exclude` entry matches no combination")]
    ExcludesNothing,
    #[error("`exclude` removes every combination")]
    NothingLeft,
    #[error("the sweep has {0} runs; the limit is {max}", max = MAX_RUNS)]
    TooManyRuns(u128),
    #[error("the runs of the sweep have more than {} MiB of text", MAX_SWEEP_BYTES >> 20)]
    TooMuchText,
    #[error("the variants `{first}` and `{second}` are identical")]
    SameVariants {
        first: String,
        second: String,
        /// The overrides of the command line without which they would differ.
        overrides: Vec<String>,
    },
    #[error("`tune` cannot search over `{0}`")]
    NotTunable(String),
    #[error("`tune` gives no variant two different combinations")]
    NothingToTune,
    #[error("the steps of `halving` must increase")]
    RungsNotIncreasing,
    #[error("`halving` compares `{variant}` after {steps} steps, and its training has only {all}")]
    RungNotBelow {
        variant: String,
        steps: u64,
        all: u64,
    },
    #[error("`halving` needs a length of training in steps, and `{0}` sets it")]
    HalvingLength(&'static str),
    #[error("`tpe` chooses among random combinations, and `tune` has {0}")]
    TpeWithout(&'static str),
    #[error("`tpe` chooses {n_trials} of {n} different combinations")]
    TooFewCandidates { n_trials: usize, n: usize },
    #[error("`n_startup` ({n_startup}) is more than the {n_trials} combinations of `n_trials`")]
    TooManyStartups { n_startup: usize, n_trials: usize },
    #[error("`scale` and `tune` cannot be combined")]
    ScaleWithTune,
    #[error("a size cannot change `{0}`")]
    NotOfSize(String),
    #[error("the sizes {first} and {second} of the variant `{variant}` are identical")]
    SameSizes {
        variant: String,
        /// Numbers of the sizes, from 1.
        first: usize,
        second: usize,
    },
    // Matched variants.
    #[error("`{what}` cannot be matched by `{by}`")]
    MatchPair {
        what: &'static str,
        by: &'static str,
        /// The settings that change the quantity.
        valid: Vec<&'static str>,
    },
    #[error("`sweep.match` chooses `{by}`, and `{set}` is set here too")]
    MatchedSettingIsSet {
        by: &'static str,
        set: &'static str,
        /// Other settings by which the quantity can be matched.
        others: Vec<&'static str>,
    },
    #[error("`{what}` cannot be matched by `{by}`, because `{length}` sets the length of training")]
    MatchLength {
        what: &'static str,
        by: &'static str,
        length: &'static str,
    },
    #[error("`sweep.match` applies to no variant")]
    MatchesNothing { by: &'static str },
    // Fields that contradict each other.
    #[error("`{key}` has no effect with `{choice}: {value}`")]
    NoEffect {
        key: String,
        choice: String,
        value: String,
        /// The values of the choice with which it has one.
        applies_to: Vec<String>,
    },
    #[error("`n_embd` ({n_embd}) must be divisible by `n_head` ({n_head})")]
    Heads { n_embd: usize, n_head: usize },
    #[error(
        "a `bpe` vocabulary of {vocab_size} tokens is too small: the 256 single bytes leave no \
         room for merged tokens"
    )]
    BpeVocabSize { vocab_size: usize },
    #[error(
        "`batches: sequential` requires the same tokens in every epoch, but this tokenizer samples \
         a new segmentation for each"
    )]
    SampledSequential,
    #[error("`nbest` has no effect without `alpha`")]
    NbestWithoutAlpha,
    #[error("`evaluate: ema` requires `train.ema`")]
    EvaluateWithoutEma,
    #[error("`kind: file` requires a `path`")]
    NoTokenizerPath,
    #[error("`n_head` ({n_head}) must be divisible by `n_kv_head` ({n_kv_head})")]
    KvHeads { n_head: usize, n_kv_head: usize },
    #[error(
        "rotary positions would rotate {width} of the {head_size} columns of a head; the number \
         must be even"
    )]
    RotaryWidth { head_size: usize, width: f64 },
    #[error("`sliding_window` ({window}) must not be larger than `block_size` ({block_size})")]
    SlidingWindow { window: usize, block_size: usize },
    #[error("`parallel_block` requires `norm_position: pre`")]
    ParallelBlock,
    #[error("`mlp_hidden` gives a width of {width}; it must be from 1 to {max}")]
    MlpWidth { width: usize, max: usize },
    #[error("`sequence_length` ({length}) must not be larger than `block_size` ({block_size})")]
    SequenceLength { length: usize, block_size: usize },
    #[error("`min_lr` ({min_lr}) must not be larger than `lr` ({lr})")]
    MinLr { min_lr: f64, lr: f64 },
    #[error("`warmup_steps` ({warmup_steps}) is more than the {steps} steps of the run")]
    Warmup { warmup_steps: u64, steps: u64 },
    #[error(
        "`warmup_steps` ({warmup_steps}) and the {decay_steps} steps of decay are together more \
         than the {steps} steps of the run"
    )]
    WarmupAndDecay {
        warmup_steps: u64,
        decay_steps: u64,
        steps: u64,
    },
    #[error(
        "the learning rate never falls to `min_lr` ({min_lr}): {warmup_steps} of the {steps} steps \
         are warm-up, and none is decay"
    )]
    MinLrNotReached {
        min_lr: f64,
        warmup_steps: u64,
        steps: u64,
    },
    #[error("`train.{first}` and `train.{second}` both set the length of training")]
    TwoDurations { first: String, second: String },
    #[error("`nesterov` requires a `momentum` above 0")]
    Nesterov,
    #[error(
        "with `temperature: 0` the likeliest token is always taken, so that all {num_samples} \
         samples are identical"
    )]
    SameSamples { num_samples: usize },
    #[error("`plays_bytes` ({plays_bytes}) must not be larger than `max_bytes` ({max_bytes})")]
    PlaysBytes { plays_bytes: u64, max_bytes: u64 },
    // Comparison.
    #[error("`steps_to_loss` requires a `target_loss`")]
    NoTargetLoss,
    #[error("the n-gram model `{variant}` is not trained in steps, so it has no `{metric}`")]
    StepsOfNgram {
        variant: String,
        metric: &'static str,
    },
    #[error(
        "this metric is a loss per token, and `{variant}` has other tokens than the baseline \
         `{baseline}`"
    )]
    MetricPerToken { variant: String, baseline: String },
    #[error("this metric is a loss per token, and the tokens are not those of size 1")]
    MetricPerTokenOfSizes,
    // Expected values and claims.
    #[error("`{list}` names the variant `{name}`, which does not exist")]
    NamesUnknownVariant {
        /// The key of the list.
        list: &'static str,
        name: String,
        hint: Hint,
    },
    #[error("`train_split_loss` is expected, but the run does not measure it")]
    ExpectTrainSplitLoss,
    #[error("a metric that is known before training has no `step`")]
    ExpectStepOfStatic,
    #[error("the n-gram model `{variant}` is not trained in steps, and is evaluated once")]
    StepOfNgram { variant: String },
    #[error("there is no evaluation at step {step}")]
    ExpectNoEvaluation {
        step: u64,
        eval_every: u64,
        steps: u64,
    },
    #[error("the loss of step {step} is not logged")]
    ExpectNoStep {
        step: u64,
        steps: u64,
        /// Number of steps from one that is logged to the next.
        log_every: u64,
    },
    #[error("the claims are about the variants of a sweep, which `sweep=null` removes")]
    ClaimsWithoutSweep,
    #[error("a claim requires one of {}", both(&STATEMENTS))]
    ClaimWithoutStatement,
    #[error("a claim has only one of {}, but this has {}", both(&STATEMENTS), both(.0))]
    ClaimStatements(Vec<&'static str>),
    #[error("`{key}` has no effect in a claim with `{statement}`")]
    ClaimNoEffect {
        key: &'static str,
        statement: &'static str,
    },
    #[error("the claim compares the variant `{0}` with itself")]
    ClaimWithItself(String),
    #[error("the variant `{variant}` does not measure `train_split_loss`")]
    ClaimTrainSplitLoss { variant: String },
    #[error("this metric is a measurement of the whole run and has no step")]
    ClaimStepOfRun,
    #[error(
        "the variants `{first}` and `{second}` have different tokenizers, so their losses per token cannot be compared"
    )]
    ClaimTokenizers { first: String, second: String },
    #[error("a claim cannot be tested with one seed, because one value has no spread")]
    ClaimOneSeed {
        /// Whether the standard deviation can be given instead.
        with_target: bool,
    },
    /// An error found by another part of the program, with its message.
    #[error("{message}")]
    Other {
        message: String,
        help: Option<String>,
    },
}

/// A path that combinations set, and the key that lists its values: `grid`, `zip` or `random`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AxisPath {
    pub(super) key: String,
    pub(super) path: String,
}

fn overlap(outer: &AxisPath, inner: &AxisPath) -> String {
    let (path, whole) = (&inner.path, &outer.path);
    match (path == whole, inner.key == outer.key) {
        (true, _) => format!("`{}` and `{}` both set `{path}`", outer.key, inner.key),
        (false, true) => {
            let key = &inner.key;
            format!("`{key}` sets `{path}` twice: directly and through `{whole}`")
        }
        (false, false) => format!(
            "`{}` sets `{path}`, and `{}` sets it through `{whole}`",
            inner.key, outer.key
        ),
    }
}

/// The keys of a claim that say what it claims.
pub(super) const STATEMENTS: [&str; 3] = ["better_than", "below", "above"];

/// Most names that a message lists.
pub(super) const MAX_NAMES: usize = 16;

/// A suggestion for an unknown name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hint {
    /// One known name is similar.
    Nearest(String),
    /// The key exists in another section, whose path this is.
    Elsewhere { section: String, key: String },
    /// The first known names, and the number of the others.
    Known { names: Vec<String>, more: usize },
    /// The first keys of the section whose path this is, and the number of the others.
    KnownKeys {
        section: String,
        keys: Vec<String>,
        more: usize,
    },
}

/// `` `a`, `b` or `c` ``
pub(super) fn either<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<_> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    alternatives(&quoted)
}

/// `` `a` and `b` ``
pub(super) fn both<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<_> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    list(&quoted)
}

/// `a, b or c`
pub(super) fn alternatives<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// The first line of a text, cut to a length that fits into a message.
pub(super) fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    let first = text.lines().next().unwrap_or_default();
    match first.char_indices().nth(MAX_CHARS) {
        Some((cut, _)) => format!("{}…", &first[..cut]),
        None if first.len() < text.len() => format!("{first}…"),
        None => first.to_owned(),
    }
}
