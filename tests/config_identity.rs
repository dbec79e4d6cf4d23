//! The identities of configurations, which decide whether a finished run is found again. They may
//! only change together with `FORMAT_VERSION` in `spec::run_spec`: otherwise every finished run of
//! every user would be trained a second time.

use runner::config;
use runner::spec::RunSpec;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;

/// Tokens of the training split, where a length in epochs needs them.
const TRAIN_TOKENS: u64 = 100_000;

/// FLOPs per token, where a length in FLOPs needs them.
const FLOPS_PER_TOKEN: f64 = 1e6;

fn runs(name: &str, text: &str) -> Vec<RunSpec> {
    let document = config::from_text(name, text, &[]).unwrap_or_else(|e| panic!("{e}"));
    let expansion = document.expand().unwrap_or_else(|e| panic!("{e}"));
    expansion.runs
}

/// Of a document with more runs, only the first ones of each variant and seed are listed, and the first seeds.
const MANY_RUNS: usize = 100;

/// The names of the runs of a document, each with eight digits of its identity.
fn names(name: &str, text: &str) -> String {
    let mut names = format!("{name}\n");
    let mut runs = runs(name, text);
    if runs.len() > MANY_RUNS {
        const MOST: usize = 4;
        let mut listed: HashMap<(String, u64), usize> = HashMap::new();
        runs.retain(|run| {
            let listed = listed.entry((run.variant.clone(), run.seed)).or_default();
            *listed += 1;
            run.seed <= 3 && *listed <= MOST
        });
    }
    for mut run in runs {
        run.count_steps(TRAIN_TOKENS, FLOPS_PER_TOKEN);
        let _ = writeln!(names, "  {}", run.run_name(&run.identity("content")));
    }
    names
}

/// Every key of a run at a value that is not its default, under the names that keys had first.
const FIRST_NAMES: &str = r#"
name: pinned
data: {source: names, val_fraction: 0.2}
tokenizer: {kind: unigram, vocab_size: 600, alpha: 0.1, nbest: 8}
model:
  {n_layer: 2, n_head: 8, n_kv_head: 4, n_embd: 64, block_size: 32, window: 16, qk_norm: true,
   positions: {kind: rotary, base: 500, fraction: 0.5}, parallel: true, mlp: gelu_exact,
   mlp_hidden: 2.5x, tie_weights: false, scale_embedding: true, logit_soft_cap: 30, bias: true,
   bias_in: {qkv: false, attention_out: false, mlp: false, norm: false, head: true}, dropout: 0.1,
   embedding_dropout: 0.2, attention_dropout: 0.3,
   init: {std: 0.03, residual_scaling: false, embedding_std: 0.01}}
optimizer:
  {kind: muon, lr: 0.02, betas: [0.8, 0.95], eps: 1.0e-6, weight_decay: 0.3, grad_clip: 0.5,
   muon: {momentum: 0.9, nesterov: false, iterations: 6, scale: spectral},
   groups: {matrix: {lr_scale: 2, weight_decay: 0.5}, embedding: {lr_scale: 0.5}},
   schedule: {kind: wsd, warmup_steps: 10, min_lr: 1.0e-4, decay_fraction: 0.2}}
train:
  {steps: 70, batch_size: 4, accumulate: 2, sequence_length: 24, ema: 0.99, debug: true,
   eval_every: 30, eval_train: true, checkpoint_every: 20, keep_weights_every: 35}
sample:
  {prompt: "A", tokens: 50, num: 2, every: 40, temperature: 0.7, top_k: 20, top_p: 0.9, min_p: 0.05,
   repetition_penalty: 1.1, stop: "B"}
"#;

/// Choices that exclude each other, as variants.
const CHOICES: &str = "
name: pinned
sweep:
  seeds: [1, 7]
  variants:
    defaults: {}
    bigram: {model: {kind: bigram, block_size: 16}, train: {debug: true}}
    ngram: {model: {kind: ngram, order: 4}}
    post: {model: {norm: rmsnorm, norm_position: post, mlp: swiglu, positions: {kind: alibi}}}
    no_norm: {model: {norm: none, mlp: gelu_exact, bias_in: {mlp: true}, init: {kind: xavier}}}
    sgd: {optimizer: {kind: sgd, momentum: 0.8, nesterov: true, schedule: {kind: cosine}}}
    rmsprop: {optimizer: {kind: rmsprop, alpha: 0.9, eps: 1.0e-5}}
    lion: {optimizer: {kind: lion, schedule: {kind: inverse_sqrt, warmup_steps: 5}}}
    bpe: {tokenizer: {kind: bpe, dropout: 0.1}, train: {batches: random, accumulate: 3}}
    tiktoken: {tokenizer: {kind: tiktoken, encoding: p50k_base}, train: {tokens: 50000}}
    epochs: {train: {batches: sequential, epochs: 1.5, eval_every: 1 epoch}}
    text: {data: {source: some/file.txt, max_bytes: 5000}, sample: {num: 4}}
";

/// A grid over keys that were renamed, whose values make the names of the variants.
const GRID: &str = "
name: pinned
sweep:
  grid:
    model.mlp: [gelu, gelu_exact, relu]
    model.window: [8, null]
    train: [{accumulate: 2}, {debug: true}]
  exclude: [{model.mlp: gelu, model.window: 8}]
  include: [{model.bias_in.head: true}]
";

#[test]
fn the_identity_of_a_configuration_does_not_change() {
    let mut all = String::new();
    for (name, text) in [
        ("first names", FIRST_NAMES),
        ("choices", CHOICES),
        ("grid", GRID),
    ] {
        all += &names(name, text);
    }
    let mut files: Vec<_> = fs::read_dir("experiments")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        all += &names(file.file_name().unwrap().to_str().unwrap(), &text);
    }
    insta::assert_snapshot!(all);
}
