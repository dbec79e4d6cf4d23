use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run was trained with. None of it changes the results of a run in 32-bit floats, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Version of `runner`.
    pub version: String,
    /// Profile, operating system and architecture of the program, such as `release linux x86_64`.
    pub build: String,
    /// Name of the processor, if the system tells it.
    pub processor: Option<String>,
    /// Name of the vector instructions that the kernels used.
    pub instruction_set: String,
}

impl Environment {
    /// Whether it has the same version and build of `runner` as another one.
    pub fn has_program_of(&self, other: &Self) -> bool {
        (&self.version, &self.build) == (&other.version, &other.build)
    }
}
