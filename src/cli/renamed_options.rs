//! Options that were renamed. Their former names still work, and print a hint.

use super::args::{Generate, Sweep};
use crate::text::terminal::print_note;

impl Sweep {
    /// Applies the options that were given by their former names.
    pub(super) fn apply_former_names(&mut self) {
        if std::mem::take(&mut self.retry) {
            print_hint("--retry", "--retry-failed");
            self.retry_failed = true;
        }
        if std::mem::take(&mut self.fresh) {
            print_hint("--fresh", "--restart");
            self.restart = true;
        }
    }
}

impl Generate {
    /// Applies the options that were given by their former names.
    pub(super) fn apply_former_names(&mut self) {
        if let Some(num) = self.num.take() {
            print_hint("--num", "--num-samples");
            self.num_samples = Some(num);
        }
    }
}

fn print_hint(former: &str, name: &str) {
    print_note(&format!("note: {former} is now named {name}"));
}

#[cfg(test)]
mod tests {
    use super::super::args::{Cli, Command};
    use clap::Parser;

    #[test]
    fn former_names_have_the_effect_of_the_new_ones() {
        let parse = |arguments: &str| Cli::try_parse_from(arguments.split(' ')).unwrap().command;
        let Command::Sweep(mut sweep) = parse("runner sweep a.yaml --retry --fresh") else {
            panic!("not a sweep");
        };
        sweep.apply_former_names();
        assert!(sweep.retry_failed && sweep.restart && !sweep.retry && !sweep.fresh);
        let Command::Generate(mut generate) = parse("runner generate gpt --num 3") else {
            panic!("not a generate");
        };
        generate.apply_former_names();
        assert_eq!((generate.num_samples, generate.num), (Some(3), None));
    }
}
