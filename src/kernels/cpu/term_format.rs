//! The formats of the terms of a matrix product, and how they are multiplied.
//!
//! The factors of a product are packed into words of 32 bits, each of which has one or two terms.

use pulp::Simd;

/// A format of the terms of a product.
pub(super) trait TermFormat {
    /// Terms in a word.
    const TERMS: usize;

    /// Whether a factor has to be packed although the order of its elements is the right one.
    const IS_CONVERTED: bool;

    /// Words that are added up in one chain, if the sums of chains are added in pairs.
    const WORDS_OF_CHAIN: Option<usize>;

    /// Packs a row of terms, and the row of the next terms if a word has two. There is none after the last
    /// term. All have equal lengths.
    fn pack_rows(words: &mut [f32], row: &[f32], next: Option<&[f32]>);

    /// Packs terms that follow each other. The last word may have a term less.
    fn pack_terms(words: &mut [f32], terms: &[f32]);

    /// `sum + a b`, for all terms of each word.
    fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s;

    /// `a + b`, for the sums of chains.
    fn add<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s;
}

/// 32-bit floats, multiplied and added with one rounding.
pub(super) struct F32;

impl TermFormat for F32 {
    const TERMS: usize = 1;
    const IS_CONVERTED: bool = false;
    const WORDS_OF_CHAIN: Option<usize> = None;

    #[inline(always)]
    fn pack_rows(words: &mut [f32], row: &[f32], _: Option<&[f32]>) {
        // The copy of a vector or of a full panel has a fixed length.
        match (words.as_chunks_mut::<16>(), row.as_chunks::<16>()) {
            (([a, b], []), ([c, d], [])) => {
                *a = *c;
                *b = *d;
            }
            (([a], []), ([b], [])) => *a = *b,
            _ => words.copy_from_slice(row),
        }
    }

    #[inline(always)]
    fn pack_terms(words: &mut [f32], terms: &[f32]) {
        words.copy_from_slice(terms);
    }

    #[inline(always)]
    fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s {
        simd.mul_add_f32s(a, b, sum)
    }

    #[inline(always)]
    fn add<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.add_f32s(a, b)
    }
}

/// Pairs of bfloat16 numbers. A sum is that of the instruction `tdpbf16ps` for tiles (Intel 64 and IA-32
/// Architectures Software Developer's Manual, volume 2), with the terms in the order that [`super::amx`] gives
/// them. Of 32 terms, the first 16 are a chain of fused multiply-adds that begins with 0, and the others are
/// another one. Both are added, and the result is added to the sum of the terms before. Numbers below the
/// smallest normal one are 0.
///
/// `INSTRUCTION` says whether the instruction `vdpbf16ps` is used, which processors of Intel and AMD have. It
/// continues a chain with the second number of a pair, and then with the first one.
pub(super) struct Bf16<const INSTRUCTION: bool>;

/// The bits of a bfloat16 number.
const UPPER: u32 = 0xffff_0000;

const SIGN: u32 = 0x8000_0000;

/// Bits of the smallest normal number.
const NORMAL: u32 = 0x0080_0000;

const INFINITY: u32 = 0x7f80_0000;

/// A power of two by which numbers below the normal ones become normal.
const SCALE: f32 = (1u64 << 32) as f32;

/// The nearest bfloat16 number, in the upper half of the bits. Ties go to the even one.
#[inline(always)]
fn rounded(number: f32) -> u32 {
    let bits = number.to_bits();
    let size = bits & !SIGN;
    // Without branches, so that a loop over numbers becomes one over vectors.
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let or_zero = if size < NORMAL { bits & SIGN } else { nearest };
    let or_nan = if size > INFINITY {
        bits | 0x0040_0000
    } else {
        or_zero
    };
    or_nan & UPPER
}

/// A word of two terms. The first one is in the upper half, with which `vdpbf16ps` begins.
#[inline(always)]
fn pair(first: f32, second: f32) -> f32 {
    f32::from_bits(rounded(first) | rounded(second) >> 16)
}

/// The second term of each word.
#[inline(always)]
fn second<S: Simd>(simd: S, words: S::f32s) -> S::f32s {
    let bits = simd.transmute_u32s_f32s(words);
    simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(16)))
}

/// The first term of each word.
#[inline(always)]
fn first<S: Simd>(simd: S, words: S::f32s) -> S::f32s {
    let bits = simd.transmute_u32s_f32s(words);
    simd.transmute_f32s_u32s(simd.and_u32s(bits, simd.splat_u32s(UPPER)))
}

/// `sum + a b`. It is 0 if it is below the normal numbers after it has been rounded to 24 bits. The rounding of a
/// number below them has fewer bits, so a multiple of the sum is compared. Where the multiple overflows, the sum
/// is far above.
#[inline(always)]
fn add_product<S: Simd>(simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s {
    let scale = simd.splat_f32s(SCALE);
    let limit = simd.splat_f32s(SCALE * f32::MIN_POSITIVE);
    let exact = simd.mul_add_f32s(a, b, sum);
    let multiple = simd.mul_add_f32s(simd.mul_f32s(a, scale), b, simd.mul_f32s(sum, scale));
    or_zero(simd, exact, multiple, limit)
}

/// The number, or 0 with its sign if the size of `multiple`, a multiple of it, is below the limit.
#[inline(always)]
fn or_zero<S: Simd>(simd: S, number: S::f32s, multiple: S::f32s, limit: S::f32s) -> S::f32s {
    let is_below = simd.less_than_f32s(simd.abs_f32s(multiple), limit);
    let zero = simd.and_f32s(multiple, simd.splat_f32s(-0.0));
    simd.select_f32s(is_below, zero, number)
}

impl<const INSTRUCTION: bool> TermFormat for Bf16<INSTRUCTION> {
    const TERMS: usize = 2;
    const IS_CONVERTED: bool = true;
    const WORDS_OF_CHAIN: Option<usize> = Some(8);

    #[inline(always)]
    fn pack_rows(words: &mut [f32], row: &[f32], next: Option<&[f32]>) {
        const ZEROS: [f32; 64] = [0.0; 64];
        let next = next.unwrap_or(&ZEROS[..row.len()]);
        for ((word, first), second) in words.iter_mut().zip(row).zip(next) {
            *word = pair(*first, *second);
        }
    }

    #[inline(always)]
    fn pack_terms(words: &mut [f32], terms: &[f32]) {
        let (pairs, rest) = terms.as_chunks::<2>();
        for (word, [first, second]) in words.iter_mut().zip(pairs) {
            *word = pair(*first, *second);
        }
        if let ([term], Some(word)) = (rest, words.last_mut()) {
            *word = pair(*term, 0.0);
        }
    }

    #[inline(always)]
    fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if INSTRUCTION {
            // SAFETY: `INSTRUCTION` is only chosen for a processor that has it.
            return unsafe { x86::dot_pairs::<S>(a, b, sum) };
        }
        let sum = add_product(simd, first(simd, a), first(simd, b), sum);
        add_product(simd, second(simd, a), second(simd, b), sum)
    }

    #[inline(always)]
    fn add<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        let sum = simd.add_f32s(a, b);
        or_zero(simd, sum, sum, simd.splat_f32s(f32::MIN_POSITIVE))
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86 {
    use pulp::Simd;
    use std::arch::asm;
    use std::arch::x86_64::__m512;

    /// [`super::Bf16`] by its instruction, for 16 lanes.
    ///
    /// # Safety
    /// The processor has AVX512-BF16.
    #[inline(always)]
    pub(super) unsafe fn dot_pairs<S: Simd>(a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s {
        assert!(size_of::<S::f32s>() == size_of::<__m512>());
        // SAFETY: both types are vectors of 16 floats, as just checked. The processor has the instruction.
        unsafe {
            let vector = |words: S::f32s| std::mem::transmute_copy::<S::f32s, __m512>(&words);
            let sum = dot(vector(a), vector(b), vector(sum));
            std::mem::transmute_copy::<__m512, S::f32s>(&sum)
        }
    }

    /// As assembly, because the functions of `pulp` for AVX-512 do not enable this instruction.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn dot(a: __m512, b: __m512, mut sum: __m512) -> __m512 {
        // SAFETY: it computes `sum` from registers, and the processor has it.
        unsafe {
            asm!("vdpbf16ps {}, {}, {}", inout(zmm_reg) sum, in(zmm_reg) a, in(zmm_reg) b,
                options(pure, nomem, nostack, preserves_flags));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn numbers_are_rounded_to_the_nearest_bfloat16_number() {
        let number = f32::from_bits;
        for (from, to) in [
            (0.0, 0.0),
            (-0.0, -0.0),
            (1.0, 1.0),
            (-3.140625, -3.140625),
            // Between two numbers, and ties, which go to the even one.
            (number(0x3f80_8001), number(0x3f81_0000)),
            (number(0x3f80_8000), number(0x3f80_0000)),
            (number(0x3f81_8000), number(0x3f82_0000)),
            (number(0xbf81_7fff), number(0xbf81_0000)),
            // Numbers below the normal ones are 0.
            (number(0x007f_ffff), 0.0),
            (number(0x8000_0001), -0.0),
            (f32::MIN_POSITIVE, f32::MIN_POSITIVE),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            assert_eq!(rounded(from), to.to_bits(), "{from:e}");
        }
        for bits in [0x7f80_0001, 0x7fff_ffff, 0xff80_0001] {
            assert!(number(rounded(number(bits))).is_nan(), "{bits:x}");
        }
    }
}
