//! The same calls on the host's file and on ours, in the host's scope: the same
//! results.
//!
//! The calls are drawn at random, as root and as an ordinary user. What is known to
//! differ, and is not compared: `st_size` and what follows from it
//! (`docs/decisions/size-of-files.md`), that the mount is read-only, and how much
//! of what is there one read gives.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, Gid, Uid, Whence, faccessat, lseek, read, setfsgid, setfsuid};
use support::{Need, Random, Verdict, daemon, speed, trial};

const CONTAINER: &[Need] = &[Need::Container];

/// Sequences that are tried for each user.
const SEQUENCES: u32 = 600;

/// Calls on one open file.
const CALLS: u64 = 12;

/// Bits of a mode that say who may write: the mount is read-only.
const WRITING: u32 = 0o222;

/// Directories that are ours as a whole.
const DIRECTORIES: [&str; 3] =
    ["sys/devices/system/cpu", "sys/devices/system/memory", "sys/devices/system/node"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("any_calls_of_root_give_the_same", CONTAINER, || any_calls_give_the_same(0)),
        trial("any_calls_of_a_user_give_the_same", CONTAINER, || any_calls_give_the_same(65534)),
        trial("directories_list_the_same", CONTAINER, directories_list_the_same),
    ]
}

/// A thread of its own: who it is to file systems is a thread's.
fn any_calls_give_the_same(user: u32) -> Verdict {
    let tree = daemon::shared()?;
    let calls = std::thread::spawn(move || {
        setfsgid(Gid::from_raw(user));
        setfsuid(Uid::from_raw(user));
        let mut random = Random::new();
        let pairs: Vec<Pair> = files(&tree).iter().map(|file| Pair::new(&tree, file)).collect();
        // Most are small files of sysfs: every other sequence is for one of procfs.
        let of_proc: Vec<&Pair> =
            pairs.iter().filter(|pair| pair.kernels.starts_with("/proc")).collect();
        (0..speed::repetitions(SEQUENCES)).try_for_each(|sequence| {
            let pair =
                if sequence % 2 == 0 { random.one_of(&pairs) } else { *random.one_of(&of_proc) };
            pair.any_calls(&mut random).with_context(|| {
                format!("{} as user {user}, {}", pair.kernels.display(), random.again())
            })
        })
    });
    calls.join().map_err(|_panic| anyhow::anyhow!("the calls panicked"))?
}

/// Every file that we serve, as a path below the mount point, but for two kinds. Of
/// pressure we have the text alone, and its mode. And the kernel has sets of CPUs
/// that cannot be read a byte at a time, nor past their end (EPERM).
fn files(tree: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.extend(below(tree, &entry.path())),
                _ => {}
            }
        }
    }
    files.retain(|file| !file.starts_with("proc/pressure") && !is_set_of_cpus(file));
    files.sort();
    files
}

/// A `bin_attribute` of `drivers/base/topology.c` or `drivers/base/node.c`.
fn is_set_of_cpus(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let ends = ["_cpus", "_cpus_list", "_siblings", "_siblings_list", "cpumap", "cpulist"];
    ends.iter().any(|end| name.ends_with(end))
}

fn below(tree: &Path, path: &Path) -> Option<PathBuf> {
    Some(path.strip_prefix(tree).ok()?.to_owned())
}

/// A file of the kernel, and ours of the same name.
struct Pair {
    kernels: PathBuf,
    ours: PathBuf,
    /// The kernel's text at first. None of `loadavg`, which comes back to what it
    /// was and was something else meanwhile.
    text: Option<String>,
}

impl Pair {
    fn new(tree: &Path, file: &Path) -> Self {
        let kernels = Path::new("/").join(file);
        let text = std::fs::read_to_string(&kernels).ok();
        let text = text.filter(|_text| !kernels.ends_with("loadavg"));
        Self { kernels, ours: tree.join(file), text }
    }

    /// Looks at both, opens both, and does the same to both.
    fn any_calls(&self, random: &mut Random) -> Verdict {
        self.same("stat", |path| {
            let found = std::fs::metadata(path)?;
            Ok((found.mode() & !WRITING, found.uid(), found.gid(), found.nlink()))
        })?;
        for how in [AccessFlags::F_OK, AccessFlags::R_OK, AccessFlags::X_OK] {
            self.same("access", |path| Ok(faccessat(AT_FDCWD, path, how, AtFlags::AT_EACCESS)?))?;
        }
        let wrong = random.one_of(&[OFlag::O_DIRECTORY, OFlag::O_NOFOLLOW, OFlag::O_CLOEXEC]);
        self.same("open", |path| {
            Ok(open(path, OFlag::O_RDONLY | *wrong, Mode::empty()).map(drop)?)
        })?;
        let (Ok(kernels), Ok(ours)) = (File::open(&self.kernels), File::open(&self.ours)) else {
            return Ok(());
        };
        let length = self.text.as_ref().map_or(1024, String::len);
        let mut calls = Vec::new();
        for _call in 0..CALLS {
            let call = Call::any(random, length);
            calls.push(call);
            let found = [&kernels, &ours].map(|file| call.on(file));
            let [kernels_said, ours_said] = &found;
            let alike = kernels_said.is_like(ours_said, self.stands_still());
            ensure!(alike, "{calls:?}\nthe kernel's: {kernels_said:?}\nours: {ours_said:?}");
            meet(&kernels, &ours)?;
        }
        Ok(())
    }

    /// Whether the kernel still says what it did at first: a text that moves may be
    /// another in each of two files.
    fn stands_still(&self) -> bool {
        self.text.is_some() && std::fs::read_to_string(&self.kernels).ok() == self.text
    }

    /// Fails unless `call` says the same of both.
    fn same<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        call: impl Fn(&Path) -> Result<T>,
    ) -> Verdict {
        let [kernels, ours] = [&self.kernels, &self.ours].map(|path| {
            call(path).map_err(|error| {
                error.downcast_ref().copied().or_else(|| {
                    Some(Errno::from_raw(error.downcast_ref::<std::io::Error>()?.raw_os_error()?))
                })
            })
        });
        ensure!(kernels == ours, "{what}: the kernel's {kernels:?}, ours {ours:?}");
        Ok(())
    }
}

/// Puts both at the place of the one that has come less far: a read may give less
/// than there is.
fn meet(kernels: &File, ours: &File) -> Verdict {
    let at = |file: &File| lseek(file, 0, Whence::SeekCur);
    let place = at(kernels)?.min(at(ours)?);
    for file in [kernels, ours] {
        lseek(file, place, Whence::SeekSet)?;
    }
    Ok(())
}

/// A call on an open file.
#[derive(Debug, Clone, Copy)]
enum Call {
    Read(usize),
    ReadAt(usize, u64),
    Seek(i64, Whence),
    Stat,
    Write,
}

/// What came of it.
#[derive(Debug, PartialEq)]
enum Said {
    Bytes(Vec<u8>),
    Place(i64),
    Mode(u32),
    Refused(Errno),
}

impl Call {
    /// Any call on a file whose text has about `length` bytes.
    fn any(random: &mut Random, length: usize) -> Self {
        let size = usize::try_from(random.below(200)).unwrap_or(0);
        let size = *random.one_of(&[0, 1, size, 4096, 100_000]);
        let place = random.below(2 * length as u64 + 2);
        let back = i64::try_from(random.below(100)).unwrap_or(0) - 50;
        match random.below(8) {
            0..=2 => Self::Read(size),
            3 | 4 => Self::ReadAt(size, place),
            5 => Self::Seek(i64::try_from(place).unwrap_or(0), Whence::SeekSet),
            6 => Self::Seek(back, Whence::SeekCur),
            _ => *random.one_of(&[Self::Stat, Self::Write]),
        }
    }

    fn on(self, file: &File) -> Said {
        let said = match self {
            Self::Read(size) => {
                let mut bytes = vec![0; size];
                read(file.as_fd(), &mut bytes).map(|count| {
                    bytes.truncate(count);
                    Said::Bytes(bytes)
                })
            }
            Self::ReadAt(size, place) => {
                let mut bytes = vec![0; size];
                file.read_at(&mut bytes, place).map_err(|error| errno(&error)).map(|count| {
                    bytes.truncate(count);
                    Said::Bytes(bytes)
                })
            }
            Self::Seek(place, whence) => lseek(file, place, whence).map(Said::Place),
            Self::Stat => file
                .metadata()
                .map_err(|error| errno(&error))
                .map(|found| Said::Mode(found.mode() & !WRITING)),
            Self::Write => nix::unistd::write(file, b"0").map(|_count| Said::Place(0)),
        };
        said.unwrap_or_else(Said::Refused)
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

impl Said {
    /// The same kind of answer; of a text that stands still, with the same bytes
    /// as far as both go, and both at its end or neither.
    fn is_like(&self, ours: &Self, is_still: bool) -> bool {
        match (self, ours) {
            (Self::Bytes(kernels), Self::Bytes(ours)) => {
                let is_same = kernels.iter().zip(ours).all(|(theirs, own)| theirs == own)
                    && kernels.is_empty() == ours.is_empty();
                is_same || !is_still
            }
            (kernels, ours) => kernels == ours,
        }
    }
}

/// What is in the directories that are ours as a whole, each name once.
fn directories_list_the_same() -> Verdict {
    for directory in DIRECTORIES {
        let list = |path: PathBuf| -> Result<Vec<String>> {
            let mut folder = nix::dir::Dir::open(&path, OFlag::O_RDONLY, Mode::empty())?;
            let names =
                folder.iter().map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            names.collect()
        };
        let ours = list(daemon::shared()?.join(directory))?;
        let kernels = list(Path::new("/").join(directory))?;
        let [once, expected] = [&ours, &kernels].map(|names| names.iter().collect::<BTreeSet<_>>());
        ensure!(once.len() == ours.len(), "{directory} lists a name twice: {ours:?}");
        let missing: Vec<_> = expected.difference(&once).filter(|name| !is_hidden(name)).collect();
        ensure!(missing.is_empty(), "{directory} does not list {missing:?}");
        let invented: Vec<_> = once.difference(&expected).collect();
        ensure!(invented.is_empty(), "{directory} lists {invented:?}");
    }
    Ok(())
}

/// What nobody can need who reads, or `docs/SEMANTICS.md` says why not.
fn is_hidden(name: &str) -> bool {
    ["memory", "power", "uevent", "probe", "release"].iter().any(|hidden| name.starts_with(hidden))
}
