use super::WorkerRequest;
use super::protocol::{Message, STOP};
use crate::results::remove_partial_files;
use crate::sweep::executor::{MachineFailure, RunEnd};
use crate::sweep::lock::{Holder, Lock};
use crate::train::{Phase, Progress, Update};
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Least time between two progress messages of the same phase.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

static STOP_REQUESTED: AtomicBool = AtomicBool::new(false);

/// The main function of a worker process: reads one request, trains the run, and reports how it ended.
///
/// # Errors
/// If standard input holds no request, or if the message cannot be sent. An error of the run itself is
/// reported as a [`RunEnd`].
pub fn run_worker() -> io::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let request: WorkerRequest = serde_json::from_str(&line).map_err(|error| {
        io::Error::other(format!(
            "standard input holds no request ({error}); only `runner sweep` starts workers"
        ))
    })?;
    // A Ctrl-C reaches the whole process group. Without a handler it would end the worker before the
    // sweep can ask for a checkpoint.
    let end = match ctrlc::set_handler(request_stop) {
        Ok(()) => listen_for_stop().map_or_else(cannot_start, |()| train(&request)),
        Err(ctrlc::Error::System(error)) => cannot_start(error),
        Err(error) => return Err(io::Error::other(error)),
    };
    send(&Message::Ended(end))
}

fn cannot_start(error: io::Error) -> RunEnd {
    let reason = format!("cannot start a thread: {error}");
    RunEnd::MachineFailed(MachineFailure::new(&error, reason))
}

fn request_stop() {
    STOP_REQUESTED.store(true, Ordering::Relaxed);
}

/// Starts a thread that requests a stop when the sweep sends [`STOP`]. It ends the process when the sweep is
/// gone: the run then continues from its last checkpoint, as after any other kill.
fn listen_for_stop() -> io::Result<()> {
    thread::Builder::new().spawn(read_requests)?;
    Ok(())
}

fn read_requests() {
    for line in io::stdin().lock().lines() {
        match line {
            Ok(line) if line == STOP => request_stop(),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    std::process::exit(1);
}

fn train(request: &WorkerRequest) -> RunEnd {
    // If an earlier sweep was killed, its worker may still be there. This waits for its end.
    let tell = |holder: &Holder| {
        let process = holder.process();
        let folder = request.run_dir.display();
        let text = format!("waits for {process}, which still holds {folder}");
        let _ = send(&Message::Update(Update::Notice(text)));
    };
    let _lock = match Lock::wait(&request.run_dir, tell) {
        Ok(lock) => lock,
        Err(error) => {
            let reason = format!("cannot lock {}: {error}", request.run_dir.display());
            return RunEnd::MachineFailed(MachineFailure::new(&error, reason));
        }
    };
    // That worker may have been killed while it wrote a file. What cannot be removed does no harm.
    let _ = remove_partial_files(&request.run_dir, 1);
    let mut throttle = Throttle::default();
    request.train(&STOP_REQUESTED, &mut |update| {
        let is_due = match &update {
            Update::Progress(progress) => throttle.is_due(progress),
            Update::Notice(_) => true,
        };
        if is_due && send(&Message::Update(update)).is_err() {
            request_stop(); // the sweep is gone
        }
    })
}

fn send(message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// Selects the progress messages to send: the first of a phase, the last step, and otherwise one in
/// [`PROGRESS_INTERVAL`].
#[derive(Default)]
struct Throttle {
    last: Option<(Instant, Phase)>,
}

impl Throttle {
    fn is_due(&mut self, progress: &Progress) -> bool {
        let now = Instant::now();
        let too_early = self.last.is_some_and(|(at, phase)| {
            phase == progress.phase
                && now - at < PROGRESS_INTERVAL
                && progress.step < progress.steps
        });
        if !too_early {
            self.last = Some((now, progress.phase));
        }
        !too_early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_the_first_of_a_phase_and_the_last_step() {
        let progress = |step, phase| Progress {
            step,
            steps: 100,
            loss: None,
            val_loss: None,
            tokens_per_second: 1.0,
            phase,
        };
        let mut throttle = Throttle {
            // In the future, so that the interval cannot pass during the test.
            last: Some((Instant::now() + Duration::from_secs(3600), Phase::Training)),
        };
        assert!(!throttle.is_due(&progress(5, Phase::Training)));
        assert!(throttle.is_due(&progress(5, Phase::Evaluating)));
        assert!(throttle.is_due(&progress(100, Phase::Evaluating)));
    }
}
