use crate::kernels::{Backend, DeviceError, Matrix, Rotary};
use crate::model::initializer::Initializer;
use crate::model::parameter::{ParamGroup, Parameter, impl_parameters};
use crate::spec::{self, PositionKind};
use dfdx::prelude::*;

/// The positions of tokens. P is `block_size`.
#[derive(Debug, Clone)]
pub(in crate::model) enum Positions<B: Backend> {
    /// A trained table (P, C) that is added to the token embedding.
    Learned(Parameter<B>),
    /// A computed table (P, C) that is added to the token embedding.
    Sinusoidal(Matrix<B::Device>),
    /// Rotates queries and keys in attention.
    Rotary(Rotary),
    /// Lowers attention scores by distance: see [`crate::kernels::Heads::alibi`].
    Alibi,
    None,
}

impl_parameters!(enum Positions {
    Learned;
    Self::Sinusoidal(_), Self::Rotary(_), Self::Alibi, Self::None
});

impl<B: Backend> Positions<B> {
    pub(in crate::model) fn new(
        init: &mut Initializer<B>,
        device: &B::Device,
        config: &spec::Model,
    ) -> Result<Self, DeviceError<B::Device>> {
        let (p, c) = (config.block_size, config.n_embd);
        Ok(match config.positions.kind {
            PositionKind::Learned => {
                Self::Learned(init.table("wpe.weight", ParamGroup::Embedding, (p, c))?)
            }
            PositionKind::Sinusoidal => {
                let table = |p| device.try_tensor_from_vec(sinusoids((p, c)), (p, c));
                Self::Sinusoidal(init.computed(p, table)?)
            }
            PositionKind::Rotary => {
                let (base, width) = (config.positions.rope_theta, config.rotary_width() as usize);
                Self::Rotary(init.computed(p, |p| Rotary::new(base, width, p)))
            }
            PositionKind::Alibi => Self::Alibi,
            PositionKind::None => Self::None,
        })
    }

    /// The table (P, C) that is added to the token embedding.
    pub(in crate::model) fn table(&self) -> Option<&Matrix<B::Device>> {
        match self {
            Self::Learned(table) => Some(&table.value),
            Self::Sinusoidal(table) => Some(table),
            Self::Rotary(_) | Self::Alibi | Self::None => None,
        }
    }

    /// The rotation of queries and keys.
    pub(super) fn rotary(&self) -> Option<&Rotary> {
        match self {
            Self::Rotary(rotary) => Some(rotary),
            Self::Learned(_) | Self::Sinusoidal(_) | Self::Alibi | Self::None => None,
        }
    }
}

/// Sine and cosine of `position / 10000^(2i / C)` in columns 2i and 2i + 1 (Vaswani et al. 2017,
/// section 3.5): (P, C).
pub fn sinusoids((p, c): (usize, usize)) -> Vec<f32> {
    let value = |i: usize| {
        let (position, column) = ((i / c) as f64, i % c);
        let angle = position / libm::pow(10_000.0, (column / 2 * 2) as f64 / c as f64);
        let value = match column % 2 {
            0 => libm::sin(angle),
            _ => libm::cos(angle),
        };
        value as f32
    };
    (0..p.saturating_mul(c)).map(value).collect()
}
