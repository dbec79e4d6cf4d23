//! The vector instructions that the kernels use. They change the speed, and no bit of a result.

use std::env;
use std::sync::LazyLock;

/// The environment variable that chooses the instructions.
const VARIABLE: &str = "RUNNER_ISA";

/// Vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// [`Self::Avx512Bf16`] and AMX-BF16.
    Amx,
    /// [`Self::Avx512`] and AVX512-BF16.
    Avx512Bf16,
    /// AVX-512 F, CD, VL, DQ and BW.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    Neon,
    /// No vectors. Fused multiply-adds are function calls on x86, so it is slow. It is for tests.
    Scalar,
}

/// The instructions that all kernels use.
struct Chosen {
    set: InstructionSet,
    arch: pulp::Arch,
    is_best: bool,
}

static CHOSEN: LazyLock<Chosen> = LazyLock::new(|| {
    let best = InstructionSet::available().next();
    // The command line has reported a wrong name before.
    let chosen = InstructionSet::chosen().unwrap_or_else(|message| panic!("{message}"));
    let set = chosen.or(best).unwrap_or(InstructionSet::Scalar);
    Chosen {
        set,
        arch: set.arch().unwrap_or_default(),
        is_best: best.is_some_and(|best| set.vectors() == best.vectors())
            && set != InstructionSet::Scalar,
    }
});

/// The instructions that all kernels use: those that the environment names, or the best ones.
#[inline(always)]
pub(super) fn arch() -> pulp::Arch {
    CHOSEN.arch
}

/// [`arch`] by its name.
pub(super) fn instruction_set() -> InstructionSet {
    CHOSEN.set
}

/// Whether the kernels use the best vectors of the processor, and these have fused multiply-adds.
pub(super) fn is_best() -> bool {
    CHOSEN.is_best
}

impl InstructionSet {
    const ALL: [Self; 6] = [
        Self::Amx,
        Self::Avx512Bf16,
        Self::Avx512,
        Self::Avx2,
        Self::Neon,
        Self::Scalar,
    ];

    /// Those that this processor has, the best one first.
    pub fn available() -> impl Iterator<Item = Self> {
        let all = Self::ALL.into_iter();
        all.filter(|set| set.arch().is_some())
    }

    /// The instructions for 32-bit floats.
    fn vectors(self) -> Self {
        match self {
            Self::Amx | Self::Avx512Bf16 => Self::Avx512,
            set => set,
        }
    }

    /// Those that all kernels use.
    pub fn used() -> Self {
        CHOSEN.set
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Amx => "amx",
            Self::Avx512Bf16 => "avx512bf16",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Scalar => "scalar",
        }
    }

    /// Those that the environment variable names. `None` if it is not set.
    ///
    /// # Errors
    /// A message for the user, if the variable has another value.
    pub fn chosen() -> Result<Option<Self>, String> {
        let Some(name) = env::var_os(VARIABLE) else {
            return Ok(None);
        };
        let mut available = Self::available();
        let chosen = available.find(|set| name == set.name());
        chosen.map(Some).ok_or_else(|| {
            let names: Vec<&str> = Self::available().map(Self::name).collect();
            format!(
                "the environment variable {VARIABLE} is `{}`; this processor has {}",
                name.to_string_lossy(),
                crate::text::units::list(&names)
            )
        })
    }

    /// `None` if this processor does not have them.
    pub(super) fn arch(self) -> Option<pulp::Arch> {
        match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
            Self::Amx if super::amx::is_available() => Self::Avx512.arch(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 if is_x86_feature_detected!("avx512bf16") => Self::Avx512.arch(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().map(pulp::Arch::V4),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().map(pulp::Arch::V3),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().map(pulp::Arch::Neon),
            Self::Scalar => Some(pulp::Arch::Scalar),
            _ => None,
        }
    }
}
