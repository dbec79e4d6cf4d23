//! Training steps at three sizes: `cargo bench --bench step -- [SIZE] [THREADS] [SECONDS]`.
//! Prints one JSON line, so that a script can run it in turn with another implementation.

use runner::ops::Fused;
use runner::spec::{Data, Model, Optimizer, RunSpec, Sample, Tokenizer, Train};
use runner::train::Trainer;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let argument =
        |i: usize, default: &str| arguments.get(i).map_or(default.to_owned(), Clone::clone);
    let size = argument(0, "baby");
    let threads: usize = argument(1, "2").parse().expect("a number of threads");
    let seconds: u64 = argument(2, "5").parse().expect("a number of seconds");
    let (n_layer, n_head, n_embd, block_size, batch_size) = match size.as_str() {
        "names" => (2, 4, 32, 16, 32),
        "baby" => (4, 4, 128, 64, 12),
        "ten" => (6, 6, 384, 256, 8),
        other => panic!("no size {other}: names, baby or ten"),
    };
    let spec = RunSpec {
        variant: size.clone(),
        seed: 1,
        data: Data::default(),
        tokenizer: Tokenizer::default(),
        model: Model {
            n_layer,
            n_head,
            n_embd,
            block_size,
            ..Model::default()
        },
        optimizer: Optimizer::default(),
        train: Train {
            steps: 1_000_000,
            batch_size,
            ..Train::default()
        },
        sample: Sample::default(),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let info = runner::data::prepare(&spec.data, &spec.tokenizer, folder.path()).expect("a corpus");
    let corpus = runner::data::open(folder.path(), &info.key).expect("a corpus");
    let mut trainer =
        Trainer::<Fused>::new(&Default::default(), &spec, info.vocab_size).expect("a model");
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads");
    let mut times = Vec::new();
    pool.install(|| {
        for _ in 0..5 {
            trainer.step(&corpus.train).expect("a step");
        }
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(seconds) || times.len() < 10 {
            let step = Instant::now();
            trainer.step(&corpus.train).expect("a step");
            times.push(step.elapsed().as_secs_f64());
        }
    });
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let tokens = (batch_size * block_size) as f64;
    println!(
        r#"{{"size": "{size}", "threads": {threads}, "ms": {:.3}, "tokens_per_second": {:.0}, "steps": {}}}"#,
        median * 1e3,
        tokens / median,
        times.len()
    );
}
