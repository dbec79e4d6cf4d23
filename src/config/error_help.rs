//! The line of help below a message: what to write instead, where the message does not say it.

use super::error_kind::{ErrorKind, Hint, both, either};

impl ErrorKind {
    /// What to do about the mistake.
    pub(super) fn help(&self) -> Option<String> {
        self.reading_help()
            .or_else(|| self.structure_help())
            .or_else(|| self.sweep_help())
            .or_else(|| self.relation_help())
            .or_else(|| self.expect_help())
            .or_else(|| self.claim_help())
    }

    fn reading_help(&self) -> Option<String> {
        Some(match self {
            Self::Folder => "give the path of a YAML file in it".to_owned(),
            Self::TooLarge => {
                "an experiment file is a page of YAML; text to train on belongs in a file of its \
                 own, whose path `data.source` gives"
                    .to_owned()
            }
            Self::MissingExtended(_) => {
                "the path is relative to the folder of the file that names it".to_owned()
            }
            Self::ExtendsItself(_) => "remove one of these files from `extends`".to_owned(),
            Self::TooManyFiles => "write some of them into one file".to_owned(),
            Self::ExtendsOverridden => "write it in a file".to_owned(),
            Self::NotUtf8 { .. } => "save the file as UTF-8".to_owned(),
            Self::Empty => "the smallest experiment is a name: `name: my-experiment`".to_owned(),
            Self::Syntax(info) => return syntax_help(info).map(str::to_owned),
            Self::MisplacedKey { key, .. } => format!(
                "indent `{key}` like the other keys of its mapping; text that contains a colon \
                 needs quotes"
            ),
            Self::Lookalike(found) => found.instead.to_owned(),
            Self::YamlVersion(_) => {
                "remove this line; in YAML 1.2, `yes` and `on` are strings, and `1e-3` is a number"
                    .to_owned()
            }
            Self::ControlCharacter(_) => {
                "remove it, or write it as an escape in double quotes, such as \"\\x07\"".to_owned()
            }
            Self::SeveralDocuments => {
                "a file holds one experiment: remove the `---` and everything after it".to_owned()
            }
            Self::Tag(_) => "remove the tag; text in quotes is a string".to_owned(),
            Self::MergeOfScalar => "write `<<: *anchor`, with the anchor on a mapping".to_owned(),
            Self::KeyNotString => "write the key in quotes".to_owned(),
            Self::DuplicateKey(_) => "remove one of the two".to_owned(),
            Self::InvalidOverride(_) => {
                "an override is the path of a value, `=` and the value: `train.steps=60`".to_owned()
            }
            _ => return None,
        })
    }

    fn structure_help(&self) -> Option<String> {
        Some(match self {
            Self::UnknownKey { hint, .. } => hint.help(),
            Self::InvalidChoice { nearest, .. } => {
                format!("did you mean `{}`?", nearest.as_ref()?)
            }
            Self::BothNames { old, .. } => format!("remove `{old}`"),
            Self::NotOfVariant(key) if key == "sweep" => {
                "a variant has no sweep of its own; use a `grid` for combinations".to_owned()
            }
            Self::NotOfVariant(_) => {
                "it applies to the whole experiment; write it at the top level of the file"
                    .to_owned()
            }
            Self::MissingKey {
                key,
                value,
                description,
                ..
            } => format!("add `{key}: {value}`. {description}"),
            Self::NoSpaceAfterColon { key, value } => format!("write `{key}: {value}`"),
            Self::WrongType { remedy, .. } => return remedy.clone(),
            Self::EmptyValue { .. } => "give it a value, or remove the key".to_owned(),
            Self::InvalidText {
                description,
                similar,
                ..
            } => match similar {
                Some(similar) => format!("try `{similar}`. {description}"),
                None => description.clone(),
            },
            Self::InvalidVariantName(_) => {
                "the name of a variant is also the name of a folder: at most 64 letters, digits, \
                 `-`, `_`, `+` and `.`, of which the first is a letter or digit"
                    .to_owned()
            }
            _ => return None,
        })
    }

    fn sweep_help(&self) -> Option<String> {
        Some(match self {
            Self::EmptySweep => {
                "list `seeds`, `variants` or a `grid`, or remove `sweep` for a single run"
                    .to_owned()
            }
            Self::DuplicateSeed(_) => {
                "runs with the same seed are the same; remove one of the two".to_owned()
            }
            Self::SeedRange { .. } => {
                "every variant gets `min` seeds, and an undecided one gets up to `max`".to_owned()
            }
            Self::NothingToDecide => {
                "add a variant, or give the seeds as a number, such as `seeds: 3`".to_owned()
            }
            Self::UnknownBaseline { hint, .. } => hint.help(),
            Self::WithoutGrid(_) => {
                "add one of them, or write the combinations as `variants`".to_owned()
            }
            Self::ZipLengths(_) => "its values are taken together, the first of each list, then the second".to_owned(),
            Self::NotOneDistribution => "write `{log_uniform: [1.0e-4, 1.0e-1]}`, `{choice: [1, 2]}` or another".to_owned(),
            Self::NoDistribution(_) => {
                "write the smaller end first, such as `uniform: [0.0, 0.5]`, `log_uniform: [1.0e-4, 1.0e-1]` with \
                 positive ends, or `integer: [1, 8]`; a `choice` needs a value"
                    .to_owned()
            }
            Self::NoSearch => "give it a `grid`, a `zip` or `random`".to_owned(),
            Self::Overlap { inner, .. } => format!("set `{}` in one place only", inner.path),
            Self::ExcludeNotInGrid { keys, .. } => {
                format!("`exclude` removes combinations; use the paths of {}", either(keys))
            }
            Self::ExcludesNothing => {
                "an entry removes the combinations that have all of its values; correct the \
                 values, or remove the entry"
                    .to_owned()
            }
            Self::NothingLeft => "remove an entry of `exclude`".to_owned(),
            Self::TooManyRuns(_) => {
                "the number of runs is variants times combinations times seeds; use fewer of one"
                    .to_owned()
            }
            Self::TooMuchText => {
                "each run has a copy of all settings; shorten a long text such as `sample.prompt`, or \
                 use fewer runs"
                    .to_owned()
            }
            Self::NotTunable(_) => {
                "the settings of `data` and `sample` decide which text is scored or shown, and not how \
                 well a model learns; compare them as variants or in `sweep.grid`"
                    .to_owned()
            }
            Self::NothingToTune => {
                "list two values or more, such as `optimizer.lr: [0.001, 0.003]`; an override on the \
                 command line replaces them"
                    .to_owned()
            }
            Self::RungsNotIncreasing => "write the smallest number first, such as `steps: [100, 300]`".to_owned(),
            Self::RungNotBelow { .. } => {
                "compare the combinations earlier, or train longer; the last comparison is that after all steps".to_owned()
            }
            Self::HalvingLength(_) => "set `train.steps` or `train.tokens`, or remove `halving`".to_owned(),
            Self::TpeWithout(_) => {
                "search over `tune.random` alone, such as `random: {n: 100, settings: {optimizer.lr: \
                 {log_uniform: [1.0e-4, 1.0e-1]}}}`"
                    .to_owned()
            }
            Self::TooFewCandidates { .. } => {
                "raise `tune.random.n` or lower `n_trials`; with a few values only, list them in `tune.grid`"
                    .to_owned()
            }
            Self::TooManyStartups { .. } => {
                "lower `n_startup`, so that results decide about the rest, or remove `tpe`".to_owned()
            }
            Self::ScaleWithTune => {
                "give each size its own best values, such as `optimizer.lr`, or remove one of the two".to_owned()
            }
            Self::NotOfSize(_) => {
                "a size changes what is trained: `model`, `train`, `optimizer` or `tokenizer`".to_owned()
            }
            Self::SameSizes { .. } => {
                "what a variant or an override sets replaces what the size sets; give each size something of its own"
                    .to_owned()
            }
            Self::SameVariants { overrides, .. } if !overrides.is_empty() => {
                let (apply, set, them) = match overrides.len() {
                    1 => ("applies", "sets", "it"),
                    _ => ("apply", "set", "them"),
                };
                format!(
                    "{} on the command line {apply} to every variant, and {set} what these variants \
                     differ in; leave {them} out",
                    both(overrides)
                )
            }
            Self::MatchPair { what, valid, .. } => {
                format!("`{what}` can be matched by {}", either(valid))
            }
            Self::MatchedSettingIsSet { set, others, .. } => {
                let remove = format!("remove `{set}` here");
                match others.is_empty() {
                    true => remove + ", or remove `sweep.match`",
                    false => format!("{remove}, or match by {}", either(others)),
                }
            }
            Self::MatchLength {
                length: "train.seconds",
                ..
            } => "the number of steps is not known in advance; set `train.steps` or \
                  `train.tokens`, or remove `sweep.match`"
                .to_owned(),
            Self::MatchLength { length, .. } => format!(
                "with `{length}`, all variants have the same cost already; set `train.steps` or \
                 `train.tokens`, or remove `sweep.match`"
            ),
            Self::MatchesNothing { by } => format!(
                "a variant is matched if it has `{by}` and is not the baseline; variants of another \
                 model kind than the baseline are matched in `tokens` only"
            ),
            Self::SameVariants { .. } => {
                "change or remove one of them; keys that do not apply to a kind, and keys that `tune` \
                 sets, make no difference"
                    .to_owned()
            }
            _ => return None,
        })
    }

    fn relation_help(&self) -> Option<String> {
        Some(match self {
            Self::NoEffect {
                key,
                choice,
                applies_to,
                ..
            } => format!(
                "remove `{key}`; it applies only if `{choice}` is {}",
                either(applies_to)
            ),
            Self::NoTargetLoss => {
                "add `target_loss: 1.8`, the validation loss to reach in nats per token".to_owned()
            }
            Self::StepsOfNgram { .. } => {
                "compare by `bits_per_byte`, or remove the variants with `kind: ngram`".to_owned()
            }
            Self::MetricPerToken { .. } | Self::MetricPerTokenOfSizes => {
                "use `bits_per_byte`, which can be compared between tokenizers".to_owned()
            }
            Self::Heads { n_embd, .. } => format!("`n_head` can be {}", divisors(*n_embd)),
            Self::BpeVocabSize { .. } => {
                "set `tokenizer.vocab_size` to 257 or more, or use `kind: byte`".to_owned()
            }
            Self::SampledSequential => {
                "use `train.batches: random`, or remove `alpha` and `dropout` from the tokenizer"
                    .to_owned()
            }
            Self::NbestWithoutAlpha => {
                "set `alpha`, for example to 0.1, to sample segmentations, or remove `nbest`"
                    .to_owned()
            }
            Self::EvaluateWithoutEma => {
                "set `ema`, for example to 0.99, or remove `evaluate`".to_owned()
            }
            Self::NoTokenizerPath => "add `path: tokenizer.json`".to_owned(),
            Self::KvHeads { n_head, .. } => format!("`n_kv_head` can be {}", divisors(*n_head)),
            Self::RotaryWidth { .. } => {
                "use another `n_head`, or a `rotary_pct` that gives an even number".to_owned()
            }
            Self::SlidingWindow { block_size, .. } => {
                format!("use {block_size} or less, or `null` for the whole context")
            }
            Self::ParallelBlock => {
                "attention and the MLP of a parallel block share one norm, which comes before \
                 them; remove one of the two keys"
                    .to_owned()
            }
            Self::MlpWidth { .. } => "a multiple of `n_embd` is rounded down".to_owned(),
            Self::SequenceLength { block_size, .. } => format!(
                "set `train.sequence_length` to {block_size} or less, or increase \
                 `model.block_size`"
            ),
            Self::MinLr { lr, .. } => {
                format!("the learning rate falls from `lr` to `min_lr`; use {lr} or less")
            }
            Self::Warmup { steps, .. } => {
                format!("set `optimizer.schedule.warmup_steps` to {steps} or less")
            }
            Self::WarmupAndDecay { .. } => {
                "reduce `decay_fraction` or `warmup_steps`, or train longer".to_owned()
            }
            Self::MinLrNotReached { .. } => {
                "use fewer warm-up steps or a larger `decay_fraction`, or train longer".to_owned()
            }
            Self::TwoDurations { .. } => "keep one of the two".to_owned(),
            Self::Nesterov => "set `momentum`, for example to 0.9, or remove `nesterov`".to_owned(),
            Self::SameSamples { .. } => {
                "increase `temperature`, or set `num_samples` to 1".to_owned()
            }
            Self::PlaysBytes { .. } => "reduce `plays_bytes`, or increase `max_bytes`".to_owned(),
            Self::Other { help, .. } => return help.clone(),
            _ => return None,
        })
    }

    fn expect_help(&self) -> Option<String> {
        Some(match self {
            Self::NamesUnknownVariant { hint, .. } => hint.help(),
            Self::ExpectTrainSplitLoss => {
                "set `train.eval_train` to `true`, or expect a `batch_loss`".to_owned()
            }
            Self::ExpectStepOfStatic => "remove `step`".to_owned(),
            Self::StepOfNgram { .. } => {
                "remove the step; the value is then that of its only evaluation".to_owned()
            }
            Self::ExpectNoEvaluation {
                eval_every, steps, ..
            } => format!(
                "evaluations are before training (step 0), at multiples of `train.eval_every` \
                 ({eval_every}) and after the last step ({steps})"
            ),
            Self::ExpectNoStep {
                steps,
                log_every: 1,
                ..
            } => format!("steps are numbered from 1 to `train.steps` ({steps})"),
            Self::ExpectNoStep {
                steps, log_every, ..
            } => format!(
                "step 1, step {steps} and every step that is a multiple of {log_every} are logged"
            ),
            _ => return None,
        })
    }

    fn claim_help(&self) -> Option<String> {
        Some(match self {
            Self::ClaimsWithoutSweep => "add `claims=[]` to the command".to_owned(),
            Self::ClaimWithoutStatement => {
                "add `better_than` and the name of a variant, or `below` and a value".to_owned()
            }
            Self::ClaimStatements(_) => "write one claim for each of them".to_owned(),
            Self::ClaimNoEffect {
                key: key @ "sigma", ..
            } => format!(
                "remove `{key}`; the standard deviation of a difference is estimated from the seeds"
            ),
            Self::ClaimNoEffect { key, .. } => {
                format!("remove `{key}`; it applies only with `better_than`")
            }
            Self::ClaimWithItself(_) => "name another variant in `better_than`".to_owned(),
            Self::ClaimTrainSplitLoss { .. } => "set `train.eval_train` to `true`".to_owned(),
            Self::ClaimStepOfRun => "remove `at_step`".to_owned(),
            Self::ClaimTokenizers { .. } => "use `metric: bits_per_byte`".to_owned(),
            Self::ClaimOneSeed { with_target } => format!(
                "use two or more `sweep.seeds`{}",
                match with_target {
                    true => ", or give the standard deviation as `sigma` if it is known",
                    false => "",
                }
            ),
            _ => return None,
        })
    }
}

impl Hint {
    fn help(&self) -> String {
        match self {
            Self::Nearest(name) => format!("did you mean `{name}`?"),
            Self::Elsewhere { section, key } => format!("`{key}` is a key of `{section}`"),
            Self::Known { names, more } => expected_names(names, *more),
            Self::KnownKeys { keys, more: 0, .. } => expected_names(keys, 0),
            Self::KnownKeys {
                section,
                keys,
                more,
            } => format!(
                "{}; see `{section}` in experiments/README.md",
                expected_names(keys, *more)
            ),
        }
    }
}

fn expected_names(names: &[String], more: usize) -> String {
    if more == 0 {
        return format!("expected {}", either(names));
    }
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("expected one of {} and {more} more", quoted.join(", "))
}

/// Up to 64 of the divisors of a number, in words.
fn divisors(of: usize) -> String {
    let divisors = (1..=of.min(64)).filter(|n| of.is_multiple_of(*n));
    let divisors: Vec<_> = divisors.map(|n| n.to_string()).collect();
    divisors.join(", ")
}

/// Help for a value that starts with an asterisk.
const ASTERISK: &str = "text that starts with `*`, such as the pattern `\"*.txt\"`, needs quotes; an alias \
     `*name` needs `&name` before it";

/// The usual cause of what the YAML parser reports.
fn syntax_help(info: &str) -> Option<&'static str> {
    let help = [
        ("tab", "indent with spaces; YAML does not allow tabs there"),
        (
            "mapping values are not allowed",
            "text that contains a colon followed by a space needs quotes",
        ),
        (
            "invalid Unicode character escape",
            "YAML has no surrogate pairs; write the character itself, or one escape such as \
             `\\U0001F600`",
        ),
        (
            "unknown escape character",
            "in double quotes, `\\` starts an escape; write `\\\\`, or use single quotes",
        ),
        ("quoted scalar", "is the closing quote missing?"),
        ("flow mapping", "is a closing `}` missing before this?"),
        ("flow sequence", "is a closing `]` missing before this?"),
        (
            "block mapping",
            "all keys of a mapping must start in the same column",
        ),
        ("unknown anchor", ASTERISK),
        ("scanning an anchor or alias", ASTERISK),
        (
            "unexpected character",
            "text that starts with `@`, `%` or a backtick needs quotes",
        ),
    ];
    let known = help.iter().find(|(words, _)| info.contains(words));
    known.map(|(_, help)| *help)
}
