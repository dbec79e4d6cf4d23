//! Showing how two runs differ.

use crate::support::{Lab, TINY};

#[test]
fn two_runs_are_compared() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    lab.run("diff bigram-s1 gpt-s1")
        .exits(0)
        .shows("model.kind  bigram  gpt")
        .shows("Environment\nthe same\n")
        .shows("bits per byte")
        .shows("The losses differ from the beginning.");
    lab.run("diff gpt-s1 gpt-s2").exits(0).shows("seed  1  2");
    lab.run("diff gpt-s1 gpt-s1")
        .exits(0)
        .shows("Settings\nthe same\n")
        .shows("All losses that both runs have recorded are identical, up to step 30.");
    lab.run("diff gpt-s1 gpt-s9")
        .exits(2)
        .says("there is no run gpt-s9");
    lab.run("diff gpt-s1").exits(2);
}

#[test]
fn the_first_step_that_differs_is_named() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only gpt").exits(0);
    lab.run("sweep tiny.yaml --only gpt --results other train.steps=45 train.eval_every=45")
        .exits(0);
    lab.run("diff results/tiny/gpt-s1 other/tiny/runs/gpt-s1")
        .exits(0)
        .shows("train.steps")
        .shows("All losses that both runs have recorded are identical, up to step");
    lab.run("generate other/tiny/gpt-s1 --tokens 3").exits(0);
    lab.run("diff results/tiny/gpt-s1 other/tiny/gpt-s9")
        .exits(2)
        .says("there is no run other/tiny/gpt-s9");
}

#[test]
fn a_damaged_configuration_is_named() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only gpt").exits(0);
    let runs = std::fs::read_dir(lab.path("results/tiny/runs")).unwrap();
    let mut runs = runs.map(|run| run.unwrap().path());
    let run = runs.find(|run| run.to_string_lossy().contains("gpt-s2"));
    let config = run.unwrap().join("config.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("seed: 2", "seed: 3")).unwrap();
    lab.run("diff gpt-s1 gpt-s2")
        .exits(1)
        .says("config.yaml")
        .says("its contents are not those that the run wrote");
}
