//! Whatever ends a sweep at whatever moment, the same command gives the results of an uninterrupted one.

use crate::support::{Lab, Running, TINY, kill};
use crate::{Cases, SWEEP, choose, left_over};
use rand_chacha::ChaCha8Rng;
use runner::random::below;
use std::time::{Duration, Instant};

#[test]
fn killed_sweeps_lose_nothing() {
    campaign("kills", 3, |sweep, rng| {
        match below(rng, 3) {
            0 => sweep.signal("KILL"),
            1 => kill_a_worker(sweep, rng),
            _ => sweep.signal_all("KILL"),
        };
    });
}

#[test]
fn signals_lose_nothing() {
    campaign("signals", 3, |sweep, rng| {
        let signal = *choose(rng, &["INT", "TERM", "HUP", "QUIT", "PIPE", "USR1", "ABRT"]);
        match below(rng, 2) {
            0 => sweep.signal(signal),
            _ => sweep.signal_all(signal),
        }
    });
}

fn kill_a_worker(sweep: &Running, rng: &mut ChaCha8Rng) {
    let workers = sweep.workers();
    if !workers.is_empty() {
        kill("KILL", &choose(rng, &workers).to_string());
    }
}

/// Interrupts sweeps at random moments until they end, and compares their results with those of an uninterrupted
/// one.
fn campaign(name: &str, least: u64, interrupt: impl Fn(&Running, &mut ChaCha8Rng)) {
    let uninterrupted = Lab::new(TINY);
    let start = Instant::now();
    uninterrupted.run(SWEEP).exits(0);
    let longest = start.elapsed().as_millis() as u64;
    let expected = uninterrupted.results();
    let (mut sweeps, mut interruptions) = (0, 0);
    for mut rng in Cases::new(name, least) {
        let lab = Lab::new(TINY);
        for _ in 0..1 + below(&mut rng, 4) {
            let mut sweep = lab.start(&format!("{SWEEP} --retry-failed"));
            std::thread::sleep(Duration::from_millis(below(&mut rng, longest)));
            if sweep.is_running() {
                interrupt(&sweep, &mut rng);
                interruptions += 1;
            }
            sweep.wait();
        }
        // The workers of a sweep that was killed end by themselves. A run whose worker was killed twice has
        // failed, and is trained again.
        let last = lab.run(&format!("{SWEEP} --retry-failed")).exits(0);
        assert_eq!(lab.results(), expected, "{}", last.stderr);
        assert_eq!(
            left_over(&lab.path("results")),
            [] as [std::path::PathBuf; 0]
        );
        lab.run("verify results/tiny").exits(0);
        sweeps += 1;
    }
    println!(
        "{name}: {interruptions} in {sweeps} sweeps; no result lost, no bit changed, no file left over"
    );
}
