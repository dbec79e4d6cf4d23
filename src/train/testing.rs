//! A small corpus and runs on it, for tests.

use super::{Device, Job, TrainError, Update, run};
use crate::data::{self, Corpus};
use crate::results::{Metric, RunDir, RunState, RunStatus};
use crate::spec::{
    CheckpointInterval, Data, Every, Model, Optimizer, OptimizerKind, RunSpec, Sample, Tokenizer,
    Train,
};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A small corpus, and a temporary folder for runs on it.
pub(super) struct Fixture {
    folder: TempDir,
    pub(super) corpus: Corpus,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = Data {
            plays_bytes: 20_000,
            ..Data::default()
        };
        let info = data::prepare(&data, &Tokenizer::default(), folder.path()).unwrap();
        let corpus = data::open(folder.path(), &info.key).unwrap();
        Self { folder, corpus }
    }

    pub(super) fn dir(&self, name: &str, spec: &RunSpec) -> RunDir {
        let dir = RunDir::new(self.folder.path().join(name));
        dir.create(spec).unwrap();
        dir
    }

    /// Trains to the end, or stops at the first progress report of step `stop_at` or a later one.
    pub(super) fn run(
        &self,
        dir: &RunDir,
        spec: &RunSpec,
        threads: usize,
        stop_at: u64,
    ) -> RunStatus {
        self.try_run(dir, spec, threads, stop_at).unwrap().0
    }

    /// [`Self::run`], with the notices of the run or its error.
    pub(super) fn try_run(
        &self,
        dir: &RunDir,
        spec: &RunSpec,
        threads: usize,
        stop_at: u64,
    ) -> Result<(RunStatus, Vec<String>), TrainError> {
        let stop = AtomicBool::new(false);
        let job = Job {
            spec,
            corpus: &self.corpus,
            dir,
            device: Device::Cpu,
            threads,
            extends: None,
            stop: &stop,
        };
        let mut notices = Vec::new();
        let status = run(job, &mut |update| match update {
            Update::Progress(progress) if progress.step >= stop_at => {
                stop.store(true, Ordering::Relaxed);
            }
            Update::Progress(_) => {}
            Update::Notice(text) => notices.push(text),
        });
        Ok((status?, notices))
    }
}

pub(super) fn spec() -> RunSpec {
    RunSpec {
        variant: "test".to_owned(),
        seed: 3,
        data: Data::default(),
        tokenizer: Tokenizer::default(),
        model: Model {
            n_layer: 1,
            n_head: 2,
            n_embd: 16,
            block_size: 32,
            dropout: 0.1,
            ..Model::default()
        },
        optimizer: Optimizer {
            lr: 1e-2,
            ..Optimizer::default()
        },
        train: Train {
            steps: 40,
            batch_size: 32, // 1024 rows, and so four shards
            eval_every: Every::Steps(15),
            eval_train: true,
            checkpoint_every: CheckpointInterval::Every(Every::Steps(7)),
            ..Train::default()
        },
        sample: Sample {
            tokens: 20,
            num_samples: 2,
            every: Some(Every::Steps(10)),
            ..Sample::default()
        },
    }
}

/// Everything that a run writes and that is deterministic: weights, metrics and samples.
pub(super) fn results_of(dir: &RunDir) -> (Vec<u8>, Vec<Metric>, String) {
    let mut metrics = dir.metrics(None).unwrap();
    for metric in &mut metrics {
        if let Metric::Eval(eval) = metric {
            eval.seconds = 0.0;
        }
    }
    let samples = fs::read_to_string(dir.samples()).unwrap();
    (fs::read(dir.weights()).unwrap(), metrics, samples)
}

/// Trains the test run with an optimizer, on one thread and on two. The validation loss falls below
/// that of a uniform guess, and both runs end with the same bits.
pub(super) fn assert_loss_falls(kind: OptimizerKind, lr: f64) {
    let fixture = Fixture::new();
    let uniform_loss = (fixture.corpus.info.vocab_size as f64).ln();
    let mut spec = spec();
    spec.optimizer.kind = kind;
    spec.optimizer.lr = lr;
    spec.optimizer.nesterov = true;
    let results = [1, 2].map(|threads| {
        let dir = fixture.dir(&format!("threads-{threads}"), &spec);
        let status = fixture.run(&dir, &spec, threads, u64::MAX);
        assert_eq!(status.state, RunState::Done);
        let val_loss = status.outcome.unwrap().val_loss.unwrap();
        assert!(
            val_loss < uniform_loss - 0.4,
            "{kind:?}: {val_loss}, a uniform guess {uniform_loss}"
        );
        results_of(&dir)
    });
    assert!(results[0] == results[1], "{kind:?}");
}
