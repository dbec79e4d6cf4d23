use crate::data::DataError;
use crate::model::WeightsError;
use crate::results::{RecordError, RunStatus};
use crate::text::one_line;
use crate::train::TrainError;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};

/// How the training of a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// The run has ended. Its status is recorded, and it is not trained again.
    Recorded(Box<RunStatus>),
    /// It was asked to end, and continues from its checkpoint.
    Stopped,
    /// The machine failed, and not the run. It continues from its last checkpoint.
    MachineFailed(MachineFailure),
    /// The system killed its process, or had no memory for it. This can be due to the machine or to the run. It
    /// continues from its last checkpoint, once.
    Died(MachineFailure),
}

/// Something that the machine lacks or cannot do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFailure {
    /// What failed, in one line.
    pub reason: String,
    pub resource: Resource,
}

/// What a machine can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Storage,
    Memory,
    FilesAndProcesses,
    /// Everything else, such as an error of a disk.
    Other,
}

impl MachineFailure {
    /// The failure that an I/O error is a sign of.
    pub fn new(error: &io::Error, reason: impl ToString) -> Self {
        Self {
            reason: one_line(&reason.to_string()),
            resource: Resource::of(error),
        }
    }

    /// The failure behind an error of training, if there is one.
    pub(super) fn of_training(error: &TrainError) -> Option<Self> {
        let cause = match error {
            TrainError::File { source, .. }
            | TrainError::Threads(source)
            | TrainError::Record(RecordError::Read { source, .. }) => source,
            TrainError::Data(error) => cause_in_system(error)?,
            TrainError::Weights(WeightsError::Read { source, .. }) => source,
            TrainError::Device(reason) if is_out_of_memory(reason) => {
                return Some(Self {
                    reason: one_line(&error.to_string()),
                    resource: Resource::Memory,
                });
            }
            _ => return None,
        };
        Some(Self::new(cause, error))
    }

    /// The failure to open a corpus in the cache. It was checked when the sweep began, so the run is not the reason.
    pub(super) fn of_cache(error: &DataError) -> Self {
        match cause_in_system(error) {
            Some(cause) => Self::new(cause, error),
            None => Self {
                reason: one_line(&error.to_string()),
                resource: Resource::Other,
            },
        }
    }

    /// What the user can do, as the beginning of a sentence.
    pub fn advice(&self) -> &'static str {
        match self.resource {
            Resource::Storage => {
                "free space on the disk, or raise the quota or the limit of file sizes (`ulimit -f`)"
            }
            Resource::Memory => {
                "free memory, raise the limit of memory (`ulimit -v`), or train fewer runs at the same time with --jobs"
            }
            Resource::FilesAndProcesses => {
                "raise the limits of open files, processes and memory (`ulimit -n`, `ulimit -u`, `ulimit -v`), or \
                 train fewer runs at the same time with --jobs"
            }
            Resource::Other => "remove the cause",
        }
    }
}

/// The error of the system behind an error of data, if there is one.
fn cause_in_system(error: &DataError) -> Option<&io::Error> {
    match error {
        DataError::Read { source, .. }
        | DataError::Write { source, .. }
        | DataError::ReadTokenizer { source, .. }
        | DataError::Threads(source) => Some(source),
        _ => None,
    }
}

/// Whether a message of dfdx or CUDA says that there is no memory left.
fn is_out_of_memory(reason: &str) -> bool {
    ["OutOfMemory", "OUT_OF_MEMORY"]
        .iter()
        .any(|text| reason.contains(text))
}

impl Resource {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                return Self::Storage;
            }
            ErrorKind::OutOfMemory => return Self::Memory,
            // A process or thread that cannot be started.
            ErrorKind::WouldBlock => return Self::FilesAndProcesses,
            _ => {}
        }
        let number = error.raw_os_error().map(nix::errno::Errno::from_raw);
        match number {
            Some(nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE) => Self::FilesAndProcesses,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn system_errors_are_told_apart_by_what_is_missing() {
        for (number, resource) in [
            (Errno::ENOSPC, Resource::Storage),
            (Errno::EDQUOT, Resource::Storage),
            (Errno::EFBIG, Resource::Storage),
            (Errno::ENOMEM, Resource::Memory),
            (Errno::EMFILE, Resource::FilesAndProcesses),
            (Errno::ENFILE, Resource::FilesAndProcesses),
            (Errno::EAGAIN, Resource::FilesAndProcesses),
            (Errno::EIO, Resource::Other),
            (Errno::EROFS, Resource::Other),
        ] {
            let error = io::Error::from_raw_os_error(number as i32);
            assert_eq!(Resource::of(&error), resource, "{error}");
        }
    }

    #[test]
    fn only_errors_of_the_machine_are_failures_of_the_machine() {
        let full = || io::Error::from_raw_os_error(Errno::ENOSPC as i32);
        let path = || std::path::PathBuf::from("x");
        let write = TrainError::File {
            path: path(),
            source: full(),
        };
        let failure = MachineFailure::of_training(&write).unwrap();
        assert_eq!(failure.resource, Resource::Storage);
        assert!(
            failure.reason.contains("No space left"),
            "{}",
            failure.reason
        );
        let data = TrainError::Data(DataError::Read {
            path: path(),
            source: full(),
        });
        assert!(MachineFailure::of_training(&data).is_some());
        let absent = DataError::Damaged {
            path: path(),
            reason: "it is missing".to_owned(),
        };
        let failure = MachineFailure::of_cache(&absent);
        assert_eq!(failure.resource, Resource::Other);
        assert!(failure.reason.contains("it is missing"));
        let memory = MachineFailure::of_training(&TrainError::Device("OutOfMemory".to_owned()));
        assert_eq!(memory.unwrap().resource, Resource::Memory);
        let device = TrainError::Device("no kernel".to_owned());
        assert_eq!(MachineFailure::of_training(&device), None);
    }
}
