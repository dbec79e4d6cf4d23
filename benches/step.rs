//! Measures training steps of one size, matrix products of the same shapes, and multiply-adds in registers, in turn:
//! `cargo bench --bench step -- [SIZE] [THREADS] [SECONDS] [f32|bf16]`.
//! Prints one line of JSON, so that a script can alternate it with another implementation.

mod setup;

use dfdx::prelude::Cpu;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use runner::kernels::{Bf16Backend, CpuBackend, LinearProducts};
use runner::model;
use runner::spec::Precision;
use runner::train::{TrainBackend, peak_memory_mb};
use setup::{SIZES, Size, Training};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The measuring time is divided into this many slices. Steps and products alternate, so a change in the
/// speed of the machine affects both.
const SLICES: u32 = 10;

/// Seconds of products per second of steps.
const PRODUCTS_SHARE: f64 = 0.25;

/// Seconds of multiply-adds per second of steps.
const PEAK_SHARE: f64 = 0.05;

fn main() {
    setup::in_the_environment_of_a_worker();
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let argument =
        |i: usize, default: &str| arguments.get(i).map_or(default.to_owned(), Clone::clone);
    let name = argument(0, "baby");
    let threads: usize = argument(1, "2").parse().expect("a number of threads");
    let seconds: f64 = argument(2, "5").parse().expect("a number of seconds");
    let size = SIZES.iter().find(|size| size.name == name);
    let size = size.unwrap_or_else(|| panic!("no size {name}: names, baby or ten"));
    let precision = argument(3, "f32");
    let line = setup::on_threads(threads, || match precision.as_str() {
        "f32" => measure::<CpuBackend>(size, Precision::F32, seconds),
        "bf16" => measure::<Bf16Backend>(size, Precision::Bf16, seconds),
        other => panic!("no precision {other}: f32 or bf16"),
    });
    println!("{line}");
}

/// Measures the steps of a size on the threads of this pool. Returns one line of JSON.
fn measure<B: TrainBackend<Device = Cpu>>(
    size: &Size,
    precision: Precision,
    seconds: f64,
) -> String {
    let threads = rayon::current_num_threads();
    let mut training = Training::<B>::new(size);
    let vocab_size = training.corpus.info.vocab_size;
    for _ in 0..5 {
        training.step();
    }
    let peak_memory_mb = peak_memory_mb(); // of training alone
    let mut products = Products::new(size, precision, vocab_size, threads);
    products.run();

    let slice = Duration::from_secs_f64(seconds / f64::from(SLICES));
    let (mut steps, mut rounds, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SLICES {
        time(&mut steps, slice, || training.step());
        time(&mut rounds, slice.mul_f64(PRODUCTS_SHARE), || {
            products.run()
        });
        time(&mut peaks, slice.mul_f64(PEAK_SHARE), || {
            rayon::broadcast(|_| pulp::Arch::new().dispatch(MultiplyAdds));
        });
    }
    let step = median(&mut steps);
    let matmul_rate = products.flops() / median(&mut rounds);
    let multiply_adds = threads as f64 * pulp::Arch::new().dispatch(MultiplyAdds);
    let peak_rate = multiply_adds / median(&mut peaks);
    let flops_per_token = model::size(&size.model(), vocab_size, size.block_size).flops_per_token;
    let tokens_per_second = size.tokens() as f64 / step;
    format!(
        r#"{{"size": "{}", "precision": "{precision:?}", "threads": {threads}, "ms": {:.3}, "tokens_per_second": {tokens_per_second:.0}, "steps": {}, "matmul_gflops": {:.1}, "mfu": {:.4}, "peak_gflops": {:.1}, "peak_share": {:.4}, "peak_memory_mb": {:.0}}}"#,
        size.name,
        step * 1e3,
        steps.len(),
        matmul_rate / 1e9,
        tokens_per_second * flops_per_token / matmul_rate,
        peak_rate / 1e9,
        tokens_per_second * flops_per_token / peak_rate,
        peak_memory_mb,
    )
}

/// Independent multiply-adds in registers: as many as the processor can do. Returns their number of
/// floating-point operations.
struct MultiplyAdds;

impl WithSimd for MultiplyAdds {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        const ROUNDS: usize = 20_000;
        /// An addition takes four to five cycles, and a processor has two units.
        const SUMS: usize = 12;
        let factors = [1.0, 0.5].map(|factor| simd.splat_f32s(black_box(factor)));
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(factors[0], factors[1], *sum);
            }
        }
        for sum in sums {
            black_box(simd.reduce_sum_f32s(sum));
        }
        2.0 * (ROUNDS * SUMS * S::F32_LANES) as f64
    }
}

/// Calls `work` repeatedly for the given time, at least once, and records the time of each call.
fn time(times: &mut Vec<f64>, duration: Duration, mut work: impl FnMut()) {
    let started = Instant::now();
    loop {
        let one = Instant::now();
        work();
        times.push(one.elapsed().as_secs_f64());
        if started.elapsed() >= duration {
            return;
        }
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The matrix products of a block and of the head, with the shapes of a model. Each thread multiplies its
/// share of the rows of the batch.
struct Products {
    of_threads: Vec<Vec<LinearProducts>>,
}

impl Products {
    fn new(size: &Size, precision: Precision, vocab_size: usize, threads: usize) -> Self {
        let model = size.model();
        let (c, h) = (model.n_embd, model.mlp_width());
        let layers = [(c, 3 * c), (c, c), (c, h), (h, c), (c, vocab_size)];
        let rows = size.tokens() / threads;
        let of_a_thread = || {
            layers
                .map(|(from, to)| LinearProducts::new(precision, rows, from, to))
                .into()
        };
        Self {
            of_threads: (0..threads).map(|_| of_a_thread()).collect(),
        }
    }

    /// Floating-point operations of [`Self::run`].
    fn flops(&self) -> f64 {
        self.of_threads
            .iter()
            .flatten()
            .map(LinearProducts::flops)
            .sum()
    }

    fn run(&mut self) {
        let of_threads = self.of_threads.par_iter_mut().with_max_len(1);
        of_threads.for_each(|layers| layers.iter_mut().for_each(LinearProducts::run));
    }
}
