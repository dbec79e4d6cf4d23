//! Damage to every file of a results folder.

use crate::support::{Lab, Row, TINY};
use crate::{Cases, SWEEP, choose, files_in};
use rand_chacha::ChaCha8Rng;
use runner::random::below;
use std::fs;
use std::path::Path;

#[test]
fn no_number_of_a_damaged_file_is_shown() {
    let finished = Lab::new(TINY);
    finished.run(SWEEP).exits(0);
    let expected = finished.results();
    let half = Lab::new(TINY);
    let mut sweep = half.start(&SWEEP.replace("--jobs 2", "--jobs 1"));
    sweep.until_exists(|lab| {
        Some(
            lab.run_folder("gpt-s2-")?
                .join("checkpoint/state.safetensors"),
        )
    });
    sweep.signal_all("INT");
    sweep.wait();

    let (mut damages, mut named) = (0, 0);
    for mut rng in Cases::new("damage", 12) {
        let (origin, is_finished) = match below(&mut rng, 2) {
            0 => (&finished, true),
            _ => (&half, false),
        };
        let lab = Lab::new(TINY);
        copy(&origin.path("results"), &lab.path("results"));
        let results = lab.path("results/tiny");
        let mut files = files_in(&results);
        files.retain(|file| !file.ends_with(".lock"));
        let file = choose(&mut rng, &files);
        let name = file.strip_prefix(&results).unwrap().display().to_string();
        let before = fs::read(file).unwrap();
        let what = loop {
            let what = damage(file, &mut rng);
            // Some changes change nothing, such as zeros where there are zeros.
            if fs::read(file).ok().as_ref() != Some(&before) {
                break what;
            }
        };
        let context = format!("{name}: {what}");

        let report = lab.run("report results/tiny");
        if report.code() != Some(2)
            && results.join("summary.csv").exists()
            && !name.ends_with("summary.csv")
        {
            assert_done_rows_are(&lab.results(), &expected, &context);
        }
        let verified = lab.run("verify results/tiny");
        let ended_run = is_finished && name.starts_with("runs/") && !name.contains("checkpoint");
        let is_deleted_weights = name.ends_with(".safetensors") && !file.exists();
        if name.ends_with("status.json") && !file.exists() {
            // Without its record, a run has not ended.
            assert!(
                verified.stdout.contains(" not ended"),
                "{}",
                verified.stdout
            );
        } else if ended_run && !is_deleted_weights {
            assert_eq!(verified.code(), Some(1), "{context} is not noticed");
        }
        let file_name = file.file_name().unwrap().to_str().unwrap();
        let said = [
            &report.stdout,
            &report.stderr,
            &verified.stdout,
            &verified.stderr,
        ];
        named += u32::from(said.iter().any(|text| text.contains(file_name)));

        let swept = lab.run(SWEEP);
        assert_eq!(swept.code(), Some(0), "{context}: {}", swept.stderr);
        assert_eq!(lab.results(), expected, "{context}");
        let again = lab.run("verify results/tiny");
        // Damage to weights and tokenizers does not change a report, so the run is not trained again.
        if !(name.ends_with("model.safetensors") || name.ends_with("tokenizer.json")) {
            assert_eq!(again.code(), Some(0), "{context}: {}", again.stdout);
        }
        damages += 1;
    }
    println!(
        "damage: {damages} damaged files, of which {named} were named; no wrong number was shown"
    );
}

/// The rows of finished runs have the expected values.
fn assert_done_rows_are(rows: &[Row], expected: &[Row], context: &str) {
    for row in rows.iter().filter(|row| row["status"] == "done") {
        assert!(expected.contains(row), "{context} gives {row:?}");
    }
}

/// Changes a file at random, and says how.
fn damage(file: &Path, rng: &mut ChaCha8Rng) -> String {
    let mut bytes = fs::read(file).unwrap();
    let at = below(rng, bytes.len().max(1) as u64) as usize;
    let what = match below(rng, 6) {
        0 if !bytes.is_empty() => {
            bytes[at] ^= 1 << below(rng, 8);
            format!("a bit of byte {at} is flipped")
        }
        1 => {
            bytes.truncate(at);
            format!("only {at} bytes are left")
        }
        2 => {
            let end = (at + 64).min(bytes.len());
            bytes[at..end].fill(0);
            format!("bytes {at} to {end} are zero")
        }
        3 => {
            bytes.extend(b"{\"event\": 1}\n");
            "a line is appended".to_owned()
        }
        4 => match bytes.iter().position(u8::is_ascii_digit) {
            Some(first) => {
                let digits = bytes
                    .iter_mut()
                    .skip(first.max(at))
                    .filter(|byte| byte.is_ascii_digit());
                for digit in digits.take(1) {
                    *digit = b'0' + (*digit - b'0' + 1) % 10;
                }
                format!("the digit at or after byte {at} is increased")
            }
            None => "nothing".to_owned(),
        },
        _ => {
            fs::remove_file(file).unwrap();
            return "it is deleted".to_owned();
        }
    };
    fs::write(file, bytes).unwrap();
    what
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, target).unwrap()),
        }
    }
}
