use crate::kernels::InstructionSet;
use crate::results::Environment;
use sysinfo::{CpuRefreshKind, System};

/// What this process trains with.
pub fn environment() -> Environment {
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    Environment {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: format!("{profile} {os} {arch}"),
        processor: processor_name(),
        instruction_set: InstructionSet::used().name().to_owned(),
    }
}

/// Name of the processor, if the system tells it.
pub fn processor_name() -> Option<String> {
    let mut system = System::new();
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    let brand = system.cpus().first()?.brand();
    let words: Vec<&str> = brand.split_whitespace().collect();
    Some(words.join(" ")).filter(|name| !name.is_empty())
}
