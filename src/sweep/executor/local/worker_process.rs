use super::WorkerRequest;
use super::protocol::{Message, STOP};
use crate::results::RunStatus;
use crate::sweep::executor::{MachineFailure, Resource, RunEnd};
use crate::train::Update;
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

/// Number of lines at the end of a worker's standard error that are kept for the reason of a crash.
const KEPT_STDERR_LINES: usize = 200;

/// Environment of a process that trains. It sets the allocator, mimalloc. The buffers of a step are
/// used again in the next step, and returning them to the system in between costs more than the
/// arithmetic of a small model. Large pages, if the system has them, avoid most misses of the
/// processor's address cache: the steps of a model of a million parameters take 0.83 times as long.
pub const WORKER_ENVIRONMENT: [(&str, &str); 2] = [
    ("MIMALLOC_PURGE_DELAY", "-1"),
    ("MIMALLOC_ALLOW_LARGE_OS_PAGES", "1"),
];

/// What arrives from a worker.
#[derive(Debug)]
pub(super) enum Output {
    Update(Update),
    /// The worker has closed its output. Says how the run ended, if the worker reported it.
    Closed(Option<RunEnd>),
}

/// A worker process.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    process: Child,
    /// Closing it tells the worker that the sweep is gone.
    stdin: ChildStdin,
    stderr: JoinHandle<Vec<String>>,
}

impl WorkerProcess {
    /// Starts a worker on a request. `on_output` is called on a thread of its own, and last with
    /// [`Output::Closed`].
    pub(super) fn start(
        program: &Path,
        request: &WorkerRequest,
        on_output: impl Fn(Output) + Send + 'static,
    ) -> io::Result<Self> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let mut process = Command::new(program)
            .arg("worker")
            .envs(WORKER_ENVIRONMENT)
            // The reason of a crash is shown in one line. Printing a backtrace takes memory, which may be missing.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (
            process.stdin.take(),
            process.stdout.take(),
            process.stderr.take(),
        ) else {
            unreachable!("all three streams were requested as pipes");
        };
        // Both readers run before the request is written. A worker that fills its output pipe before
        // it reads the request would block this write otherwise.
        let threads = start_thread(move || last_lines(stderr)).and_then(|stderr| {
            start_thread(move || read_messages(stdout, on_output)).map(|_| stderr)
        });
        let stderr = match threads {
            Ok(stderr) => stderr,
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(error);
            }
        };
        // It fails if the worker has already ended. Its exit status tells the reason.
        let _ = stdin.write_all(&line);
        Ok(Self {
            process,
            stdin,
            stderr,
        })
    }

    /// Asks the worker to write a checkpoint and end.
    pub(super) fn stop(&mut self) {
        // It fails if the worker has already ended.
        let _ = writeln!(self.stdin, "{STOP}");
    }

    pub(super) fn kill(&mut self) {
        // It fails if the worker has already ended.
        let _ = self.process.kill();
    }

    /// Waits for the end of a worker that has closed its output, and returns how its run ended: as `reported`,
    /// or by a crash.
    pub(super) fn wait(mut self, reported: Option<RunEnd>) -> RunEnd {
        let exit = self.process.wait();
        let stderr = self.stderr.join().unwrap_or_default();
        if let Some(end) = reported {
            return end;
        }
        if let Some(line) = failed_allocation(&stderr) {
            return RunEnd::Died(MachineFailure {
                reason: format!("out of memory: {line}"),
                resource: Resource::Memory,
            });
        }
        let crash = crash_message(&stderr);
        let with_crash = |reason: String| match &crash {
            Some(message) => format!("{reason}: {message}"),
            None => reason,
        };
        match exit {
            // The worker was asked to end before it had installed its signal handler.
            Ok(exit) if signal(exit).is_some_and(is_request) => RunEnd::Stopped,
            Ok(exit) => {
                let reason = with_crash(describe_exit(exit));
                match missing_resource(exit) {
                    Some(resource) => RunEnd::Died(MachineFailure { reason, resource }),
                    None => RunEnd::Recorded(Box::new(RunStatus::failed(reason))),
                }
            }
            Err(error) => {
                let reason = with_crash(format!("the process was lost: {error}"));
                RunEnd::MachineFailed(MachineFailure::new(&error, reason))
            }
        }
    }
}

fn start_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().spawn(work)
}

fn read_messages(stdout: impl Read, on_output: impl Fn(Output)) {
    let mut status = None;
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Message::Update(update)) => on_output(Output::Update(update)),
            Ok(Message::Ended(ended)) => status = Some(ended),
            // A library printed this line.
            Err(_) => {}
        }
    }
    on_output(Output::Closed(status));
}

fn last_lines(stderr: impl Read) -> Vec<String> {
    let mut kept = VecDeque::new();
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        if kept.len() == KEPT_STDERR_LINES {
            kept.pop_front();
        }
        kept.push_back(String::from_utf8_lossy(&line).trim().to_owned());
        line.clear();
    }
    kept.into()
}

/// The line of the standard library about memory that it did not get. After it, the process ends. Other lines can
/// follow, such as those of a backtrace, which needs memory, too.
fn failed_allocation(stderr: &[String]) -> Option<&str> {
    let is_failure = |line: &&String| {
        line.starts_with("memory allocation of ") && line.ends_with(" bytes failed")
    };
    stderr.iter().find(is_failure).map(String::as_str)
}

/// Whether a line is about backtraces only.
fn is_about_backtraces(line: &str) -> bool {
    line.starts_with("note: ") || line == "stack backtrace:" || line.contains("skipping backtrace")
}

/// The message of a panic in the standard error of a crashed worker, or its last line that is not
/// empty.
fn crash_message(stderr: &[String]) -> Option<String> {
    let panic = stderr
        .iter()
        .rposition(|line| line.contains("panicked at "));
    let text = match panic {
        Some(at) => {
            let message = stderr[at + 1..].iter();
            let message = message.take_while(|line| !is_about_backtraces(line));
            let (_, place) = stderr[at].split_once("panicked at ")?;
            let mut words = vec!["panicked at", place];
            words.extend(message.map(String::as_str));
            words.join(" ")
        }
        None => {
            let mut lines = stderr.iter();
            let says_more = |line: &&String| !line.is_empty() && !is_about_backtraces(line);
            lines.rfind(says_more)?.clone()
        }
    };
    Some(text).filter(|text| !text.is_empty())
}

fn describe_exit(exit: ExitStatus) -> String {
    match (exit.signal(), exit.code()) {
        (Some(signal), _) => describe_signal(signal),
        (None, Some(0)) => "ended without a status".to_owned(),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// The signal that ended a process, if it is a known one.
fn signal(exit: ExitStatus) -> Option<Signal> {
    Signal::try_from(exit.signal()?).ok()
}

/// What the machine probably lacked when a signal ended a process. `None` if the program is the reason.
fn missing_resource(exit: ExitStatus) -> Option<Resource> {
    exit.signal()?;
    match signal(exit) {
        Some(Signal::SIGKILL) => Some(Resource::Memory),
        Some(
            Signal::SIGABRT
            | Signal::SIGSEGV
            | Signal::SIGILL
            | Signal::SIGFPE
            | Signal::SIGSYS
            | Signal::SIGTRAP,
        ) => None,
        // A part of a file or of memory that cannot be read, or a signal that a person or a system sent, such as
        // SIGQUIT, or SIGXCPU and SIGUSR1 of a batch system.
        _ => Some(Resource::Other),
    }
}

/// Whether people and systems ask a process to end by this signal.
fn is_request(signal: Signal) -> bool {
    matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP)
}

fn describe_signal(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(Signal::SIGKILL) => {
            "killed by SIGKILL (by a person, or by a system without free memory)".to_owned()
        }
        Ok(signal) => format!("killed by {signal}"),
        Err(_) => format!("killed by signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(stderr: &str) -> Option<String> {
        let lines: Vec<String> = stderr.lines().map(str::to_owned).collect();
        crash_message(&lines)
    }

    #[test]
    fn panic_is_named_with_its_place_and_message() {
        let stderr = "warming up\n\nthread 'main' (7) panicked at src/model/gpt.rs:10:5:\nindex out of \
                      bounds\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(
            message(stderr).as_deref(),
            Some("panicked at src/model/gpt.rs:10:5: index out of bounds")
        );
    }

    #[test]
    fn without_a_panic_the_last_line_is_the_message() {
        assert_eq!(message("one\ntwo\n\n").as_deref(), Some("two"));
        assert_eq!(message(""), None);
    }

    #[test]
    fn a_note_on_backtraces_is_no_reason() {
        for note in [
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "skipping backtrace printing to avoid potential recursion",
            "stack backtrace:",
        ] {
            assert_eq!(message(&format!("one\n{note}\n")).as_deref(), Some("one"));
            assert_eq!(message(note), None);
        }
    }

    #[test]
    fn memory_that_is_missing_is_found_before_other_lines() {
        let end = |script: &str| {
            let mut process = Command::new("sh")
                .args(["-c", script])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let stderr = process.stderr.take().unwrap();
            let worker = WorkerProcess {
                stdin: process.stdin.take().unwrap(),
                stderr: start_thread(move || last_lines(stderr)).unwrap(),
                process,
            };
            worker.wait(None)
        };
        let failed = "echo memory allocation of 4096 bytes failed >&2";
        let notes =
            "echo note: run with RUST_BACKTRACE=1 >&2; echo skipping backtrace printing >&2";
        assert_eq!(
            end(&format!("{failed}; {notes}; kill -ABRT $$")),
            RunEnd::Died(MachineFailure {
                reason: "out of memory: memory allocation of 4096 bytes failed".to_owned(),
                resource: Resource::Memory,
            })
        );
        assert!(matches!(end(&format!("{failed}; exit 1")), RunEnd::Died(_)));
        assert!(matches!(
            end(&format!("{notes}; kill -ABRT $$")),
            RunEnd::Recorded(_)
        ));
    }

    #[test]
    fn only_the_end_of_long_output_is_kept() {
        let text: String = (0..1000).map(|i| format!("line {i}\n")).collect();
        let lines = last_lines(text.as_bytes());
        assert_eq!(lines.len(), KEPT_STDERR_LINES);
        assert_eq!(lines.last().map(String::as_str), Some("line 999"));
    }

    #[test]
    fn exits_are_described() {
        let exit = |raw| describe_exit(ExitStatus::from_raw(raw));
        assert_eq!(exit(3 << 8), "exited with code 3");
        assert_eq!(exit(0), "ended without a status");
        assert_eq!(exit(11), "killed by SIGSEGV");
        assert!(exit(9).starts_with("killed by SIGKILL (by a person"));
        assert_eq!(exit(70), "killed by signal 70");
        let missing = |raw| missing_resource(ExitStatus::from_raw(raw));
        assert_eq!(missing(3 << 8), None);
        for crash in [4, 5, 6, 8, 11, 31] {
            assert_eq!(missing(crash), None, "{crash}");
        }
        for (sent, resource) in [
            (3, Resource::Other),
            (7, Resource::Other),
            (9, Resource::Memory),
            (10, Resource::Other),
            (24, Resource::Other),
            (40, Resource::Other),
        ] {
            assert_eq!(missing(sent), Some(resource), "{sent}");
        }
        assert!(signal(ExitStatus::from_raw(15)).is_some_and(is_request));
        assert!(!signal(ExitStatus::from_raw(9)).is_some_and(is_request));
    }
}
