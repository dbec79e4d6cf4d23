//! The activation function of an MLP. It is part of [`super::linear::LinearActivation`].

pub(super) mod cpu;
pub(super) mod kinds;

use crate::spec::Mlp;

/// Output columns for `width` input columns. A gated activation has half as many.
pub(super) fn output_width(activation: Mlp, width: usize) -> usize {
    if activation.gated() { width / 2 } else { width }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_gradient, matrices};

    #[test]
    fn gradients_of_the_reference_agree_with_finite_differences() {
        // A finite difference across the kink of a ReLU is not the gradient.
        let smooth = |mlp: &Mlp| !matches!(mlp, Mlp::Relu | Mlp::Reglu);
        for activation in Mlp::ALL.into_iter().filter(smooth) {
            check_gradient(&matrices(4, &[(5, 6)]), |x| {
                kinds::reference(x[0].retaped(), activation)
            });
        }
    }
}
