//! `GPT2LMHeadModel`: learned positions, LayerNorm, and an MLP without gate. All parts have biases, which are zero where
//! the model has none. Its table of positions also holds sinusoids, or zeros for a model without positions.

use super::config_values::{activation, decimal, entries};
use super::requirements::Requirements;
use super::tensors::Tensors;
use crate::spec::{self, Norm, PositionKind};
use serde_json::{Map, Value, json};

pub(super) fn require(model: &spec::Model, all: &mut Requirements) {
    let kinds = [
        PositionKind::Learned,
        PositionKind::Sinusoidal,
        PositionKind::None,
    ];
    all.one_of("model.positions.kind", model.positions.kind, &kinds);
    all.one_of("model.norm", model.norm, &[Norm::Layernorm]);
    all.one_of("model.parallel_block", model.parallel_block, &[false]);
    all.no_gate(model);
    all.full_heads(model);
}

pub(super) fn config(model: &spec::Model) -> Map<String, Value> {
    let dropouts = model.dropouts();
    let config = json!({
        "n_positions": model.block_size,
        "n_embd": model.n_embd,
        "n_layer": model.n_layer,
        "n_head": model.n_head,
        "n_inner": model.mlp_width(),
        "activation_function": activation(model.mlp),
        "layer_norm_epsilon": 1e-5,
        "resid_pdrop": decimal(dropouts.residual),
        "embd_pdrop": decimal(dropouts.embedding),
        "attn_pdrop": decimal(dropouts.attention),
    });
    entries(config)
}

pub(super) fn tensors(model: &spec::Model, all: &mut Tensors) {
    all.table("transformer.wte.weight", "wte.weight");
    let (positions, shape) = ("transformer.wpe.weight", (model.block_size, model.n_embd));
    match model.positions.kind {
        PositionKind::Learned => all.table(positions, "wpe.weight"),
        PositionKind::Sinusoidal => all.sinusoids(positions, shape),
        PositionKind::None | PositionKind::Rotary | PositionKind::Alibi => {
            all.zeros(positions, vec![shape.0, shape.1]);
        }
    }
    for i in 0..model.n_layer {
        let (theirs, ours) = (format!("transformer.h.{i}."), format!("h.{i}."));
        for norm in ["ln_1", "ln_2"] {
            all.norm(&(theirs.clone() + norm), &(ours.clone() + norm), true);
        }
        for layer in ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"] {
            all.transposed_linear(&(theirs.clone() + layer), &(ours.clone() + layer));
        }
    }
    all.norm("transformer.ln_f", "ln_f", true);
    if !model.tie_weights {
        all.table("lm_head.weight", "lm_head.weight");
    }
}
