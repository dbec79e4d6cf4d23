//! Words and overrides as somebody types them in a shell.

/// A word as a shell reads it.
pub(super) fn word(word: &str) -> String {
    // It fails for a NUL, which no argument can contain.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), |quoted| quoted.into_owned())
}

/// An override `path=value`. The equals sign is left unquoted, which is easier to read.
pub(super) fn path_value(text: &str) -> String {
    match text.split_once('=') {
        Some((path, value)) => format!("{}={}", word(path), word(value)),
        None => word(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_reads_back_the_override() {
        for (text, quoted) in [
            ("train.steps=50", "train.steps=50"),
            ("model.norm=rmsnorm", "model.norm=rmsnorm"),
            (
                "sample.prompt=it's \"so\"",
                "sample.prompt=\"it's \\\"so\\\"\"",
            ),
            ("sample.prompt=$HOME", "sample.prompt='$HOME'"),
            (
                "optimizer.betas=[0.9, 0.95]",
                "optimizer.betas='[0.9, 0.95]'",
            ),
            ("sample.stop=", "sample.stop=''"),
        ] {
            assert_eq!(path_value(text), quoted);
            assert_eq!(shlex::split(quoted).unwrap(), [text]);
        }
        assert_eq!(word(""), "''");
        assert_eq!(word("my file.yaml"), "'my file.yaml'");
    }
}
