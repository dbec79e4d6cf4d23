//! Named random streams of a counter-based generator.
//!
//! A random number is a pure function of (seed, stream, counter). A checkpoint therefore needs only
//! the step as the state of all streams, and one stream does not influence another.
//!
//! The distributions are written here instead of taken from the crate `rand`, because `rand` may
//! change which numbers it returns for a seed from one version to the next. ChaCha8 is specified, so
//! runs give the same bits with every version of the libraries.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// A named stream of a seed: `init`, `batches`, `dropout`, `sampling` and others.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u8; 32],
}

impl Stream {
    pub fn new(seed: u64, name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(name.as_bytes());
        Self {
            key: hash.finalize().into(),
        }
    }

    /// The generator at `counter`, independent of the generators at all other counters.
    pub fn at(&self, counter: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(counter);
        rng
    }
}

/// Uniform integer in `0..bound`, without bias (Lemire 2019, algorithm 5).
///
/// # Panics
/// If `bound` is 0.
pub fn below(rng: &mut impl rand_core::RngCore, bound: u64) -> u64 {
    assert!(bound > 0, "no number is below 0");
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let wide = u128::from(rng.next_u64()) * u128::from(bound);
        if wide as u64 >= threshold {
            return (wide >> 64) as u64;
        }
    }
}

/// Puts the items in a random order (Durstenfeld 1964). Every order has the same probability.
pub fn shuffle<T>(rng: &mut impl rand_core::RngCore, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

/// Uniform number in `[0, 1)`, with 53 random bits.
pub fn unit(rng: &mut impl rand_core::RngCore) -> f64 {
    (rng.next_u64() >> 11) as f64 * (-53f64).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::RngCore;

    #[test]
    fn seed_name_and_counter_select_the_numbers() {
        let draw = |seed, name, counter| Stream::new(seed, name).at(counter).next_u64();
        assert_eq!(draw(1, "init", 0), draw(1, "init", 0));
        assert_ne!(draw(1, "init", 0), draw(2, "init", 0));
        assert_ne!(draw(1, "init", 0), draw(1, "batches", 0));
        assert_ne!(draw(1, "init", 0), draw(1, "init", 1));
    }

    /// Other numbers would change every result.
    #[test]
    fn the_numbers_are_fixed() {
        let mut rng = Stream::new(1, "init").at(7);
        let integers = [10, 1000, 1 << 40].map(|bound| below(&mut rng, bound));
        assert_eq!(integers, [6, 785, 446886377070]);
        assert_eq!(unit(&mut rng), 0.3653024499506785);
        let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
        shuffle(&mut rng, &mut items);
        assert_eq!(items, [3, 6, 7, 0, 4, 2, 1, 5]);
    }

    #[test]
    fn below_reaches_every_value_and_no_other() {
        let mut rng = Stream::new(1, "test").at(0);
        let mut seen = [0u32; 7];
        for _ in 0..7000 {
            seen[below(&mut rng, 7) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
    }
}
