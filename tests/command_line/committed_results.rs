//! Whoever runs an experiment again gets the results that are committed with it.

use crate::support::{Lab, TINY, summary};
use std::fs;
use std::path::Path;

#[test]
fn the_quickstart_reproduces_its_committed_results_to_the_last_digit() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lab = Lab::new(TINY);
    let file = lab.path("quickstart.yaml");
    fs::copy(project.join("experiments/quickstart.yaml"), file).unwrap();
    lab.run("sweep quickstart.yaml").exits(0);
    let written = lab.path("results/quickstart/summary.csv");
    let committed = project.join("results/quickstart/summary.csv");
    assert_eq!(summary(&written), summary(&committed));
    // A finished sweep is not trained again.
    let before = fs::read(&written).unwrap();
    lab.run("sweep quickstart.yaml").exits(0);
    assert!(before == fs::read(&written).unwrap());
}
