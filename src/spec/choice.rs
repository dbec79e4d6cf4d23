use serde::de::DeserializeOwned;

/// A field whose value decides which other keys of a run apply, such as `optimizer.kind`.
pub trait Choice: Copy + DeserializeOwned {
    /// Path of the field.
    const PATH: &'static str;

    /// Paths of the keys and sections that apply with this value, of those that do not apply with
    /// every value.
    fn keys(self) -> &'static [&'static str];

    /// Whether a key applies with this value.
    fn uses(self, path: &str) -> bool {
        self.keys().contains(&path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Norm, OptimizerKind, ScheduleKind, TokenizerKind};

    /// Each key that the code asks for by name applies with some values and not with others, so a
    /// misspelled name does not go unnoticed.
    #[test]
    fn the_keys_that_code_asks_for_depend_on_the_choice() {
        fn assert_depends<C: Choice>(all: &[C], key: &str) {
            let users = all.iter().filter(|choice| choice.uses(key)).count();
            assert!((1..all.len()).contains(&users), "{key}: {users} values");
        }
        assert_depends(&Norm::ALL, "model.bias_overrides.norm");
        assert_depends(&ScheduleKind::ALL, "optimizer.schedule.min_lr");
        assert_depends(&OptimizerKind::ALL, "optimizer.nesterov");
        assert_depends(&OptimizerKind::ALL, "optimizer.muon");
        assert_depends(&TokenizerKind::ALL, "tokenizer.vocab_size");
    }
}
