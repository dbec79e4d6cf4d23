//! A laboratory for the real binary: a folder with an experiment in it, and commands run there.
//!
//! ```text
//! let lab = Lab::new(TINY);
//! lab.run("sweep tiny.yaml --jobs 2").exits(0).says("2 at a time");
//! assert_eq!(lab.results(), other.results());
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Long enough for anything here, even where tests share a slow machine, and where another processor than x86-64 is
/// emulated.
const PATIENCE: Duration = Duration::from_secs(if cfg!(target_arch = "x86_64") {
    120
} else {
    1200
});

/// Columns of `summary.csv` that no two sweeps share.
const TIMINGS: [&str; 3] = ["tokens_per_second", "seconds", "peak_memory_mb"];

pub(crate) struct Lab {
    folder: TempDir,
    /// Environment variables of the commands.
    environment: Vec<(&'static str, String)>,
}

impl Lab {
    /// A folder that holds `tiny.yaml`.
    pub(crate) fn new(experiment: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tiny.yaml"), experiment).unwrap();
        Self {
            folder,
            environment: Vec::new(),
        }
    }

    /// Sets an environment variable for all commands.
    pub(crate) fn with_variable(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the binary to its end; arguments are separated by white space.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        self.start(arguments).wait()
    }

    /// [`Self::run`] with something to read on standard input.
    pub(crate) fn run_with(&self, arguments: &str, input: &str) -> Ran {
        fs::write(self.path("stdin"), input).unwrap();
        let input = File::open(self.path("stdin")).unwrap();
        self.start_with(arguments, input.into()).wait()
    }

    /// Starts the binary in a process group of its own.
    pub(crate) fn start(&self, arguments: &str) -> Running<'_> {
        self.start_with(arguments, Stdio::null())
    }

    /// Runs the binary by a shell, behind words such as `ulimit -v 100000; exec`.
    pub(crate) fn run_in_shell(&self, words: &str, arguments: &str) -> Ran {
        let script = format!("{words} \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_runner")]);
        self.start_command(shell, arguments, Stdio::null()).wait()
    }

    fn start_with(&self, arguments: &str, input: Stdio) -> Running<'_> {
        let binary = Command::new(env!("CARGO_BIN_EXE_runner"));
        self.start_command(binary, arguments, input)
    }

    fn start_command(&self, mut command: Command, arguments: &str, input: Stdio) -> Running<'_> {
        let output = |name| File::create(self.folder.path().join(name)).unwrap();
        let child = command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("RUST_BACKTRACE")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(input)
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .process_group(0)
            .spawn()
            .unwrap();
        Running {
            lab: self,
            child,
            command: arguments.to_owned(),
        }
    }

    /// Folder of the run whose name starts with `start`, such as `gpt-s1-`.
    pub(crate) fn run_folder(&self, start: &str) -> Option<PathBuf> {
        let runs = fs::read_dir(self.path("results/tiny/runs")).ok()?;
        runs.flatten().map(|entry| entry.path()).find(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(start)
        })
    }

    /// `summary.csv`: see [`summary`].
    pub(crate) fn results(&self) -> Vec<Row> {
        summary(&self.path("results/tiny/summary.csv"))
    }

    /// `column` of `summary.csv`, by `variant-seed`.
    pub(crate) fn column(&self, column: &str) -> BTreeMap<String, String> {
        let name = |row: &Row| format!("{}-{}", row["variant"], row["seed"]);
        self.results()
            .iter()
            .map(|row| (name(row), row[column].clone()))
            .collect()
    }

    /// Whether no command has left anything behind.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.path("results").exists()
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap()).into_owned()
    }
}

/// The contents of a JSON file without the digest at its end, as earlier versions wrote it.
pub(crate) fn without_digest(json: &str) -> String {
    let (contents, _) = json.split_once(",\n  \"sha256\": ").unwrap();
    format!("{contents}\n}}\n")
}

/// A line of `summary.csv`, by the names of the columns.
pub(crate) type Row = BTreeMap<String, String>;

/// The lines of a `summary.csv`, without what is measured by the clock.
pub(crate) fn summary(path: &Path) -> Vec<Row> {
    let csv = fs::read_to_string(path).unwrap();
    let mut lines = csv.lines().map(fields);
    let header = lines.next().unwrap();
    let row = |line: Vec<String>| {
        assert_eq!(line.len(), header.len(), "{line:?}");
        let cells = header.iter().cloned().zip(line);
        cells
            .filter(|(column, _)| !TIMINGS.contains(&column.as_str()))
            .collect()
    };
    lines.map(row).collect()
}

/// The fields of a line of CSV whose quoted fields hold no line breaks.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

/// A command that is still running. Dropped, it is killed with all its children.
pub(crate) struct Running<'a> {
    lab: &'a Lab,
    child: Child,
    command: String,
}

impl Running<'_> {
    pub(crate) fn wait(mut self) -> Ran {
        let status = self.until("it ends", |running| running.child.try_wait().unwrap());
        Ran {
            command: self.command.clone(),
            status,
            stdout: self.lab.read("stdout"),
            stderr: self.lab.read("stderr"),
            folder: self.lab.folder.path().to_owned(),
        }
    }

    /// Waits until `path` is there.
    pub(crate) fn until_exists(&mut self, path: impl Fn(&Lab) -> Option<PathBuf>) {
        self.until("a file is there", |running| {
            path(running.lab).filter(|path| path.exists())
        });
    }

    pub(crate) fn until_says(&mut self, text: &str) {
        self.until(text, |running| {
            running.lab.read("stderr").contains(text).then_some(())
        });
    }

    fn until<T>(&mut self, what: &str, mut ready: impl FnMut(&mut Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = ready(self) {
                return value;
            }
            let said = self.lab.read("stderr");
            assert!(
                start.elapsed() < PATIENCE,
                "waited for {what}; stderr: {said}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `INT`, to the process alone.
    pub(crate) fn signal(&self, signal: &str) {
        kill(signal, &self.pid().to_string());
    }

    /// Sends a signal to the process and all its children, as a terminal does.
    pub(crate) fn signal_all(&self, signal: &str) {
        kill(signal, &format!("-{}", self.pid()));
    }

    /// Process ids of its children.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let is_worker = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // pid (name) state parent ...
            let parent = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split(' ').nth(2));
            parent == Some(&self.pid().to_string())
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(is_worker)
            .collect()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal_all("KILL");
            self.child.wait().unwrap();
        }
    }
}

pub(crate) fn kill(signal: &str, target: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal, "--", target]);
    // A process that has just ended is none to signal.
    let _ = kill.stderr(Stdio::null()).status().unwrap();
}

/// A command that has ended.
pub(crate) struct Ran {
    command: String,
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    folder: PathBuf,
}

impl Ran {
    /// The exit code. `None` if a signal ended the command.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code(),
            Some(code),
            "runner {}\nstdout: {}\nstderr: {}",
            self.command,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard error holds `text`.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "no {text:?} in: {}",
            self.stderr
        );
        self
    }

    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "{text:?} in: {}", self.stderr);
        self
    }

    /// Standard output does not hold `text`.
    #[track_caller]
    pub(crate) fn never_shows(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text), "{text:?} in: {}", self.stdout);
        self
    }

    /// Standard output holds `text`.
    #[track_caller]
    pub(crate) fn shows(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "no {text:?} in: {}",
            self.stdout
        );
        self
    }

    /// Everything that is to be seen, for a snapshot; the folder's path taken out.
    pub(crate) fn screen(&self) -> String {
        let folder = self.folder.display().to_string();
        format!(
            "$ runner {}\n{}{}[exit code {}]",
            self.command,
            self.stdout,
            self.stderr,
            self.status
                .code()
                .map_or("none".to_owned(), |code| code.to_string())
        )
        .replace(&folder, "[FOLDER]")
    }
}

/// Two models, two seeds; a second or so of training.
pub(crate) const TINY: &str = "\
name: tiny
description: Does a transformer beat a bigram?
data: {source: 'builtin:plays', plays_bytes: 20000}
model: {n_layer: 1, n_head: 2, n_embd: 16, block_size: 16}
optimizer: {lr: 1.0e-2}
train: {steps: 30, batch_size: 4, eval_every: 15, checkpoint_every: 5}
sample: {tokens: 20}
sweep:
  seeds: [1, 2]
  baseline: bigram
  variants:
    bigram: {model: {kind: bigram}}
    gpt: {}
";
