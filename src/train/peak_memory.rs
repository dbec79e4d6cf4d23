use nix::sys::resource::{UsageWho, getrusage};
use std::fs;

/// Peak resident memory of this process, in MiB. 0 if the system does not report it.
pub fn peak_memory_mb() -> f64 {
    peak_of_program().unwrap_or_else(peak_of_process)
}

/// The peak since this process runs this program, as Linux reports it. The peak of [`peak_of_process`] is
/// not what a worker uses: there, Linux counts the memory of the sweep that has started the worker.
fn peak_of_program() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = peak.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

fn peak_of_process() -> f64 {
    // macOS reports bytes, other systems KiB.
    let unit = if cfg!(target_os = "macos") {
        1.0
    } else {
        1024.0
    };
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    usage.map_or(0.0, |usage| {
        usage.max_rss() as f64 * unit / (1024.0 * 1024.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_includes_what_was_allocated_and_freed() {
        for peak in [peak_memory_mb, peak_of_process] {
            let before = peak();
            let written = std::hint::black_box(vec![1u8; 256 << 20]);
            assert!(peak() >= 256.0);
            drop(written);
            assert!(peak() >= before.max(256.0));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_of_the_process_that_starts_this_one_does_not_count() {
        const STARTED: &str = "RUNNER_TEST_STARTED";
        if std::env::var_os(STARTED).is_some() {
            let peak = peak_memory_mb();
            assert!(peak > 0.0 && peak < 256.0, "{peak}");
            return;
        }
        let written = std::hint::black_box(vec![1u8; 256 << 20]);
        let this =
            "train::peak_memory::tests::memory_of_the_process_that_starts_this_one_does_not_count";
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env(STARTED, "1")
            .status();
        assert!(status.unwrap().success());
        drop(written);
    }
}
