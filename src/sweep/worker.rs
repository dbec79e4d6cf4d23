use super::lock::Lock;
use super::protocol::{Assignment, Message, STOP};
use crate::data;
use crate::results::{RunDir, RunState, RunStatus};
use crate::train::{self, Job, Progress};
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Progress is for people: no more often than they can read.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

static STOPPING: AtomicBool = AtomicBool::new(false);

/// The child process of a sweep: reads one assignment, trains it, and says how it ended.
///
/// # Errors
/// When standard input holds no assignment, or nobody listens. What goes wrong with the run is not
/// an error here but a [`RunStatus`].
pub fn work() -> io::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let assignment: Assignment = serde_json::from_str(&line).map_err(|error| {
        io::Error::other(format!(
            "no assignment ({error}); workers are started by `runner sweep`"
        ))
    })?;
    // Ctrl-C reaches the whole process group: without a handler it would end the run before the
    // parent can ask for a checkpoint.
    ctrlc::set_handler(|| STOPPING.store(true, Ordering::Relaxed)).map_err(io::Error::other)?;
    thread::spawn(obey);
    let status = train(&assignment).unwrap_or_else(|reason| RunStatus {
        state: RunState::Failed,
        reason,
        outcome: None,
    });
    say(&Message::Ended(status))
}

/// Stops when told to, and ends at once when the parent is gone: the run is then in the state of its
/// last checkpoint, as after any other kill.
fn obey() {
    for line in io::stdin().lock().lines() {
        match line {
            Ok(line) if line == STOP => STOPPING.store(true, Ordering::Relaxed),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    std::process::exit(1);
}

fn train(assignment: &Assignment) -> Result<RunStatus, String> {
    let dir = RunDir::new(&assignment.dir);
    let _lock = Lock::wait(dir.path())
        .map_err(|error| format!("cannot lock {}: {error}", dir.path().display()))?;
    let corpus = data::open(&assignment.cache, &assignment.corpus).map_err(one_line)?;
    let job = Job {
        spec: &assignment.spec,
        corpus: &corpus,
        dir: &dir,
        device: assignment.device(),
        threads: assignment.threads,
        stop: &STOPPING,
    };
    let mut throttle = Throttle::default();
    train::run(job, &mut |progress| {
        if throttle.lets_through(&progress) && say(&Message::Progress(progress)).is_err() {
            STOPPING.store(true, Ordering::Relaxed); // nobody listens any more
        }
    })
    .map_err(one_line)
}

/// A reason is one line of a table.
fn one_line(error: impl ToString) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn say(message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// Lets a change of phase through, the last step, and otherwise one message in [`PROGRESS_EVERY`].
#[derive(Default)]
struct Throttle {
    last: Option<(Instant, train::Phase)>,
}

impl Throttle {
    fn lets_through(&mut self, progress: &Progress) -> bool {
        let now = Instant::now();
        let dull = self.last.as_ref().is_some_and(|(at, phase)| {
            *phase == progress.phase && now - *at < PROGRESS_EVERY && progress.step < progress.steps
        });
        if !dull {
            self.last = Some((now, progress.phase));
        }
        !dull
    }
}
