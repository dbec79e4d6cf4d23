//! What the library power_loss.c logs, and how it is undone.

use crate::files_in;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A name in the folder with an inode.
type Place = (u64, String);

/// A change of a name. Numbers of kept files are 0 for no file.
#[derive(Debug)]
enum Change {
    Created(Place),
    FolderMade(Place),
    Renamed { from: Place, to: Place, kept: u64 },
    Removed { place: Place, kept: u64 },
    FolderRemoved { place: Place, inode: u64 },
}

impl Change {
    /// The folder whose sync makes the change durable.
    fn folder(&self) -> u64 {
        match self {
            Self::Created(place)
            | Self::FolderMade(place)
            | Self::Renamed { to: place, .. }
            | Self::Removed { place, .. }
            | Self::FolderRemoved { place, .. } => place.0,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    /// Bytes of each file that are synced, by its inode.
    synced: HashMap<u64, u64>,
    /// The changes of names that are not durable, in their order.
    changes: Vec<Change>,
}

impl Log {
    pub(super) fn read(path: &Path) -> Self {
        let mut log = Self::default();
        for line in fs::read_to_string(path).unwrap().lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            // A process may have been killed while it wrote a line.
            let _ = log.add(&fields);
        }
        log
    }

    fn add(&mut self, fields: &[&str]) -> Option<()> {
        let number = |field: &str| field.parse::<u64>().ok();
        let place = |folder: &str, name: &str| Some((number(folder)?, name.to_owned()));
        match *fields {
            ["S", inode, size] => drop(self.synced.insert(number(inode)?, number(size)?)),
            // A new file can have the number of one that was removed.
            ["W", inode, "0"] => drop(self.synced.insert(number(inode)?, 0)),
            ["W", inode, size] => {
                self.synced.entry(number(inode)?).or_insert(number(size)?);
            }
            ["D", folder] => {
                let folder = number(folder)?;
                self.changes.retain(|change| change.folder() != folder);
            }
            ["C", folder, name] => self.changes.push(Change::Created(place(folder, name)?)),
            ["M", folder, name] => self.changes.push(Change::FolderMade(place(folder, name)?)),
            ["R", from, old, to, new, kept] => self.changes.push(Change::Renamed {
                from: place(from, old)?,
                to: place(to, new)?,
                kept: number(kept)?,
            }),
            ["U", folder, name, kept] => self.changes.push(Change::Removed {
                place: place(folder, name)?,
                kept: number(kept)?,
            }),
            ["X", folder, name, inode] => self.changes.push(Change::FolderRemoved {
                place: place(folder, name)?,
                inode: number(inode)?,
            }),
            _ => return None,
        }
        Some(())
    }

    /// Undoes this share of the changes of names that are not durable, the last ones first, and returns their number.
    /// Only those in the folder `results` are undone.
    pub(super) fn undo_names(&self, results: &Path, kept: &Path, share: f64) -> usize {
        let count = (self.changes.len() as f64 * share).round() as usize;
        let mut folders = Folders::new(results);
        let last = self.changes.iter().rev().take(count);
        last.filter(|change| folders.undo(change, kept).is_some())
            .count()
    }

    /// Removes the bytes that were not synced, and returns their number.
    pub(super) fn drop_unsynced(&self, results: &Path) -> u64 {
        let files = files_in(results).into_iter();
        let lost = files.map(|path| {
            let found = fs::metadata(&path).unwrap();
            let kept = self.synced.get(&found.ino()).copied();
            let kept = kept.unwrap_or(found.len());
            if kept >= found.len() {
                return 0;
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_final = ["status.json", "plan.json", "state"]
                .iter()
                .any(|start| name.starts_with(start));
            assert!(!is_final, "{name} got its name before it was synced");
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(kept).unwrap();
            found.len() - kept
        });
        lost.sum()
    }
}

/// The folders of a tree, by their inodes.
struct Folders<'a> {
    results: &'a Path,
    /// The new inodes of folders that were removed and made again.
    again: HashMap<u64, u64>,
}

impl<'a> Folders<'a> {
    fn new(results: &'a Path) -> Self {
        Self {
            results,
            again: HashMap::new(),
        }
    }

    /// The path of a place. `None` if its folder is not in the tree, or was never there.
    fn path(&self, (folder, name): &Place) -> Option<PathBuf> {
        let inode = self.again.get(folder).unwrap_or(folder);
        // The folder of the results is made by the first sweep, and so its name can be lost, too.
        let above = self.results.parent().unwrap();
        if inode_of(above) == Some(*inode) {
            return Some(above.join(name)).filter(|path| path == self.results);
        }
        Some(folder_with(self.results, *inode)?.join(name))
    }

    /// `None` if there is nothing to undo: a process can be killed between two changes of a name and before it logs
    /// the second one.
    fn undo(&mut self, change: &Change, kept: &Path) -> Option<()> {
        let restore = |kept_as: u64, path: &Path| match kept_as {
            0 => Some(()),
            number => fs::hard_link(kept.join(number.to_string()), path).ok(),
        };
        match change {
            Change::Created(place) => fs::remove_file(self.path(place)?).ok(),
            Change::FolderMade(place) => fs::remove_dir_all(self.path(place)?).ok(),
            Change::Renamed { from, to, kept } => {
                let (from, to) = (self.path(from)?, self.path(to)?);
                fs::rename(&to, from).ok()?;
                restore(*kept, &to)
            }
            Change::Removed { place, kept } => restore(*kept, &self.path(place)?),
            Change::FolderRemoved { place, inode } => {
                let path = self.path(place)?;
                fs::create_dir(&path).ok()?;
                self.again.insert(*inode, inode_of(&path)?);
                Some(())
            }
        }
    }
}

fn inode_of(path: &Path) -> Option<u64> {
    Some(fs::metadata(path).ok()?.ino())
}

/// The folder with an inode, among `folder` and all below it.
fn folder_with(folder: &Path, inode: u64) -> Option<PathBuf> {
    if inode_of(folder) == Some(inode) {
        return Some(folder.to_owned());
    }
    let entries = fs::read_dir(folder).ok()?.flatten();
    let folders = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    folders
        .into_iter()
        .find_map(|path| folder_with(&path, inode))
}
