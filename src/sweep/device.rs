use super::Error;
use crate::train::Device;
use std::str::FromStr;

/// The value of `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU if this build supports GPUs and there is one, else the CPU.
    Auto,
    Cpu,
    /// The GPU with this ordinal.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(0)),
            _ => {}
        }
        let ordinal = text.strip_prefix("cuda:").and_then(|n| n.parse().ok());
        ordinal
            .map(Self::Cuda)
            .ok_or_else(|| "expected auto, cpu, cuda or cuda:N".to_owned())
    }
}

impl DeviceChoice {
    /// Chooses the device, and checks that it works.
    pub fn resolve(self) -> Result<Device, Error> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(ordinal) => probe(ordinal).map(|()| Device::Cuda(ordinal)),
            Self::Auto if probe(0).is_ok() => Ok(Device::Cuda(0)),
            Self::Auto => Ok(Device::Cpu),
        }
    }
}

#[cfg(feature = "cuda")]
fn probe(ordinal: usize) -> Result<(), Error> {
    match dfdx::tensor::Cuda::try_build(ordinal, 0) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::NoGpu {
            ordinal,
            reason: format!("{error:?}"),
        }),
    }
}

#[cfg(not(feature = "cuda"))]
fn probe(_ordinal: usize) -> Result<(), Error> {
    Err(Error::NoCuda)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_help_describes() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:3", DeviceChoice::Cuda(3)),
        ] {
            assert_eq!(text.parse(), Ok(choice));
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "CPU"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }
}
