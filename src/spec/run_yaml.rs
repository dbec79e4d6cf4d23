use super::RunSpec;

impl RunSpec {
    /// The run as YAML. Floats have the form `1.0e-8`, which every reader takes for a number. A reader of
    /// YAML 1.1, such as PyYAML, takes `1e-8` for text.
    pub fn to_yaml(&self) -> serde_yaml::Result<String> {
        let yaml = serde_yaml::to_string(self)?;
        let mut portable = String::with_capacity(yaml.len());
        // The indentation of the key whose value is a text over several lines.
        let mut text_of: Option<usize> = None;
        for line in yaml.split_terminator('\n') {
            let indentation = line.len() - line.trim_start().len();
            let is_text = text_of.is_some_and(|key| indentation > key || line.trim().is_empty());
            if is_text {
                portable += line;
            } else {
                text_of = starts_text(line).then_some(indentation);
                portable += &with_portable_float(line);
            }
            portable.push('\n');
        }
        Ok(portable)
    }
}

/// Whether the lines after this one are a text, such as after `prompt: |-`.
fn starts_text(line: &str) -> bool {
    let value = line.split_once(": ").map_or("", |(_, value)| value);
    value.starts_with(['|', '>'])
}

/// A line whose value is written with a decimal point and a sign of the exponent, if it is a float with an
/// exponent. A string that looks like a float is in quotes.
fn with_portable_float(line: &str) -> String {
    let start = line.rfind(' ').map_or(0, |space| space + 1);
    let (before, value) = line.split_at(start);
    let head = before.trim_start();
    let is_key = head.ends_with(": ") && head.find(' ') == Some(head.len() - 1);
    let is_alone = is_key || head == "- ";
    match value.split_once('e') {
        Some((digits, exponent)) if is_alone && value.parse::<f64>().is_ok() => {
            let point = if digits.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with(['-', '+']) {
                ""
            } else {
                "+"
            };
            format!("{before}{digits}{point}e{sign}{exponent}")
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_text;
    use proptest::prelude::*;

    fn run(text: &str) -> RunSpec {
        let document = from_text("test.yaml", text, &[]).unwrap_or_else(|e| panic!("{e}"));
        document.expand().unwrap().runs.remove(0)
    }

    #[test]
    fn floats_are_numbers_in_yaml_1_1() {
        let text = "name: x\noptimizer: {eps: 1e-8, grad_clip: 2.5e300, weight_decay: 0.1}";
        let yaml = run(text).to_yaml().unwrap();
        for line in [
            "\n  eps: 1.0e-8\n",
            "\n  grad_clip: 2.5e+300\n",
            "\n  weight_decay: 0.1\n",
        ] {
            assert!(yaml.contains(line), "{yaml}");
        }
        // The float of YAML 1.1, from https://yaml.org/type/float.html.
        let float = regex::Regex::new(r"^[-+]?([0-9][0-9_]*)?\.[0-9.]*([eE][-+][0-9]+)?$").unwrap();
        let values = yaml
            .lines()
            .filter_map(|line| line.trim().rsplit(' ').next());
        for value in values.filter(|value| value.parse::<f64>().is_ok() && value.contains('e')) {
            assert!(float.is_match(value), "{value}");
        }
    }

    proptest! {
        /// Texts that look like keys, floats and lines of a text come back unchanged.
        #[test]
        fn every_text_is_read_back(prompt in "([ \n:|>-]|a: 1e-9|- 2e5|1e-8|prompt: \\||é|\t|\"|'|#){0,12}") {
            let mut run = run("name: x");
            run.sample.prompt = prompt.clone();
            run.sample.stop = Some(prompt);
            run.optimizer.eps = 1e-9;
            let read: RunSpec = serde_yaml::from_str(&run.to_yaml().unwrap()).unwrap();
            prop_assert_eq!(read, run);
        }
    }
}
