//! Who a process runs as: `-u USER[:GROUP]`, looked up in the container.
//!
//! The container's `/etc/passwd` and `/etc/group` are what somebody else wrote:
//! they decide what names mean, and nothing more. A number is a number whether
//! or not it is listed.
//!
//! Source of truth: `passwd(5)`, `group(5)`; docker's reading of `--user`.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::plan::User;
use crate::report::{Fault, Object};
use crate::rootfs::inside::Inside;

/// No account file is longer, in bytes; one that is has not been written to be read.
const LONGEST_FILE: u64 = 4 << 20;

/// A user, looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: Uid,
    pub(crate) group: Gid,
    /// Supplementary groups.
    groups: Vec<Gid>,
    /// The home directory; `/` for a user that is not listed.
    pub(crate) home: String,
}

impl Account {
    /// Looks `user` up in the files of `root`.
    pub(crate) fn of(user: &User, root: &Inside) -> Result<Self, Fault> {
        let passwd = text_of(root, "/etc/passwd")?;
        let group = text_of(root, "/etc/group")?;
        look_up(user, &passwd, &group)
    }

    /// Becomes this user, for good. Capabilities other than user 0's are lost.
    pub(crate) fn become_it(&self) -> nix::Result<()> {
        setgroups(&self.groups)?;
        setresgid(self.group, self.group, self.group)?;
        setresuid(self.user, self.user, self.user)
    }
}

/// The text of the file `path` in `root`; empty when there is none.
fn text_of(root: &Inside, path: &str) -> Result<String, Fault> {
    // Not blocking, in case it is a fifo.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    let file = match root.open(Path::new(path), flags) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(String::new()),
        file => file.of(path)?,
    };
    if fstat(&file).of(path)?.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Fault::new(path, "it is not a regular file"));
    }
    read_all(file).of(path)
}

fn read_all(file: OwnedFd) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::from(file).take(LONGEST_FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Finds out who `user` is by the texts of `/etc/passwd` and `/etc/group`.
fn look_up(user: &User, passwd: &str, group: &str) -> Result<Account, Fault> {
    let listed = passwd.lines().filter_map(PasswdEntry::parse);
    let number = number(&user.user);
    let mut listed = listed.filter(|entry| entry.name == user.user || Some(entry.user) == number);
    let entry = listed.next();
    let uid = match (&entry, number) {
        (Some(entry), _) => entry.user,
        (None, Some(number)) => number,
        (None, None) => return Err(unknown("user", &user.user, "/etc/passwd")),
    };
    let gid = match &user.group {
        Some(name) => group_number(name, group)?,
        None => entry.as_ref().map_or(0, |entry| entry.group),
    };
    let groups = match (&user.group, &entry) {
        (None, Some(entry)) => memberships(entry.name, group),
        _ => Vec::new(),
    };
    Ok(Account {
        user: Uid::from_raw(uid),
        group: Gid::from_raw(gid),
        groups,
        home: entry.map_or("/", |entry| entry.home).to_owned(),
    })
}

/// The fields of a line of `/etc/passwd` that matter here.
struct PasswdEntry<'a> {
    name: &'a str,
    user: u32,
    group: u32,
    home: &'a str,
}

impl<'a> PasswdEntry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let _password = fields.next()?;
        let (user, group) = (number(fields.next()?)?, number(fields.next()?)?);
        let _comment = fields.next()?;
        let home = fields.next().filter(|home| !home.is_empty()).unwrap_or("/");
        Some(Self { name, user, group, home })
    }
}

fn group_number(name: &str, group: &str) -> Result<u32, Fault> {
    let listed = group.lines().filter_map(GroupEntry::parse).find(|entry| entry.name == name);
    let number = listed.map(|entry| entry.group).or_else(|| number(name));
    number.ok_or_else(|| unknown("group", name, "/etc/group"))
}

/// Why `name` is nobody: a `kind` that `file` does not list, or no number at all.
fn unknown(kind: &str, name: &str, file: &str) -> Fault {
    let object = format!("{kind} {name}");
    if name.parse::<i128>().is_ok() {
        return Fault::new(object, "there is no such number").with_hint("0 to 4294967294");
    }
    Fault::new(object, format!("no such name in the container's {file}"))
        .with_hint("give its number")
}

fn memberships(user: &str, group: &str) -> Vec<Gid> {
    let entries = group.lines().filter_map(GroupEntry::parse);
    let mine = entries.filter(|entry| entry.members.split(',').any(|member| member == user));
    mine.map(|entry| Gid::from_raw(entry.group)).collect()
}

/// The fields of a line of `/etc/group` that matter here.
struct GroupEntry<'a> {
    name: &'a str,
    group: u32,
    members: &'a str,
}

impl<'a> GroupEntry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let _password = fields.next()?;
        Some(Self { name, group: number(fields.next()?)?, members: fields.next().unwrap_or("") })
    }
}

/// A user or group number: digits alone, so that nothing else is taken for 0
/// (CVE-2026-30892). -1 stands for "no change" in the kernel and is nobody.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.filter(|number| *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Step;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                          web:x:33:34::/srv/web:\n\
                          damaged line\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nlog:x:4:syslog,web\n";

    #[track_caller]
    fn check(user: &str, group: Option<&str>, expected: (u32, u32, &[u32], &str)) {
        let user = User { user: user.to_owned(), group: group.map(str::to_owned) };
        let account = look_up(&user, PASSWD, GROUP).unwrap();
        let groups: Vec<u32> = account.groups.iter().map(|group| group.as_raw()).collect();
        let found = (account.user.as_raw(), account.group.as_raw(), &groups[..], &*account.home);
        assert_eq!(found, expected);
    }

    #[test]
    fn names_and_numbers_mean_what_they_mean_to_docker() {
        check("0", None, (0, 0, &[], "/root"));
        check("web", None, (33, 34, &[4], "/srv/web"));
        check("33", None, (33, 34, &[4], "/srv/web"));
        check("web", Some("root"), (33, 0, &[], "/srv/web"));
        check("1000", None, (1000, 0, &[], "/"));
        check("1000", Some("1000"), (1000, 1000, &[], "/"));
    }

    #[test]
    fn cve_2026_30892_nothing_but_digits_is_a_number() {
        for text in ["", "+1", " 1", "1 ", "0x1", "-1", "1,0", "4294967295", "4294967296"] {
            assert_eq!(number(text), None, "text {text:?}");
        }
        assert_eq!(number("1"), Some(1));
    }

    #[test]
    fn an_unknown_name_is_refused_with_a_way_out() {
        let nobody = User { user: "nobody".to_owned(), group: None };
        let error = look_up(&nobody, PASSWD, GROUP).unwrap_err().at(Step::BecomeUser);
        let text = "cannot become user nobody: no such name in the container's /etc/passwd";
        assert_eq!((error.to_string().as_str(), error.hint()), (text, Some("give its number")));
    }
}
