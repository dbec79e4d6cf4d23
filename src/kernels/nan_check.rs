//! A backend that checks the input and the output of every operation, to find where a number
//! stopped being finite.

use super::backend::{
    Backend, Bf16Backend, CpuBackend, FirstNonFinite, Operation, ReferenceBackend,
};
use super::matrix::{DeviceError, Matrix};
use super::update::UpdateRule;
use dfdx::prelude::*;
use std::cell::RefCell;
use std::marker::PhantomData;

/// Another backend whose operations are checked: see [`detect_non_finite`].
#[derive(Debug, Clone)]
pub struct NanCheckBackend<B>(PhantomData<B>);

/// A backend whose operations are checked, or can be.
pub trait Checkable: Backend {
    /// Whether they are.
    const CHECKED: bool = false;
    /// The backend with the same operations, checked. It is `Self` if they are checked already.
    type Checked: Backend<Device = Self::Device>;
}

impl Checkable for CpuBackend {
    type Checked = NanCheckBackend<Self>;
}

impl Checkable for Bf16Backend {
    type Checked = NanCheckBackend<Self>;
}

impl<D: Device<f32>> Checkable for ReferenceBackend<D> {
    type Checked = NanCheckBackend<Self>;
}

impl<B: Backend> Checkable for NanCheckBackend<B> {
    const CHECKED: bool = true;
    type Checked = Self;
}

/// The first number that is not finite, and where it is.
#[derive(Debug)]
pub struct NonFinite {
    operation: &'static str,
    side: Side,
    /// Address of the parameter of the operation, if it has one.
    parameter: Option<usize>,
    /// Address of the parameter of the last operation before it that has one.
    earlier_parameter: Option<usize>,
    value: f32,
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Input,
    Output,
}

impl NonFinite {
    /// A text such as "NaN in the output of `linear` with `lm_head.weight`". `parameters` are those
    /// of the model, with their names, at the same addresses as in the pass.
    pub fn describe<'a, D: Device<f32>>(
        &self,
        parameters: impl IntoIterator<Item = (&'a Matrix<D>, &'a str)>,
    ) -> String {
        let side = match self.side {
            Side::Input => "input",
            Side::Output => "output",
        };
        let own = self.parameter.map(|own| ("with", own));
        let earlier = self.earlier_parameter;
        let nearest = own.or(earlier.map(|earlier| ("after the operation with", earlier)));
        let nearest = nearest.and_then(|(relation, nearest)| {
            let mut parameters = parameters.into_iter();
            let (_, name) = parameters.find(|&(value, _)| address(value) == nearest)?;
            Some(format!(" {relation} `{name}`"))
        });
        format!(
            "{} in the {side} of `{}`{}",
            non_finite_name(self.value),
            self.operation,
            nearest.unwrap_or_default()
        )
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

/// The state of a check.
#[derive(Default)]
struct Check {
    /// Address of the parameter of the last operation that has one: an operation gets references
    /// into the model.
    last_parameter: Option<usize>,
    found: Option<NonFinite>,
}

thread_local! {
    /// `None` outside of [`detect_non_finite`]. Operations are functions of their arguments alone,
    /// so the state belongs to the thread.
    static CHECK: RefCell<Option<Check>> = const { RefCell::new(None) };
}

/// Runs `pass` on this thread, and returns the first number in the operations of
/// [`NanCheckBackend`] that is not finite. Operations of other backends are not checked and cost
/// nothing.
pub fn detect_non_finite<R>(pass: impl FnOnce() -> R) -> (R, Option<NonFinite>) {
    // A thread that waits for others in one pass may be given another, which ends first.
    let outer = CHECK.replace(Some(Check::default()));
    let result = pass();
    let check = CHECK.replace(outer);
    (result, check.and_then(|check| check.found))
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
        let Some(check) = check.as_mut().filter(|check| check.found.is_none()) else {
            return;
        };
        check.found = first_non_finite().map(|value| NonFinite {
            operation,
            side,
            parameter,
            earlier_parameter: check.last_parameter,
            value,
        });
        check.last_parameter = parameter.or(check.last_parameter);
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

    fn update<const STATES: usize>(
        rule: &impl UpdateRule<STATES>,
        parameter: &mut Matrix<B::Device>,
        gradient: &Matrix<B::Device>,
        state: &mut [Matrix<B::Device>; STATES],
    ) -> Result<(), DeviceError<B::Device>> {
        B::update(rule, parameter, gradient, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::storage::matrix;
    use crate::kernels::operations::*;

    /// Looks up the first row of a table.
    fn embed(table: &Matrix<Cpu>) {
        let rows: Result<Matrix<Cpu>, CpuError> =
            NanCheckBackend::<CpuBackend>::embed(table, 1.0, None, &[0], 1, 0);
        rows.unwrap();
    }

    #[test]
    fn a_pass_has_only_its_own_finding() {
        let finite = matrix((1, 2), vec![f32::MAX, 0.0]);
        let infinite = matrix((1, 2), vec![0.0, f32::NEG_INFINITY]);
        embed(&infinite); // outside of a pass
        let (inner, outer) = detect_non_finite(|| {
            embed(&finite);
            let ((), inner) = detect_non_finite(|| embed(&infinite));
            embed(&finite);
            inner
        });
        assert!(outer.is_none());
        let named = [(&finite, "finite"), (&infinite, "infinite")];
        assert_eq!(
            inner.unwrap().describe(named),
            "minus infinity in the output of `embed` with `infinite`"
        );
        let ((), outer) = detect_non_finite(|| {
            detect_non_finite(|| embed(&finite));
            embed(&infinite);
        });
        assert!(outer.is_some());
    }
}
