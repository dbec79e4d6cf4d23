use crate::kernels::{Backend, DeviceError, Matrix, Rotary};
use crate::model::parameter::{Initializer, ParamGroup, Parameter};
use crate::spec::{self, PositionKind};
use dfdx::prelude::*;

/// What tells a model the order of its tokens, beside the causal mask.
#[derive(Debug, Clone)]
pub(super) enum Positions<B: Backend> {
    /// (block_size, C), added to the embedding.
    Learned(Parameter<B>),
    /// Likewise, and not trained.
    Sinusoidal(Matrix<B::Device>),
    Rotary(Rotary),
    Alibi,
    None,
}

impl<B: Backend> Positions<B> {
    pub(super) fn new(
        init: &mut Initializer<B>,
        device: &B::Device,
        config: &spec::Model,
    ) -> Result<Self, DeviceError<B::Device>> {
        let shape = (config.block_size, config.n_embd);
        Ok(match config.positions.kind {
            PositionKind::Learned => {
                Self::Learned(init.table("wpe.weight", ParamGroup::Embedding, shape)?)
            }
            PositionKind::Sinusoidal => {
                Self::Sinusoidal(device.try_tensor_from_vec(sinusoids(shape), shape)?)
            }
            PositionKind::Rotary => {
                let width = config.rotary_width() as usize;
                Self::Rotary(Rotary::new(
                    config.positions.rope_theta,
                    width,
                    config.block_size,
                ))
            }
            PositionKind::Alibi => Self::Alibi,
            PositionKind::None => Self::None,
        })
    }

    /// What is added to the embedding: (block_size, C).
    pub(super) fn table(&self) -> Option<&Matrix<B::Device>> {
        match self {
            Self::Learned(table) => Some(&table.value),
            Self::Sinusoidal(table) => Some(table),
            Self::Rotary(_) | Self::Alibi | Self::None => None,
        }
    }
}

/// Sine and cosine of `place / 10000^(2i / C)` in columns 2i and 2i + 1 (Vaswani et al. 2017, section
/// 3.5).
fn sinusoids((places, c): (usize, usize)) -> Vec<f32> {
    let value = |i: usize| {
        let (place, column) = ((i / c) as f64, i % c);
        let angle = place / 10_000f64.powf((column / 2 * 2) as f64 / c as f64);
        let value = match column % 2 {
            0 => angle.sin(),
            _ => angle.cos(),
        };
        value as f32
    };
    (0..places * c).map(value).collect()
}
