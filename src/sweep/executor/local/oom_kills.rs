use std::fs;
use std::path::{Path, PathBuf};

/// Where the control groups of version 2 are.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// How many processes of the control group of this process the system has killed because the group's memory
/// limit was reached. `None` if the system does not count them.
pub(super) fn oom_kills() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok();
    // In a container, the file can hold a path of the host, which is not visible here.
    let folders = [own.as_deref().and_then(own_group), Some(CGROUP_ROOT.into())];
    let mut events = folders
        .into_iter()
        .flatten()
        .map(|group| group.join("memory.events"));
    events.find_map(|file| count(&fs::read_to_string(file).ok()?))
}

/// The folder of the group that a `/proc/self/cgroup` names.
fn own_group(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(CGROUP_ROOT).join(path))
}

/// The count in a `memory.events`.
fn count(text: &str) -> Option<u64> {
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_and_group_are_found() {
        assert_eq!(
            count("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
            Some(2)
        );
        assert_eq!(count("low 0\n"), None);
        let group = own_group("0::/user.slice/job-1\n");
        assert_eq!(group, Some("/sys/fs/cgroup/user.slice/job-1".into()));
        assert_eq!(own_group("3:cpu:/a\n"), None);
    }
}
