//! The known name that is most similar to an unknown one.

use super::error_kind::{Hint, MAX_NAMES};

/// Longest name that is compared: a longer one is not a typing error, and comparing it takes long.
const MAX_LENGTH: usize = 64;

/// Most known names that are compared. A sweep can have thousands of variants, and its claims can name
/// thousands that do not exist.
const MAX_COMPARED: usize = 1000;

/// Names that other tools give to keys, with the paths of these keys.
const NAMES_OF_OTHER_TOOLS: [(&str, &str); 17] = [
    ("activation", "model.mlp"),
    ("batch", "train.batch_size"),
    ("context_length", "model.block_size"),
    ("d_model", "model.n_embd"),
    ("eval_interval", "train.eval_every"),
    ("hidden_size", "model.n_embd"),
    ("layers", "model.n_layer"),
    ("learning_rate", "optimizer.lr"),
    ("max_iters", "train.steps"),
    ("max_steps", "train.steps"),
    ("n_heads", "model.n_head"),
    ("n_layers", "model.n_layer"),
    ("num_heads", "model.n_head"),
    ("num_layers", "model.n_layer"),
    ("seq_len", "model.block_size"),
    ("seq_length", "model.block_size"),
    ("total_steps", "train.steps"),
];

/// The path of the key that other tools call `key`. Of a path, the last part counts.
pub(super) fn path_of_other_name(key: &str) -> Option<&'static str> {
    let key = key.rsplit_once('.').map_or(key, |(_, last)| last);
    let mut names = NAMES_OF_OTHER_TOOLS.iter();
    names.find(|(name, _)| *name == key).map(|(_, path)| *path)
}

/// The most similar of the known names, or all of them if none is similar.
pub(super) fn hint<S: AsRef<str>>(word: &str, known: &[S]) -> Hint {
    match nearest(word, known) {
        Some(name) => Hint::Nearest(name.to_owned()),
        None => Hint::Known {
            names: known
                .iter()
                .take(MAX_NAMES)
                .map(|name| name.as_ref().to_owned())
                .collect(),
            more: known.len().saturating_sub(MAX_NAMES),
        },
    }
}

/// The known name with the smallest edit distance to `word`, if that is at most a third of its
/// letters (but at least 1). The last part of a name is compared too: `norm` matches `model.norm`,
/// and `shakespeare` matches `tiny-shakespeare`.
pub(crate) fn nearest<'a, S: AsRef<str>>(word: &str, known: &'a [S]) -> Option<&'a str> {
    if word.len() > MAX_LENGTH {
        return None;
    }
    let lower = word.to_lowercase().replace('-', "_");
    let distance = |name: &str| {
        let name = name.to_lowercase();
        let whole = strsim::damerau_levenshtein(&lower, &name);
        let of_path = name.rsplit_once('.').map(|(_, last)| last);
        let of_words = name.rsplit_once(['-', ':']).map(|(_, last)| last);
        let of_words = of_words.filter(|last| last.len() > 3);
        let parts = of_path.into_iter().chain(of_words);
        let distances = parts.map(|part| strsim::damerau_levenshtein(&lower, part));
        distances.fold(whole, usize::min)
    };
    let compared = known.iter().take(MAX_COMPARED);
    let ranked = compared.map(|name| (distance(name.as_ref()), name));
    let (distance, name) = ranked.min_by_key(|(distance, _)| *distance)?;
    (distance <= (word.chars().count() / 3).max(1)).then(|| name.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    const KNOWN: [&str; 5] = ["n_layer", "n_head", "norm", "model.mlp", "tiny-corpus"];

    #[test]
    fn a_typing_error_is_corrected() {
        for (word, name) in [
            ("n_layers", "n_layer"),
            ("N-HEAD", "n_head"),
            ("nrom", "norm"),
            ("mlp", "model.mlp"),
            ("corpos", "tiny-corpus"),
        ] {
            assert_eq!(hint(word, &KNOWN), Hint::Nearest(name.to_owned()), "{word}");
        }
    }

    #[test]
    fn names_of_other_tools_lead_to_keys_that_exist() {
        for (name, path) in NAMES_OF_OTHER_TOOLS {
            assert!(schema::at(path).is_some(), "{name} leads to {path}");
        }
        for name in ["learning_rate", "optimizer.learning_rate"] {
            assert_eq!(path_of_other_name(name), Some("optimizer.lr"));
        }
    }

    #[test]
    fn another_word_gets_the_whole_list() {
        assert!(
            matches!(hint("banana", &KNOWN), Hint::Known { names, more: 0 } if names.len() == 5)
        );
        assert!(matches!(
            hint(&"n".repeat(1_000_000), &KNOWN),
            Hint::Known { .. }
        ));
    }
}
