//! What the files of weights say about the run that saved them. It shows whether the other files of the run's folder
//! belong to them, also before the run has a record.

use crate::model::read_text;
use crate::results::{FileDigest, RecordError, RunDir};
use crate::spec::{Model, RunSpec};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Key of the section `model` of the configuration, as JSON.
const MODEL: &str = "model";
/// Key of the SHA-256 of `tokenizer.json`.
const TOKENIZER: &str = "tokenizer_sha256";

/// The metadata of weights that are saved in the folder of a run.
pub(super) fn metadata(spec: &RunSpec, dir: &RunDir) -> io::Result<BTreeMap<String, String>> {
    let tokenizer = FileDigest::of_file(&dir.tokenizer())?;
    Ok(BTreeMap::from([
        (MODEL.to_owned(), serde_json::to_string(&spec.model)?),
        (TOKENIZER.to_owned(), tokenizer.sha256),
    ]))
}

/// Checks that the configuration and the tokenizer in the folder of a run are those of its saved weights. Weights of
/// earlier versions do not tell.
///
/// # Errors
/// The file that does not belong to the weights, or cannot be read.
pub fn check_origin(weights: &Path, spec: &RunSpec, dir: &RunDir) -> Result<(), RecordError> {
    let other = |what: &str| format!("{} was trained with another {what}", weights.display());
    let model = read_text(weights, MODEL);
    let model = model.map(|json| serde_json::from_str::<Model>(&json).ok());
    if model.is_some_and(|model| model.as_ref() != Some(&spec.model)) {
        return Err(RecordError::damaged(dir.config())(other("model")));
    }
    if let Some(expected) = read_text(weights, TOKENIZER) {
        let path = dir.tokenizer();
        let found = FileDigest::of_file(&path);
        let found = found.map_err(RecordError::read(&path))?;
        if found.sha256 != expected {
            return Err(RecordError::damaged(path)(other("tokenizer")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Every;
    use crate::train::testing::{Fixture, spec};
    use std::fs;

    #[test]
    fn weights_of_a_run_that_has_not_ended_tell_its_model_and_tokenizer() {
        let (fixture, mut spec) = (Fixture::new(), spec());
        spec.train.save_every = Some(Every::Steps(2));
        let dir = fixture.dir("run", &spec);
        fixture.run(&dir, &spec, 1, 2);
        let weights = dir.weights_at(2);
        check_origin(&weights, &spec, &dir).unwrap();

        let mut other = spec.clone();
        other.model.n_head = 1;
        let error = check_origin(&weights, &other, &dir)
            .unwrap_err()
            .to_string();
        assert!(error.contains("config.yaml is damaged"), "{error}");

        let tokenizer = fs::read_to_string(dir.tokenizer()).unwrap();
        fs::write(dir.tokenizer(), tokenizer.replacen('a', "e", 1)).unwrap();
        let error = check_origin(&weights, &spec, &dir).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json is damaged"), "{error}");
        fs::remove_file(dir.tokenizer()).unwrap();
        let error = check_origin(&weights, &spec, &dir).unwrap_err();
        assert!(!error.is_damage(), "{error}");
    }
}
