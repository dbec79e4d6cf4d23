//! The vector instructions of the processor change no bit of a result.

use crate::support::{Lab, TINY};
use runner::kernels::InstructionSet;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

/// Architectures and optimizers that together use every kernel. Widths are no multiples of a vector.
const EVERY_KERNEL: &str = "\
name: tiny
data: {source: 'builtin:plays', plays_bytes: 20000}
model: {n_layer: 2, n_head: 3, n_embd: 36, block_size: 24}
optimizer: {lr: 1.0e-2}
train: {steps: 12, batch_size: 12, eval_every: 6}
sample: {tokens: 40, temperature: 1.0}
sweep:
  seeds: [1]
  variants:
    gpt: {model: {dropout: 0.1}}
    llama:
      model: {norm: rmsnorm, mlp: swiglu, positions: {kind: rotary}, n_kv_head: 1, qk_norm: true}
      optimizer: {kind: muon}
    alibi:
      model: {mlp: gelu_erf, positions: {kind: alibi}, sliding_window: 7, tie_weights: false}
      optimizer: {kind: lion, lr: 1.0e-3}
      train: {ema: 0.9}
    sinusoids:
      model: {mlp: relu_squared, positions: {kind: sinusoidal}, parallel_block: true, logit_soft_cap: 15}
      optimizer: {kind: sgd, schedule: {kind: cosine}}
    # Products of more than 512 terms, and some that are large enough for `gemm`.
    wide:
      model: {n_head: 2, n_embd: 144, mlp_hidden: 600}
      train: {steps: 2, batch_size: 48}
    bf16: {train: {precision: bf16}}
    bigram: {model: {kind: bigram}, optimizer: {kind: rmsprop}}
    counts: {model: {kind: ngram}}
";

/// The files of each run that must not differ.
fn files(lab: &Lab) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for run in fs::read_dir(lab.path("results/tiny/runs")).unwrap() {
        let run = run.unwrap().path();
        for name in ["model.safetensors", "samples.json"] {
            if let Ok(content) = fs::read(run.join(name)) {
                let content = match name {
                    "model.safetensors" => matrices(&content).to_vec(),
                    _ => content,
                };
                let run = run.file_name().unwrap().to_str().unwrap();
                files.insert(format!("{run}/{name}"), content);
            }
        }
    }
    files
}

/// A safetensors file without its header, which begins with its length.
fn matrices(file: &[u8]) -> &[u8] {
    let (length, rest) = file.split_first_chunk().unwrap();
    &rest[u64::from_le_bytes(*length) as usize..]
}

/// A line for each file, with the SHA-256 digest of its content.
fn digests(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut lines = String::new();
    for (name, content) in files {
        write!(lines, "{name} ").unwrap();
        for byte in Sha256::digest(content) {
            write!(lines, "{byte:02x}").unwrap();
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn whole_runs_end_with_the_same_bits() {
    let trained = |set: InstructionSet, jobs: u32| {
        let lab = Lab::new(EVERY_KERNEL).with_variable("RUNNER_ISA", set.name());
        lab.run(&format!("sweep tiny.yaml --jobs {jobs}")).exits(0);
        (lab.results(), files(&lab))
    };
    let mut sets = InstructionSet::available();
    let best = sets.next().unwrap();
    let expected = trained(best, 1);
    assert_eq!(
        expected.1.len(),
        15,
        "weights of seven runs, and samples of eight"
    );
    // The same on every kind of processor. This changes only together with the format version of a run.
    insta::assert_snapshot!(digests(&expected.1));
    // At least one other: a set without vectors is always available.
    for set in sets {
        let found = trained(set, 6);
        assert_eq!(found.0, expected.0, "{}", set.name());
        let differ = |name: &&String| found.1.get(*name) != expected.1.get(*name);
        let different: Vec<&String> = expected.1.keys().filter(differ).collect();
        assert!(different.is_empty(), "{}: {different:?}", set.name());
    }
}

#[test]
fn an_unknown_instruction_set_is_an_error() {
    let lab = Lab::new(TINY).with_variable("RUNNER_ISA", "avx9");
    lab.run("sweep tiny.yaml")
        .exits(2)
        .says("the environment variable RUNNER_ISA is `avx9`; this processor has ")
        .says("scalar");
    assert!(lab.is_untouched());
}
