//! The update rules of the optimizers, one file each.
//!
//! A rule exists twice: for the CPU as one pass over slices, and composed of dfdx's own operations
//! for other devices, which is also what the tests compare the CPU with.
//!
//! To add an optimizer, write its file here and add its kind to `src/spec/optimizer.rs`. The table
//! `optimizer_rules` in that file names the rule of each kind. This module takes its `mod` lines
//! from the table.

mod arithmetic;
mod rule;
#[cfg(test)]
mod testing;

pub use rule::StepSettings;

use crate::kernels::{Backend, DeviceError, Matrix};
use crate::model::ParamGroup;
use crate::spec::{self, OptimizerKind, optimizer_rules};
use rule::OptimizerRule;

/// Declares the modules of the rules, and one function for each thing that depends on the kind.
macro_rules! declare_rules {
    ($($file:ident::$rule:ident for $($kind:ident)|+;)+) => {
        $(mod $file;)+

        /// The matrices that an optimizer keeps for each parameter it updates, by their names in a
        /// checkpoint.
        pub(super) fn state_names(kind: OptimizerKind) -> &'static [&'static str] {
            match kind {
                $($(OptimizerKind::$kind)|+ => &<$file::$rule as OptimizerRule<_>>::STATE_NAMES,)+
            }
        }

        /// Whether an optimizer updates only the weight matrices inside the model.
        fn is_for_matrices_only(kind: OptimizerKind) -> bool {
            match kind {
                $($(OptimizerKind::$kind)|+ => <$file::$rule as OptimizerRule<_>>::MATRICES_ONLY,)+
            }
        }

        /// Updates a parameter and its state in place. `state` holds the matrices of
        /// [`state_names`].
        pub fn update<B: Backend>(
            kind: OptimizerKind,
            config: &spec::Optimizer,
            settings: &StepSettings,
            parameter: &mut Matrix<B::Device>,
            gradient: &Matrix<B::Device>,
            state: &mut [Matrix<B::Device>],
        ) -> Result<(), DeviceError<B::Device>> {
            match kind {
                $($(OptimizerKind::$kind)|+ => {
                    let rule = $file::$rule::new(config, settings);
                    apply::<B, _>(&rule, parameter, gradient, state)
                })+
            }
        }
    };
}

optimizer_rules!(declare_rules);

fn apply<B: Backend, const STATES: usize>(
    rule: &impl OptimizerRule<STATES>,
    parameter: &mut Matrix<B::Device>,
    gradient: &Matrix<B::Device>,
    state: &mut [Matrix<B::Device>],
) -> Result<(), DeviceError<B::Device>> {
    let state = state.try_into();
    let state = state.expect("the state has one matrix for each name of the rule");
    B::update(rule, parameter, gradient, state)
}

/// The optimizer that updates the parameters of a group. An optimizer for matrices only leaves the
/// other groups to AdamW.
pub(super) fn kind_for(kind: OptimizerKind, group: ParamGroup) -> OptimizerKind {
    if is_for_matrices_only(kind) && group != ParamGroup::Matrix {
        OptimizerKind::Adamw
    } else {
        kind
    }
}

/// Number of matrices, of a parameter's shape, that an optimizer keeps for each parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateCount {
    /// For the parameters with the fewest.
    pub min: usize,
    /// For the parameters with the most.
    pub max: usize,
}

/// See [`StateCount`]. The numbers differ only for an optimizer that is for matrices only.
pub fn state_count(kind: OptimizerKind) -> StateCount {
    let own = state_names(kind).len();
    let other = match is_for_matrices_only(kind) {
        true => state_names(OptimizerKind::Adamw).len(),
        false => own,
    };
    StateCount {
        min: own.min(other),
        max: own.max(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn muon_updates_matrices_and_leaves_the_other_groups_to_adamw() {
        let kind = |group| kind_for(OptimizerKind::Muon, group);
        assert_eq!(kind(ParamGroup::Matrix), OptimizerKind::Muon);
        for group in [
            ParamGroup::Embedding,
            ParamGroup::Head,
            ParamGroup::Norm,
            ParamGroup::Bias,
        ] {
            assert_eq!(kind(group), OptimizerKind::Adamw);
            assert_eq!(kind_for(OptimizerKind::Lion, group), OptimizerKind::Lion);
        }
    }

    #[test]
    fn adam_keeps_two_matrices_per_parameter_and_muon_one_or_two() {
        let counts = |kind| (state_count(kind).min, state_count(kind).max);
        assert_eq!(counts(OptimizerKind::Adam), (2, 2));
        assert_eq!(counts(OptimizerKind::Sgd), (1, 1));
        assert_eq!(counts(OptimizerKind::Muon), (1, 2));
    }

    /// A changed name would make old checkpoints unreadable.
    #[test]
    fn the_names_in_checkpoints_are_fixed() {
        for (kind, names) in [
            (OptimizerKind::Adamw, &["adam.m", "adam.v"][..]),
            (OptimizerKind::Adam, &["adam.m", "adam.v"]),
            (OptimizerKind::Sgd, &["sgd.velocity"]),
            (OptimizerKind::Rmsprop, &["rmsprop.v"]),
            (OptimizerKind::Lion, &["lion.m"]),
            (OptimizerKind::Muon, &["muon.velocity"]),
        ] {
            assert_eq!(state_names(kind), names);
        }
    }
}
