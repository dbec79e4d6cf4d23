use crate::train::Device;
use std::fs;
use std::thread::available_parallelism;

/// What there is to train on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// Memory that is free, in MiB, where the system says.
    pub free_memory_mb: Option<f64>,
}

impl Machine {
    pub fn of_this_process() -> Self {
        Self {
            cores: available_parallelism().map_or(1, usize::from),
            free_memory_mb: fs::read_to_string("/proc/meminfo")
                .ok()
                .and_then(|text| available_memory_mb(&text)),
        }
    }
}

/// The machine in words: GPU (where it is used), processor, cores and operating system.
pub(super) fn describe(device: Device) -> String {
    let cores = Machine::of_this_process().cores;
    let cores = format!("{cores} core{}", if cores == 1 { "" } else { "s" });
    let gpu = match device {
        Device::Cpu => None,
        Device::Cuda(ordinal) => Some(gpu_name().unwrap_or(format!("GPU {ordinal}"))),
    };
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    let words = [gpu, processor_name(), Some(cores), Some(system)];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn processor_name() -> Option<String> {
    field(&fs::read_to_string("/proc/cpuinfo").ok()?, "model name")
}

fn gpu_name() -> Option<String> {
    let gpu = fs::read_dir("/proc/driver/nvidia/gpus")
        .ok()?
        .next()?
        .ok()?;
    field(
        &fs::read_to_string(gpu.path().join("information")).ok()?,
        "Model",
    )
}

/// The value of the first `key : value` line, white space run together.
fn field(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then_some(value)
    })?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty())
}

fn available_memory_mb(meminfo: &str) -> Option<f64> {
    let value = field(meminfo, "MemAvailable")?;
    let kib: f64 = value.strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_files_of_linux() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Intel(R)  Xeon(R)\nmodel name\t: other\n";
        assert_eq!(
            field(cpuinfo, "model name").as_deref(),
            Some("Intel(R) Xeon(R)")
        );
        let meminfo = "MemTotal:  24000 kB\nMemAvailable:   20480 kB\n";
        assert_eq!(available_memory_mb(meminfo), Some(20.0));
        assert_eq!(available_memory_mb("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn a_machine_has_cores_and_a_name() {
        assert!(Machine::of_this_process().cores > 0);
        assert!(describe(Device::Cpu).contains(" core"));
    }
}
