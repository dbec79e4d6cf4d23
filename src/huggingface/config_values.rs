//! Values as `config.json` has them.

use crate::spec::Mlp;
use serde_json::Value;

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
