//! Several sweeps in one folder at the same time.

use crate::support::{Lab, TINY};
use crate::{Cases, SWEEP, left_over};
use runner::random::below;
use std::time::Duration;

#[test]
fn only_one_sweep_at_a_time_works_in_a_folder() {
    let alone = Lab::new(TINY);
    alone.run(SWEEP).exits(0);
    let expected = alone.results();
    let (mut rounds, mut refused) = (0, 0);
    for mut rng in Cases::new("contention", 2) {
        let owner = Lab::new(TINY);
        let results = owner.path("results");
        let command = format!("{SWEEP} --results {}", results.display());
        let labs: Vec<Lab> = (0..2 + below(&mut rng, 3))
            .map(|_| Lab::new(TINY))
            .collect();
        let mut sweeps = Vec::new();
        for lab in &labs {
            sweeps.push(lab.start(&command));
            std::thread::sleep(Duration::from_millis(below(&mut rng, 100)));
        }
        // One of them may be killed.
        let killed = below(&mut rng, 2 * sweeps.len() as u64) as usize;
        if let Some(sweep) = sweeps.get(killed) {
            std::thread::sleep(Duration::from_millis(below(&mut rng, 300)));
            sweep.signal_all("KILL");
        }
        for (index, sweep) in sweeps.into_iter().enumerate() {
            let ended = sweep.wait();
            match ended.code() {
                Some(0) => {}
                Some(2) => {
                    ended.says("is in use by another sweep");
                    refused += 1;
                }
                _ => assert_eq!(index, killed, "{}", ended.stderr),
            }
        }
        owner.run(SWEEP).exits(0);
        assert_eq!(owner.results(), expected);
        assert_eq!(left_over(&results), [] as [std::path::PathBuf; 0]);
        rounds += 1;
    }
    println!(
        "contention: {rounds} rounds of two to four sweeps, {refused} refused; results as of one sweep"
    );
}
