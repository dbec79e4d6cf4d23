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
    let output = lab.run("diff results/tiny/runs/gpt-s1 other/tiny/runs/gpt-s1");
    output.exits(2); // a folder has its full name
    let run = |results: &str| {
        let runs = std::fs::read_dir(lab.path(&format!("{results}/tiny/runs"))).unwrap();
        let names = runs.map(|run| run.unwrap().file_name().into_string().unwrap());
        let name = names.into_iter().find(|name| name.starts_with("gpt-s1"));
        format!("{results}/tiny/runs/{}", name.unwrap())
    };
    lab.run(&format!("diff {} {}", run("results"), run("other")))
        .exits(0)
        .shows("train.steps")
        .shows("All losses that both runs have recorded are identical, up to step");
}
