//! Where the numbers of a step stopped being finite: in the order of a step, in a parameter, in an
//! activation on the way forward, in a gradient on the way back.

use super::trainer::Trainer;
use crate::data::Batch;
use crate::kernels::{self, Backend, DeviceError, GradientSum, NanCheckBackend, Scalar};
use crate::model::{DropoutContext, Model};

impl<B: Backend> Trainer<B> {
    /// Why a step whose loss or gradient is not finite ends the run. The weights are those that the
    /// step began with, so that its forward pass can be taken again, watched.
    pub(super) fn explain(
        &self,
        batch: &Batch,
        loss: f64,
        gradients: &[GradientSum<B::Device>],
    ) -> Result<String, DeviceError<B::Device>> {
        let what = match loss.is_finite() {
            true => "the gradient",
            false => "the training loss",
        };
        let step = self.step + 1;
        let first = match self.broken_parameter() {
            Some(parameter) => Some(parameter),
            None => self.broken_activation(batch)?,
        };
        let first = first.or_else(|| self.broken_gradient(gradients));
        Ok(match first {
            Some(first) => format!("{what} is not finite at step {step}; first {first}"),
            None => format!("{what} is not finite at step {step}"),
        })
    }

    /// The first parameter that has a number that is not finite.
    pub(super) fn broken_parameter(&self) -> Option<String> {
        self.model.parameters().into_iter().find_map(|parameter| {
            let value = kernels::first_not_finite(&parameter.value)?;
            let value = kernels::not_finite(value);
            Some(format!("{value} in the parameter `{}`", parameter.name))
        })
    }

    /// The first operation of a forward pass over a batch that takes or gives a number that is not
    /// finite.
    pub(super) fn broken_activation(
        &self,
        batch: &Batch,
    ) -> Result<Option<String>, DeviceError<B::Device>> {
        let model = self.watched_model()?;
        let block = self.spec.sequence_length();
        let scale = 1.0 / batch.inputs.len() as f32;
        for rows in self
            .micro_batches(batch)
            .flat_map(|rows| self.shard_rows(rows))
        {
            let noise = DropoutContext {
                stream: &self.dropout,
                step: self.step,
                first_row: rows.start,
            };
            let (inputs, targets) = (&batch.inputs[rows.clone()], &batch.targets[rows]);
            let parameters = model.parameters().into_iter();
            let named = parameters.map(|parameter| (&parameter.value, parameter.name.as_str()));
            let (loss, finding) = kernels::watch(named, || {
                let noise = Some(noise);
                let loss: Result<Scalar<B::Device>, _> =
                    model.loss(inputs, targets, block, scale, noise);
                loss
            });
            loss?;
            if let Some(finding) = finding {
                return Ok(Some(finding.to_string()));
            }
        }
        Ok(None)
    }

    /// The first gradient on the way back, which goes through the model from its end.
    fn broken_gradient(&self, gradients: &[GradientSum<B::Device>]) -> Option<String> {
        let parameters = self.model.parameters();
        let mut both = parameters.iter().zip(gradients).rev();
        let (parameter, sum) = both.find(|(_, sum)| !sum.squared_norm.is_finite())?;
        let value =
            kernels::first_not_finite(&sum.gradient).map_or("infinity", kernels::not_finite);
        Some(format!("{value} in the gradient of `{}`", parameter.name))
    }

    /// The same model, sharing its weights, on a backend that is watched.
    fn watched_model(&self) -> Result<Model<NanCheckBackend<B>>, DeviceError<B::Device>> {
        let spec = &self.spec;
        let device = self.model.parameters()[0].value.device().clone();
        let mut model = Model::new(&device, &spec.model, self.vocab_size, spec.seed)?;
        let parameters = model.parameters_mut().into_iter();
        for (watched, parameter) in parameters.zip(self.model.parameters()) {
            watched.value = parameter.value.clone();
        }
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{CpuBackend, Matrix};
    use crate::spec::{Data, Model, Optimizer, RunSpec, Sample, Tokenizer, Train};
    use dfdx::prelude::*;

    fn trainer() -> Trainer<CpuBackend> {
        let spec = RunSpec {
            variant: "test".to_owned(),
            seed: 1,
            data: Data::default(),
            tokenizer: Tokenizer::default(),
            model: Model {
                n_layer: 2,
                n_head: 2,
                n_embd: 8,
                block_size: 8,
                ..Model::default()
            },
            optimizer: Optimizer::default(),
            train: Train::default(),
            sample: Sample::default(),
        };
        Trainer::new(&Cpu::default(), &spec, 11).unwrap()
    }

    /// Sets the first element of a parameter, and says what breaks.
    fn broken_by(name: &str, value: f32) -> [Option<String>; 2] {
        let mut trainer = trainer();
        let mut parameters = trainer.model.parameters_mut().into_iter();
        let parameter = parameters.find(|parameter| parameter.name == name).unwrap();
        let mut values = parameter.value.as_vec();
        values[0] = value;
        let shape = *parameter.value.shape();
        let changed: Matrix<Cpu> = Cpu::default().tensor_from_vec(values, shape);
        parameter.value = changed;
        let batch = Batch {
            inputs: (0..16).map(|i| i % 11).collect(),
            targets: (1..17).map(|i| i % 11).collect(),
        };
        [
            trainer.broken_parameter(),
            trainer.broken_activation(&batch).unwrap(),
        ]
    }

    #[test]
    fn the_first_tensor_is_named_with_its_layer_and_operation() {
        assert_eq!(broken_by("wpe.weight", 0.5), [None, None]);
        let [parameter, activation] = broken_by("h.1.mlp.c_fc.weight", f32::NAN);
        assert_eq!(
            parameter.unwrap(),
            "NaN in the parameter `h.1.mlp.c_fc.weight`"
        );
        assert_eq!(
            activation.unwrap(),
            "NaN in the output of `linear_activation` with `h.1.mlp.c_fc.weight`"
        );
        let [parameter, activation] = broken_by("h.0.ln_2.weight", f32::INFINITY);
        assert_eq!(
            parameter.unwrap(),
            "infinity in the parameter `h.0.ln_2.weight`"
        );
        assert!(
            activation
                .unwrap()
                .ends_with("in the output of `norm` with `h.0.ln_2.weight`")
        );
    }
}
