//! Folders that a user may not read. No command says that what is in them is absent.

use crate::support::{Lab, TINY};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const DENIED: &str = "Permission denied";

fn set_mode(lab: &Lab, path: &str, mode: u32) {
    fs::set_permissions(lab.path(path), fs::Permissions::from_mode(mode)).unwrap();
}

/// The words of the shell that start a command as a user without rights on the folder `shut`.
fn as_other_user(lab: &Lab) -> &'static str {
    match fs::metadata(lab.path("shut")).unwrap().uid() {
        // Nothing is shut for this user.
        0 => "exec setpriv --reuid 65534 --clear-groups",
        _ => "exec",
    }
}

#[test]
fn what_may_not_be_read_is_not_called_absent() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only gpt-s1-* --results shut")
        .exits(0);
    fs::write(lab.path("shut/text.txt"), "text").unwrap();
    fs::copy(lab.path("tiny.yaml"), lab.path("shut/other.yaml")).unwrap();
    let run = lab.path("shut/tiny/runs");
    let run = fs::read_dir(run).unwrap().next().unwrap().unwrap().path();
    let run = run.display().to_string();
    set_mode(&lab, ".", 0o755);
    set_mode(&lab, "shut", 0o000);
    let words = as_other_user(&lab);
    let commands = [
        "report shut/tiny".to_owned(),
        "verify shut/tiny".to_owned(),
        "watch shut/tiny".to_owned(),
        "confirm shut/tiny gpt".to_owned(),
        "compare shut/tiny shut/tiny".to_owned(),
        "plan shut/other.yaml".to_owned(),
        "plan tiny.yaml data.source=shut/text.txt".to_owned(),
        "generate gpt-s1 --results shut".to_owned(),
        "diff gpt-s1 gpt-s1 --results shut".to_owned(),
        format!("generate {run}"),
    ];
    let ran = commands.map(|command| lab.run_in_shell(words, &command));
    set_mode(&lab, "shut", 0o755);
    for ran in ran {
        let ran = ran.says(DENIED).says("cannot read");
        for text in [
            "there is no",
            "does not exist",
            "is a file",
            "no such file",
            "no runs were found",
        ] {
            let said = ran.stderr.to_lowercase();
            assert!(!said.contains(text), "{}", ran.screen());
        }
        assert!(matches!(ran.code(), Some(1 | 2)), "{}", ran.screen());
    }
}
