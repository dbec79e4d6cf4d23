//! A test of exported models with the Python library `transformers`.

use super::{Class, Exported, LlamaKind, write};
use crate::data;
use crate::kernels::CpuBackend;
use crate::model::{Model, ParamGroup};
use crate::random::{Stream, unit};
use crate::spec::{self, BiasOverrides, Mlp, Norm, PositionKind, RunSpec, TokenizerKind};
use dfdx::prelude::*;
use serde_json::json;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Texts whose tokens are compared, where a tokenizer has all of their characters.
const TEXTS: [&str; 6] = [
    "Enter the king.\n",
    "  two  spaces \n\n\n and\tmore",
    "What's done, I'll say it's 1234 times!",
    "",
    "naïve Привет 日本語 👩\u{200d}👧 e\u{301}",
    "<|endoftext|> [UNK] <unk>",
];

/// Models that cover what each class can express.
fn models() -> Vec<(Class, spec::Model)> {
    let base = spec::Model {
        n_layer: 2,
        n_head: 4,
        n_embd: 32,
        block_size: 24,
        dropout: 0.1,
        ..spec::Model::default()
    };
    let rotary = |model: &spec::Model, rotary_pct: f64| {
        let mut model = model.clone();
        model.positions.kind = PositionKind::Rotary;
        (model.positions.rotary_pct, model.positions.rope_theta) = (rotary_pct, 100.0);
        model
    };
    let tables = [
        PositionKind::Learned,
        PositionKind::Sinusoidal,
        PositionKind::None,
    ];
    let mut all = Vec::new();
    let (gated, plain): (Vec<Mlp>, Vec<Mlp>) = Mlp::ALL.into_iter().partition(|mlp| mlp.gated());
    for (i, mlp) in plain.into_iter().enumerate() {
        let mut model = spec::Model {
            mlp,
            tie_weights: i % 2 == 0,
            bias: i % 3 == 0,
            ..base.clone()
        };
        model.bias_overrides.qkv = (i == 1).then_some(true);
        model.positions.kind = tables[i % 3];
        all.push((Class::Gpt2, model.clone()));
        model.parallel_block = i % 2 == 1;
        let share = [0.25, 0.75, 1.0][i % 3];
        all.push((Class::GptNeox, rotary(&model, share)));
    }
    for (i, mlp) in gated.into_iter().enumerate() {
        let mut model = spec::Model {
            mlp,
            norm: Norm::Rmsnorm,
            n_kv_head: [None, Some(2), Some(1)][i],
            tie_weights: i != 1,
            bias_overrides: BiasOverrides {
                mlp: Some(i == 0),
                qkv: Some(i == 1),
                ..BiasOverrides::default()
            },
            ..rotary(&base, 1.0)
        };
        all.push((Class::Llama(LlamaKind::Llama), model.clone()));
        model.bias_overrides.mlp = None;
        model.qk_norm = true;
        all.push((Class::Llama(LlamaKind::Qwen3), model.clone()));
        model.sliding_window = Some(5);
        all.push((Class::Llama(LlamaKind::Qwen3), model.clone()));
        model.qk_norm = false;
        model.bias_overrides.qkv = None;
        all.push((Class::Llama(LlamaKind::Mistral), model));
    }
    all
}

/// A model whose norms and biases have values as after a training.
fn model(config: &spec::Model, vocab_size: usize, seed: u64) -> Model<CpuBackend> {
    let device = Cpu::default();
    let mut model = Model::<CpuBackend>::zeros(&device, config, vocab_size).unwrap();
    let stream = Stream::new(seed, "weights");
    for (i, parameter) in model.parameters_mut().into_iter().enumerate() {
        let (rows, cols) = *parameter.value.shape();
        let (center, spread) = match parameter.group {
            ParamGroup::Norm => (1.0, 0.5),
            ParamGroup::Bias => (0.0, 0.5),
            _ => (0.0, 2.0 / (cols as f64).sqrt()),
        };
        let mut rng = stream.at(i as u64);
        let mut number = || (center + spread * (2.0 * unit(&mut rng) - 1.0)) as f32;
        let numbers = (0..rows * cols).map(|_| number()).collect();
        parameter.value = device.tensor_from_vec(numbers, (rows, cols));
    }
    model
}

/// The likeliest tokens after `tokens`, one after the other, until the text has `len` tokens.
fn greedy(model: &Model<CpuBackend>, mut tokens: Vec<usize>, len: usize) -> Vec<usize> {
    while tokens.len() < len {
        let logits = model.next_logits(&tokens).unwrap().as_vec();
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        tokens.push(best.unwrap());
    }
    tokens
}

/// Writes an exported model, and beside it what `tests/python/models_agree.py` compares.
fn export(folder: &Path, cache: &Path, number: usize, class: Class, config: &spec::Model) {
    let kinds = [
        TokenizerKind::Char,
        TokenizerKind::Byte,
        TokenizerKind::Bpe,
        TokenizerKind::Wordpiece,
        TokenizerKind::Unigram,
    ];
    let spec = RunSpec {
        variant: "test".to_owned(),
        seed: 1,
        data: spec::Data {
            plays_bytes: 30_000,
            ..spec::Data::default()
        },
        tokenizer: spec::Tokenizer {
            kind: kinds[number % kinds.len()],
            vocab_size: 320,
            ..spec::Tokenizer::default()
        },
        model: config.clone(),
        optimizer: spec::Optimizer::default(),
        train: spec::Train::default(),
        sample: spec::Sample::default(),
    };
    let info = data::prepare(&spec.data, &spec.tokenizer, cache).unwrap();
    let corpus = data::open(cache, &info.key).unwrap();
    let model = model(config, info.vocab_size, number as u64);
    let name = format!("{number:02}-{}-{}", class.name(), spec.tokenizer.kind);
    let exported = Exported {
        name: &name,
        spec: &spec,
        model: &model,
        tokenizer: &corpus.tokenizer,
        status: None,
        step: Some(number as u64),
    };
    write(&exported, class, &folder.join(&name)).unwrap();

    let tokens: Vec<usize> = (0..config.block_size).map(|i| corpus.val.get(i)).collect();
    let logits = (1..=tokens.len()).map(|len| model.next_logits(&tokens[..len]).unwrap().as_vec());
    let texts = TEXTS.iter().filter_map(|text| {
        let ids = corpus.tokenizer.encode(text).ok()?;
        Some(json!({ "text": text, "ids": ids }))
    });
    let case = json!({
        "class": class.name(),
        "tokens": tokens,
        "logits": logits.collect::<Vec<_>>(),
        "greedy": greedy(&model, tokens[..3].to_vec(), config.block_size),
        "texts": texts.collect::<Vec<_>>(),
        "lossless": info.lossless,
    });
    fs::write(folder.join(name + ".json"), case.to_string()).unwrap();
}

#[test]
#[ignore = "needs Python with the packages of tests/python/models.txt"]
fn the_transformers_library_computes_the_same_logits() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (number, (class, config)) in models().into_iter().enumerate() {
        assert_eq!(Class::of(&config), Ok(class), "{config:?}");
        export(folder.path(), cache.path(), number, class, &config);
    }
    let python = env::var("PYTHON").unwrap_or("python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/models_agree.py");
    let compared = Command::new(python)
        .arg(script)
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        compared.status.success(),
        "{}{}",
        String::from_utf8_lossy(&compared.stdout),
        String::from_utf8_lossy(&compared.stderr)
    );
}
