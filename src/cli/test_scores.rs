//! The losses of finished runs on the test split.

use super::Error;
use super::confirm_error::ConfirmError;
use super::saved_model::load_model;
use crate::data::{self, Corpus};
use crate::results::{PlannedRun, SweepPlan};
use crate::spec::{ModelKind, RunSpec};
use crate::sweep as sweeps;
use crate::sweep::{Machine, Store};
use crate::text::terminal::print_note;
use crate::train;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Bits per byte on the test split, by seed.
pub(super) fn scores(
    store: &Store,
    plan: &SweepPlan,
    runs: &[&PlannedRun],
) -> Result<Vec<(u64, f64)>, Error> {
    let mut corpora: HashMap<usize, Corpus> = HashMap::new();
    let mut scores = Vec::new();
    for run in runs {
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
