use nix::sys::resource::{UsageWho, getrusage};

/// Peak resident memory of this process, in MiB. 0 if the system does not report it.
pub(super) fn peak_memory_mb() -> f64 {
    // Linux reports KiB, macOS bytes.
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
        let before = peak_memory_mb();
        let written = std::hint::black_box(vec![1u8; 256 << 20]);
        assert!(peak_memory_mb() >= 256.0);
        drop(written);
        assert!(peak_memory_mb() >= before.max(256.0));
    }
}
