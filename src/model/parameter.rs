//! A trained matrix, and one way to go over all matrices of a model.

use crate::kernels::{Backend, Matrix};

/// What a parameter is used for. Optimizers can treat each group differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamGroup {
    /// The weight (out, in) of a linear layer inside the model. A pass has one product with it, which
    /// [`crate::kernels::SharedGradients`] relies on.
    Matrix,
    /// A table whose rows are looked up, and which has no other use.
    Embedding,
    /// The weight (V, C) of the output head. A token embedding that is tied to the head is in this
    /// group.
    Head,
    /// The gain of a norm.
    Norm,
    /// The bias of a linear layer or of a norm.
    Bias,
}

/// A trained matrix. A vector is a matrix of one row.
#[derive(Debug, Clone)]
pub struct Parameter<B: Backend> {
    /// The name in files: as in PyTorch's nanoGPT.
    pub name: String,
    pub group: ParamGroup,
    pub value: Matrix<B::Device>,
}

/// Something that consists of parameters: one parameter, a layer, or a whole model.
///
/// Saving, loading, the optimizer and the moving average visit parameters through this trait. A layer
/// implements it by [`impl_parameters`], which lists its parts once.
pub(super) trait Parameters<B: Backend> {
    /// Calls `f` for each parameter, always in the same order. Checkpoints rely on the order.
    fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Parameter<B>));

    /// [`Self::visit`] with mutable access, in the same order.
    fn visit_mut<'a>(&'a mut self, f: &mut dyn FnMut(&'a mut Parameter<B>));
}

/// Implements [`Parameters`] for a struct by its fields, or for an enum by its variants.
///
/// `impl_parameters!(Linear { weight, bias })` visits the two fields in this order.
/// `impl_parameters!(enum Model { Bigram, Gpt })` visits the value in the variant. Variants without
/// parameters follow after a semicolon, as patterns.
macro_rules! impl_parameters {
    (enum $layer:ident { $($variant:ident),* $(; $($without:pat),*)? $(,)? }) => {
        impl<B: Backend> $crate::model::parameter::Parameters<B> for $layer<B> {
            fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a $crate::model::parameter::Parameter<B>)) {
                match self {
                    $(Self::$variant(part) => part.visit(f),)*
                    $($($without => {})*)?
                }
            }
            fn visit_mut<'a>(&'a mut self, f: &mut dyn FnMut(&'a mut $crate::model::parameter::Parameter<B>)) {
                match self {
                    $(Self::$variant(part) => part.visit_mut(f),)*
                    $($($without => {})*)?
                }
            }
        }
    };
    ($layer:ident { $($field:ident),* $(,)? }) => {
        impl<B: Backend> $crate::model::parameter::Parameters<B> for $layer<B> {
            fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a $crate::model::parameter::Parameter<B>)) {
                $(self.$field.visit(f);)*
            }
            fn visit_mut<'a>(&'a mut self, f: &mut dyn FnMut(&'a mut $crate::model::parameter::Parameter<B>)) {
                $(self.$field.visit_mut(f);)*
            }
        }
    };
}
pub(super) use impl_parameters;

impl<B: Backend> Parameters<B> for Parameter<B> {
    fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Parameter<B>)) {
        f(self);
    }

    fn visit_mut<'a>(&'a mut self, f: &mut dyn FnMut(&'a mut Parameter<B>)) {
        f(self);
    }
}

impl<B: Backend, P: Parameters<B>> Parameters<B> for Option<P> {
    fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Parameter<B>)) {
        self.iter().for_each(|part| part.visit(f));
    }

    fn visit_mut<'a>(&'a mut self, f: &mut dyn FnMut(&'a mut Parameter<B>)) {
        self.iter_mut().for_each(|part| part.visit_mut(f));
    }
}

impl<B: Backend, P: Parameters<B>> Parameters<B> for Vec<P> {
    fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Parameter<B>)) {
        self.iter().for_each(|part| part.visit(f));
    }

    fn visit_mut<'a>(&'a mut self, f: &mut dyn FnMut(&'a mut Parameter<B>)) {
        self.iter_mut().for_each(|part| part.visit_mut(f));
    }
}

impl<B: Backend, P: Parameters<B>> Parameters<B> for Box<P> {
    fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Parameter<B>)) {
        (**self).visit(f);
    }

    fn visit_mut<'a>(&'a mut self, f: &mut dyn FnMut(&'a mut Parameter<B>)) {
        (**self).visit_mut(f);
    }
}
