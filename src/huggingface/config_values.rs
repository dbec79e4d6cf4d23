//! Values as `config.json` has them.

use crate::spec::{self, Mlp};
use serde_json::{Map, Value};

/// The name of an activation in Python. That of a gated MLP is the activation of its gate.
pub(super) fn activation(mlp: Mlp) -> &'static str {
    match mlp {
        Mlp::GeluTanh => "gelu_new",
        Mlp::Geglu => "gelu_pytorch_tanh",
        Mlp::GeluErf => "gelu",
        Mlp::Relu | Mlp::Reglu => "relu",
        Mlp::ReluSquared => "relu2",
        Mlp::Silu | Mlp::Swiglu => "silu",
    }
}

/// A number with the digits of the experiment file.
pub(super) fn decimal(number: f32) -> Value {
    let digits: f64 = number.to_string().parse().expect("it is a number");
    digits.into()
}

/// The entries of an object.
pub(super) fn entries(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(entries) => entries,
        _ => Map::new(),
    }
}

/// Whether a class with one switch for the biases of attention has them. A bias that the model lacks is then zero.
pub(super) fn has_attention_bias(model: &spec::Model) -> bool {
    model.biases().qkv || model.biases().attention_out
}
