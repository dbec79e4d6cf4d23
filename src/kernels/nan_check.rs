//! A backend that checks the input and the output of every operation, to find where a number
//! stopped being finite.

use super::Backend;
use super::backend::{FirstNonFinite, Operation};
use super::matrix::{DeviceError, Matrix};
use dfdx::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

/// Another backend whose operations are checked: see [`detect_non_finite`].
#[derive(Debug, Clone)]
pub struct NanCheckBackend<B>(PhantomData<B>);

/// The first number that is not finite, and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct NonFinite {
    operation: &'static str,
    side: Side,
    /// A parameter of the operation, or the parameter of an earlier operation.
    parameter: Nearby,
    value: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Input,
    Output,
}

/// The name of the nearest parameter.
#[derive(Debug, Clone, PartialEq)]
enum Nearby {
    /// The operation itself has it.
    With(String),
    /// The last operation that had one has it. Empty where there was none.
    After(String),
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Input => "input",
            Side::Output => "output",
        };
        let (value, operation) = (non_finite_name(self.value), self.operation);
        write!(f, "{value} in the {side} of `{operation}`")?;
        match &self.parameter {
            Nearby::With(name) => write!(f, " with `{name}`"),
            Nearby::After(name) if name.is_empty() => Ok(()),
            Nearby::After(name) => write!(f, " after the operation with `{name}`"),
        }
    }
}

/// The name of a number that is not finite, for messages.
pub fn non_finite_name(value: f32) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "infinity",
        _ => "minus infinity",
    }
}

/// The state of a check. Operations are functions of their arguments alone, so it belongs to the
/// thread.
#[derive(Default)]
struct Check {
    /// Names of the model's parameters, by address: an operation gets references into the model.
    names: HashMap<usize, String>,
    last_named: String,
    found: Option<NonFinite>,
}

thread_local! {
    static CHECK: RefCell<Check> = RefCell::default();
}

/// Runs `pass` on this thread, and returns the first number in the operations of
/// [`NanCheckBackend`] that is not finite. `parameters` are those of the model, with their names.
pub fn detect_non_finite<'a, D: Device<f32>, R>(
    parameters: impl IntoIterator<Item = (&'a Matrix<D>, &'a str)>,
    pass: impl FnOnce() -> R,
) -> (R, Option<NonFinite>) {
    let parameters = parameters.into_iter();
    let names = parameters.map(|(value, name)| (address(value), name.to_owned()));
    let check = Check {
        names: names.collect(),
        ..Check::default()
    };
    CHECK.with_borrow_mut(|current| *current = check);
    let result = pass();
    (result, CHECK.take().found)
}

fn address<D: Device<f32>>(parameter: &Matrix<D>) -> usize {
    std::ptr::from_ref(parameter).addr()
}

/// Records the first element on one side of an operation that is not finite, unless an earlier
/// operation had one. `parameter` is the address of the operation's parameter.
fn check_finite(
    operation: &'static str,
    side: Side,
    parameter: Option<usize>,
    first_non_finite: impl FnOnce() -> Option<f32>,
) {
    CHECK.with_borrow_mut(|check| {
        let name = parameter.and_then(|parameter| check.names.get(&parameter));
        let nearby = match name {
            Some(name) => Nearby::With(name.clone()),
            None => Nearby::After(check.last_named.clone()),
        };
        if let Nearby::With(name) = &nearby {
            check.last_named.clone_from(name);
        }
        if check.found.is_none()
            && let Some(value) = first_non_finite()
        {
            check.found = Some(NonFinite {
                operation,
                side,
                parameter: nearby,
                value,
            });
        }
    });
}

impl<B: Backend> Backend for NanCheckBackend<B> {
    type Device = B::Device;

    fn run<O: Operation, T: Tape<f32, B::Device>>(
        args: O::Args<'_, B::Device, T>,
    ) -> Result<O::Output<B::Device, T>, DeviceError<B::Device>> {
        let parameter = O::parameter(&args).map(address);
        check_finite(O::NAME, Side::Input, parameter, || {
            O::first_non_finite_input(&args)
        });
        let output = B::run::<O, T>(args)?;
        check_finite(O::NAME, Side::Output, parameter, || {
            output.first_non_finite()
        });
        Ok(output)
    }
}
