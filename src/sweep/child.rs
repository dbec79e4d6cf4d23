use super::protocol::{Assignment, Message, STOP};
use crate::results::{RunState, RunStatus};
use crate::train::Progress;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

/// Lines of a worker's standard error that are kept for the reason of a crash.
const KEPT_LINES: usize = 200;

/// What a child tells its parent, with the index of its run.
#[derive(Debug)]
pub(super) enum Event {
    Progress(usize, Progress),
    /// It says no more. Holds the status where it gave one.
    Silent(usize, Option<RunStatus>),
}

/// A worker process.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    /// Closing it would tell the worker that its parent is gone.
    stdin: ChildStdin,
    stderr: JoinHandle<Vec<String>>,
}

/// How the allocator of a process that trains is set. Buffers of a step are used again in the next:
/// giving them back to the system in between costs more than the arithmetic of a small model. And
/// the buffers of a model of a million parameters are more small pages than a processor knows the
/// places of: with large ones, where the system has them, its steps take 0.83 times as long.
pub const WORKER_ENVIRONMENT: [(&str, &str); 2] = [
    ("MIMALLOC_PURGE_DELAY", "-1"),
    ("MIMALLOC_ALLOW_LARGE_OS_PAGES", "1"),
];

impl Child {
    /// Starts a worker on an assignment. Its messages arrive as events of `run`.
    pub(super) fn start(
        program: &Path,
        assignment: &Assignment,
        run: usize,
        events: Sender<Event>,
    ) -> io::Result<Self> {
        let mut process = Command::new(program)
            .arg("worker")
            .envs(WORKER_ENVIRONMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (
            process.stdin.take(),
            process.stdout.take(),
            process.stderr.take(),
        ) else {
            unreachable!("all three were asked for as pipes");
        };
        let mut line = serde_json::to_vec(assignment)?;
        line.push(b'\n');
        // A worker that has died already does not read; its exit status says why.
        let _ = stdin.write_all(&line);
        thread::spawn(move || listen(stdout, run, &events));
        let stderr = thread::spawn(move || last_lines(stderr));
        Ok(Self {
            process,
            stdin,
            stderr,
        })
    }

    /// Asks for a checkpoint and an end.
    pub(super) fn stop(&mut self) {
        // A worker that is gone needs no asking.
        let _ = writeln!(self.stdin, "{STOP}");
    }

    pub(super) fn kill(&mut self) {
        // It fails where the worker is gone.
        let _ = self.process.kill();
    }

    /// How the run ended, once the worker is silent: as it said, or how it crashed. `None` for a run
    /// that goes on later, because somebody asked its worker to end.
    pub(super) fn end(mut self, said: Option<RunStatus>) -> Option<RunStatus> {
        let exit = self.process.wait();
        let stderr = self.stderr.join().unwrap_or_default();
        if let Some(status) = said {
            return (status.state != RunState::Stopped).then_some(status);
        }
        let mut reason = match exit {
            // Asked before the worker was ready to listen.
            Ok(exit) if signal(exit).is_some_and(is_request) => return None,
            Ok(exit) => describe_exit(exit),
            Err(error) => format!("lost its process: {error}"),
        };
        if let Some(words) = last_words(&stderr) {
            reason = format!("{reason}: {words}");
        }
        Some(failed(reason))
    }
}

/// The status of a run whose worker could not say how it ended.
pub(super) fn failed(reason: String) -> RunStatus {
    RunStatus {
        state: RunState::Failed,
        reason,
        outcome: None,
    }
}

fn listen(stdout: impl Read, run: usize, events: &Sender<Event>) {
    let mut status = None;
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        // Anything else was printed by a library and is not for us.
        match serde_json::from_str(&line) {
            Ok(Message::Progress(progress)) => {
                // The parent listens until every worker is silent.
                let _ = events.send(Event::Progress(run, progress));
            }
            Ok(Message::Ended(ended)) => status = Some(ended),
            Err(_) => {}
        }
    }
    let _ = events.send(Event::Silent(run, status));
}

fn last_lines(stderr: impl Read) -> Vec<String> {
    let mut kept = VecDeque::new();
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(String::from_utf8_lossy(&line).trim().to_owned());
        line.clear();
    }
    kept.into()
}

/// The message of a panic, or else the last line, of what a crashed worker wrote.
fn last_words(stderr: &[String]) -> Option<String> {
    let panic = stderr
        .iter()
        .rposition(|line| line.contains("panicked at "));
    let words = match panic {
        Some(at) => {
            let message = stderr[at + 1..].iter();
            let message = message
                .take_while(|line| !line.starts_with("note: ") && *line != "stack backtrace:");
            let (_, place) = stderr[at].split_once("panicked at ")?;
            let mut words = vec!["panicked at", place];
            words.extend(message.map(String::as_str));
            words.join(" ")
        }
        None => stderr.iter().rfind(|line| !line.is_empty())?.clone(),
    };
    Some(words).filter(|words| !words.is_empty())
}

fn describe_exit(exit: ExitStatus) -> String {
    match (signal(exit), exit.code()) {
        (Some(signal), _) => describe_signal(signal),
        (None, Some(0)) => "ended without saying how".to_owned(),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// The signal that ended a process.
fn signal(exit: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&exit)
}

/// Whether a signal is how people and systems ask a process to end.
fn is_request(signal: i32) -> bool {
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].contains(&signal)
}

fn describe_signal(signal: i32) -> String {
    let name = match signal {
        libc::SIGKILL => "SIGKILL (by somebody, or by a system short of memory)",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGILL => "SIGILL",
        libc::SIGFPE => "SIGFPE",
        libc::SIGXCPU => "SIGXCPU",
        other => return format!("killed by signal {other}"),
    };
    format!("killed by {name}")
}

/// This program, to be started again as a worker. On Linux by a name that stays true when the file
/// is replaced while a sweep is on, so that all of its runs are trained by the same code.
pub(super) fn program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(stderr: &str) -> Option<String> {
        let lines: Vec<String> = stderr.lines().map(str::to_owned).collect();
        last_words(&lines)
    }

    #[test]
    fn a_panic_is_named_with_its_place_and_message() {
        let stderr = "warming up\n\nthread 'main' (7) panicked at src/model/gpt.rs:10:5:\nindex out of \
                      bounds\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(
            words(stderr).as_deref(),
            Some("panicked at src/model/gpt.rs:10:5: index out of bounds")
        );
    }

    #[test]
    fn otherwise_the_last_line_counts() {
        assert_eq!(words("one\ntwo\n\n").as_deref(), Some("two"));
        assert_eq!(words(""), None);
    }

    #[test]
    fn long_output_keeps_its_end() {
        let text: String = (0..1000).map(|i| format!("line {i}\n")).collect();
        let lines = last_lines(text.as_bytes());
        assert_eq!(lines.len(), KEPT_LINES);
        assert_eq!(lines.last().map(String::as_str), Some("line 999"));
    }
}
