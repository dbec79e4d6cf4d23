//! Operations and the backends that run them.
//!
//! An operation is declared once, by [`operation!`] in its own folder: its arguments, its
//! reference, and a kernel for each backend that has one. A backend says which of the
//! implementations it runs. A new operation changes no backend.

use super::cpu::storage::{slice, slice_mut};
use super::matrix::{DeviceError, Matrix};
use super::non_finite::first_non_finite;
use super::update::UpdateRule;
use dfdx::prelude::*;
use std::fmt::Debug;
use std::marker::PhantomData;

/// An operation of a language model, with one implementation per backend.
///
/// `T` is the tape of its input and output: `OwnedTape` in training, `NoneTape` in evaluation.
/// Parameters of the model are plain matrices, whose gradients are found on the tape by their
/// identity.
pub trait Operation {
    /// The name in messages.
    const NAME: &'static str;
    /// The arguments, as a tuple.
    type Args<'a, D: Device<f32>, T: Tape<f32, D>>;
    type Output<D: Device<f32>, T: Tape<f32, D>>: FirstNonFinite;

    /// Composed of dfdx's own operations. Runs on every device, and is what tests compare with.
    fn reference<D: Device<f32>, T: Tape<f32, D>>(
        args: Self::Args<'_, D, T>,
    ) -> Result<Self::Output<D, T>, DeviceError<D>>;

    /// A kernel for the CPU.
    fn cpu<T: Tape<f32, Cpu>>(
        args: Self::Args<'_, Cpu, T>,
    ) -> Result<Self::Output<Cpu, T>, CpuError> {
        Self::reference(args)
    }

    /// A kernel for the CPU that rounds the factors of its matrix products to bfloat16: see [`Bf16Backend`].
    fn bf16<T: Tape<f32, Cpu>>(
        args: Self::Args<'_, Cpu, T>,
    ) -> Result<Self::Output<Cpu, T>, CpuError> {
        Self::cpu(args)
    }

    /// A kernel for generating text on the CPU: see [`DecodeBackend`].
    fn decode<T: Tape<f32, Cpu>>(
        args: Self::Args<'_, Cpu, T>,
    ) -> Result<Self::Output<Cpu, T>, CpuError> {
        Self::cpu(args)
    }

    /// The first element of the input that is not finite.
    fn first_non_finite_input<D: Device<f32>, T: Tape<f32, D>>(
        args: &Self::Args<'_, D, T>,
    ) -> Option<f32>;

    /// The parameter of the model that identifies this call in a message.
    fn parameter<'x, D: Device<f32>, T: Tape<f32, D>>(
        args: &'x Self::Args<'_, D, T>,
    ) -> Option<&'x Matrix<D>>;
}

/// An output of an operation, which may contain numbers that are not finite.
pub trait FirstNonFinite {
    /// The first element that is not finite.
    fn first_non_finite(&self) -> Option<f32>;
}

impl<S: Shape, D: Device<f32>, T> FirstNonFinite for Tensor<S, f32, D, T> {
    fn first_non_finite(&self) -> Option<f32> {
        first_non_finite(self)
    }
}

/// Declares an operation from its signature. It becomes a type that implements [`Operation`], and a
/// method of every backend, through a trait that [`super::operations`] exports.
///
/// ```text
/// operation! {
///     /// What it computes, with shapes.
///     pub Norm, trait NormMethod {
///         fn norm<'a, D, T>(x: Matrix<D, T>, gain: &'a Matrix<D>) -> Matrix<D, T>;
///     }
///     reference: reference,       // a function of these arguments that returns a `Result`
///     cpu: cpu::norm,             // optional; the reference otherwise
///     bf16: cpu::norm_bf16,       // optional; the CPU kernel otherwise
///     decode: decode::norm,       // optional; the CPU kernel otherwise
///     input: x,                   // optional; the tensor to check for NaN
///     parameter: gain,            // optional; names the call in messages
/// }
/// ```
///
/// `D` is the device and `T` the tape. An operation that takes no part in the backward pass has the
/// signature `fn name<'a, D>(...)`, or `fn name<D>(...)` if it takes no references.
macro_rules! operation {
    (
        $(#[$doc:meta])*
        pub $operation:ident, trait $method:ident {
            fn $name:ident<$a:lifetime, $D:ident, $T:ident> $args:tt -> $output:ty;
        }
        $($implementations:tt)*
    ) => {
        $crate::kernels::backend::operation! {
            @operation [$(#[$doc])*] $operation $name ($a $D $T) $args $args ($output) $($implementations)*
        }
        $crate::kernels::backend::operation! {
            @method [$(#[$doc])*] $operation $method $name ([$a] $D) [$T: Tape<f32, $D>] $T $args ($output)
        }
    };
    (
        $(#[$doc:meta])*
        pub $operation:ident, trait $method:ident {
            fn $name:ident<$a:lifetime, $D:ident> $args:tt -> $output:ty;
        }
        $($implementations:tt)*
    ) => {
        $crate::kernels::backend::operation! {
            @operation [$(#[$doc])*] $operation $name ($a $D T) $args $args ($output) $($implementations)*
        }
        $crate::kernels::backend::operation! {
            @method [$(#[$doc])*] $operation $method $name ([$a] $D) [] NoneTape $args ($output)
        }
    };
    (
        $(#[$doc:meta])*
        pub $operation:ident, trait $method:ident {
            fn $name:ident<$D:ident> $args:tt -> $output:ty;
        }
        $($implementations:tt)*
    ) => {
        $crate::kernels::backend::operation! {
            @operation [$(#[$doc])*] $operation $name ('a $D T) $args $args ($output) $($implementations)*
        }
        $crate::kernels::backend::operation! {
            @method [$(#[$doc])*] $operation $method $name ([] $D) [] NoneTape $args ($output)
        }
    };
    // The type and its implementation of `Operation`.
    (
        @operation [$(#[$doc:meta])*] $operation:ident $name:ident ($a:lifetime $D:ident $T:ident)
        $args:tt ($($arg:ident: $type:ty),* $(,)?) ($output:ty)
        reference: $reference:path,
        $(cpu: $cpu:path,)?
        $(bf16: $bf16:path,)?
        $(decode: $decode:path,)?
        $(input: $input:expr,)?
        $(parameter: $parameter:expr,)?
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $operation;

        impl $crate::kernels::backend::Operation for $operation {
            const NAME: &'static str = stringify!($name);
            type Args<$a, $D: Device<f32>, $T: Tape<f32, $D>> = ($($type,)*);
            type Output<$D: Device<f32>, $T: Tape<f32, $D>> = $output;

            #[inline]
            fn reference<$D: Device<f32>, $T: Tape<f32, $D>>(
                ($($arg,)*): Self::Args<'_, $D, $T>,
            ) -> Result<$output, DeviceError<$D>> {
                $reference($($arg),*)
            }

            $($crate::kernels::backend::operation! { @kernel cpu $cpu, $args })?
            $($crate::kernels::backend::operation! { @kernel bf16 $bf16, $args })?
            $($crate::kernels::backend::operation! { @kernel decode $decode, $args })?

            fn first_non_finite_input<$D: Device<f32>, $T: Tape<f32, $D>>(
                ($($arg,)*): &Self::Args<'_, $D, $T>,
            ) -> Option<f32> {
                let _ = ($($arg,)*);
                None$(.or_else(|| $crate::kernels::non_finite::first_non_finite($input)))?
            }

            fn parameter<'x, $D: Device<f32>, $T: Tape<f32, $D>>(
                ($($arg,)*): &'x Self::Args<'_, $D, $T>,
            ) -> Option<&'x Matrix<$D>> {
                let _ = ($($arg,)*);
                let parameter: Option<&'x Matrix<$D>> = None;
                parameter$(.or(Some($parameter)))?
            }
        }
    };
    // A kernel of the type.
    (@kernel $backend:ident $kernel:path, ($($arg:ident: $type:ty),* $(,)?)) => {
        #[inline]
        fn $backend<T: Tape<f32, Cpu>>(
            ($($arg,)*): Self::Args<'_, Cpu, T>,
        ) -> Result<Self::Output<Cpu, T>, CpuError> {
            $kernel($($arg),*)
        }
    };
    // The method of every backend.
    (
        @method [$(#[$doc:meta])*] $operation:ident $method:ident $name:ident ([$($a:lifetime)?] $D:ident)
        [$($tape:tt)*] $T:ident ($($arg:ident: $type:ty),* $(,)?) ($output:ty)
    ) => {
        #[doc = concat!("[`", stringify!($operation), "`] as a method of every backend.")]
        pub trait $method<$D: Device<f32>>: $crate::kernels::Backend<Device = $D> {
            $(#[$doc])*
            #[inline]
            fn $name<$($a,)? $($tape)*>($($arg: $type),*) -> Result<$output, DeviceError<$D>> {
                Self::run::<$operation, $T>(($($arg,)*))
            }
        }

        impl<$D: Device<f32>, B: $crate::kernels::Backend<Device = $D>> $method<$D> for B {}
    };
}
pub(super) use operation;

/// A way to carry out the operations of a language model on a dfdx device. The operations are
/// methods of a backend, through the traits of [`super::operations`].
pub trait Backend: Debug + Clone + 'static {
    type Device: Device<f32>;

    /// Runs an operation.
    ///
    /// # Errors
    /// If the device refuses, most often for lack of memory.
    fn run<O: Operation, T: Tape<f32, Self::Device>>(
        args: O::Args<'_, Self::Device, T>,
    ) -> Result<O::Output<Self::Device, T>, DeviceError<Self::Device>>;

    /// Updates a parameter and the state of its rule in place.
    fn update<const STATES: usize>(
        rule: &impl UpdateRule<STATES>,
        parameter: &mut Matrix<Self::Device>,
        gradient: &Matrix<Self::Device>,
        state: &mut [Matrix<Self::Device>; STATES],
    ) -> Result<(), DeviceError<Self::Device>> {
        rule.reference(parameter, gradient, state.each_mut())
    }
}

/// Any dfdx device, with dfdx's own operations alone: for CUDA, and as the reference in tests.
#[derive(Debug, Clone)]
pub struct ReferenceBackend<D>(PhantomData<D>);

impl<D: Device<f32>> Backend for ReferenceBackend<D> {
    type Device = D;

    #[inline]
    fn run<O: Operation, T: Tape<f32, D>>(
        args: O::Args<'_, D, T>,
    ) -> Result<O::Output<D, T>, DeviceError<D>> {
        O::reference(args)
    }
}

/// The CPU, with the kernels of this module.
#[derive(Debug, Clone)]
pub struct CpuBackend;

impl Backend for CpuBackend {
    type Device = Cpu;

    #[inline]
    fn run<O: Operation, T: Tape<f32, Cpu>>(
        args: O::Args<'_, Cpu, T>,
    ) -> Result<O::Output<Cpu, T>, CpuError> {
        O::cpu(args)
    }

    fn update<const STATES: usize>(
        rule: &impl UpdateRule<STATES>,
        parameter: &mut Matrix<Cpu>,
        gradient: &Matrix<Cpu>,
        state: &mut [Matrix<Cpu>; STATES],
    ) -> Result<(), CpuError> {
        let shape = *parameter.shape();
        let state = state.each_mut().map(slice_mut);
        rule.cpu(shape, slice_mut(parameter), slice(gradient), state);
        Ok(())
    }
}

/// The CPU, with matrix products of linear layers and of the output head in bfloat16: their factors are rounded
/// to 8 significant bits, and the sums are 32-bit floats. All else is as in [`CpuBackend`], weights and
/// gradients included.
#[derive(Debug, Clone)]
pub struct Bf16Backend;

impl Backend for Bf16Backend {
    type Device = Cpu;

    #[inline]
    fn run<O: Operation, T: Tape<f32, Cpu>>(
        args: O::Args<'_, Cpu, T>,
    ) -> Result<O::Output<Cpu, T>, CpuError> {
        O::bf16(args)
    }

    fn update<const STATES: usize>(
        rule: &impl UpdateRule<STATES>,
        parameter: &mut Matrix<Cpu>,
        gradient: &Matrix<Cpu>,
        state: &mut [Matrix<Cpu>; STATES],
    ) -> Result<(), CpuError> {
        CpuBackend::update(rule, parameter, gradient, state)
    }
}

/// The CPU for generating text: a few rows at a time, without gradients. Linear layers take their
/// weights in another layout here: see [`super::linear::packed`].
///
/// Every element of a result is the same sum in the same order, whatever the other rows are. So the
/// result for a token is the same to the bit whether the tokens before it are cached or computed
/// again, and whether its sequence is alone or one of several. For up to 512 inputs, [`CpuBackend`]
/// adds up its products in this order too. For more, it begins another sum after every 512, and the
/// two differ in the last digits.
#[derive(Debug, Clone)]
pub struct DecodeBackend;

impl Backend for DecodeBackend {
    type Device = Cpu;

    #[inline]
    fn run<O: Operation, T: Tape<f32, Cpu>>(
        args: O::Args<'_, Cpu, T>,
    ) -> Result<O::Output<Cpu, T>, CpuError> {
        O::decode(args)
    }
}
