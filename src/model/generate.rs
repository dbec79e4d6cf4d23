use super::Model;
use crate::ops::{Backend, Fault};
use crate::random::{Stream, unit};
use crate::spec::Sample;

/// Draws `sample.tokens` tokens after `prompt`, which has at least one, and returns those drawn.
/// The context is the last `block_size` tokens.
pub fn generate<B: Backend>(
    model: &Model<B>,
    prompt: &[usize],
    sample: &Sample,
    block_size: usize,
    seed: u64,
) -> Result<Vec<usize>, Fault<B::Device>> {
    let stream = Stream::new(seed, "sampling");
    let mut tokens = prompt.to_vec();
    for i in 0..sample.tokens {
        let context = &tokens[tokens.len().saturating_sub(block_size)..];
        let logits = model.next_logits(context)?.as_vec();
        let drawn = unit(&mut stream.at(i as u64));
        tokens.push(pick(&logits, sample.temperature, sample.top_k, drawn));
    }
    Ok(tokens.split_off(prompt.len()))
}

/// The token whose share of the probability, from likeliest to least likely, holds `drawn` (in
/// [0, 1)). Equal logits are in the order of their tokens.
fn pick(logits: &[f32], temperature: f32, top_k: usize, drawn: f64) -> usize {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    if temperature == 0.0 {
        return order[0];
    }
    if top_k > 0 {
        order.truncate(top_k);
    }
    let largest = f64::from(logits[order[0]]);
    let weight =
        |&token: &usize| ((f64::from(logits[token]) - largest) / f64::from(temperature)).exp();
    let weights: Vec<f64> = order.iter().map(weight).collect();
    let mut left = drawn * weights.iter().sum::<f64>();
    for (&token, weight) in order.iter().zip(&weights) {
        left -= weight;
        if left < 0.0 {
            return token;
        }
    }
    order[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_zero_takes_the_likeliest() {
        assert_eq!(pick(&[0.0, 2.0, 2.0, 1.0], 0.0, 0, 0.99), 1);
    }

    #[test]
    fn top_k_leaves_the_k_likeliest() {
        for i in 0..100 {
            assert!([1, 3].contains(&pick(&[0.0, 2.0, -1.0, 1.0], 5.0, 2, f64::from(i) / 100.0)));
        }
    }

    #[test]
    fn tokens_are_drawn_in_proportion() {
        let logits = [0.0, 3f32.ln()];
        let ones = (0..1000)
            .filter(|&i| pick(&logits, 1.0, 0, f64::from(i) / 1000.0) == 1)
            .count();
        assert!((749..=751).contains(&ones), "{ones}");
    }
}
