use super::parallel::MapOrdered;
use crate::kernels::cpu::simd::vectorized;
use crate::kernels::{Backend, DeviceError, Matrix, UpdateRule};
use crate::model::Model;
use dfdx::prelude::*;

/// An exponential moving average of a model's weights.
#[derive(Debug)]
pub(super) struct Ema<B: Backend> {
    decay: f64,
    /// The average of each parameter, in the model's order. Before the first step it is the
    /// parameter itself.
    averages: Vec<Matrix<B::Device>>,
}

impl<B: Backend> Ema<B> {
    pub(super) fn new(decay: f64, model: &Model<B>) -> Self {
        let parameters = model.parameters().into_iter();
        Self {
            decay,
            averages: parameters
                .map(|parameter| parameter.value.clone())
                .collect(),
        }
    }

    /// Includes the weights after step number `step`, counted from 1.
    pub(super) fn update(
        &mut self,
        model: &Model<B>,
        step: u64,
    ) -> Result<(), DeviceError<B::Device>>
    where
        B: for<'a> MapOrdered<AverageUpdate<'a, B>, ()>,
    {
        let rule = MoveTowards {
            fraction: fraction_of_newest(self.decay, step) as f32,
        };
        let pairs = self.averages.iter_mut().zip(model.parameters());
        let updates = pairs.map(|(average, parameter)| AverageUpdate {
            rule,
            average,
            value: &parameter.value,
        });
        B::map_ordered(updates.collect(), AverageUpdate::apply)?;
        Ok(())
    }

    /// The model with the averages for its weights.
    pub(super) fn averaged_model(&self, model: &Model<B>) -> Model<B> {
        let mut model = model.clone();
        let parameters = model.parameters_mut().into_iter();
        parameters
            .zip(&self.averages)
            .for_each(|(parameter, average)| parameter.value = average.clone());
        model
    }

    /// The averages in the model's order, to be saved or restored.
    pub(super) fn averages_mut(&mut self) -> impl Iterator<Item = &mut Matrix<B::Device>> {
        self.averages.iter_mut()
    }
}

/// How far the average moves towards the newest of `step` weights. The average is then their sum,
/// each weighted with `decay` to the power of its age, divided by the sum of those powers.
fn fraction_of_newest(decay: f64, step: u64) -> f64 {
    (1.0 - decay) / (1.0 - libm::pow(decay, step as f64))
}

/// The update of the average of one parameter.
#[derive(Debug)]
pub struct AverageUpdate<'a, B: Backend> {
    rule: MoveTowards,
    average: &'a mut Matrix<B::Device>,
    value: &'a Matrix<B::Device>,
}

impl<B: Backend> AverageUpdate<'_, B> {
    fn apply(self) -> Result<(), DeviceError<B::Device>> {
        B::update(&self.rule, self.average, self.value, &mut [])
    }
}

/// Moves each element of a matrix by a fraction of its distance to another.
#[derive(Debug, Clone, Copy)]
struct MoveTowards {
    fraction: f32,
}

impl UpdateRule<0> for MoveTowards {
    fn cpu(&self, _: (usize, usize), average: &mut [f32], value: &[f32], _: [&mut [f32]; 0]) {
        let fraction = self.fraction;
        vectorized(
            #[inline(always)]
            || {
                for (average, &value) in average.iter_mut().zip(value) {
                    *average += (value - *average) * fraction;
                }
            },
        );
    }

    fn reference<D: Device<f32>>(
        &self,
        average: &mut Matrix<D>,
        value: &Matrix<D>,
        _: [&mut Matrix<D>; 0],
    ) -> Result<(), DeviceError<D>> {
        let distance = value.clone().try_sub(average.clone())?;
        *average = average.clone().try_add(distance.try_mul(self.fraction)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, matrices, relative_error};
    use crate::kernels::{CpuBackend, ReferenceBackend};

    #[test]
    fn an_average_is_weighted_by_age_and_does_not_depend_on_its_first_value() {
        let values = [3.0, -1.0, 4.0, 1.5];
        let decay = 0.9f64;
        let mut average = 1000.0;
        for (step, value) in (1..).zip(values) {
            average += fraction_of_newest(decay, step) * (value - average);
        }
        let ages = (0..).zip(values.iter().rev());
        let sum: f64 = ages.map(|(age, value)| decay.powi(age) * value).sum();
        let powers: f64 = (0..4).map(|age| decay.powi(age)).sum();
        assert!((average - sum / powers).abs() < 1e-12);
    }

    #[test]
    fn an_average_moves_by_the_fraction_on_every_backend() {
        let [average, value] = matrices(13, &[(7, 19); 2]).try_into().unwrap();
        let (mut a, mut b) = (average.clone(), average.clone());
        let rule = MoveTowards { fraction: 0.25 };
        CpuBackend::update(&rule, &mut a, &value, &mut []).unwrap();
        ReferenceBackend::<Cpu>::update(&rule, &mut b, &value, &mut []).unwrap();
        let pairs = average.as_vec().into_iter().zip(value.as_vec());
        let moved: Vec<f32> = pairs.map(|(a, v)| 0.75 * a + 0.25 * v).collect();
        assert!(relative_error(&moved, &a.as_vec()) < 1e-6);
        assert_close(&a, &b, 1e-6);
    }
}
