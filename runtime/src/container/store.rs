//! The state directory: one folder per container, named by its id.
//!
//! ```text
//! /run/porthole/lock         held while names are looked at or given
//! /run/porthole/ID/owner     locked by the container's monitor while it lives
//! /run/porthole/ID/state.json
//! /run/porthole/ID/state.new room for the next state of a container that runs
//! /run/porthole/ID/output    what a container in the background prints
//! ```

use std::cmp::Reverse;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;

use super::error::StateError;
use super::id;
use super::state::{State, Status, VERSION};

/// Only root may see what containers print and are given.
const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// How much longer the next state of a container may be, in bytes: other limits,
/// another status.
const GROWTH: usize = 1024;

/// A file that is locked; `flock(2)`.
///
/// The lock belongs to the open file: it lasts until every process that has it
/// has closed it or died, so it goes on with a process that was forked.
#[derive(Debug)]
pub struct Lock(File);

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The state directory.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store at `root`, made when it is missing.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn open(root: &Path) -> Result<Self, StateError> {
        // Monitors leave the folder that a relative path begins at.
        let root = std::path::absolute(root).map_err(StateError::io(root))?;
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(PRIVATE_DIR).create(&root).map_err(StateError::io(&root))?;
        Ok(Self { root })
    }

    /// Waits until no other command looks at or gives names.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn lock(&self) -> Result<Lock, StateError> {
        let path = self.root.join("lock");
        lock_file(&path).map_err(StateError::io(&path))
    }

    /// Every container, newest first.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`] when the store itself cannot be read. A container that
    /// is just being removed, or whose state cannot be read, is left out.
    pub fn list(&self) -> Result<Vec<State>, StateError> {
        let mut states: Vec<State> =
            self.ids()?.iter().filter_map(|id| self.read(id).ok()).collect();
        states.sort_by_key(|state| Reverse(state.created_unix_ns));
        Ok(states)
    }

    /// The ids of all folders, in no order.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn ids(&self) -> Result<Vec<String>, StateError> {
        let entries = fs::read_dir(&self.root).map_err(StateError::io(&self.root))?;
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StateError::io(&self.root))?;
            // Whatever else somebody put here is not ours to touch.
            ids.extend(entry.file_name().into_string().ok().filter(|name| id::is_one(name)));
        }
        Ok(ids)
    }

    /// The container that a user calls `reference`: its name, its id, or the
    /// beginning of its id.
    ///
    /// # Errors
    ///
    /// [`StateError::NotFound`] or [`StateError::Ambiguous`].
    pub fn find(&self, reference: &str) -> Result<State, StateError> {
        choose(self.list()?, reference)
    }

    /// The state of the container `id`.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`], or [`StateError::Format`] when it is no state of a
    /// version we know.
    pub fn read(&self, id: &str) -> Result<State, StateError> {
        let path = self.state_path(id);
        let text = fs::read_to_string(&path).map_err(StateError::io(&path))?;
        parse(&text).map_err(|source| StateError::Format { path, source })
    }

    /// Writes a state so that a reader sees the old one or the new one, whole.
    ///
    /// For as long as a container has not ended, the room for its next state is
    /// kept free: its own output may fill the disk, and its end is to be known
    /// all the same.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn write(&self, state: &State) -> Result<(), StateError> {
        let path = self.state_path(&state.plan.id);
        let new = path.with_extension("new");
        let text = serde_json::to_string_pretty(state)
            .map_err(|source| StateError::Format { path: path.clone(), source })?;
        write_in_place(&new, text.as_bytes()).map_err(StateError::io(&new))?;
        fs::rename(&new, &path).map_err(StateError::io(&path))?;
        if matches!(state.status, Status::Exited { .. }) {
            return Ok(());
        }
        keep_room(&new, text.len() + GROWTH).map_err(StateError::io(&new))
    }

    /// Makes the folder of a new container and gives it its name; the lock says
    /// that somebody looks after it.
    ///
    /// # Errors
    ///
    /// [`StateError::NameInUse`], or [`StateError::Io`].
    pub fn reserve(&self, state: &State) -> Result<Lock, StateError> {
        let _names = self.lock()?;
        if let Some(name) = &state.name {
            check_free(name, &self.list()?)?;
        }
        let folder = self.folder(&state.plan.id);
        DirBuilder::new().mode(PRIVATE_DIR).create(&folder).map_err(StateError::io(&folder))?;
        let path = self.owner_path(&state.plan.id);
        let owner = lock_file(&path).map_err(StateError::io(&path))?;
        self.write(state).inspect_err(|_full| {
            // What cannot be removed now is collected by a later command.
            let _ = self.remove(&state.plan.id);
        })?;
        Ok(owner)
    }

    /// The right to look after the container `id`. `None` when somebody else does.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`], also when the container is gone.
    pub fn try_own(&self, id: &str) -> Result<Option<Lock>, StateError> {
        let path = self.owner_path(id);
        let file = open_private(&path).map_err(StateError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(StateError::Io { path, source }),
        }
    }

    /// Waits until nobody looks after the container `id` any more: its monitor
    /// has done its last work. Returns at once when it is gone.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn wait_for_owner(&self, id: &str) -> Result<(), StateError> {
        let path = self.owner_path(id);
        match lock_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map(drop).map_err(StateError::io(&path)),
        }
    }

    /// Removes everything that is kept about the container `id`.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn remove(&self, id: &str) -> Result<(), StateError> {
        let folder = self.folder(id);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(StateError::io(&folder)),
        }
    }

    /// Where the output of the container `id` is kept.
    pub fn output_path(&self, id: &str) -> PathBuf {
        self.folder(id).join("output")
    }

    fn folder(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    fn state_path(&self, id: &str) -> PathBuf {
        self.folder(id).join("state.json")
    }

    fn owner_path(&self, id: &str) -> PathBuf {
        self.folder(id).join("owner")
    }
}

fn lock_file(path: &Path) -> io::Result<Lock> {
    let file = open_private(path)?;
    file.lock()?;
    Ok(Lock(file))
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false).mode(PRIVATE_FILE).open(path)
}

/// Makes `text` what is in the file, in the room that the file has.
fn write_in_place(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = open_private(path)?;
    file.write_all(text)?;
    file.set_len(text.len() as u64)
}

/// Makes a file of `bytes` bytes that are there to be written to.
fn keep_room(path: &Path, bytes: usize) -> io::Result<()> {
    let length = libc::off_t::try_from(bytes).map_err(io::Error::other)?;
    Ok(posix_fallocate(open_private(path)?, 0, length)?)
}

fn parse(text: &str) -> Result<State, serde_json::Error> {
    let state: State = serde_json::from_str(text)?;
    if state.version > VERSION {
        let reason = format!("version {} is newer than {VERSION}", state.version);
        return Err(serde::de::Error::custom(reason));
    }
    Ok(state)
}

fn check_free(name: &str, states: &[State]) -> Result<(), StateError> {
    match states.iter().find(|state| state.name.as_deref() == Some(name)) {
        Some(state) => {
            Err(StateError::NameInUse { name: name.to_owned(), holder: state.plan.id.clone() })
        }
        None => Ok(()),
    }
}

/// A name is looked at before ids, so that a container can always be reached by it.
fn choose(states: Vec<State>, reference: &str) -> Result<State, StateError> {
    if let Some(state) = states.iter().find(|state| state.name.as_deref() == Some(reference)) {
        return Ok(state.clone());
    }
    let begins = |state: &State| !reference.is_empty() && state.plan.id.starts_with(reference);
    let mut found: Vec<State> = states.into_iter().filter(begins).collect();
    match (found.pop(), found.len()) {
        (Some(state), 0) => Ok(state),
        (None, _) => Err(StateError::NotFound { reference: reference.to_owned() }),
        (Some(_), others) => {
            Err(StateError::Ambiguous { reference: reference.to_owned(), count: others + 1 })
        }
    }
}

#[cfg(test)]
mod tests {
    use cgroupfs::cpu_list::CpuList;

    use super::*;
    use crate::cli::run::{Surroundings, request};
    use crate::cli::{Command, parse as words};

    /// A state with the id `digit` repeated, as `porthole run` would make it.
    fn state(digit: &str, name: Option<&str>) -> State {
        let Command::Run(options) =
            words(["porthole", "run", "-m", "8m", "true"].map(Into::into)).unwrap().command
        else {
            panic!("not run")
        };
        let around = Surroundings {
            id: digit.repeat(64),
            directory: "/".into(),
            online: CpuList::first(1),
            environment: &|_name| None,
        };
        State {
            version: VERSION,
            name: name.map(str::to_owned),
            created_unix_ns: 0,
            keep: true,
            recorded: false,
            status: Status::Exited { code: 3, at_unix_s: 5 },
            plan: request(&options, &around).unwrap().plan,
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state")).unwrap();
        (folder, store)
    }

    #[test]
    fn what_is_written_is_read() {
        let (_folder, store) = store();
        let written = state("a", Some("web"));
        let _owner = store.reserve(&written).unwrap();
        assert_eq!(store.read(&written.plan.id).unwrap(), written);
        assert_eq!(store.list().unwrap(), std::slice::from_ref(&written));
        store.remove(&written.plan.id).unwrap();
        assert_eq!(store.list().unwrap(), []);
    }

    #[test]
    fn the_newest_is_listed_first_also_within_a_second() {
        let (_folder, store) = store();
        for (digit, created_unix_ns) in [("a", 5), ("b", 7), ("c", 6)] {
            let _owner = store.reserve(&State { created_unix_ns, ..state(digit, None) }).unwrap();
        }
        let listed: Vec<_> = store.list().unwrap().iter().map(|s| s.created_unix_ns).collect();
        assert_eq!(listed, [7, 6, 5]);
    }

    #[test]
    fn a_name_is_given_once() {
        let (_folder, store) = store();
        let _owner = store.reserve(&state("a", Some("web"))).unwrap();
        let error = store.reserve(&state("b", Some("web"))).unwrap_err();
        assert_eq!(error.to_string(), "--name web: container aaaaaaaaaaaa has it already");
        assert!(store.reserve(&state("b", None)).is_ok());
    }

    #[test]
    fn only_one_can_look_after_a_container() {
        let (_folder, store) = store();
        let state = state("a", None);
        let owner = store.reserve(&state).unwrap();
        assert!(store.try_own(&state.plan.id).unwrap().is_none());
        // As when a process was forked and the other one closes its copy.
        let copy = Lock(owner.0.try_clone().unwrap());
        drop(owner);
        assert!(store.try_own(&state.plan.id).unwrap().is_none());
        drop(copy);
        assert!(store.try_own(&state.plan.id).unwrap().is_some());
    }

    #[test]
    fn containers_are_found_by_name_id_or_its_beginning() {
        let states = [state("a", Some("b")), state("b", None), state("c", None)];
        let find = |reference: &str| choose(states.to_vec(), reference).map_err(|e| e.to_string());
        assert_eq!(find("b"), Ok(states[0].clone())); // the name wins over the id
        assert_eq!(find("bb"), Ok(states[1].clone()));
        assert_eq!(find(&"c".repeat(64)), Ok(states[2].clone()));
        assert_eq!(find("d"), Err("d: there is no such container".to_owned()));
        assert_eq!(find(""), Err(": there is no such container".to_owned()));
        let twins = vec![state("a", None), state("a", None)];
        assert_eq!(
            choose(twins, "a").unwrap_err().to_string(),
            "a: 2 containers have an id that begins so"
        );
    }

    #[test]
    fn newer_fields_are_passed_over_and_newer_versions_refused() {
        let mut json = serde_json::to_value(state("a", None)).unwrap();
        json["colour"] = "blue".into();
        json["plan"]["later"] = 1.into();
        assert_eq!(parse(&json.to_string()).unwrap(), state("a", None));
        json["version"] = 2.into();
        assert_eq!(parse(&json.to_string()).unwrap_err().to_string(), "version 2 is newer than 1");
    }
}
