//! `LlamaForCausalLM` and its relatives: rotary positions, RMSNorm, and a gated MLP.
//!
//! Mistral also has sliding windows, but no biases. Qwen3 has sliding windows and norms of queries and keys, and biases
//! in attention only.

use super::config_values::{activation, decimal, entries, has_attention_bias};
use super::requirements::Requirements;
use super::tensors::Tensors;
use crate::spec::{self, Mlp, Norm, PositionKind};
use serde_json::{Map, Value, json};

/// A class of this family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LlamaKind {
    Llama,
    Mistral,
    Qwen3,
}

pub(super) fn require(kind: LlamaKind, model: &spec::Model, all: &mut Requirements) {
    let kinds = [PositionKind::Rotary];
    all.one_of("model.positions.kind", model.positions.kind, &kinds);
    if model.positions.kind == PositionKind::Rotary {
        all.one_of(
            "model.positions.rotary_pct",
            model.positions.rotary_pct,
            &[1.0],
        );
    }
    all.one_of("model.norm", model.norm, &[Norm::Rmsnorm]);
    all.one_of("model.parallel_block", model.parallel_block, &[false]);
    let gated = Mlp::ALL.into_iter().filter(|mlp| mlp.gated());
    all.one_of("model.mlp", model.mlp, &gated.collect::<Vec<_>>());
    all.one_of("model.qk_norm", model.qk_norm, &[kind == LlamaKind::Qwen3]);
    if kind == LlamaKind::Llama {
        all.one_of("model.sliding_window", model.effective_window(), &[None]);
        return;
    }
    let (biases, exceptions) = (model.biases(), &model.bias_overrides);
    all.no_bias(biases.mlp, ("model.bias_overrides.mlp", exceptions.mlp));
    if kind == LlamaKind::Mistral {
        all.no_bias(biases.qkv, ("model.bias_overrides.qkv", exceptions.qkv));
        let exception = (
            "model.bias_overrides.attention_out",
            exceptions.attention_out,
        );
        all.no_bias(biases.attention_out, exception);
    }
}

pub(super) fn config(kind: LlamaKind, model: &spec::Model) -> Map<String, Value> {
    let mut config = json!({
        "max_position_embeddings": model.block_size,
        "hidden_size": model.n_embd,
        "num_hidden_layers": model.n_layer,
        "num_attention_heads": model.n_head,
        "num_key_value_heads": model.kv_heads(),
        "head_dim": model.head_size(),
        "intermediate_size": model.mlp_width(),
        "hidden_act": activation(model.mlp),
        "rms_norm_eps": 1e-5,
        "rope_theta": model.positions.rope_theta,
        "attention_dropout": decimal(model.dropouts().attention),
    });
    let window = model.effective_window();
    match kind {
        LlamaKind::Qwen3 => {
            config["attention_bias"] = has_attention_bias(model).into();
            config["use_sliding_window"] = window.is_some().into();
            config["sliding_window"] = json!(window);
            // The number of blocks before the first one with a window.
            config["max_window_layers"] = match window {
                Some(_) => 0.into(),
                None => model.n_layer.into(),
            };
        }
        LlamaKind::Mistral => config["sliding_window"] = json!(window),
        LlamaKind::Llama => {
            config["attention_bias"] = has_attention_bias(model).into();
            config["mlp_bias"] = model.biases().mlp.into();
        }
    }
    entries(config)
}

pub(super) fn tensors(kind: LlamaKind, model: &spec::Model, all: &mut Tensors) {
    all.table("model.embed_tokens.weight", "wte.weight");
    let (c, kv, h) = (
        model.n_embd,
        model.kv_heads() * model.head_size(),
        model.mlp_width(),
    );
    let (attention_bias, mlp_bias) = (has_attention_bias(model), model.biases().mlp);
    for i in 0..model.n_layer {
        let theirs = |part: &str| format!("model.layers.{i}.{part}");
        let ours = |part: &str| format!("h.{i}.{part}");
        all.norm(&theirs("input_layernorm"), &ours("ln_1"), false);
        all.norm(&theirs("post_attention_layernorm"), &ours("ln_2"), false);
        for (part, outputs) in [("q", 0..c), ("k", c..c + kv), ("v", c + kv..c + 2 * kv)] {
            let theirs = theirs(&format!("self_attn.{part}_proj"));
            let outputs = outputs.collect();
            all.linear_outputs(&theirs, &ours("attn.c_attn"), outputs, attention_bias);
        }
        if kind == LlamaKind::Qwen3 {
            for norm in ["q_norm", "k_norm"] {
                let theirs = theirs(&format!("self_attn.{norm}"));
                all.norm(&theirs, &ours(&format!("attn.{norm}")), false);
            }
        }
        all.linear(
            &theirs("self_attn.o_proj"),
            &ours("attn.c_proj"),
            attention_bias,
        );
        for (part, outputs) in [("gate", 0..h), ("up", h..2 * h)] {
            let theirs = theirs(&format!("mlp.{part}_proj"));
            all.linear_outputs(&theirs, &ours("mlp.c_fc"), outputs.collect(), mlp_bias);
        }
        all.linear(&theirs("mlp.down_proj"), &ours("mlp.c_proj"), mlp_bias);
    }
    all.norm("model.norm", "ln_f", false);
    if !model.tie_weights {
        all.table("lm_head.weight", "lm_head.weight");
    }
}
