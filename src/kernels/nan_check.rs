//! A backend that looks at what every operation takes and gives, to find where a number stopped
//! being one.

use super::{Backend, DeviceError, Dropout, Head, Heads, Matrix, Normalization, Rotary, Scalar};
use crate::spec::Mlp;
use dfdx::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

/// Another backend, watched. Only the operations of a forward pass are: the others are never called.
#[derive(Debug, Clone)]
pub struct NanCheckBackend<B>(PhantomData<B>);

/// The first number that was not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct NonFinite {
    operation: &'static str,
    side: Side,
    /// Name of a parameter of the operation, or else of the last operation that had one.
    parameter: Nearby,
    value: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Input,
    Output,
}

#[derive(Debug, Clone, PartialEq)]
enum Nearby {
    With(String),
    After(String),
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Input => "input",
            Side::Output => "output",
        };
        let (value, operation) = (not_finite(self.value), self.operation);
        write!(f, "{value} in the {side} of `{operation}`")?;
        match &self.parameter {
            Nearby::With(name) => write!(f, " with `{name}`"),
            Nearby::After(name) if name.is_empty() => Ok(()),
            Nearby::After(name) => write!(f, " after that with `{name}`"),
        }
    }
}

/// What a number that is not finite is called.
pub fn not_finite(value: f32) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "infinity",
        _ => "minus infinity",
    }
}

/// The first element that is not finite.
pub fn first_not_finite<S: Shape, D: Device<f32>, T>(x: &Tensor<S, f32, D, T>) -> Option<f32> {
    x.as_vec().into_iter().find(|value| !value.is_finite())
}

/// What is known on the way through a pass. The operations are functions of their arguments alone,
/// so that it is the thread that carries it.
#[derive(Default)]
struct Watch {
    /// Names of parameters, by where they are: an operation is given references into the model.
    names: HashMap<usize, String>,
    last_named: String,
    finding: Option<NonFinite>,
}

thread_local! {
    static WATCH: RefCell<Watch> = RefCell::default();
}

/// Runs the operations of [`NanCheckBackend`] in `pass`, on this thread, and says where the first number is
/// that is not finite. `parameters` are those of the model, with their names.
pub fn watch<'a, D: Device<f32>, R>(
    parameters: impl IntoIterator<Item = (&'a Matrix<D>, &'a str)>,
    pass: impl FnOnce() -> R,
) -> (R, Option<NonFinite>) {
    let parameters = parameters.into_iter();
    let names = parameters.map(|(value, name)| (address(value), name.to_owned()));
    let watch = Watch {
        names: names.collect(),
        ..Watch::default()
    };
    WATCH.with_borrow_mut(|current| *current = watch);
    let result = pass();
    (result, WATCH.take().finding)
}

fn address<D: Device<f32>>(parameter: &Matrix<D>) -> usize {
    std::ptr::from_ref(parameter).addr()
}

fn look<S: Shape, D: Device<f32>, T>(
    operation: &'static str,
    side: Side,
    parameter: Option<&Matrix<D>>,
    x: &Tensor<S, f32, D, T>,
) {
    WATCH.with_borrow_mut(|watch| {
        let name = parameter.and_then(|parameter| watch.names.get(&address(parameter)));
        let nearby = match name {
            Some(name) => Nearby::With(name.clone()),
            None => Nearby::After(watch.last_named.clone()),
        };
        if let Nearby::With(name) = &nearby {
            watch.last_named.clone_from(name);
        }
        if watch.finding.is_none()
            && let Some(value) = first_not_finite(x)
        {
            watch.finding = Some(NonFinite {
                operation,
                side,
                parameter: nearby,
                value,
            });
        }
    });
}

/// Runs an operation on `x`, one of its parameters being `parameter`.
fn through<S: Shape, D: Device<f32>, T: Tape<f32, D>>(
    operation: &'static str,
    parameter: Option<&Matrix<D>>,
    x: Matrix<D, T>,
    run: impl FnOnce(Matrix<D, T>) -> Result<Tensor<S, f32, D, T>, DeviceError<D>>,
) -> Result<Tensor<S, f32, D, T>, DeviceError<D>> {
    look(operation, Side::Input, parameter, &x);
    let y = run(x)?;
    look(operation, Side::Output, parameter, &y);
    Ok(y)
}

impl<B: Backend> Backend for NanCheckBackend<B> {
    type Device = B::Device;
    type LayerCache = B::LayerCache;

    fn embed<T: Tape<f32, Self::Device>>(
        table: &Matrix<Self::Device>,
        scale: f32,
        positions: Option<&Matrix<Self::Device>>,
        tokens: &[usize],
        block: usize,
        first: usize,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        let x = B::embed(table, scale, positions, tokens, block, first)?;
        look("embed", Side::Output, Some(table), &x);
        Ok(x)
    }

    fn norm<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        kind: Normalization,
        gain: &Matrix<Self::Device>,
        bias: Option<&Matrix<Self::Device>>,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        through("norm", Some(gain), x, |x| B::norm(x, kind, gain, bias))
    }

    fn linear<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        weight: &Matrix<Self::Device>,
        bias: Option<&Matrix<Self::Device>>,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        through("linear", Some(weight), x, |x| B::linear(x, weight, bias))
    }

    fn linear_residual<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        weight: &Matrix<Self::Device>,
        bias: Option<&Matrix<Self::Device>>,
        residual: &Matrix<Self::Device>,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        through("linear_residual", Some(weight), x, |x| {
            B::linear_residual(x, weight, bias, residual)
        })
    }

    fn linear_activation<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        weight: &Matrix<Self::Device>,
        bias: Option<&Matrix<Self::Device>>,
        activation: Mlp,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        through("linear_activation", Some(weight), x, |x| {
            B::linear_activation(x, weight, bias, activation)
        })
    }

    fn qk_norm<T: Tape<f32, Self::Device>>(
        qkv: Matrix<Self::Device, T>,
        heads: Heads,
        gains: [&Matrix<Self::Device>; 2],
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        through("qk_norm", Some(gains[0]), qkv, |x| {
            B::qk_norm(x, heads, gains)
        })
    }

    fn rotary<T: Tape<f32, Self::Device>>(
        qkv: Matrix<Self::Device, T>,
        heads: Heads,
        rotary: &Rotary,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        through("rotary", None, qkv, |x| B::rotary(x, heads, rotary))
    }

    fn attention<T: Tape<f32, Self::Device>>(
        qkv: Matrix<Self::Device, T>,
        heads: Heads,
        dropout: Option<Dropout>,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        through("attention", None, qkv, |x| B::attention(x, heads, dropout))
    }

    fn attention_cached(
        qkv: &Matrix<Self::Device>,
        heads: Heads,
        memory: &mut Self::LayerCache,
    ) -> Result<Matrix<Self::Device>, DeviceError<Self::Device>> {
        through("attention", None, qkv.clone(), |x| {
            B::attention_cached(&x, heads, memory)
        })
    }

    fn dropout<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        dropout: Dropout,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        through("dropout", None, x, |x| B::dropout(x, dropout))
    }

    fn cross_entropy<T: Tape<f32, Self::Device>>(
        logits: Matrix<Self::Device, T>,
        targets: &[usize],
        scale: f32,
    ) -> Result<Scalar<Self::Device, T>, DeviceError<Self::Device>> {
        through("cross_entropy", None, logits, |x| {
            B::cross_entropy(x, targets, scale)
        })
    }

    fn logits<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        head: Head<Self::Device>,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        through("logits", Some(head.weight), x, |x| B::logits(x, head))
    }

    fn head_cross_entropy<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        head: Head<Self::Device>,
        targets: &[usize],
        scale: f32,
    ) -> Result<Scalar<Self::Device, T>, DeviceError<Self::Device>> {
        through("head_cross_entropy", Some(head.weight), x, |x| {
            B::head_cross_entropy(x, head, targets, scale)
        })
    }
}
