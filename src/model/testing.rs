//! Model configurations for tests of what holds for every model.

use crate::spec::{
    BiasOverrides, Init, InitKind, Mlp, MlpHidden, Model, ModelKind, Norm, NormPosition,
    PositionKind,
};
use serde_json::Value;

/// Tokens in a sequence.
pub(super) const BLOCK: usize = 11;

/// Small models that cover every architecture choice, and the combinations of choices that interact.
pub(super) fn configs() -> Vec<Model> {
    let base = Model {
        n_layer: 2,
        n_head: 3,
        n_embd: 24,
        block_size: BLOCK,
        ..Model::default()
    };
    let mut all = Vec::new();
    for (i, norm) in Norm::ALL.into_iter().enumerate() {
        for (j, mlp) in Mlp::ALL.into_iter().enumerate() {
            let odd = (i + j) % 2 == 1;
            all.push(Model {
                norm,
                mlp,
                tie_weights: odd,
                bias: !odd,
                ..base.clone()
            });
        }
    }
    for bits in 0..8 {
        all.push(Model {
            tie_weights: bits & 1 == 0,
            bias: bits & 2 == 0,
            dropout: if bits & 4 == 0 { 0.0 } else { 0.2 },
            ..base.clone()
        });
    }
    let changes: &[&dyn Fn(&mut Model)] = &[
        &|model| model.kind = ModelKind::Bigram,
        &|model| (model.n_head, model.n_kv_head) = (4, Some(2)),
        &|model| (model.n_kv_head, model.qk_norm) = (Some(1), true),
        &|model| model.qk_norm = true,
        &|model| model.sliding_window = Some(1),
        &|model| model.sliding_window = Some(4),
        &|model| model.positions.kind = PositionKind::Sinusoidal,
        &|model| model.positions.kind = PositionKind::Rotary,
        &|model| model.positions.kind = PositionKind::Alibi,
        &|model| model.positions.kind = PositionKind::None,
        &|model| {
            (model.n_head, model.n_kv_head) = (6, Some(3));
            model.positions.kind = PositionKind::Rotary;
            (model.positions.rope_theta, model.positions.rotary_pct) = (100.0, 0.5);
            (model.sliding_window, model.qk_norm, model.dropout) = (Some(5), true, 0.2);
            (model.norm, model.parallel_block, model.bias) = (Norm::Rmsnorm, true, true);
        },
        &|model| {
            model.positions.kind = PositionKind::Alibi;
            (model.sliding_window, model.attention_dropout) = (Some(5), Some(0.2));
        },
        &|model| model.parallel_block = true,
        &|model| (model.parallel_block, model.norm) = (true, Norm::None),
        &|model| model.norm_position = NormPosition::Post,
        &|model| (model.norm_position, model.dropout) = (NormPosition::Post, 0.2),
        &|model| model.norm_position = NormPosition::Sandwich,
        &|model| (model.norm_position, model.dropout) = (NormPosition::Sandwich, 0.2),
        &|model| model.scale_embedding = true,
        &|model| model.logit_soft_cap = Some(0.1),
        &|model| model.embedding_dropout = Some(0.2),
        &|model| model.attention_dropout = Some(0.2),
        &|model| (model.dropout, model.attention_dropout) = (0.2, Some(0.0)),
        &|model| model.bias_overrides.qkv = Some(true),
        &|model| model.bias_overrides.attention_out = Some(true),
        &|model| model.bias_overrides.mlp = Some(true),
        &|model| model.bias_overrides.norm = Some(true),
        &|model| model.bias_overrides.head = true,
        &|model| {
            model.bias = true;
            model.bias_overrides = BiasOverrides {
                qkv: Some(false),
                head: true,
                ..BiasOverrides::default()
            };
            model.tie_weights = false;
            model.init = Init {
                kind: InitKind::Uniform,
                embedding_std: 1.0,
                ..Init::default()
            };
        },
        &|model| model.init.kind = InitKind::Xavier,
        &|model| model.init.kind = InitKind::Kaiming,
        &|model| model.init.residual_scaling = false,
        &|model| (model.n_layer, model.init.std) = (1, 0.1),
        &|model| (model.n_embd, model.mlp_hidden) = (12, MlpHidden::Width(20)),
        &|model| model.block_size = 2 * BLOCK,
    ];
    all.extend(changes.iter().map(|change| {
        let mut model = base.clone();
        change(&mut model);
        model
    }));
    all
}

/// Choices that no configuration needs to cover.
const NOT_COVERED: [(&str, &str); 2] = [
    ("order", "read by n-gram models only"),
    ("kind=ngram", "an n-gram model has no parameters"),
];

/// Every setting takes at least two values in [`configs`], and every name of an enumeration occurs. A
/// new setting or a new name fails here until a configuration covers it.
#[test]
fn configs_cover_every_choice() {
    let schema = serde_json::to_value(schemars::schema_for!(Model)).unwrap();
    let configs = configs().into_iter();
    let configs: Vec<Value> = configs.map(|c| serde_json::to_value(c).unwrap()).collect();
    let mut missing = Vec::new();
    collect_missing(&schema, &schema, "", &configs, &mut missing);
    missing.retain(|choice| !NOT_COVERED.iter().any(|(known, _)| known == choice));
    assert_eq!(missing, Vec::<String>::new(), "add them to `configs`");
}

/// Appends the choices of `schema`, an object at `path` of a configuration, that do not occur in
/// `values`, which are these objects.
fn collect_missing(
    root: &Value,
    schema: &Value,
    path: &str,
    values: &[Value],
    missing: &mut Vec<String>,
) {
    for (key, property) in schema["properties"].as_object().unwrap() {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        let values: Vec<Value> = values.iter().map(|value| value[key].clone()).collect();
        let property = match property["$ref"].as_str() {
            Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
            None => property,
        };
        if property["properties"].is_object() {
            collect_missing(root, property, &path, &values, missing);
            continue;
        }
        let names = property["oneOf"].as_array().into_iter().flatten();
        let names: Vec<&Value> = names.filter_map(|choice| choice.get("const")).collect();
        let absent = names.iter().filter(|name| !values.contains(name));
        missing.extend(absent.map(|name| format!("{path}={}", name.as_str().unwrap())));
        if names.is_empty() && values.iter().all(|value| *value == values[0]) {
            missing.push(path);
        }
    }
}
