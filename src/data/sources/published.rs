//! Published texts that have a name.

/// A file with known content.
pub(super) struct PublishedFile {
    pub(super) url: &'static str,
    pub(super) sha256: &'static str,
}

/// 40,000 lines from the plays of Shakespeare, as collected for char-rnn.
pub(super) const TINY_SHAKESPEARE: PublishedFile = PublishedFile {
    url: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
};

/// 32,033 first names, one per line, as collected for makemore.
pub(super) const NAMES: PublishedFile = PublishedFile {
    url: "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",
    sha256: "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
};
