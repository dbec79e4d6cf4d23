//! The memory of a command with an alias bomb. This test is alone in its program, because the system reports the peak
//! over all commands that a process has started.

use nix::sys::resource::{UsageWho, getrusage};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// Most memory of a command, in bytes.
const MAX_BYTES: u64 = 100_000_000;

/// An experiment whose aliases would expand to 10^20 values.
fn many_values() -> String {
    let mut text = "name: bomb\nsweep:\n  seeds:\n    - &a0 [1]\n".to_owned();
    for level in 1..=20 {
        let aliases = format!("*a{}, ", level - 1).repeat(10);
        let _ = writeln!(text, "    - &a{level} [{aliases}]");
    }
    text
}

/// An experiment whose aliases would expand to 900 MB of text.
fn much_text() -> String {
    let long = "x".repeat(900_000);
    let aliases = "*a, ".repeat(1000);
    format!("name: bomb\ndescription: &a {long}\nexpect: [{aliases}]\n")
}

/// An experiment whose merge keys would copy each mapping ten times.
fn many_merges() -> String {
    let mut text = "name: bomb\nsweep:\n  variants:\n    a0: &a0 {k: 1}\n".to_owned();
    for level in 1..=20 {
        let aliases: Vec<_> = (0..10)
            .map(|key| format!("k{key}: *a{}", level - 1))
            .collect();
        let _ = writeln!(text, "    a{level}: &a{level} {{{}}}", aliases.join(", "));
    }
    text
}

#[test]
fn an_alias_bomb_takes_less_than_100_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    for (text, error) in [
        (many_values(), "aliases"),
        (much_text(), "aliases copy more than 8 MiB of text"),
        (many_merges(), "aliases"),
    ] {
        fs::write(folder.path().join("bomb.yaml"), text).unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_runner"))
            .args(["sweep", "bomb.yaml"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{said}");
        assert!(said.contains(error), "{said}");
    }
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    // Linux counts in KiB.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let peak = u64::try_from(peak).unwrap() * unit;
    assert!(peak < MAX_BYTES, "{peak} bytes");
}
