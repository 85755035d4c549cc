//! The VM's disks: an ext4 image of a root folder, and a swap area.
//!
//! The folder of packages is kept between runs, under a name that changes with
//! the packages; only our own binaries are copied anew. `mkfs.ext4 -d` turns the
//! folder into an image in about a second.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::packages::{Closure, Extent};
use crate::build::Programs;
use crate::command;
use crate::place::Place;

/// Where the test programs are in the VM.
pub const TESTS: &str = "/usr/local/lib/porthole-tests";

/// Where `porthole` and `portholefs` are in the VM.
pub const BINARIES: &str = "/usr/local/bin";

/// Where the documents are in the VM that tests compare, and write.
pub const DOCUMENTS: &str = "/usr/local/share/doc/porthole";

/// Those documents.
const COMPARED: &[&str] = &["COMPATIBILITY.md"];

/// Size of the root disk: sparse, so only what is written is stored.
const ROOT_SIZE: &str = "3G";

/// Size of the swap disk, in bytes: more than any container of the tests may swap.
const SWAP_SIZE: u64 = 2 << 30;

/// Mounts, controllers, swap, then the command and the verdict.
const INIT: &str = include_str!("../../../vm/init.sh");

/// What is run in the VM.
#[derive(Debug)]
pub struct Job {
    /// Its environment, beside what tells the tests where they are.
    pub environment: Vec<(String, String)>,
    /// A command for `sh`.
    pub command: String,
}

impl Job {
    fn script(&self) -> String {
        let mut script = String::from("#!/bin/sh\n");
        script += &format!("export PORTHOLE_BIN_DIR={BINARIES} PORTHOLE_TESTS_DOCS={DOCUMENTS}\n");
        for (name, value) in &self.environment {
            script += &format!("export {name}={}\n", command::quoted(value));
        }
        script + &self.command + "\n"
    }
}

/// The disks of one run; removed afterwards.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
}

impl Run {
    /// Makes the disks: packages of this `extent`, our `programs` and the `job`.
    pub fn new(place: &Place, extent: Extent, programs: &Programs, job: &Job) -> Result<Self> {
        let root = root_folder(place, extent)?;
        let folder = place.made(format!("vm/run-{}", std::process::id()))?;
        let run = Self { folder };
        add_programs(&root, programs)?;
        add_documents(&root, place)?;
        write_script(&root.join("vm/init"), INIT)?;
        write_script(&root.join("vm/command"), &job.script())?;
        make_root_disk(&root, &run.root_disk())?;
        make_swap_disk(&run.swap_disk())?;
        Ok(run)
    }

    /// The ext4 image that becomes `/`.
    pub fn root_disk(&self) -> PathBuf {
        self.folder.join("root.ext4")
    }

    /// Brings back into the clone the documents that tests have written.
    pub fn take_documents(&self, place: &Place) -> Result<()> {
        for name in COMPARED {
            let to = place.workspace.join("docs").join(name);
            let dump = format!("dump {DOCUMENTS}/{name} {}", to.display());
            command::output(
                Command::new("/usr/sbin/debugfs").args(["-R", &dump]).arg(self.root_disk()),
            )?;
        }
        Ok(())
    }

    /// The swap area.
    pub fn swap_disk(&self) -> PathBuf {
        self.folder.join("swap")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("xtask: cannot remove {}: {error}", self.folder.display());
        }
    }
}

/// The folder with the packages' files, made when it is not there yet.
fn root_folder(place: &Place, extent: Extent) -> Result<PathBuf> {
    let closure = Closure::find(extent)?;
    let cache = place.made("vm")?;
    let kind = format!("root-{extent:?}-").to_lowercase();
    let root = cache.join(format!("{kind}{:016x}", digest(&closure.key())));
    if root.join("vm").is_dir() {
        return Ok(root);
    }
    for old in std::fs::read_dir(&cache)?.flatten() {
        if old.file_name().to_string_lossy().starts_with(&kind) {
            std::fs::remove_dir_all(old.path())?;
        }
    }
    println!("vm: copying this machine's packages into {}", root.display());
    make_skeleton(&root)?;
    copy_files(&closure, &root)?;
    write_passwd(&root)?;
    // Last: its presence says that the folder is complete.
    std::fs::create_dir(root.join("vm"))?;
    Ok(root)
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    // A change of what is made from the packages must also make the folder anew.
    include_str!("image.rs").hash(&mut hasher);
    hasher.finish()
}

fn make_skeleton(root: &Path) -> Result<()> {
    for folder in [
        "dev",
        "etc",
        "home",
        "mnt",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "usr/bin",
        "usr/lib",
        "usr/lib32",
        "usr/lib64",
        "usr/libx32",
        "usr/local/bin",
        "usr/sbin",
        "var/lib",
        "var/log",
        "var/tmp",
    ] {
        let path = root.join(folder);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
    }
    for name in ["bin", "lib", "lib32", "lib64", "libx32", "sbin"] {
        symlink(Path::new("usr").join(name), root.join(name))?;
    }
    symlink("../run", root.join("var/run"))?;
    // Which awk it is, is an alternative, and no package's file.
    symlink("mawk", root.join("usr/bin/awk"))?;
    Ok(())
}

/// Copies with tar, which keeps modes, links and times. Debian's packages name
/// `/bin/ps` where `/bin` is a link: the link in `root` is kept and followed.
fn copy_files(closure: &Closure, root: &Path) -> Result<()> {
    let list = closure.files()?.into_iter().map(|file| file + "\n").collect::<String>();
    let mut pack = Command::new("tar")
        .args(["--create", "--no-recursion", "--directory=/", "--files-from=-", "--file=-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run tar")?;
    let (Some(mut stdin), Some(packed)) = (pack.stdin.take(), pack.stdout.take()) else {
        bail!("tar has no pipes");
    };
    let writer = std::thread::spawn(move || stdin.write_all(list.as_bytes()));
    let mut unpack = Command::new("tar");
    unpack.args(["--extract", "--keep-directory-symlink", "--file=-", "--directory"]).arg(root);
    command::run(unpack.stdin(packed))?;
    if !matches!(writer.join(), Ok(Ok(()))) || !pack.wait()?.success() {
        bail!("tar could not pack this machine's packages");
    }
    Ok(())
}

/// Users, groups and names; a small `/etc` that belongs to no machine.
fn write_passwd(root: &Path) -> Result<()> {
    let etc = root.join("etc");
    std::fs::write(
        etc.join("passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    )?;
    std::fs::write(etc.join("group"), "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n")?;
    std::fs::write(etc.join("hosts"), "127.0.0.1 localhost\n")?;
    std::fs::write(etc.join("hostname"), "porthole-vm\n")?;
    for file in ["ld.so.cache", "nsswitch.conf"] {
        std::fs::copy(Path::new("/etc").join(file), etc.join(file))
            .with_context(|| format!("cannot copy /etc/{file}"))?;
    }
    Ok(())
}

fn add_programs(root: &Path, programs: &Programs) -> Result<()> {
    let tests = root.join(TESTS.trim_start_matches('/'));
    if tests.exists() {
        std::fs::remove_dir_all(&tests)?;
    }
    std::fs::create_dir_all(&tests)?;
    let binaries = root.join(BINARIES.trim_start_matches('/'));
    let to = |folder: PathBuf| move |program: &PathBuf| (program.clone(), folder.clone());
    let tests = programs.tests.iter().map(to(tests));
    for (program, folder) in programs.binaries.iter().map(to(binaries)).chain(tests) {
        let name = program.file_name().context("a program without a name")?;
        std::fs::copy(&program, folder.join(name))
            .with_context(|| format!("cannot copy {}", program.display()))?;
    }
    Ok(())
}

fn add_documents(root: &Path, place: &Place) -> Result<()> {
    let folder = root.join(DOCUMENTS.trim_start_matches('/'));
    std::fs::create_dir_all(&folder)?;
    for name in COMPARED {
        let document = place.workspace.join("docs").join(name);
        std::fs::copy(&document, folder.join(name))
            .with_context(|| format!("cannot copy {}", document.display()))?;
    }
    Ok(())
}

/// Writes a program that `sh` runs.
pub fn write_script(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
    Ok(())
}

fn make_root_disk(root: &Path, disk: &Path) -> Result<()> {
    let mut mkfs = Command::new("/usr/sbin/mkfs.ext4");
    // No journal, no lazy work: the disk lives for one run.
    mkfs.args(["-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=0,root_owner=0:0", "-d"]);
    command::output(mkfs.arg(root).arg(disk).arg(ROOT_SIZE))?;
    Ok(())
}

fn make_swap_disk(disk: &Path) -> Result<()> {
    std::fs::File::create(disk)?.set_len(SWAP_SIZE)?;
    command::output(Command::new("/usr/sbin/mkswap").arg(disk))?;
    Ok(())
}
