use super::args;
use super::args::ConfirmFormat;
use super::confirm_error::ConfirmError;
use super::saved_model::load_model;
use super::{Error, Exit, print};
use crate::data::{self, Corpus};
use crate::hash;
use crate::report;
use crate::results::{PlannedRun, SweepPlan, TestUse, TestUses, VariantComparison};
use crate::spec::{CompareMetric, ModelKind, RunSpec};
use crate::stats::{Comparison, Design, Verdict, compare};
use crate::sweep as sweeps;
use crate::sweep::{Machine, Store};
use crate::text::terminal::print_note;
use crate::text::units::{self, loss, plural, signed};
use crate::train;
use serde::Serialize;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

/// Version of the JSON document.
const VERSION: u32 = 1;

pub(super) fn run(arguments: &args::Confirm) -> Result<Exit, Error> {
    let folder = &arguments.results;
    let plan = report::read_plan(folder).map_err(Error::Report)?.value;
    let store = Store::open_readonly(folder.clone());
    let compared = plan.compare(&store.results(&plan)?);
    let [variant, baseline] = find(&plan, &compared, &arguments.variant)?;
    let runs: Vec<&PlannedRun> = [variant, baseline]
        .iter()
        .flat_map(|compared| &compared.runs)
        .map(|&run| &plan.runs[run])
        .collect();
    let test_split = test_split(&plan, &runs, arguments)?;
    for run in &runs {
        if !store.record(run)?.is_some_and(|record| record.is_done()) {
            return Err(ConfirmError::NotDone(run.name.clone()).into());
        }
    }
    // The file is in the folder of all experiments, because they share the text.
    let parent = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let failed = |source| ConfirmError::Uses {
        path: parent.join(TestUses::FILE),
        source,
    };
    let mut uses = TestUses::open(parent).map_err(failed)?;
    let identities: Vec<&str> = runs.iter().map(|run| run.identity.as_str()).collect();
    let identities = hash::sha256(identities.join("\n").as_bytes());
    let (number, test_use, is_new) = match uses.find(&test_split, &identities) {
        Some((number, earlier)) => (number, earlier.clone(), false),
        None => {
            let new = TestUse {
                test_split,
                runs: identities,
                experiment: plan.experiment.name.clone(),
                variant: variant.variant.clone(),
                baseline: baseline.variant.clone(),
                values: scores(&store, &plan, variant)?,
                baseline_values: scores(&store, &plan, baseline)?,
            };
            let number = uses.record(parent, new.clone()).map_err(failed)?;
            (number, new, true)
        }
    };
    drop(uses);
    let result = Confirmation::new(&plan, variant, baseline, number, &test_use, &store)?;
    print(&match arguments.format {
        ConfirmFormat::Text => result.text(is_new),
        ConfirmFormat::Json => serde_json::to_string_pretty(&result).unwrap_or_default() + "\n",
    })?;
    Ok(match result.verdict {
        Verdict::Better => Exit::Success,
        Verdict::Worse | Verdict::Equivalent => Exit::Missed,
        Verdict::Inconclusive => Exit::Undecided,
    })
}

/// The variant and the baseline.
fn find<'a>(
    plan: &SweepPlan,
    compared: &'a [VariantComparison],
    variant: &str,
) -> Result<[&'a VariantComparison; 2], ConfirmError> {
    if variant == plan.baseline {
        return Err(ConfirmError::IsBaseline(variant.to_owned()));
    }
    let of = |name: &str| compared.iter().find(|compared| compared.variant == name);
    of(variant)
        .zip(of(&plan.baseline))
        .map(<[_; 2]>::from)
        .ok_or_else(|| {
            let others = compared.iter().map(|compared| compared.variant.clone());
            ConfirmError::NoVariant {
                variant: variant.to_owned(),
                variants: others.filter(|name| *name != plan.baseline).collect(),
            }
        })
}

/// A hash of the text and the fractions that cut it, which all runs share.
fn test_split(
    plan: &SweepPlan,
    runs: &[&PlannedRun],
    arguments: &args::Confirm,
) -> Result<String, ConfirmError> {
    let of = |run: &&PlannedRun| {
        let (data, corpus) = (&run.spec.data, &plan.corpora[run.corpus]);
        if data.test_fraction == 0.0 {
            return Err(ConfirmError::NoTestSplit(plan.experiment.name.clone()));
        }
        let parts = format!("{} {:?}", corpus.data_sha256, data.test_fraction);
        Ok(hash::sha256(parts.as_bytes()))
    };
    let mut splits = runs.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    splits.dedup();
    match splits.pop() {
        Some(split) if splits.is_empty() => Ok(split),
        _ => Err(ConfirmError::DifferentTexts {
            variant: arguments.variant.clone(),
            baseline: plan.baseline.clone(),
        }),
    }
}

/// Bits per byte on the test split, by seed.
fn scores(
    store: &Store,
    plan: &SweepPlan,
    compared: &VariantComparison,
) -> Result<Vec<(u64, f64)>, Error> {
    let mut corpora: HashMap<usize, Corpus> = HashMap::new();
    let mut scores = Vec::new();
    for &index in &compared.runs {
        let run = &plan.runs[index];
        let corpus = match corpora.entry(run.corpus) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(test_corpus(store, plan, run)?),
        };
        print_note(&format!("scoring {}", run.name));
        let loss = score(store, run, corpus)?;
        scores.push((run.spec.seed, corpus.info.bits_per_byte(loss)));
    }
    Ok(scores)
}

fn test_corpus(store: &Store, plan: &SweepPlan, run: &PlannedRun) -> Result<Corpus, Error> {
    let RunSpec {
        data, tokenizer, ..
    } = &run.spec;
    let failed = |error| Error::Sweep(sweeps::Error::Data(error));
    let info = data::prepare_test(data, tokenizer, &store.cache()).map_err(failed)?;
    if info.content_sha256() != plan.corpora[run.corpus].content_sha256() {
        return Err(ConfirmError::TextChanged(run.name.clone()).into());
    }
    data::open(&store.cache(), &info.key).map_err(failed)
}

/// Mean cross-entropy of a run on the test split, in nats per token.
fn score(store: &Store, run: &PlannedRun, corpus: &Corpus) -> Result<f64, Error> {
    let cores = Machine::of_this_process().cores;
    let failed = |reason: String| ConfirmError::NotScored {
        name: run.name.clone(),
        reason,
    };
    let loss = if run.spec.model.kind == ModelKind::Ngram {
        // It is not saved. Counting again gives the same model.
        train::on_threads(cores, || train::ngram_loss(&run.spec, corpus))
    } else {
        let (model, _) = load_model(&store.run_dir(run), &run.spec, None)?;
        train::on_threads(cores, || train::held_out_loss(&model, &run.spec, corpus))
    };
    let loss = loss.map_err(|error| failed(error.to_string()))?;
    Ok(loss.map_err(failed)?)
}

/// The result of a variant on the test split.
#[derive(Debug, Serialize)]
struct Confirmation {
    schema: u32,
    experiment: String,
    variant: String,
    baseline: String,
    /// How often the test split had been used, this use included.
    test_uses: usize,
    /// Variant minus baseline, in bits per byte.
    difference: f64,
    /// Confidence interval of the difference.
    low: Option<f64>,
    high: Option<f64>,
    /// Its level, which is higher for each further use.
    confidence: f64,
    #[serde(serialize_with = "verdict_name")]
    verdict: Verdict,
    /// The difference on the validation split, on the same seeds.
    validation_difference: Option<f64>,
    /// (seed, bits per byte).
    values: Vec<(u64, f64)>,
    baseline_values: Vec<(u64, f64)>,
}

fn verdict_name<S: serde::Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(report::verdict_name(*verdict))
}

impl Confirmation {
    fn new(
        plan: &SweepPlan,
        variant: &VariantComparison,
        baseline: &VariantComparison,
        number: usize,
        test_use: &TestUse,
        store: &Store,
    ) -> Result<Self, Error> {
        let differences = differences(
            (&test_use.values, variant.is_seed_free),
            (&test_use.baseline_values, baseline.is_seed_free),
        );
        let is_bits = plan.experiment.compare.metric == CompareMetric::BitsPerByte;
        let margin = plan.margin(&store.results(plan)?).filter(|_| is_bits);
        // The error rates of all uses add up to at most that of one report: 1/2 + 1/6 + 1/12 + 1/20 and so on is 1.
        let design = Design::fixed(number * (number + 1)).with_margin(margin);
        let comparison = match variant.is_seed_free && baseline.is_seed_free {
            true => differences
                .first()
                .map(|first| Comparison::exact(*first, &design)),
            false => compare(&differences, &design),
        };
        let no_seed = || ConfirmError::NotScored {
            name: variant.variant.clone(),
            reason: "it has no seed in common with the baseline".to_owned(),
        };
        let comparison = comparison.ok_or_else(no_seed)?;
        let level = design.level(comparison.pairs).unwrap_or_default();
        Ok(Self {
            schema: VERSION,
            experiment: plan.experiment.name.clone(),
            variant: variant.variant.clone(),
            baseline: baseline.variant.clone(),
            test_uses: number,
            difference: comparison.mean,
            low: comparison.corrected.map(|interval| interval.low),
            high: comparison.corrected.map(|interval| interval.high),
            confidence: 1.0 - level,
            verdict: comparison.verdict,
            validation_difference: variant
                .comparison
                .as_ref()
                .filter(|_| is_bits)
                .map(|comparison| comparison.mean),
            values: test_use.values.clone(),
            baseline_values: test_use.baseline_values.clone(),
        })
    }

    fn text(&self, is_new: bool) -> String {
        let mut text = format!(
            "On the test split, {} is {} than the baseline {}: the difference is {} bits per byte",
            self.variant,
            match self.verdict {
                Verdict::Better => "better",
                Verdict::Worse => "worse",
                Verdict::Equivalent | Verdict::Inconclusive => "not better",
            },
            self.baseline,
            signed(self.difference, loss),
        );
        if let Some((low, high)) = self.low.zip(self.high) {
            text += &format!(
                " ({} % interval {} to {})",
                units::as_written((1000.0 * self.confidence).round() / 10.0),
                signed(low, loss),
                signed(high, loss)
            );
        }
        text += match self.verdict {
            Verdict::Inconclusive => ". This is inconclusive.\n",
            Verdict::Equivalent => ". It is smaller than the margin.\n",
            Verdict::Better | Verdict::Worse => ".\n",
        };
        if let Some(validation) = self.validation_difference {
            text += &format!(
                "On the validation split, it is {}.\n",
                signed(validation, loss)
            );
        }
        let seeds = plural(self.values.len(), "seed");
        text += &match (is_new, self.test_uses) {
            (true, 1) => format!("This is the first use of this test split, with {seeds}.\n"),
            (true, uses) => format!(
                "This is use {uses} of this test split, with {seeds}. Each use widens the interval, so that all uses \
                 together call a variant better or worse by chance in at most 5 % of cases.\n"
            ),
            (false, uses) => format!(
                "These runs were scored before, as use {uses} of this test split. The result is the recorded one.\n"
            ),
        };
        text
    }
}

/// Variant minus baseline for the seeds that both have. A result that does not depend on the seed is compared with
/// every seed of the other.
fn differences(
    (variant, variant_is_seed_free): (&[(u64, f64)], bool),
    (baseline, baseline_is_seed_free): (&[(u64, f64)], bool),
) -> Vec<f64> {
    let value = |values: &[(u64, f64)], is_seed_free, seed| match is_seed_free {
        true => values.first().map(|(_, value)| *value),
        false => values
            .iter()
            .find(|(own, _)| *own == seed)
            .map(|(_, value)| *value),
    };
    let seeds = if variant_is_seed_free {
        baseline
    } else {
        variant
    };
    let pairs = seeds.iter().filter_map(|(seed, _)| {
        let own = value(variant, variant_is_seed_free, *seed)?;
        Some(own - value(baseline, baseline_is_seed_free, *seed)?)
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_paired_by_seed() {
        let variant = [(1, 1.5), (2, 1.75), (4, 1.0)];
        let baseline = [(2, 1.5), (1, 1.0), (3, 2.0)];
        let of = |variant_is_free, baseline_is_free| {
            differences((&variant, variant_is_free), (&baseline, baseline_is_free))
        };
        assert_eq!(of(false, false), [0.5, 0.25]);
        assert_eq!(of(true, false), [0.0, 0.5, -0.5]);
        assert_eq!(of(false, true), [0.0, 0.25, -0.5]);
    }
}
