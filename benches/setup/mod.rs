//! The sizes of the benchmarks, and training of a model of one size.

use dfdx::prelude::Cpu;
use runner::data::{self, Corpus};
use runner::spec::{Data, Model, Optimizer, RunSpec, Sample, Tokenizer, Train};
use runner::sweep::WORKER_ENVIRONMENT;
use runner::train::{self, TrainBackend, Trainer};
use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A model with L layers of width C, on batches of B sequences of T tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) name: &'static str,
    pub(crate) n_layer: usize,
    pub(crate) n_head: usize,
    pub(crate) n_embd: usize,
    pub(crate) block_size: usize,
    pub(crate) batch_size: usize,
}

/// The smallest size fits into the caches of a processor. The largest does not.
pub(crate) const SIZES: [Size; 3] = [
    size("names", 2, 4, 32, 16, 32),
    size("baby", 4, 4, 128, 64, 12),
    size("ten", 6, 6, 384, 256, 8),
];

const fn size(
    name: &'static str,
    n_layer: usize,
    n_head: usize,
    n_embd: usize,
    block_size: usize,
    batch_size: usize,
) -> Size {
    Size {
        name,
        n_layer,
        n_head,
        n_embd,
        block_size,
        batch_size,
    }
}

impl Size {
    /// Tokens in a batch.
    pub(crate) fn tokens(&self) -> usize {
        self.batch_size * self.block_size
    }

    pub(crate) fn model(&self) -> Model {
        Model {
            n_layer: self.n_layer,
            n_head: self.n_head,
            n_embd: self.n_embd,
            block_size: self.block_size,
            ..Model::default()
        }
    }

    fn spec(&self) -> RunSpec {
        RunSpec {
            variant: self.name.to_owned(),
            seed: 1,
            data: Data::default(),
            tokenizer: Tokenizer::default(),
            model: self.model(),
            optimizer: Optimizer::default(),
            train: Train {
                steps: 1_000_000,
                batch_size: self.batch_size,
                ..Train::default()
            },
            sample: Sample::default(),
        }
    }
}

/// Runs `work` on this number of threads, as a worker process does.
pub(crate) fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    train::on_threads(threads, work).expect("threads")
}

/// Training of a model on the default text.
pub(crate) struct Training<B: TrainBackend<Device = Cpu>> {
    pub(crate) corpus: Corpus,
    trainer: Trainer<B>,
}

impl<B: TrainBackend<Device = Cpu>> Training<B> {
    pub(crate) fn new(size: &Size) -> Self {
        let spec = size.spec();
        // The tokenized text is kept on disk, so that only the first process needs memory to build it.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let info = data::prepare(&spec.data, &spec.tokenizer, folder).expect("a text");
        let corpus = data::open(folder, &info.key).expect("a text");
        let trainer = Trainer::new(&Default::default(), &spec, info.vocab_size).expect("memory");
        Self { corpus, trainer }
    }

    /// One training step: batch, forward, backward, gradient clipping, AdamW.
    pub(crate) fn step(&mut self) {
        let Self { trainer, corpus } = self;
        trainer.step(&corpus.train).expect("a step");
    }
}

/// Restarts this program with the environment variables of a worker process, unless they are set. The
/// allocator reads them before `main`.
pub(crate) fn in_the_environment_of_a_worker() {
    let there = |&(name, value)| env::var(name).is_ok_and(|is| is == value);
    if WORKER_ENVIRONMENT.iter().all(there) {
        return;
    }
    let program = env::current_exe().expect("this program's path");
    let error = Command::new(program)
        .args(env::args_os().skip(1))
        .envs(WORKER_ENVIRONMENT)
        .exec();
    panic!("cannot start this program again: {error}");
}
