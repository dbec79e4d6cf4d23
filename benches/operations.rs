//! Measures each operation of a model, forward and backward, and a whole step, at three sizes:
//! `cargo bench --bench operations [-- FILTER]`. Operations run on one thread, on all rows of a batch.

mod setup;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use dfdx::prelude::*;
use runner::kernels::operations::*;
use runner::kernels::{CpuBackend, Dropout, Head, Heads, Matrix};
use runner::random::{Stream, below, unit};
use runner::spec::{Mlp, Norm, Optimizer, OptimizerKind};
use runner::train::optim::{self, StepSettings};
use setup::{SIZES, Size, Training};
use std::thread::available_parallelism;
use std::time::Duration;

/// Vocabulary of builtin:plays with the character tokenizer.
const VOCAB_SIZE: usize = 62;

/// The tape that records the backward pass of an operation.
type Loss = Tensor<Rank0, f32, Cpu, OwnedTape<f32, Cpu>>;

fn main() {
    setup::in_the_environment_of_a_worker();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for size in &SIZES {
        let inputs = Inputs::new(size);
        forward_and_backward(&mut criterion, &inputs);
        updates(&mut criterion, &inputs);
    }
    for size in &SIZES {
        step(&mut criterion, size);
    }
    criterion.final_summary();
}

/// Inputs of the operations at one size. N rows, C columns, V tokens.
struct Inputs<'a> {
    size: &'a Size,
    tokens: Vec<usize>,
    /// (N, C)
    x: Matrix<Cpu>,
    /// (N, 3C)
    qkv: Matrix<Cpu>,
    /// (3C, C), (C, C) and (4C, C)
    qkv_weight: Matrix<Cpu>,
    out_weight: Matrix<Cpu>,
    mlp_weight: Matrix<Cpu>,
    /// (1, C)
    gain: Matrix<Cpu>,
    /// (V, C) and (T, C)
    table: Matrix<Cpu>,
    positions: Matrix<Cpu>,
}

impl<'a> Inputs<'a> {
    fn new(size: &'a Size) -> Self {
        let (n, c) = (size.tokens(), size.n_embd);
        let mut rng = Stream::new(1, "tokens").at(0);
        let tokens = (0..n).map(|_| below(&mut rng, VOCAB_SIZE as u64) as usize);
        Self {
            size,
            tokens: tokens.collect(),
            x: uniform(n, c, 1.0),
            qkv: uniform(n, 3 * c, 1.0),
            qkv_weight: uniform(3 * c, c, 0.05),
            out_weight: uniform(c, c, 0.05),
            mlp_weight: uniform(4 * c, c, 0.05),
            gain: uniform(1, c, 1.0),
            table: uniform(VOCAB_SIZE, c, 0.05),
            positions: uniform(size.block_size, c, 0.05),
        }
    }
}

/// A matrix of random numbers between `-width` and `width`.
fn uniform(rows: usize, cols: usize, width: f32) -> Matrix<Cpu> {
    let mut rng = Stream::new(1, "values").at((rows * cols) as u64);
    let values = (0..rows * cols).map(|_| (unit(&mut rng) as f32 * 2.0 - 1.0) * width);
    Cpu::default().tensor_from_vec(values.collect(), (rows, cols))
}

/// The forward pass of an operation.
type Operation<'a> = dyn Fn() -> Result<Loss, CpuError> + 'a;

/// The operations with a backward pass.
fn forward_and_backward(criterion: &mut Criterion, inputs: &Inputs) {
    let Inputs {
        size,
        tokens,
        x,
        qkv,
        qkv_weight,
        out_weight,
        mlp_weight,
        gain,
        table,
        positions,
    } = inputs;
    let heads = Heads::new(size.n_head, size.block_size);
    let dropout = Dropout::new(0.1, &Stream::new(1, "dropout"), 0, 0, 0);
    let activation = |kind| CpuBackend::linear_activation(x.retaped(), mlp_weight, None, kind);
    let operations: [(&str, &Operation); 9] = [
        ("embedding", &|| {
            seeded(CpuBackend::embed(
                table,
                1.0,
                Some(positions),
                tokens,
                heads.block,
                0,
            )?)
        }),
        ("norm", &|| {
            seeded(CpuBackend::norm(x.retaped(), Norm::Layernorm, gain, None)?)
        }),
        ("linear", &|| {
            seeded(CpuBackend::linear(x.retaped(), qkv_weight, None)?)
        }),
        ("linear_residual", &|| {
            seeded(CpuBackend::linear_residual(
                x.retaped(),
                out_weight,
                None,
                x,
            )?)
        }),
        ("linear_gelu", &|| seeded(activation(Mlp::GeluTanh)?)),
        ("linear_swiglu", &|| seeded(activation(Mlp::Swiglu)?)),
        ("attention", &|| {
            seeded(CpuBackend::attention(qkv.retaped(), heads, None)?)
        }),
        ("dropout", &|| {
            seeded(CpuBackend::dropout(x.retaped(), dropout)?)
        }),
        ("head_cross_entropy", &|| {
            let scale = 1.0 / tokens.len() as f32;
            let head = Head {
                weight: table,
                bias: None,
                soft_cap: None,
            };
            CpuBackend::head_cross_entropy(x.retaped(), head, tokens, scale)
        }),
    ];
    let mut group = criterion.benchmark_group(size.name);
    group.throughput(Throughput::Elements(tokens.len() as u64));
    for (name, operation) in operations {
        let forward = || operation().expect("memory");
        group.bench_function(format!("{name}/forward"), |bencher| bencher.iter(forward));
        group.bench_function(format!("{name}/backward"), |bencher| {
            let backward = |loss: Loss| loss.try_backward().expect("memory");
            bencher.iter_batched(forward, backward, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// A loss whose gradient is 1 for every element of `y`. Its backward pass only writes these ones.
fn seeded(y: Matrix<Cpu, OwnedTape<f32, Cpu>>) -> Result<Loss, CpuError> {
    let (y, mut tape) = y.split_tape();
    let loss: Tensor<Rank0, f32, Cpu> = y.device().try_zeros()?;
    tape.add_backward_op(move |gradients| {
        gradients.get_or_alloc_mut(&y)?.fill(1.0);
        Ok(())
    });
    Ok(loss.put_tape(tape))
}

/// Optimizer updates of the largest matrix of a block.
fn updates(criterion: &mut Criterion, inputs: &Inputs) {
    let (rows, cols) = *inputs.mlp_weight.shape();
    let gradient = || uniform(rows, cols, 1e-3);
    let mut group = criterion.benchmark_group(inputs.size.name);
    group.throughput(Throughput::Elements((rows * cols) as u64));
    group.bench_function("sum_of_two_gradients", |bencher| {
        let shards = || vec![gradient(), gradient()];
        let sum = |shards| CpuBackend::sum_gradients(shards).expect("memory");
        bencher.iter_batched(shards, sum, BatchSize::PerIteration);
    });
    let config = Optimizer::default();
    let settings = StepSettings {
        lr: 1e-3,
        weight_decay: 0.1,
        l2: 0.0,
        gradient_scale: 0.5,
        step: 10,
        shape: (rows, cols),
    };
    let mut parameter = uniform(rows, cols, 0.05);
    let gradient = gradient();
    let mut moments = [gradient.clone(), uniform(rows, cols, 0.0)];
    group.bench_function("adamw", |bencher| {
        bencher.iter(|| {
            let kind = OptimizerKind::Adamw;
            let (parameter, moments) = (&mut parameter, &mut moments);
            optim::update::<CpuBackend>(kind, &config, &settings, parameter, &gradient, moments)
        });
    });
    group.finish();
}

/// A whole training step on all cores.
fn step(criterion: &mut Criterion, size: &Size) {
    let threads = available_parallelism().map_or(1, usize::from);
    let mut training = Training::<CpuBackend>::new(size);
    let mut group = criterion.benchmark_group(size.name);
    group
        .throughput(Throughput::Elements(size.tokens() as u64))
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10);
    group.bench_function("step", |bencher| {
        setup::on_threads(threads, || bencher.iter(|| training.step()));
    });
    group.finish();
}
