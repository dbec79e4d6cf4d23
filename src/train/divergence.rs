//! Finds where the numbers of a step stopped being finite: in a parameter, in an activation of the
//! forward pass, or in a gradient. Each finding is a text such as "NaN in the parameter `wte.weight`".

use super::step_batch::StepBatch;
use crate::kernels::{self, Backend, Checkable, DeviceError, GradientSum, NonFinite, Scalar};
use crate::model::Model;

/// The reason why a step whose loss or gradient is not finite ends the run. `model` still has the
/// weights from before the step, so that the forward pass can be repeated with checks.
pub(super) fn describe<B: Checkable>(
    model: &Model<B>,
    batch: &StepBatch,
    loss: f64,
    gradients: &[GradientSum<B::Device>],
) -> Result<String, DeviceError<B::Device>> {
    let what = match loss.is_finite() {
        true => "the gradient",
        false => "the training loss",
    };
    let step = batch.step + 1;
    let first = match non_finite_parameter(model) {
        Some(parameter) => Some(parameter),
        None => non_finite_activation(model, batch)?,
    };
    let first = first.or_else(|| non_finite_gradient(model, gradients));
    Ok(match first {
        Some(first) => format!("{what} is not finite at step {step}; first {first}"),
        None => format!("{what} is not finite at step {step}"),
    })
}

/// The first parameter with a number that is not finite.
pub(super) fn non_finite_parameter<B: Backend>(model: &Model<B>) -> Option<String> {
    model.parameters().into_iter().find_map(|parameter| {
        let value = kernels::first_non_finite(&parameter.value)?;
        let value = kernels::non_finite_name(value);
        Some(format!("{value} in the parameter `{}`", parameter.name))
    })
}

/// The first operation of a forward pass with a number that is not finite in its input or output.
fn non_finite_activation<B: Checkable>(
    model: &Model<B>,
    batch: &StepBatch,
) -> Result<Option<String>, DeviceError<B::Device>> {
    let model = checked(model, batch)?;
    for rows in batch.micro_batches().flat_map(|rows| batch.shards(rows)) {
        let (loss, found) = kernels::detect_non_finite(|| {
            let loss: Result<Scalar<B::Device>, _> = batch.loss(&model, rows);
            loss
        });
        loss?;
        if let Some(found) = found {
            return Ok(Some(describe_activation(&model, &found)));
        }
    }
    Ok(None)
}

/// What [`kernels::detect_non_finite`] found in a forward pass of `model`, as a text.
pub(super) fn describe_activation<B: Backend>(model: &Model<B>, found: &NonFinite) -> String {
    let parameters = model.parameters().into_iter();
    found.describe(parameters.map(|parameter| (&parameter.value, parameter.name.as_str())))
}

/// The first gradient of the backward pass that is not finite. The pass goes through the model from
/// its end.
fn non_finite_gradient<B: Backend>(
    model: &Model<B>,
    gradients: &[GradientSum<B::Device>],
) -> Option<String> {
    let parameters = model.parameters();
    let mut pairs = parameters.iter().zip(gradients).rev();
    let (parameter, sum) = pairs.find(|(_, sum)| !sum.squared_norm.is_finite())?;
    let value =
        kernels::first_non_finite(&sum.gradient).map_or("infinity", kernels::non_finite_name);
    Some(format!("{value} in the gradient of `{}`", parameter.name))
}

/// The model on a backend that checks every operation. It shares the weights.
fn checked<B: Checkable>(
    model: &Model<B>,
    batch: &StepBatch,
) -> Result<Model<B::Checked>, DeviceError<B::Device>> {
    let device = model.parameters()[0].value.device().clone();
    let mut checked = Model::<B::Checked>::zeros(&device, &batch.spec.model, batch.vocab_size)?;
    let parameters = checked.parameters_mut().into_iter();
    for (checked, parameter) in parameters.zip(model.parameters()) {
        checked.value = parameter.value.clone();
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Batch;
    use crate::kernels::{CpuBackend, Matrix};
    use crate::random::Stream;
    use crate::spec::{Data, Model as ModelSpec, Optimizer, RunSpec, Sample, Tokenizer, Train};
    use dfdx::prelude::*;

    const VOCAB_SIZE: usize = 11;

    fn spec() -> RunSpec {
        RunSpec {
            variant: "test".to_owned(),
            seed: 1,
            data: Data::default(),
            tokenizer: Tokenizer::default(),
            model: ModelSpec {
                n_layer: 2,
                n_head: 2,
                n_embd: 8,
                block_size: 8,
                ..ModelSpec::default()
            },
            optimizer: Optimizer::default(),
            train: Train::default(),
            sample: Sample::default(),
        }
    }

    /// Sets the first element of a parameter, and returns the findings in parameters and activations.
    fn findings_with(name: &str, value: f32) -> [Option<String>; 2] {
        let spec = spec();
        let mut model: Model<CpuBackend> =
            Model::new(&Cpu::default(), &spec.model, VOCAB_SIZE, spec.seed).unwrap();
        let mut parameters = model.parameters_mut().into_iter();
        let parameter = parameters.find(|parameter| parameter.name == name).unwrap();
        let mut values = parameter.value.as_vec();
        values[0] = value;
        let shape = *parameter.value.shape();
        let changed: Matrix<Cpu> = Cpu::default().tensor_from_vec(values, shape);
        parameter.value = changed;
        let batch = StepBatch {
            batch: Batch {
                inputs: (0..16).map(|i| i % VOCAB_SIZE).collect(),
                targets: (1..17).map(|i| i % VOCAB_SIZE).collect(),
            },
            step: 0,
            spec: &spec,
            vocab_size: VOCAB_SIZE,
            dropout: &Stream::new(spec.seed, "dropout"),
        };
        [
            non_finite_parameter(&model),
            non_finite_activation(&model, &batch).unwrap(),
        ]
    }

    #[test]
    fn a_finding_names_the_first_tensor_with_its_layer_and_operation() {
        assert_eq!(findings_with("wpe.weight", 0.5), [None, None]);
        let [parameter, activation] = findings_with("h.1.mlp.c_fc.weight", f32::NAN);
        assert_eq!(
            parameter.unwrap(),
            "NaN in the parameter `h.1.mlp.c_fc.weight`"
        );
        assert_eq!(
            activation.unwrap(),
            "NaN in the output of `linear_activation` with `h.1.mlp.c_fc.weight`"
        );
        let [parameter, activation] = findings_with("h.0.ln_2.weight", f32::INFINITY);
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
