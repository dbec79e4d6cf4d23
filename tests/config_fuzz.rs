//! No input is a crash: any text, any mutation of a good file and any override gives a document or
//! errors that can be shown.

use proptest::prelude::*;
use runner::config;

const GOOD: [&str; 2] = [
    include_str!("../experiments/ablation.yaml"),
    include_str!("bad/grid_lists.yaml"),
];

/// Reads, expands and renders; whatever it gives, it must give something.
fn exercise(text: &str, overrides: &[String]) {
    let errors = match config::from_text("fuzz.yaml", text, overrides) {
        Err(errors) => errors,
        Ok(document) => match document.expand() {
            Err(errors) => errors,
            Ok(expansion) => {
                assert!(!expansion.runs.is_empty());
                return;
            }
        },
    };
    assert!(errors.len() > 0);
    assert!(errors.render(false).starts_with("error: "));
    assert!(errors.render(true).contains('\u{1b}'));
}

/// Pieces that YAML is made of, and some that it is not.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "- ",
            ": ",
            "? ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "&a ",
            "*a",
            "<<",
            "|",
            ">",
            "\"",
            "'",
            "#",
            "\n",
            "\n  ",
            "\t",
            "---\n",
            "...\n",
            "%YAML 1.2\n",
            "!",
            "!!int ",
            "~",
            "null",
            ".nan",
            "1e-3",
            "0x",
            "-",
            "\r\n",
            "\r",
            "\u{feff}",
            "\u{0}",
            "\u{85}",
            "\u{2028}",
            "é",
            "🎭",
            "name",
            "model",
            "sweep",
            "grid",
            "variants",
            "kind",
            "seeds",
            "model.norm",
            "bigram",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        exercise(&text, &[]);
    }

    #[test]
    fn any_sequence_of_pieces(pieces in prop::collection::vec(piece(), 0..60)) {
        exercise(&pieces.concat(), &[]);
        exercise(&format!("name: fuzz\n{}", pieces.concat()), &[]);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        if let Err(errors) = config::load(file.path(), &[]) {
            prop_assert!(errors.to_string().starts_with("error: "));
        }
    }

    #[test]
    fn any_mutation_of_a_good_file(
        file in 0..GOOD.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, piece()), 1..6),
    ) {
        let mut chars: Vec<char> = GOOD[file].chars().collect();
        for (at, removed, inserted) in cuts {
            let at = at.index(chars.len() + 1);
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, inserted.chars());
        }
        exercise(&chars.into_iter().collect::<String>(), &[]);
    }

    #[test]
    fn any_override(path in "[a-z_.]{0,20}", pieces in prop::collection::vec(piece(), 0..8)) {
        let value = pieces.concat();
        let overrides = [format!("{path}={value}"), format!("model.norm={value}"), value];
        for one in overrides {
            exercise(GOOD[0], &[one]);
        }
    }
}
