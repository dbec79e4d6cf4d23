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
