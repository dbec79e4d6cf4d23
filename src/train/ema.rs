use super::parallel::Parallel;
use crate::kernels::{Backend, DeviceError, Matrix};
use crate::model::Model;

/// An exponential moving average of a model's weights.
#[derive(Debug)]
pub(super) struct Average<B: Backend> {
    decay: f64,
    /// Of each parameter, in the model's order; before the first step the parameter itself.
    means: Vec<Matrix<B::Device>>,
}

impl<B: Backend> Average<B> {
    pub(super) fn new(decay: f64, model: &Model<B>) -> Self {
        let parameters = model.parameters().into_iter();
        Self {
            decay,
            means: parameters
                .map(|parameter| parameter.value.clone())
                .collect(),
        }
    }

    /// Takes in the weights after a step, `taken` steps before it.
    pub(super) fn take_in(
        &mut self,
        model: &Model<B>,
        taken: u64,
    ) -> Result<(), DeviceError<B::Device>>
    where
        B: Parallel,
    {
        let weight = weight(self.decay, taken) as f32;
        let parameters = model.parameters().into_iter();
        let values: Vec<_> = parameters.map(|parameter| &parameter.value).collect();
        B::averages(&mut self.means, &values, weight)
    }

    /// The model with the average for its weights.
    pub(super) fn of(&self, model: &Model<B>) -> Model<B> {
        let mut model = model.clone();
        let parameters = model.parameters_mut().into_iter();
        parameters
            .zip(&self.means)
            .for_each(|(parameter, mean)| parameter.value = mean.clone());
        model
    }

    /// What there is to save and restore, in the model's order.
    pub(super) fn means_mut(&mut self) -> impl Iterator<Item = &mut Matrix<B::Device>> {
        self.means.iter_mut()
    }
}

/// How far the mean moves towards the newest of `taken + 1` weights: it is then their sum, each
/// weighted with `decay` to the power of its age, over the sum of those powers.
fn weight(decay: f64, taken: u64) -> f64 {
    (1.0 - decay) / (1.0 - decay.powf((taken + 1) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_is_weighted_by_age_and_owes_nothing_to_its_start() {
        let values = [3.0, -1.0, 4.0, 1.5];
        let decay = 0.9f64;
        let mut mean = 1000.0;
        for (taken, value) in (0..).zip(values) {
            mean += weight(decay, taken) * (value - mean);
        }
        let ages = (0..).zip(values.iter().rev());
        let sum: f64 = ages.map(|(age, value)| decay.powi(age) * value).sum();
        let powers: f64 = (0..4).map(|age| decay.powi(age)).sum();
        assert!((mean - sum / powers).abs() < 1e-12);
    }
}
