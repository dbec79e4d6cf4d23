use super::Pass;
use super::layers::{Linear, Norms, normalized};
use crate::model::parameter::{Initializer, Parameter, Role};
use crate::ops::{Backend, Fault, Matrix};
use crate::spec::{self, NormPosition};
use dfdx::prelude::*;

#[derive(Debug, Clone)]
pub(super) struct Block<B: Backend> {
    norms_1: Norms<B>,
    /// Queries, keys and values of all heads as one product: (C + 2 kv hs, C).
    qkv: Linear<B>,
    /// Gains of queries and of keys: (1, hs).
    qk_gains: Option<[Parameter<B>; 2]>,
    attention_out: Linear<B>,
    norms_2: Norms<B>,
    /// (H, C), or (2H, C) if gated: the gate first.
    mlp_in: Linear<B>,
    mlp_out: Linear<B>,
}

impl<B: Backend> Block<B> {
    pub(super) fn new(
        init: &mut Initializer<B>,
        i: usize,
        config: &spec::Model,
    ) -> Result<Self, Fault<B::Device>> {
        let (c, h) = (config.n_embd, config.mlp_width());
        let hs = config.head_size();
        let qkv = c + 2 * config.kv_heads() * hs;
        let mlp_in = if config.mlp.gated() { 2 * h } else { h };
        let biases = config.biases();
        let branches = Some(2 * config.n_layer);
        let name = |part: &str| format!("h.{i}.{part}");
        let mut linear = |part: &str, shape: (usize, usize), bias, branches| {
            Linear::new(init, &name(part), shape, bias, branches)
        };
        let qkv = linear("attn.c_attn", (qkv, c), biases.qkv, None)?;
        let attention_out = linear("attn.c_proj", (c, c), biases.attention_out, branches)?;
        let mlp_in = linear("mlp.c_fc", (mlp_in, c), biases.mlp, None)?;
        let mlp_out = linear("mlp.c_proj", (c, h), biases.mlp, branches)?;
        let mut gain = |part: &str| init.constant(name(part), Role::Norm, hs, 1.0);
        let qk_gains = match config.qk_norm {
            true => Some([gain("attn.q_norm.weight")?, gain("attn.k_norm.weight")?]),
            false => None,
        };
        Ok(Self {
            norms_1: Norms::new(init, &name("ln_1"), config)?,
            qkv,
            qk_gains,
            attention_out,
            norms_2: match config.parallel {
                true => Norms::none(),
                false => Norms::new(init, &name("ln_2"), config)?,
            },
            mlp_in,
            mlp_out,
        })
    }

    /// (N, C) to (N, C)
    pub(super) fn forward<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        pass: &mut Pass,
        memory: Option<&mut B::Memory>,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        let (residual, tape) = x.split_tape();
        let y = normalized(
            self.norms_1.before.as_ref(),
            residual.clone().put_tape(tape),
        )?;
        if pass.config.parallel {
            let (y, tape) = y.split_tape();
            let sum = self.attention(y.clone().put_tape(tape), &residual, pass, memory)?;
            let (sum, tape) = sum.split_tape();
            return self.mlp(y.put_tape(tape), &sum, pass);
        }
        let x = self.attention(y, &residual, pass, memory)?;
        let (residual, tape) = x.split_tape();
        let y = normalized(
            self.norms_2.before.as_ref(),
            residual.clone().put_tape(tape),
        )?;
        self.mlp(y, &residual, pass)
    }

    /// `residual + attention(x)`: (N, C) to (N, C)
    fn attention<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        residual: &Matrix<B::Device>,
        pass: &mut Pass,
        memory: Option<&mut B::Memory>,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        let heads = pass.heads;
        let mut qkv = B::linear(x, &self.qkv.weight.value, self.qkv.bias())?; // (N, C + 2 kv hs)
        if let Some([q, k]) = &self.qk_gains {
            qkv = B::qk_norm(qkv, heads, [&q.value, &k.value])?;
        }
        if let Some(rotary) = pass.rotary {
            qkv = B::rotary(qkv, heads, rotary)?;
        }
        let y = match memory {
            None => B::attention(qkv, heads, pass.dropouts.scores(heads))?,
            Some(memory) => {
                let (qkv, tape) = qkv.split_tape();
                B::attention_recalling(&qkv, heads, memory)?.put_tape(tape)
            }
        }; // (N, C)
        self.join(y, &self.attention_out, &self.norms_1, residual, pass)
    }

    /// `residual + mlp(x)`: (N, C) to (N, C)
    fn mlp<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        residual: &Matrix<B::Device>,
        pass: &mut Pass,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        let (weight, bias) = (&self.mlp_in.weight.value, self.mlp_in.bias());
        let y = B::linear_activation(x, weight, bias, pass.config.mlp)?; // (N, H)
        self.join(y, &self.mlp_out, &self.norms_2, residual, pass)
    }

    /// `residual + dropout(x Wᵀ + b)`, with the norm that comes after where there is one.
    fn join<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        last: &Linear<B>,
        norms: &Norms<B>,
        residual: &Matrix<B::Device>,
        pass: &mut Pass,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        let (weight, bias) = (&last.weight.value, last.bias());
        let c = weight.shape().0;
        let dropout = pass.dropouts.next(c, pass.dropouts.p.residual);
        let (of_branch, of_sum) = match pass.config.norm_position {
            NormPosition::Pre | NormPosition::Sandwich => (norms.after.as_ref(), None),
            NormPosition::Post => (None, norms.after.as_ref()),
        };
        let sum = if dropout.is_none() && of_branch.is_none() {
            B::linear_residual(x, weight, bias, residual)?
        } else {
            let mut y = normalized(of_branch, B::linear(x, weight, bias)?)?;
            if let Some(dropout) = dropout {
                y = B::dropout(y, dropout)?;
            }
            y.try_add(residual.clone())?
        };
        normalized(of_sum, sum)
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = &Parameter<B>> {
        (self.norms_1.parameters())
            .chain(self.qkv.parameters())
            .chain(self.qk_gains.iter().flatten())
            .chain(self.attention_out.parameters())
            .chain(self.norms_2.parameters())
            .chain(self.mlp_in.parameters())
            .chain(self.mlp_out.parameters())
    }

    pub(super) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter<B>> {
        (self.norms_1.parameters_mut())
            .chain(self.qkv.parameters_mut())
            .chain(self.qk_gains.iter_mut().flatten())
            .chain(self.attention_out.parameters_mut())
            .chain(self.norms_2.parameters_mut())
            .chain(self.mlp_in.parameters_mut())
            .chain(self.mlp_out.parameters_mut())
    }

    pub(super) fn linears_mut(&mut self) -> [&mut Linear<B>; 4] {
        [
            &mut self.qkv,
            &mut self.attention_out,
            &mut self.mlp_in,
            &mut self.mlp_out,
        ]
    }
}
