use crate::train::{Device, processor_name};
use std::thread::available_parallelism;
use sysinfo::{CGroupLimits, ProcessRefreshKind, ProcessesToUpdate, System};

/// Bytes of a MiB.
const MIB: f64 = (1 << 20) as f64;

/// What this process can train on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Free memory in MiB: of the machine or of the container, whichever is smaller. `None` if the
    /// system does not tell.
    pub free_memory_mb: Option<f64>,
}

impl Machine {
    pub fn of_this_process() -> Self {
        let mut system = System::new();
        system.refresh_memory();
        let limits = cgroup_limits(&mut system);
        Self {
            cores: available_parallelism().map_or(1, usize::from),
            free_memory_mb: free_memory_mb(system.available_memory(), limits.as_ref()),
        }
    }
}

/// Memory limits of the control group of this process, as a container or a batch system sets them.
fn cgroup_limits(system: &mut System) -> Option<CGroupLimits> {
    let pid = sysinfo::get_current_pid().ok()?;
    let nothing = ProcessRefreshKind::nothing();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, nothing);
    let own = system
        .process(pid)
        .and_then(|process| process.cgroup_limits());
    // In a container, /proc/self/cgroup can hold a path of the host, which is not visible here. The
    // root of the visible hierarchy is then the container's own group.
    own.or_else(|| system.cgroup_limits())
}

/// The smaller of the memory that is available on the machine, in bytes (0 if unknown), and the memory
/// that the control group has left. The page cache of a group does not count as used: the system frees it
/// on demand.
fn free_memory_mb(available: u64, limits: Option<&CGroupLimits>) -> Option<f64> {
    let available = Some(available).filter(|&bytes| bytes > 0);
    let left = limits.map(|limits| limits.total_memory.saturating_sub(limits.rss));
    let free = available.into_iter().chain(left).min()?;
    Some(free as f64 / MIB)
}

/// One line that describes the machine: GPU (if it is used), processor, cores and operating system.
pub(super) fn describe(device: Device) -> String {
    let gpu = match device {
        Device::Cpu => None,
        Device::Cuda(ordinal) => Some(gpu::name(ordinal).unwrap_or(format!("GPU {ordinal}"))),
    };
    let cores = Machine::of_this_process().cores;
    description(gpu, processor_name(), cores)
}

fn description(gpu: Option<String>, processor: Option<String>, cores: usize) -> String {
    let cores = crate::text::units::plural(cores, "core");
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    let parts = [gpu, processor, Some(cores), Some(system)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Names of NVIDIA GPUs, from the files of the driver.
mod gpu {
    use std::env;
    use std::fs;
    use std::path::Path;

    /// The model name of the GPU with this CUDA ordinal, if it can be known for sure.
    pub(super) fn name(ordinal: usize) -> Option<String> {
        let models = models(Path::new("/proc/driver/nvidia/gpus"));
        let order = env::var("CUDA_DEVICE_ORDER").ok();
        let visible = env::var("CUDA_VISIBLE_DEVICES").ok();
        select(&models, order.as_deref(), visible.as_deref(), ordinal)
    }

    /// Model names in the order of PCI addresses, which name the folders.
    pub(super) fn models(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
        folders.sort();
        let model = |folder: &std::path::PathBuf| {
            let text = fs::read_to_string(folder.join("information")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
            Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        // A file that cannot be read keeps its place, so that the places still match the ordinals.
        let models = folders
            .iter()
            .map(|folder| model(folder).unwrap_or_default());
        models.collect()
    }

    /// If all GPUs are of one model, this is its name. Otherwise the ordinal decides, provided that CUDA
    /// numbers the GPUs by PCI address; by default it numbers the fastest GPU first.
    pub(super) fn select(
        models: &[String],
        order: Option<&str>,
        visible: Option<&str>,
        ordinal: usize,
    ) -> Option<String> {
        let first = models.first()?;
        let name = if models.iter().all(|model| model == first) {
            first
        } else if order == Some("PCI_BUS_ID") {
            let physical = match visible {
                None => ordinal,
                // A list of physical numbers. It can also hold UUIDs, which are not resolved.
                Some(list) => list.split(',').nth(ordinal)?.trim().parse().ok()?,
            };
            models.get(physical)?
        } else {
            return None;
        };
        Some(name.clone()).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(total_mb: u64, rss_mb: u64) -> CGroupLimits {
        CGroupLimits {
            total_memory: total_mb << 20,
            free_memory: 0,
            free_swap: 0,
            rss: rss_mb << 20,
        }
    }

    #[test]
    fn free_memory_is_the_smaller_of_machine_and_container() {
        assert_eq!(free_memory_mb(100 << 20, None), Some(100.0));
        assert_eq!(free_memory_mb(100 << 20, Some(&limits(64, 24))), Some(40.0));
        assert_eq!(free_memory_mb(10 << 20, Some(&limits(64, 24))), Some(10.0));
        assert_eq!(free_memory_mb(0, Some(&limits(64, 24))), Some(40.0));
        assert_eq!(free_memory_mb(9 << 20, Some(&limits(8, 9))), Some(0.0));
        assert_eq!(free_memory_mb(0, None), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_of_this_machine_is_in_mib() {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"));
        let total = total.unwrap().trim().strip_suffix(" kB").unwrap();
        let total_mb = total.parse::<f64>().unwrap() / 1024.0;
        let free = Machine::of_this_process().free_memory_mb.unwrap();
        assert!(free > 1.0 && free <= total_mb, "{free} of {total_mb}");
    }

    #[test]
    fn description_names_what_is_known() {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        assert_eq!(
            description(Some("H100".to_owned()), Some("Xeon".to_owned()), 2),
            format!("H100, Xeon, 2 cores, {os} {arch}")
        );
        assert_eq!(description(None, None, 1), format!("1 core, {os} {arch}"));
    }

    #[test]
    fn gpu_is_named_by_its_ordinal() {
        let models = ["A100", "H100"].map(str::to_owned);
        let pci = Some("PCI_BUS_ID");
        let select = |visible, ordinal| gpu::select(&models, pci, visible, ordinal);
        assert_eq!(select(None, 0).as_deref(), Some("A100"));
        assert_eq!(select(None, 1).as_deref(), Some("H100"));
        assert_eq!(select(None, 2), None);
        assert_eq!(select(Some("1,0"), 0).as_deref(), Some("H100"));
        assert_eq!(select(Some("GPU-8932f937"), 0), None);
        // CUDA's default order is not known for different models.
        assert_eq!(gpu::select(&models, None, None, 1), None);
        let same = ["H100", "H100"].map(str::to_owned);
        assert_eq!(gpu::select(&same, None, None, 1).as_deref(), Some("H100"));
        assert_eq!(gpu::select(&[], pci, None, 0), None);
    }

    #[test]
    fn gpu_models_are_read_in_the_order_of_their_addresses() {
        let folder = tempfile::tempdir().unwrap();
        for (address, model) in [
            ("0000:41:00.0", "NVIDIA  H100"),
            ("0000:04:00.0", "NVIDIA A100"),
        ] {
            let gpu = folder.path().join(address);
            std::fs::create_dir(&gpu).unwrap();
            let text = format!("Model: \t\t {model}\nIRQ:   42\n");
            std::fs::write(gpu.join("information"), text).unwrap();
        }
        assert_eq!(gpu::models(folder.path()), ["NVIDIA A100", "NVIDIA H100"]);
        assert!(gpu::models(&folder.path().join("absent")).is_empty());
    }
}
