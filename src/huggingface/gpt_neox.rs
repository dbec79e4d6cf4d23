//! `GPTNeoXForCausalLM`: rotary positions, LayerNorm, an MLP without gate, and blocks that may be parallel. A parallel
//! block has a norm for each branch there; both get the values of the one norm of the model.

use super::config_values::{activation, decimal, entries, has_attention_bias};
use super::requirements::Requirements;
use super::tensors::Tensors;
use crate::spec::{self, Norm, PositionKind};
use serde_json::{Map, Value, json};

pub(super) fn require(model: &spec::Model, all: &mut Requirements) {
    let kinds = [PositionKind::Rotary];
    all.one_of("model.positions.kind", model.positions.kind, &kinds);
    all.one_of("model.norm", model.norm, &[Norm::Layernorm]);
    all.no_gate(model);
    all.full_heads(model);
}

pub(super) fn config(model: &spec::Model) -> Map<String, Value> {
    let dropouts = model.dropouts();
    let config = json!({
        "max_position_embeddings": model.block_size,
        "hidden_size": model.n_embd,
        "num_hidden_layers": model.n_layer,
        "num_attention_heads": model.n_head,
        "intermediate_size": model.mlp_width(),
        "hidden_act": activation(model.mlp),
        "layer_norm_eps": 1e-5,
        "rotary_emb_base": model.positions.rope_theta,
        "rotary_pct": rotary_share(model),
        "use_parallel_residual": model.parallel_block,
        "attention_bias": has_attention_bias(model),
        "hidden_dropout": decimal(dropouts.residual),
        "attention_dropout": decimal(dropouts.attention),
    });
    entries(config)
}

/// The share of rotated columns, which times the width of a head, rounded down, is their number.
fn rotary_share(model: &spec::Model) -> f64 {
    let (width, all) = (model.rotary_width(), model.head_size() as f64);
    let share = width / all;
    match (all * share).floor() == width {
        true => share,
        false => share.next_up(),
    }
}

pub(super) fn tensors(model: &spec::Model, all: &mut Tensors) {
    all.table("gpt_neox.embed_in.weight", "wte.weight");
    let has_bias = has_attention_bias(model);
    for i in 0..model.n_layer {
        let theirs = |part: &str| format!("gpt_neox.layers.{i}.{part}");
        let ours = |part: &str| format!("h.{i}.{part}");
        let second_norm = match model.parallel_block {
            true => "ln_1",
            false => "ln_2",
        };
        all.norm(&theirs("input_layernorm"), &ours("ln_1"), true);
        all.norm(
            &theirs("post_attention_layernorm"),
            &ours(second_norm),
            true,
        );
        all.linear_outputs(
            &theirs("attention.query_key_value"),
            &ours("attn.c_attn"),
            outputs_by_head(model),
            has_bias,
        );
        all.linear(&theirs("attention.dense"), &ours("attn.c_proj"), has_bias);
        all.linear(&theirs("mlp.dense_h_to_4h"), &ours("mlp.c_fc"), true);
        all.linear(&theirs("mlp.dense_4h_to_h"), &ours("mlp.c_proj"), true);
    }
    all.norm("gpt_neox.final_layer_norm", "ln_f", true);
    if !model.tie_weights {
        // The name in files, also of versions that call the layer `lm_head`.
        all.table("embed_out.weight", "lm_head.weight");
    }
}

/// The outputs of queries, keys and values, head after head. In the model, the queries of all heads come first.
fn outputs_by_head(model: &spec::Model) -> Vec<usize> {
    let (c, hs) = (model.n_embd, model.head_size());
    let start = |head: usize| (0..3).map(move |part| part * c + head * hs);
    let starts = (0..model.n_head).flat_map(start);
    starts.flat_map(|start| start..start + hs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python multiplies the width of a head by the share, and rounds down.
    #[test]
    fn the_share_of_rotated_columns_gives_their_number() {
        for head in 1..=128_usize {
            for width in (2..=head).step_by(2) {
                let mut model = spec::Model {
                    n_head: 1,
                    n_embd: head,
                    ..spec::Model::default()
                };
                model.positions.rotary_pct = width as f64 / head as f64;
                let share = rotary_share(&model);
                assert_eq!((head as f64 * share) as usize, width, "{head}");
            }
        }
    }
}
