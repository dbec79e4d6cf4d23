//! Measures text generation: `cargo bench --bench generate -- [BLOCK_SIZE] [TOKENS] [SECONDS]`.
//! Prints one line of JSON, so that a script can alternate it with another implementation.

use dfdx::prelude::Cpu;
use dfdx::prelude::CpuError;
use runner::kernels::CpuBackend;
use runner::model::{Decoder, Model, generate};
use runner::spec::{self, Data, Sample, Tokenizer};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let argument = |i: usize, default: usize| -> usize {
        let typed = arguments.get(i);
        typed.map_or(default, |typed| typed.parse().expect("a number"))
    };
    let (block_size, tokens, seconds) = (argument(0, 64), argument(1, 500), argument(2, 3));
    let config = spec::Model {
        block_size,
        ..spec::Model::default()
    };
    let sample = Sample {
        tokens,
        ..Sample::default()
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let info = runner::data::prepare(&Data::default(), &Tokenizer::default(), folder.path());
    let info = info.expect("a corpus");
    let corpus = runner::data::open(folder.path(), &info.key).expect("a corpus");
    let model = Model::<CpuBackend>::new(&Cpu::default(), &config, info.vocab_size, 1);
    let model = model.expect("memory for a model");
    let decoder =
        Decoder::new(&model, &config, info.vocab_size, block_size).expect("memory for a model");

    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(seconds as u64) || times.len() < 3 {
        let text = Instant::now();
        let drawn = generate(
            decoder.clone(),
            &corpus.tokenizer,
            &[0],
            &sample,
            1,
            |_, _| Ok::<_, CpuError>(()),
        );
        drawn.expect("memory for a text");
        times.push(text.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!(
        r#"{{"block_size": {block_size}, "tokens": {tokens}, "tokens_per_second": {:.0}, "texts": {}}}"#,
        tokens as f64 / median,
        times.len()
    );
}
