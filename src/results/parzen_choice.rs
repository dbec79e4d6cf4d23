//! Which combination of settings a search tries next, by tree-structured Parzen estimators (Bergstra et al. 2011,
//! *Algorithms for hyper-parameter optimization*).
//!
//! The candidates are the random combinations of the plan. The choice is a function of the plan and of results, without
//! a state of its own, so that an interrupted search continues with the same one.

use crate::spec::{Distribution, RandomCombinations, RunSettings, RunSpec};
use serde_json::Value;
use std::collections::HashMap;
use tpe::density_estimation::{
    BuildDensityEstimator, DefaultEstimator, DefaultEstimatorBuilder, DensityEstimator,
};
use tpe::range::Range;
use tpe::{categorical_range, histogram_estimator, parzen_estimator, range};

/// The settings that are searched, and the candidates as points of their space.
pub(super) struct Candidates {
    dimensions: Vec<Dimension>,
    /// One for each candidate, with a coordinate for each dimension. `None` for a setting that the combination does not
    /// have.
    points: Vec<Vec<Option<f64>>>,
}

struct Dimension {
    range: Range,
    /// Whether its coordinates are indices of values.
    is_choice: bool,
}

impl Candidates {
    /// The combinations of these runs, with the distributions from which they were drawn.
    pub(super) fn new(random: &RandomCombinations, specs: &[&RunSpec]) -> Self {
        let settings: Vec<RunSettings> = specs.iter().map(RunSettings::of).collect();
        let mut candidates = Self {
            dimensions: Vec::new(),
            points: vec![Vec::new(); specs.len()],
        };
        for (path, distribution) in &random.settings {
            let distribution = serde_yaml::from_value::<Distribution>(distribution.clone());
            let (Some(path), Ok(distribution)) = (path.as_str(), distribution) else {
                continue; // in a plan from somebody else
            };
            let values: Vec<Option<&Value>> = settings.iter().map(|own| own.at(path)).collect();
            if let Some((dimension, coordinates)) = coordinates(&distribution, &values) {
                candidates.dimensions.push(dimension);
                for (point, coordinate) in candidates.points.iter_mut().zip(coordinates) {
                    point.push(coordinate);
                }
            }
        }
        candidates
    }

    /// The candidates to try next, `n` or all that are left. `tried` has the index and the loss of each that was tried,
    /// without a loss if it failed or diverged.
    pub(super) fn next(&self, tried: &[(usize, Option<f64>)], n: usize) -> Vec<usize> {
        let mut by_loss: Vec<(usize, f64)> = tried
            .iter()
            .filter_map(|&(index, loss)| Some((index, loss?)))
            .collect();
        by_loss.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        // A quarter is good, as far as so many have a loss.
        let good = by_loss.iter().take(tried.len().div_ceil(4));
        let good: Vec<usize> = good.map(|(index, _)| *index).collect();
        let others = tried.iter().map(|(index, _)| *index);
        let mut others: Vec<usize> = others.filter(|index| !good.contains(index)).collect();
        let mut is_free = vec![true; self.points.len()];
        tried.iter().for_each(|(index, _)| is_free[*index] = false);
        let mut chosen = Vec::new();
        for _ in 0..n {
            let Some(best) = self.best(&is_free, &good, &others) else {
                break;
            };
            is_free[best] = false;
            chosen.push(best);
            // Until it has a result, it counts as a bad one, so that the next one differs from it.
            others.push(best);
        }
        chosen
    }

    /// The free candidate whose settings are the most probable among the good ones, relative to the others. Of equal ones,
    /// the first of the file.
    fn best(&self, is_free: &[bool], good: &[usize], others: &[usize]) -> Option<usize> {
        let free: Vec<usize> = (0..is_free.len()).filter(|&index| is_free[index]).collect();
        let mut scores = vec![0.0; free.len()];
        for (index, dimension) in self.dimensions.iter().enumerate() {
            let estimator = |of: &[usize]| {
                let known = of.iter().filter_map(|one| self.points[*one][index]);
                dimension.estimator(&known.collect::<Vec<_>>())
            };
            let (good, others) = (estimator(good), estimator(others));
            for (score, &candidate) in scores.iter_mut().zip(&free) {
                if let Some(x) = self.points[candidate][index] {
                    *score += good.log_pdf(x) - others.log_pdf(x);
                }
            }
        }
        let better = |a: usize, b: usize| if scores[b] > scores[a] { b } else { a };
        (0..free.len()).reduce(better).map(|index| free[index])
    }
}

impl Dimension {
    fn estimator(&self, coordinates: &[f64]) -> DefaultEstimator {
        let builder: DefaultEstimatorBuilder = match self.is_choice {
            true => histogram_estimator(),
            false => parzen_estimator(),
        };
        let known = coordinates.iter().copied();
        let Ok(estimator) = builder.build_density_estimator(known, self.range);
        estimator
    }
}

/// A dimension and the coordinate of each value on it. `None` if there is nothing to choose.
fn coordinates(
    distribution: &Distribution,
    values: &[Option<&Value>],
) -> Option<(Dimension, Vec<Option<f64>>)> {
    type Scale = fn(f64) -> f64;
    let identity: Scale = |x| x;
    let ends = |ends: &[f64]| Some((*ends.first()?, *ends.get(1)?));
    let numbers = match distribution {
        Distribution {
            uniform: Some(of), ..
        } => Some((ends(of)?, identity)),
        Distribution {
            log_uniform: Some(of),
            ..
        } => Some((ends(of)?, f64::ln as Scale)),
        Distribution {
            integer: Some(of), ..
        } => {
            let of: Vec<f64> = of.iter().map(|&end| end as f64).collect();
            Some((ends(&of)?, identity))
        }
        _ => None,
    };
    let Some(((low, high), scale)) = numbers else {
        return choices(values);
    };
    let range = range(scale(low), scale(high)).ok()?;
    // A value that was not drawn is that of a setting that does not apply.
    let coordinate = |value: &Value| Some(value.as_f64()?).filter(|x| (low..=high).contains(x));
    let coordinates = values.iter().map(|value| coordinate((*value)?).map(scale));
    let coordinates = coordinates.collect();
    let is_choice = false;
    Some((Dimension { range, is_choice }, coordinates))
}

/// The same for values without an order. The coordinate is an index.
fn choices(values: &[Option<&Value>]) -> Option<(Dimension, Vec<Option<f64>>)> {
    let mut kinds: HashMap<String, usize> = HashMap::new();
    let coordinate = |value: &Option<&Value>| {
        let next = kinds.len();
        let kind = kinds.entry((*value)?.to_string()).or_insert(next);
        Some(*kind as f64)
    };
    let coordinates = values.iter().map(coordinate).collect();
    let range = categorical_range(kinds.len()).ok()?;
    let is_choice = true;
    Some((Dimension { range, is_choice }, coordinates))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Norm;

    /// Learning rates between 1e-4 and 1e-1, dropout, and a norm.
    fn random() -> RandomCombinations {
        let yaml = "{n: 1, settings: {optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}, \
                    model.dropout: {uniform: [0, 0.5]}, model.norm: {choice: [layernorm, rmsnorm, none]}}}";
        serde_yaml::from_str(yaml).unwrap()
    }

    /// `n` combinations, drawn with `seed`.
    fn specs(n: usize, seed: u64) -> Vec<RunSpec> {
        let mut state = seed;
        let mut unit = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let spec = |_| {
            let mut spec = crate::results::testing::spec_of("{name: x}");
            spec.optimizer.lr = 10f64.powf(-4.0 + 3.0 * unit());
            spec.model.dropout = (0.5 * unit()) as f32;
            spec.model.norm = [Norm::Layernorm, Norm::Rmsnorm, Norm::None][(3.0 * unit()) as usize];
            spec
        };
        (0..n).map(spec).collect()
    }

    /// Best at a learning rate of 0.003 with RMSNorm. Dropout hardly matters.
    fn loss(spec: &RunSpec) -> f64 {
        let norm = match spec.model.norm {
            Norm::Rmsnorm => 0.0,
            Norm::Layernorm => 0.1,
            _ => 0.5,
        };
        (spec.optimizer.lr / 0.003).ln().powi(2) * 0.2 + norm + 0.05 * f64::from(spec.model.dropout)
    }

    /// The best loss of a search with 24 trials among 100 candidates.
    fn search(specs: &[RunSpec]) -> f64 {
        let references: Vec<&RunSpec> = specs.iter().collect();
        let candidates = Candidates::new(&random(), &references);
        let result = |index: usize| (index, Some(loss(&specs[index])));
        let mut tried: Vec<(usize, Option<f64>)> = (0..8).map(result).collect();
        while tried.len() < 24 {
            let next = candidates.next(&tried, 4);
            assert_eq!(next.len(), 4);
            for index in next {
                assert!(tried.iter().all(|(other, _)| *other != index));
                tried.push(result(index));
            }
        }
        let losses = tried.iter().filter_map(|(_, loss)| *loss);
        losses.fold(f64::INFINITY, f64::min)
    }

    /// Of eight learning rates, all but the smallest diverge. The next ones are small.
    #[test]
    fn combinations_that_diverge_are_not_followed() {
        let mut specs = specs(100, 3);
        specs.sort_by(|a, b| a.optimizer.lr.total_cmp(&b.optimizer.lr));
        specs.swap(7, 20); // the only one with a result, at 0.0004
        specs[..7].reverse();
        specs.swap(0, 90);
        for index in 1..7 {
            specs.swap(index, 92 + index);
        }
        let references: Vec<&RunSpec> = specs.iter().collect();
        let candidates = Candidates::new(&random(), &references);
        let tried = |index: usize| (index, (index == 7).then_some(1.0));
        let tried: Vec<(usize, Option<f64>)> = (0..8).map(tried).collect();
        for index in candidates.next(&tried, 4) {
            let lr = specs[index].optimizer.lr;
            assert!(lr < 0.01, "{lr}");
        }
    }

    #[test]
    fn it_finds_better_combinations_than_the_same_number_of_random_ones() {
        let mut wins = 0;
        let mut losses = 0;
        for seed in 0..60 {
            let specs = specs(100, seed);
            let found = search(&specs);
            let random = specs[..24].iter().map(loss).fold(f64::INFINITY, f64::min);
            wins += usize::from(found < random);
            losses += usize::from(found > random);
        }
        assert!(wins >= 30 && losses <= 8, "{wins} wins, {losses} losses");
    }

    #[test]
    fn all_candidates_are_tried_in_the_end() {
        let specs = specs(5, 1);
        let references: Vec<&RunSpec> = specs.iter().collect();
        let candidates = Candidates::new(&random(), &references);
        let mut next = candidates.next(&[(2, None)], 9);
        next.sort_unstable();
        assert_eq!(next, [0, 1, 3, 4]);
        assert_eq!(
            candidates.next(&[], 1),
            [0],
            "without results, the first one"
        );
    }

    #[test]
    fn distributions_of_a_foreign_plan_do_no_harm() {
        for settings in [
            "{optimizer.lr: 7}",
            "{optimizer.lr: {log_uniform: [0, -1]}, model.norm: {choice: []}}",
            "{model.n_layer: {log_uniform: [1, 2]}, optimizer: {uniform: [1, 2]}, no.such: {choice: [1]}}",
        ] {
            let yaml = format!("{{n: 3, settings: {settings}}}");
            let random: RandomCombinations = serde_yaml::from_str(&yaml).unwrap();
            let specs = specs(3, 1);
            let references: Vec<&RunSpec> = specs.iter().collect();
            let candidates = Candidates::new(&random, &references);
            assert_eq!(candidates.next(&[(0, Some(1.0))], 9).len(), 2);
        }
    }
}
