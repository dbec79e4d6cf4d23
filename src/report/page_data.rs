//! What the templates show: every number already text, every text still as it was written.

use super::answer::{answer, cautions, compared};
use super::config_diff::{Change, changes};
use super::loaded_results::Results;
use super::plots::Plot;
use super::ranking::{Ranking, Variant};
use super::reproduction::{self, Expected};
use super::side_by_side::side_by_side;
use super::tokenizer_table::{TokenizerRow, tokenizers};
use crate::results::RunState;
use crate::results::SampleText;
use crate::spec::ModelKind;
use crate::stats::{Comparison, Verdict};
use crate::text::{escape, units};
use serde::Serialize;

/// Shown where there is no value.
const NONE: &str = "–";

#[derive(Debug, Serialize)]
pub(super) struct View<'a> {
    name: &'a str,
    question: &'a str,
    pub(super) answer: Vec<String>,
    pub(super) cautions: Vec<String>,
    /// Whether there is more than one variant to compare.
    compared: bool,
    baseline: &'a str,
    /// Number of comparisons that share the correction of the intervals.
    comparisons: usize,
    has_floor: bool,
    /// Whether any run scored the whole training split.
    has_train_loss: bool,
    /// Whether losses a token can be compared: all variants have the same tokens.
    same_tokens: bool,
    pub(super) ranking: Vec<Row>,
    /// What the experiment expects, in the order of the file.
    pub(super) expected: Vec<Expected>,
    /// Whether any of them has a source.
    has_sources: bool,
    variants: Vec<Description<'a>>,
    /// Where they differ.
    tokenizers: Vec<TokenizerRow>,
    plots: &'a [Plot],
    bigram: Option<Bigram>,
    samples: Vec<Sample>,
    /// Two samples side by side, as one block of text.
    side_by_side: Option<String>,
    /// The same two, for pages that have columns.
    pair: Vec<Sample>,
    /// Texts of one model from before training to after it.
    learning: Vec<Sample>,
    unfinished: Vec<Unfinished>,
    facts: Vec<Fact>,
}

/// One line of the ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Place by mean bits per byte, from 1; empty without a result.
    pub rank: String,
    pub variant: String,
    pub is_baseline: bool,
    /// Seeds that count, and of how many where some do not: `3`, `2 of 3`.
    pub seeds: String,
    /// Mean validation loss and its standard deviation over the seeds, in nats a token.
    pub val_loss: String,
    /// Mean loss of the whole training split, in nats a token, where it was measured.
    pub train_loss: String,
    pub bits_per_byte: String,
    /// Bits per byte above the entropy floor.
    pub above_floor: String,
    /// Mean difference from the baseline in bits per byte.
    pub difference: String,
    /// Its corrected 95 % interval.
    pub interval: String,
    pub verdict: String,
    pub params: String,
    pub tokens_per_second: String,
    /// Peak resident memory of a run.
    pub memory: String,
    /// Of a run, evaluation and sampling included.
    pub time: String,
}

#[derive(Debug, Serialize)]
struct Description<'a> {
    variant: &'a str,
    is_baseline: bool,
    changes: Vec<Change>,
}

/// The bigram of a sweep against its best transformer.
#[derive(Debug, Serialize)]
struct Bigram {
    variant: String,
    bits_per_byte: String,
    /// The best that counting can do.
    by_counting: Option<String>,
    transformer: String,
    transformer_bits_per_byte: String,
}

#[derive(Debug, Clone, Serialize)]
struct Sample {
    variant: String,
    seed: u64,
    title: String,
    /// What the model continues; empty where that is no more than white space.
    prompt: String,
    /// Prompt and continuation.
    text: String,
}

#[derive(Debug, Serialize)]
struct Unfinished {
    run: String,
    condition: &'static str,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

impl<'a> View<'a> {
    pub(super) fn new(results: &'a Results, ranking: &Ranking<'a>, plots: &'a [Plot]) -> Self {
        let experiment = &results.plan.experiment;
        let pair = pair(ranking);
        let expected = reproduction::expected(results);
        Self {
            name: &experiment.name,
            question: experiment.description.trim(),
            answer: answer(ranking)
                .into_iter()
                .chain(reproduction::sentence(&expected))
                .collect(),
            cautions: cautions(results, ranking),
            compared: ranking.variants.len() > 1,
            baseline: ranking.baseline,
            comparisons: compared(ranking),
            has_floor: ranking.floor().is_some(),
            has_train_loss: ranking
                .variants
                .iter()
                .any(|variant| variant.mean_train_split_loss().is_some()),
            same_tokens: ranking.same_tokens(),
            ranking: rows(ranking),
            has_sources: expected.iter().any(|figure| !figure.source.is_empty()),
            expected,
            variants: descriptions(ranking),
            tokenizers: match tokenizers(&results.plan) {
                several if several.len() > 1 => several,
                _ => Vec::new(),
            },
            plots,
            bigram: bigram(ranking),
            samples: ranking.variants.iter().filter_map(sample).collect(),
            side_by_side: match pair.as_slice() {
                [left, right] => Some(side_by_side(
                    (&left.variant, &left.text),
                    (&right.variant, &right.text),
                )),
                _ => None,
            },
            pair,
            learning: learning(ranking),
            unfinished: unfinished(results),
            facts: facts(results),
        }
    }
}

fn rows(ranking: &Ranking) -> Vec<Row> {
    let floor = ranking.floor();
    ranking
        .variants
        .iter()
        .enumerate()
        .map(|(index, variant)| row(index, variant, floor))
        .collect()
}

fn row(index: usize, variant: &Variant, floor: Option<f64>) -> Row {
    let show = |value: Option<f64>, text: fn(f64) -> String| value.map_or(NONE.to_owned(), text);
    let bits_per_byte = variant.mean_bits_per_byte();
    let comparison = variant.comparison.as_ref();
    let spread = variant.spread_of(|outcome| outcome.val_loss);
    let counted = variant.bits_per_byte.len();
    Row {
        rank: bits_per_byte.map_or(String::new(), |_| (index + 1).to_string()),
        variant: variant.name.to_owned(),
        is_baseline: variant.is_baseline,
        seeds: match variant.runs.len() {
            all if all == counted => counted.to_string(),
            all => format!("{counted} of {all}"),
        },
        val_loss: show(variant.mean_of(|outcome| outcome.val_loss), units::loss)
            + &spread.map_or(String::new(), |sd| format!(" ± {}", units::loss(sd))),
        bits_per_byte: show(bits_per_byte, units::loss),
        above_floor: show(bits_per_byte.zip(floor).map(|(b, f)| b - f), units::loss),
        difference: show(comparison.map(|c| c.mean), units::difference),
        interval: comparison.map_or(String::new(), interval),
        verdict: verdict(variant).to_owned(),
        params: units::count(variant.params() as f64),
        train_loss: show(variant.mean_train_split_loss(), units::loss),
        memory: show(variant.mean_of(|o| Some(o.peak_memory_mb)), units::memory),
        tokens_per_second: show(variant.mean_of(|o| Some(o.tokens_per_second)), units::rate),
        time: show(variant.mean_of(|o| Some(o.seconds)), units::duration),
    }
}

/// `[−0.0312, −0.0101]`; empty where there is none.
pub(super) fn interval(comparison: &Comparison) -> String {
    comparison.corrected.map_or(String::new(), |corrected| {
        let low = units::difference(corrected.low);
        format!("[{low}, {}]", units::difference(corrected.high))
    })
}

pub(super) fn verdict(variant: &Variant) -> &'static str {
    if variant.is_baseline {
        return "baseline";
    }
    match variant.comparison.as_ref().map(|c| c.verdict) {
        Some(Verdict::Better) => "better",
        Some(Verdict::Worse) => "worse",
        Some(Verdict::Inconclusive) => "inconclusive",
        Some(Verdict::OneSeed) => "one seed: no interval",
        None if variant.bits_per_byte.is_empty() => "no result",
        None => "no shared seed",
    }
}

fn descriptions<'a>(ranking: &Ranking<'a>) -> Vec<Description<'a>> {
    let Some(baseline) = ranking.baseline() else {
        return Vec::new();
    };
    let mut variants: Vec<_> = ranking.variants.iter().collect();
    variants.sort_by_key(|variant| variant.position);
    variants
        .into_iter()
        .map(|variant| Description {
            variant: variant.name,
            is_baseline: variant.is_baseline,
            changes: changes(variant.spec(), baseline.spec()),
        })
        .collect()
}

/// The best variant of a kind that has a result.
fn best_of<'r, 'a>(ranking: &'r Ranking<'a>, kind: ModelKind) -> Option<&'r Variant<'a>> {
    ranking
        .ranked()
        .find(|variant| variant.spec().model.kind == kind)
}

fn bigram(ranking: &Ranking) -> Option<Bigram> {
    let bigram = best_of(ranking, ModelKind::Bigram)?;
    let transformer = best_of(ranking, ModelKind::Gpt)?;
    let corpus = bigram.corpus;
    let by_counting = corpus
        .bigram_count_loss
        .map(|nats| corpus.bits_per_byte(nats));
    Some(Bigram {
        variant: bigram.name.to_owned(),
        bits_per_byte: units::loss(bigram.mean_bits_per_byte()?),
        by_counting: by_counting.map(units::loss),
        transformer: transformer.name.to_owned(),
        transformer_bits_per_byte: units::loss(transformer.mean_bits_per_byte()?),
    })
}

/// The two samples worth reading together: bigram and best transformer, else baseline and best,
/// else the best alone.
fn pair(ranking: &Ranking) -> Vec<Sample> {
    let bigram = best_of(ranking, ModelKind::Bigram);
    let transformer = best_of(ranking, ModelKind::Gpt);
    let (left, right) = match (bigram, transformer) {
        (Some(bigram), Some(transformer)) => (Some(bigram), Some(transformer)),
        _ => (ranking.baseline(), ranking.best()),
    };
    let mut pair: Vec<Sample> = left.and_then(sample).into_iter().collect();
    if left.map(|variant| variant.name) != right.map(|variant| variant.name) {
        pair.extend(right.and_then(sample));
    }
    pair
}

/// The last text of the first seed that has one.
fn sample(variant: &Variant) -> Option<Sample> {
    texts(variant).pop()
}

/// The first text of each step at which the first seed that has any drew some, in order.
fn texts(variant: &Variant) -> Vec<Sample> {
    let mut runs = variant.runs.iter().filter(|run| run.result().is_some());
    let Some(run) = runs.find(|run| !run.samples.is_empty()) else {
        return Vec::new();
    };
    let first_of_step = run.samples.iter().filter(|text| text.number == 1);
    let sample = |text: &SampleText| Sample {
        variant: variant.name.to_owned(),
        seed: run.planned.spec.seed,
        title: text.title(),
        text: format!("{}{}", text.prompt, text.text)
            .trim_matches('\n')
            .to_owned(),
        prompt: text.prompt.trim().to_owned(),
    };
    first_of_step.map(sample).collect()
}

/// Texts of the best transformer, else of the best variant, from before training to after it; none
/// where they were drawn once only.
fn learning(ranking: &Ranking) -> Vec<Sample> {
    /// Texts shown, evenly spread.
    const SHOWN: usize = 5;
    let best = best_of(ranking, ModelKind::Gpt).or(ranking.best());
    let all = best.map(texts).unwrap_or_default();
    let shown = all.len().min(SHOWN);
    if shown < 2 {
        return Vec::new();
    }
    let nth = |i: usize| all[i * (all.len() - 1) / (shown - 1)].clone();
    (0..shown).map(nth).collect()
}

fn unfinished(results: &Results) -> Vec<Unfinished> {
    let unfinished = results.runs.iter().filter(|run| {
        run.state() != RunState::Done || run.result().is_none() || !run.reason().is_empty()
    });
    unfinished
        .map(|run| Unfinished {
            run: run.planned.name.clone(),
            condition: run.state().name(),
            reason: match run.reason() {
                reason if reason.is_empty() && run.state() == RunState::Done => {
                    "without a validation loss".to_owned()
                }
                reason => reason,
            },
        })
        .collect()
}

/// What somebody needs to get the same numbers.
fn facts(results: &Results) -> Vec<Fact> {
    let plan = &results.plan;
    let mut facts = vec![
        Fact {
            name: "Command",
            value: plan.command.clone(),
        },
        Fact {
            name: "Config hash",
            value: plan.config_hash.clone(),
        },
    ];
    for (index, corpus) in plan.corpora.iter().enumerate() {
        // Tokenizers of one text share its hash, which is shown once.
        let earlier = &plan.corpora[..index];
        if earlier
            .iter()
            .any(|other| other.data_sha256 == corpus.data_sha256)
        {
            continue;
        }
        let bytes = (corpus.train_bytes + corpus.val_bytes) as f64;
        facts.push(Fact {
            name: "Data",
            value: format!("{}, {}B", corpus.source, spaced(units::count(bytes))),
        });
        facts.push(Fact {
            name: "Data hash",
            value: corpus.data_sha256.clone(),
        });
    }
    facts.push(Fact {
        name: "Version",
        value: plan.version.clone(),
    });
    facts.push(Fact {
        name: "Machine",
        value: escape::visible(&plan.machine),
    });
    facts
}

/// A count without a prefix still has a space before its unit.
fn spaced(count: String) -> String {
    match count.ends_with(|c: char| c.is_ascii_digit()) {
        true => count + " ",
        false => count,
    }
}
