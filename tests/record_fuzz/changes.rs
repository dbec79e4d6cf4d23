//! Changes of a JSON document at random.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// Numbers that are hardly meant.
const ODD_INTEGERS: &[i128] = &[
    0,
    1,
    2,
    3,
    7,
    15,
    100,
    1000,
    65_536,
    100_000,
    1 << 31,
    1 << 32,
    99_999_999_999,
    1 << 53,
    i64::MAX as i128,
    1 << 63,
    u64::MAX as i128,
    -1,
    i64::MIN as i128,
];
const ODD_FLOATS: &[f64] = &[
    0.0,
    -0.0,
    5e-324,
    1e-300,
    1e-17,
    0.1,
    0.5,
    1.0,
    1.5,
    3.0,
    1e10,
    1e19,
    1e100,
    1e300,
    f64::MAX,
    -1.0,
    -1e-300,
    f64::MIN,
];
const ODD_TEXTS: &[&str] = &[
    "",
    " ",
    "a",
    "NaN",
    "inf",
    "-1",
    "1e999",
    "..",
    "../../x",
    "/",
    "a/b",
    "\u{0}",
    "\u{1b}[31m\u{202e}\u{9b}",
    "|`<b>\n# x",
    "\r\n",
    "\u{1f600}",
    "done",
    "failed",
    "diverged",
    "stopped",
    "gpt",
    "bigram",
    "ngram",
    "relu",
    "decided",
    "val_loss",
    "tokens_per_second",
    "steps_to_loss",
    "1 epoch",
    "0 epochs",
    "1e300 epochs",
    "30 seconds",
    "cosine",
    "inverse_sqrt",
];

/// A value of any type.
fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([1, 2])),
        prop::sample::select(ODD_INTEGERS).prop_map(integer),
        prop::sample::select(ODD_FLOATS).prop_map(Value::from),
        odd_text().prop_map(Value::from),
    ]
}

fn integer(number: i128) -> Value {
    match u64::try_from(number) {
        Ok(number) => json!(number),
        Err(_) => json!(number as i64),
    }
}

fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(ODD_TEXTS).prop_map(str::to_owned),
        1 => Just("é|".repeat(2000)),
        1 => Just("a".repeat(1 << 17)),
        2 => any::<String>(),
    ]
}

/// How one place of a document is changed.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Set(Value),
    /// Another value of the same type, of which these are chosen.
    Odd(Index, String),
    /// Takes the value of another place.
    Copy(Index),
    Remove,
    Rename(String),
    Repeat(usize),
    /// Puts the value into so many lists.
    Nest(usize),
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<(Index, Change)>> {
    let change = prop_oneof![
        2 => odd_value().prop_map(Change::Set),
        8 => (any::<Index>(), odd_text()).prop_map(|(index, text)| Change::Odd(index, text)),
        2 => any::<Index>().prop_map(Change::Copy),
        1 => Just(Change::Remove),
        1 => odd_text().prop_map(Change::Rename),
        1 => (2..30_usize).prop_map(Change::Repeat),
        1 => prop_oneof![Just(1), Just(100), Just(500)].prop_map(Change::Nest),
    ];
    prop::collection::vec((any::<Index>(), change), 1..4)
}

/// The JSON pointers of all values in a document.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{here}/{}", escaped(name)), found);
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                places(value, &format!("{here}/{at}"), found);
            }
        }
        _ => {}
    }
}

/// Changes a document at some of its places.
pub(crate) fn apply(document: &mut Value, changes: &[(Index, Change)]) {
    for (at, change) in changes {
        let mut found = Vec::new();
        places(document, "", &mut found);
        let place: &String = at.get(&found);
        let value = document.pointer(place).unwrap().clone();
        let new = match change {
            Change::Set(value) => value.clone(),
            Change::Odd(index, text) => odd(&value, index, text),
            Change::Copy(from) => {
                let from: &String = from.get(&found);
                document.pointer(from).unwrap().clone()
            }
            Change::Repeat(times) => match value {
                Value::Array(values) => {
                    let all = std::iter::repeat_n(values, *times);
                    all.flatten().collect()
                }
                Value::String(text) => json!(text.repeat(*times)),
                value => json!(vec![value; *times]),
            },
            Change::Nest(depth) => {
                let nested = |value, _| json!([value]);
                (0..*depth).fold(value, nested)
            }
            Change::Remove | Change::Rename(_) => {
                let Some((parent, name)) = place.rsplit_once('/') else {
                    continue;
                };
                let name = name.replace("~1", "/").replace("~0", "~");
                match document.pointer_mut(parent).unwrap() {
                    Value::Object(fields) => {
                        fields.remove(&name);
                        if let Change::Rename(new) = change {
                            fields.insert(new.clone(), value);
                        }
                    }
                    Value::Array(values) => drop(values.remove(name.parse().unwrap())),
                    _ => unreachable!("only objects and lists have places"),
                }
                continue;
            }
        };
        *document.pointer_mut(place).unwrap() = new;
    }
}

/// Another value of the same type.
fn odd(value: &Value, index: &Index, text: &str) -> Value {
    match value {
        Value::Null => json!(index.get(ODD_FLOATS)),
        Value::Bool(value) => json!(!value),
        Value::Number(number) if number.is_f64() => json!(index.get(ODD_FLOATS)),
        Value::Number(_) => integer(*index.get(ODD_INTEGERS)),
        Value::String(_) => json!(text),
        Value::Array(values) => {
            let kept = index.index(values.len() + 1);
            values[..kept].to_vec().into()
        }
        Value::Object(fields) => {
            let removed = index.index(fields.len() + 1);
            let fields = fields.iter().enumerate();
            let kept = fields.filter(|(at, _)| *at != removed);
            kept.map(|(_, (name, value))| (name.clone(), value.clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
    }
}
