//! What can be wrong with an experiment, and the words for it: a title, a label under the caret
//! and a line of help. All wording of this folder is in this file.

use super::grid::MAX_RUNS;
use super::parse::{MAX_DEPTH, MAX_VALUES};
use super::spans::MAX_FILE_BYTES;
use crate::results::log_every;
use thiserror::Error;

/// A kind of mistake with what the words need.
#[derive(Debug, Clone, PartialEq, Error)]
pub(super) enum Problem {
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
    // YAML.
    #[error("this is not YAML: {0}")]
    Syntax(String),
    /// A key where the parser expects none, such as one that is indented too far.
    #[error("this is not YAML: {info}")]
    MisplacedKey { info: String, key: String },
    #[error("control character U+{0:04X} in the text")]
    ControlCharacter(u32),
    #[error("nested deeper than {} levels", MAX_DEPTH)]
    TooDeep,
    #[error("more than {} values, aliases written out", MAX_VALUES)]
    TooManyValues,
    #[error("the file has more than one document")]
    SeveralDocuments,
    #[error("the tag `{0}` has no meaning here")]
    Tag(String),
    #[error("an alias to the value that it is part of")]
    AliasOfItself,
    #[error("`<<` merges a mapping, or a list of mappings")]
    MergeOfScalar,
    #[error("a key must be a string")]
    KeyNotString,
    #[error("the key `{0}` is written twice")]
    DuplicateKey(String),
    // Overrides.
    #[error("`{0}` is no override")]
    NoOverride(String),
    // Structure.
    #[error("unknown key `{key}` in {section}")]
    UnknownKey {
        key: String,
        section: String,
        hint: Hint,
    },
    #[error("a variant cannot change `{0}`")]
    NotOfVariant(String),
    #[error("{section} has no `{key}`")]
    MissingKey {
        key: String,
        section: String,
        meaning: String,
    },
    #[error("`{path}` must be {expected}, not {found}")]
    WrongType {
        path: String,
        expected: String,
        found: &'static str,
        remedy: Option<String>,
    },
    #[error("`{found}` is no choice of `{path}`")]
    NoChoice {
        path: String,
        found: String,
        hint: Hint,
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
    #[error("`{path}` is empty")]
    EmptyValue { path: String },
    #[error("`{found}` is no legal value of `{path}`")]
    NoMatch {
        path: String,
        found: String,
        /// What the field is, which says what is legal.
        meaning: String,
    },
    #[error("`{0}` is no legal name of a variant")]
    VariantName(String),
    // Sweeps.
    #[error("the sweep is empty")]
    EmptySweep,
    #[error("the seed {0} is listed twice")]
    DuplicateSeed(u64),
    #[error("the baseline `{name}` is no variant")]
    UnknownBaseline { name: String, hint: Hint },
    #[error("`{0}` needs a `grid`")]
    WithoutGrid(&'static str),
    #[error("the grid sets `{inner}` twice, also by `{outer}`")]
    GridOverlap { outer: String, inner: String },
    #[error("`{0}` is not in the grid")]
    ExcludeOffGrid(String),
    #[error("this exclude matches no combination of the grid")]
    ExcludesNothing,
    #[error("every combination of the grid is excluded")]
    NothingLeft,
    #[error("the sweep has {0} runs, more than {max}", max = MAX_RUNS)]
    TooManyRuns(u128),
    #[error("the variants `{first}` and `{second}` are the same")]
    SameVariants {
        first: String,
        second: String,
        overridden: bool,
    },
    // Fields against each other.
    #[error("`{key}` has no effect with `{choice}: {value}`")]
    NoEffect {
        key: String,
        choice: String,
        value: String,
        /// The values of the choice with which it has one.
        applies_to: &'static [&'static str],
    },
    #[error("`n_embd` ({n_embd}) is not divisible by `n_head` ({n_head})")]
    Heads { n_embd: usize, n_head: usize },
    #[error("a bpe vocabulary of {vocab_size} tokens has no room for more than single bytes")]
    BpeVocabSize { vocab_size: usize },
    #[error(
        "`batches: sequential` needs the same tokens in every epoch, and these are sampled anew"
    )]
    SampledInTurn,
    #[error("`nbest` has no effect without `alpha`")]
    NbestWithoutAlpha,
    #[error("`kind: file` needs the `path` of a tokenizer")]
    NoTokenizerPath,
    #[error("`n_head` ({n_head}) is not divisible by `n_kv_head` ({n_kv_head})")]
    KvHeads { n_head: usize, n_kv_head: usize },
    #[error("rotary positions turn {width} of a head's {head_size} columns, no even number")]
    RotaryWidth { head_size: usize, width: f64 },
    #[error("`window` ({window}) is more than `block_size` ({block_size})")]
    Window { window: usize, block_size: usize },
    #[error("`parallel` needs `norm_position: pre`")]
    Parallel,
    #[error("`mlp_hidden` comes to a width of {width}")]
    MlpWidth { width: usize, most: usize },
    #[error("`sequence_length` ({length}) is more than `block_size` ({block_size})")]
    SequenceLength { length: usize, block_size: usize },
    #[error("`min_lr` ({min_lr}) is above `lr` ({lr})")]
    MinLr { min_lr: f64, lr: f64 },
    #[error("`warmup_steps` ({warmup_steps}) is more than the {steps} steps of the run")]
    Warmup { warmup_steps: u64, steps: u64 },
    #[error(
        "`warmup_steps` ({warmup_steps}) and the decay over {decay_steps} steps are more than the \
         {steps} steps of the run"
    )]
    WarmupAndDecay {
        warmup_steps: u64,
        decay_steps: u64,
        steps: u64,
    },
    #[error("`train.{first}` and `train.{second}` both say how long to train")]
    TwoLengths { first: String, second: String },
    #[error("`nesterov` looks ahead along a velocity, and `momentum` is 0")]
    Nesterov,
    #[error("with `temperature: 0`, which draws nothing by chance, {num} texts are all the same")]
    SameTexts { num: usize },
    #[error("`plays_bytes` ({plays_bytes}) is more than `max_bytes` ({max_bytes})")]
    PlaysBytes { plays_bytes: u64, max_bytes: u64 },
    // What is expected.
    #[error("a figure is expected of `{name}`, which is no variant")]
    ExpectUnknownVariant { name: String, hint: Hint },
    #[error("a loss of the training split is expected, which the run does not measure")]
    ExpectTrainLoss,
    #[error("a figure that is known before training has no step")]
    ExpectStepOfStatic,
    #[error("nothing is evaluated at step {step}")]
    ExpectNoEvaluation {
        step: u64,
        eval_every: u64,
        steps: u64,
    },
    #[error("no batch is logged at step {step}")]
    ExpectNoStep { step: u64, steps: u64 },
    /// Found by another part of the program, in its words.
    #[error("{message}")]
    Other {
        message: String,
        help: Option<String>,
    },
}

/// How a name that is unknown could be put right.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hint {
    /// One known name is close.
    Nearest(String),
    /// The name is known elsewhere: the path of the section that has it.
    Elsewhere { section: String, key: String },
    /// All known names.
    Known(Vec<String>),
    /// A choice of few values: all of them, and the one that is close.
    Choice {
        nearest: Option<String>,
        all: Vec<String>,
    },
}

impl Hint {
    fn help(&self) -> String {
        match self {
            Self::Nearest(name) => format!("did you mean `{name}`?"),
            Self::Elsewhere { section, key } => format!("`{key}` is a key of `{section}`"),
            Self::Choice { nearest, all } => {
                let meant = nearest.as_ref();
                let meant = meant.map_or(String::new(), |name| format!("did you mean `{name}`? "));
                format!("{meant}one of {}", quoted_list(all))
            }
            Self::Known(names) => {
                const SHOWN: usize = 16;
                let more = names.len().saturating_sub(SHOWN);
                let mut help = format!("known here: {}", quoted_list(&names[..names.len() - more]));
                if more > 0 {
                    help.push_str(&format!(" and {more} more"));
                }
                help
            }
        }
    }
}

/// `` `a`, `b`, `c` ``
pub(super) fn quoted_list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<_> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    quoted.join(", ")
}

/// A text cut to what a line of an error can hold.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    let first = text.lines().next().unwrap_or_default();
    match first.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &first[..cut]),
        None if first.len() < text.len() => format!("{first}…"),
        None => first.to_owned(),
    }
}

impl Problem {
    /// What would do, where the title does not say it.
    pub(super) fn help(&self) -> Option<String> {
        self.reading_help()
            .or_else(|| self.structure_help())
            .or_else(|| self.sweep_help())
            .or_else(|| self.relation_help())
            .or_else(|| self.expect_help())
    }

    fn reading_help(&self) -> Option<String> {
        Some(match self {
            Self::Folder => "name the YAML file in it".to_owned(),
            Self::TooLarge => {
                "an experiment is a page of YAML; text to train on goes under `data.source`"
                    .to_owned()
            }
            Self::NotUtf8 { .. } => "save the file as UTF-8".to_owned(),
            Self::Empty => "the smallest experiment is a name: `name: my-experiment`".to_owned(),
            Self::Syntax(info) => return syntax_help(info).map(str::to_owned),
            Self::MisplacedKey { key, .. } => format!(
                "is `{key}` indented like the keys beside it? the keys of a mapping start in the \
                 same column (and text with a colon in it needs quotes)"
            ),
            Self::ControlCharacter(_) => {
                "remove it, or write it as an escape in double quotes, such as \"\\x07\"".to_owned()
            }
            Self::SeveralDocuments => {
                "keep one experiment in a file: remove the `---` and what follows it".to_owned()
            }
            Self::Tag(_) => "remove it; text in quotes is a string".to_owned(),
            Self::MergeOfScalar => "write `<<: *anchor`, with the anchor on a mapping".to_owned(),
            Self::KeyNotString => "write it in quotes".to_owned(),
            Self::DuplicateKey(_) => "remove one of the two".to_owned(),
            Self::NoOverride(_) => {
                "write the path of a value, `=` and the value: `train.steps=50`".to_owned()
            }
            _ => return None,
        })
    }

    fn structure_help(&self) -> Option<String> {
        Some(match self {
            Self::UnknownKey { hint, .. } | Self::NoChoice { hint, .. } => hint.help(),
            Self::NotOfVariant(key) if key == "sweep" => {
                "variants have no sweep of their own; use `grid` for combinations".to_owned()
            }
            Self::NotOfVariant(_) => {
                "it belongs to the experiment as a whole; write it at the top of the file"
                    .to_owned()
            }
            Self::MissingKey { key, meaning, .. } => format!("add `{key}: ...`. {meaning}"),
            Self::WrongType { remedy, .. } => return remedy.clone(),
            Self::EmptyValue { .. } => "fill it in, or remove the key".to_owned(),
            Self::NoMatch { meaning, .. } => meaning.clone(),
            Self::VariantName(_) => "a name is also that of a folder: up to 64 letters, digits, \
                 `-`, `_`, `+` and `.`, the first a letter or digit"
                .to_owned(),
            _ => return None,
        })
    }

    fn sweep_help(&self) -> Option<String> {
        Some(match self {
            Self::EmptySweep => {
                "list `seeds`, `variants` or a `grid`, or remove `sweep` for a single run"
                    .to_owned()
            }
            Self::DuplicateSeed(_) => "a seed repeated gives the same run; remove it".to_owned(),
            Self::UnknownBaseline { hint, .. } => hint.help(),
            Self::WithoutGrid(_) => {
                "add a `grid`, or write the combinations as `variants`".to_owned()
            }
            Self::GridOverlap { inner, .. } => format!("remove `{inner}` from one of the two"),
            Self::ExcludeOffGrid(_) => {
                "an exclude takes combinations out of the grid, so it names paths of the grid"
                    .to_owned()
            }
            Self::ExcludesNothing => {
                "an entry matches the combinations that have all its values; check them against \
                 the grid, or remove the entry"
                    .to_owned()
            }
            Self::NothingLeft => "remove an entry of `exclude`".to_owned(),
            Self::TooManyRuns(_) => {
                "runs are variants times combinations times seeds; take fewer of one".to_owned()
            }
            Self::SameVariants {
                overridden: true, ..
            } => "an override on the command line is the last word for every variant; leave out \
                 the one that sets what the variants differ in"
                .to_owned(),
            Self::SameVariants { .. } => {
                "change what one of them says, or remove it; keys that do not apply to a kind are \
                 not a difference"
                    .to_owned()
            }
            _ => return None,
        })
    }

    fn relation_help(&self) -> Option<String> {
        Some(match self {
            Self::NoEffect {
                choice, applies_to, ..
            } => {
                let values = applies_to.join("` or `");
                format!("it applies to `{choice}: {values}`; remove it")
            }
            Self::Heads { n_embd, .. } => {
                format!("`n_head` can be {}", divisors(*n_embd))
            }
            Self::BpeVocabSize { .. } => {
                "set `tokenizer.vocab_size` to 257 or more, or take `kind: byte`".to_owned()
            }
            Self::SampledInTurn => {
                "take `train.batches: random`, or a tokenizer without `alpha` and `dropout`"
                    .to_owned()
            }
            Self::NbestWithoutAlpha => {
                "add `alpha`, such as 0.1, to draw from the segmentations, or remove it".to_owned()
            }
            Self::NoTokenizerPath => "add `path: tokenizer.json` beside it".to_owned(),
            Self::KvHeads { n_head, .. } => {
                format!("`n_kv_head` can be {}", divisors(*n_head))
            }
            Self::RotaryWidth { .. } => {
                "take another `n_head`, or a `fraction` that comes to an even number".to_owned()
            }
            Self::Window { block_size, .. } => {
                format!("take {block_size} or less, or `null` for all that came before")
            }
            Self::Parallel => {
                "both halves of a block read one norm, which comes first; remove one \
                 of the two"
                    .to_owned()
            }
            Self::MlpWidth { most, .. } => {
                format!("a multiple of `n_embd`, rounded down, is from 1 to {most}")
            }
            Self::SequenceLength { block_size, .. } => format!(
                "set `train.sequence_length` to {block_size} or less, or raise `model.block_size`"
            ),
            Self::MinLr { lr, .. } => {
                format!("the learning rate falls from `lr` to `min_lr`; take {lr} or less")
            }
            Self::WarmupAndDecay { .. } => {
                "lower `decay_fraction` or `warmup_steps`, or train longer".to_owned()
            }
            Self::TwoLengths { .. } => "keep one of the two".to_owned(),
            Self::Nesterov => "set a `momentum`, such as 0.9, or remove `nesterov`".to_owned(),
            Self::Warmup { steps, .. } => {
                format!("set `optimizer.schedule.warmup_steps` to {steps} or less")
            }
            Self::SameTexts { .. } => "raise `temperature`, or set `num` to 1".to_owned(),
            Self::PlaysBytes { .. } => "lower `plays_bytes` or raise `max_bytes`".to_owned(),
            Self::Other { help, .. } => return help.clone(),
            _ => return None,
        })
    }

    fn expect_help(&self) -> Option<String> {
        Some(match self {
            Self::ExpectUnknownVariant { hint, .. } => hint.help(),
            Self::ExpectTrainLoss => {
                "set `train.eval_train` to `true`, or expect a `batch_loss`".to_owned()
            }
            Self::ExpectStepOfStatic => "remove `step`".to_owned(),
            Self::ExpectNoEvaluation {
                eval_every, steps, ..
            } => format!(
                "evaluations are before training (0), at multiples of `train.eval_every` \
                 ({eval_every}) and after the last step ({steps})"
            ),
            Self::ExpectNoStep { steps, .. } => match log_every(*steps) {
                1 => format!("steps are counted from 1 to `train.steps` ({steps})"),
                every => {
                    format!("of {steps} steps the first, the last and every {every}th are logged")
                }
            },
            _ => return None,
        })
    }
}

/// Up to 64 of the numbers that divide a number, in words.
fn divisors(of: usize) -> String {
    let divisors = (1..=of.min(64)).filter(|n| of.is_multiple_of(*n));
    let divisors: Vec<_> = divisors.map(|n| n.to_string()).collect();
    divisors.join(", ")
}

/// What the parser's words come down to, most often.
fn syntax_help(info: &str) -> Option<&'static str> {
    let help = [
        ("tab", "indent with spaces: YAML does not allow tabs there"),
        (
            "mapping values are not allowed",
            "text with a colon and a space in it needs quotes",
        ),
        ("quoted scalar", "is the closing quote missing?"),
        ("flow mapping", "is a closing `}` missing before this?"),
        ("flow sequence", "is a closing `]` missing before this?"),
        (
            "block mapping",
            "the keys of a mapping start in the same column",
        ),
        ("unknown anchor", "an alias `*name` needs `&name` before it"),
    ];
    let known = help.iter().find(|(words, _)| info.contains(words));
    known.map(|(_, help)| *help)
}
