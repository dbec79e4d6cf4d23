use crate::kernels::operations::*;
use crate::kernels::{Backend, DeviceError, Heads, Matrix};
use crate::model::initializer::Initializer;
use crate::model::parameter::{ParamGroup, Parameter, impl_parameters};
use crate::spec;
use dfdx::prelude::*;

/// A norm of each row, with a trained gain.
#[derive(Debug, Clone)]
pub(in crate::model) struct Norm<B: Backend> {
    kind: spec::Norm,
    /// (1, C)
    gain: Parameter<B>,
    /// (1, C)
    bias: Option<Parameter<B>>,
}

impl_parameters!(Norm { gain, bias });

impl<B: Backend> Norm<B> {
    /// `None` for a model without norms.
    pub(in crate::model) fn new(
        init: &mut Initializer<B>,
        name: &str,
        config: &spec::Model,
    ) -> Result<Option<Self>, DeviceError<B::Device>> {
        let kind = config.norm;
        if kind == spec::Norm::None {
            return Ok(None);
        }
        let c = config.n_embd;
        let gain = init.constant(format!("{name}.weight"), ParamGroup::Norm, c, 1.0)?;
        let bias = match config.biases().norm {
            true => Some(init.constant(format!("{name}.bias"), ParamGroup::Bias, c, 0.0)?),
            false => None,
        };
        Ok(Some(Self { kind, gain, bias }))
    }
}

/// Applies the norm, or returns `x` where there is none: (N, C) to (N, C).
pub(in crate::model) fn normalize<B: Backend, T: Tape<f32, B::Device>>(
    norm: &Option<Norm<B>>,
    x: Matrix<B::Device, T>,
) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
    match norm {
        Some(Norm { kind, gain, bias }) => {
            B::norm(x, *kind, &gain.value, bias.as_ref().map(|bias| &bias.value))
        }
        None => Ok(x),
    }
}

/// RMSNorm of the queries and the keys of each head. The heads of a block share both gains.
#[derive(Debug, Clone)]
pub(super) struct QkNorm<B: Backend> {
    /// (1, hs)
    query: Parameter<B>,
    /// (1, hs)
    key: Parameter<B>,
}

impl_parameters!(QkNorm { query, key });

impl<B: Backend> QkNorm<B> {
    /// `None` for a model that does not normalize queries and keys.
    pub(super) fn new(
        init: &mut Initializer<B>,
        name: &str,
        config: &spec::Model,
    ) -> Result<Option<Self>, DeviceError<B::Device>> {
        if !config.qk_norm {
            return Ok(None);
        }
        let mut gain = |part: &str| {
            let name = format!("{name}.{part}.weight");
            init.constant(name, ParamGroup::Norm, config.head_size(), 1.0)
        };
        Ok(Some(Self {
            query: gain("q_norm")?,
            key: gain("k_norm")?,
        }))
    }

    /// (N, C + 2 kv hs) to (N, C + 2 kv hs)
    pub(super) fn forward<T: Tape<f32, B::Device>>(
        &self,
        qkv: Matrix<B::Device, T>,
        heads: Heads,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        B::qk_norm(qkv, heads, [&self.query.value, &self.key.value])
    }
}
