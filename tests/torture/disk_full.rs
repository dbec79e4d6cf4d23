//! A disk that is full at any moment. The disk is a file system in memory, in a name space of its own, which
//! Linux gives to users who may make one. Elsewhere, the campaign is skipped and says so, unless the environment
//! variable `RUNNER_TESTS_REQUIRE_MOUNT` makes this a failure.

use crate::Cases;
use crate::support::{Lab, TINY, summary};
use runner::random::below;
use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::{Command, Output};

/// Size in KiB that is enough for the sweep.
const ENOUGH: u64 = 4000;

/// `$1` is the program, `$2` the folder with tiny.yaml, and `$3` the size in KiB.
const SCRIPT: &str = r#"
cd "$2" && mkdir disk && mount -t tmpfs -o "size=$3k" tmpfs disk || exit 9
sweep() { "$1" sweep tiny.yaml --jobs 2 train.steps=150 train.eval_every=50 --results disk; }
sweep "$1"
echo "first: $?" >&2
mount -o remount,size=100m disk || exit 9
sweep "$1"
echo "second: $?" >&2
cp disk/tiny/summary.csv .
find disk -name '.partial*' >&2
"#;

#[test]
fn full_disk_stops_a_sweep_and_loses_nothing() {
    let roomy = Lab::new(TINY);
    roomy.run(crate::SWEEP).exits(0);
    let expected = roomy.results();
    let (mut sizes, mut stopped) = (0, 0);
    for mut rng in Cases::new("disk full", 6) {
        let lab = Lab::new(TINY);
        // More often small: most files are written early.
        let limit = 8 << below(&mut rng, 9);
        let size = 4 + below(&mut rng, limit.min(ENOUGH));
        let output = sweep_on_a_disk_of(&lab, size);
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(9) || !stderr.contains("first: ") {
            skip(&stderr);
            return;
        }
        assert!(stderr.contains("second: 0"), "{size} KiB: {stderr}");
        assert!(
            !stderr.contains("failed: ") && !stderr.contains(".partial"),
            "{size} KiB: {stderr}"
        );
        if !stderr.contains("first: 0") {
            assert!(stderr.contains("first: 1"), "{size} KiB: {stderr}");
            assert!(
                stderr.contains("No space left on device"),
                "{size} KiB: {stderr}"
            );
            stopped += 1;
        }
        assert_eq!(summary(&lab.path("summary.csv")), expected, "{size} KiB");
        sizes += 1;
    }
    println!("disk full: {sizes} sizes, {stopped} too small; no run failed, no bit changed");
}

/// Says that the campaign is skipped. The line is shown also where the output of tests is captured, because a test that
/// is skipped looks like one that has passed.
fn skip(why: &str) {
    let line = format!("disk full: SKIPPED, because this user may not mount a file system: {why}");
    assert!(
        env::var_os("RUNNER_TESTS_REQUIRE_MOUNT").is_none(),
        "RUNNER_TESTS_REQUIRE_MOUNT is set, but {line}"
    );
    let line = format!("{}\n", line.trim_end());
    io::stderr().write_all(line.as_bytes()).unwrap();
}

fn sweep_on_a_disk_of(lab: &Lab, kib: u64) -> Output {
    let folder = lab.path("");
    fs::create_dir_all(&folder).unwrap();
    Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"])
        .arg(env!("CARGO_BIN_EXE_runner"))
        .arg(folder)
        .arg(kib.to_string())
        .output()
        .unwrap_or_else(|error| panic!("cannot start unshare: {error}"))
}
