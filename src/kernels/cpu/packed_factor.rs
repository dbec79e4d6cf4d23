//! Right factors of several products, which are packed once.

use super::blocked_product::TERMS;
use super::instruction_set::InstructionSet;
use super::packing::Buffer;
use super::view::View;
use crate::spec::Precision;

/// The right factor (k, n) of a product, and its packed form if there is one.
#[derive(Clone, Copy)]
pub(crate) struct RightFactor<'a> {
    pub(super) view: View<'a>,
    pub(super) packed: Option<&'a PackedFactor>,
}

impl<'a> RightFactor<'a> {
    /// `packed` is made from this view.
    pub(crate) fn new(view: View<'a>, packed: Option<&'a PackedFactor>) -> Self {
        Self { view, packed }
    }
}

impl<'a> From<View<'a>> for RightFactor<'a> {
    fn from(view: View<'a>) -> Self {
        Self::new(view, None)
    }
}

/// A right factor in the order in which the instructions of this processor read it.
#[derive(Debug)]
pub(crate) struct PackedFactor {
    /// For each [`TERMS`] terms.
    blocks: Vec<Buffer>,
}

impl PackedFactor {
    /// Packs a right factor. `None` if its products pack it themselves: only those by AMX gain from it.
    pub(crate) fn new(precision: Precision, factor: View) -> Option<Self> {
        if precision != Precision::Bf16 || InstructionSet::used() != InstructionSet::Amx {
            return None;
        }
        let firsts = (0..factor.rows).step_by(TERMS);
        let terms = firsts.map(|first| first..(first + TERMS).min(factor.rows));
        Some(Self {
            blocks: terms.map(|terms| pack(factor.rows(terms))).collect(),
        })
    }

    /// Some of the terms: the block with this number.
    pub(super) fn block(&self, number: usize) -> Option<&Buffer> {
        self.blocks.get(number)
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
fn pack(factor: View) -> Buffer {
    let mut packed = Buffer::default();
    // SAFETY: the caller has checked that the processor has AMX.
    unsafe { super::amx::pack_right(factor, &mut packed) };
    packed
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
fn pack(_: View) -> Buffer {
    unreachable!("no other processor has AMX")
}
