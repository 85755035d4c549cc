//! One call, from what the kernel has handed out to what is answered.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;

use cgroupfs::cpu_list::{self, CpuList};
use nix::errno::Errno;
use tracing::debug;

use super::beside::Beside;
use super::call::{Affinity, Call};
use super::layout;
use super::listeners::Listener;
use super::notes::Taken;
use super::target;
use super::waiting::{Gone, Waiting};
use crate::readings::page_size;
use crate::serve::Server;
use crate::shared::calls::Answered;
use crate::sys::notify::Answer;
use crate::sys::{affinity, clock, notify};
use crate::view::affinity::{Placed, placed, shown};
use crate::view::cpu::Visible;
use crate::view::sysinfo::SystemInfo;

/// A call that two answerers have died or hung over is the kernel's.
const MOST_TRIES: u32 = 2;

/// What is known about the kernel's masks of CPUs.
#[derive(Debug)]
struct Masks {
    /// `nr_cpu_ids`: one more than the largest number a CPU can have. The kernel takes no
    /// shorter mask for an answer.
    cpu_ids: u32,
    /// `cpumask_size()`, in bytes: the most that it writes.
    size: usize,
}

/// Answers calls; one per process, shared by its threads.
#[derive(Debug)]
pub(super) struct Answers {
    /// `None`: everything is left to the kernel.
    server: Option<Server>,
    beside: Beside,
    masks: Masks,
    page_size: u64,
}

/// Why there is no answer of ours.
enum Without {
    /// The kernel has one.
    Kernel,
    /// Nobody waits for it.
    Gone,
    /// The call fails.
    Errno(Errno),
}

impl From<Gone> for Without {
    fn from(_gone: Gone) -> Self {
        Self::Gone
    }
}

impl From<Errno> for Without {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Answers {
    /// Answers as `server` sees things.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell how many CPUs there can be.
    pub(super) fn new(server: Option<Server>, beside: Beside) -> io::Result<Self> {
        let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
        let possible = cpu_list::parse(&possible).map_err(io::Error::other)?;
        let masks = Masks {
            cpu_ids: possible.iter().last().map_or(1, |last| last + 1),
            size: affinity::mask_of(0)?.len(),
        };
        Ok(Self { server, beside, masks, page_size: page_size() })
    }

    /// Closes files of containers and callers that have not been asked about for a minute,
    /// for as long as the process lives.
    pub(super) fn give_back(&self) {
        if let Some(server) = &self.server {
            server.give_back();
        }
    }

    /// Answers the call in `taken`, and forgets it.
    pub(super) fn answer(&self, listener: &Listener, taken: &Taken) {
        taken.in_memory.store(0, SeqCst);
        taken.since_ns.store(clock::boottime_ns(), SeqCst);
        let tries = taken.tries.fetch_add(1, SeqCst);
        let answer = match Waiting::new(listener, taken) {
            Some(_) if tries >= MOST_TRIES => Some(Answer::Kernel),
            Some(waiting) => self.decide(&waiting, taken),
            None => Some(Answer::Kernel),
        };
        let sent = answer.zip(taken.request.id()).filter(|(answer, id)| {
            let sent = notify::answer(listener.as_fd(), *id, *answer);
            sent.inspect_err(|error| debug!(%error, "nobody waits for an answer")).is_ok()
        });
        if let Some(call) = taken.request.raw().call() {
            self.beside.count(&call, outcome(sent.map(|(answer, _id)| answer)));
        }
        taken.end();
    }

    /// `None`: nobody waits for it.
    fn decide(&self, waiting: &Waiting<'_>, taken: &Taken) -> Option<Answer> {
        let answered = match taken.request.raw().call() {
            Some(Call::SysInfo { place, width }) => self.system_info(waiting).and_then(|info| {
                let bytes = layout::sysinfo(&info, width, self.page_size);
                write(waiting, place, &bytes).map(|()| 0)
            }),
            Some(Call::GetAffinity(call)) => self.get_affinity(waiting, &call),
            Some(Call::SetAffinity(call)) => self.set_affinity(waiting, &call),
            None => Err(Without::Kernel),
        };
        match answered {
            Ok(value) => Some(Answer::Value(value)),
            Err(Without::Errno(errno)) => Some(Answer::Error(errno as i32)),
            Err(Without::Kernel) => Some(Answer::Kernel),
            Err(Without::Gone) => None,
        }
    }

    fn system_info(&self, waiting: &Waiting<'_>) -> Result<SystemInfo, Without> {
        let server = self.server.as_ref().ok_or(Without::Kernel)?;
        server.system_info(waiting.thread).ok_or(Without::Kernel)
    }

    fn visible(&self, waiting: &Waiting<'_>) -> Result<Visible, Without> {
        let server = self.server.as_ref().ok_or(Without::Kernel)?;
        server.visible_cpus(waiting.thread).ok_or(Without::Kernel)
    }

    fn get_affinity(&self, waiting: &Waiting<'_>, call: &Affinity) -> Result<u32, Without> {
        let visible = self.visible(waiting)?;
        self.masks.check(call)?;
        let thread = target::thread(waiting.thread, call.pid)?;
        let allowed = affinity::mask_of(as_pid(thread)).map_err(|_gone| Errno::ESRCH)?;
        let length = self.masks.length(call);
        let mask = layout::mask(&shown(&layout::cpus(&allowed), &visible), length);
        write(waiting, call.place, &mask)?;
        Ok(u32::try_from(length).unwrap_or(0))
    }

    fn set_affinity(&self, waiting: &Waiting<'_>, call: &Affinity) -> Result<u32, Without> {
        let visible = self.visible(waiting)?;
        let mut asked = vec![0; self.masks.length(call)];
        let memory = waiting.memory()?.ok_or(Without::Kernel)?;
        if !memory.read(call.place, &mut asked) {
            return Err(Errno::EFAULT.into());
        }
        let thread = target::thread(waiting.thread, call.pid)?;
        target::check(waiting.thread, thread)?;
        let mask = match placed(&layout::cpus(&asked), &visible).ok_or(Errno::EINVAL)? {
            Placed::Anywhere => layout::mask(&CpuList::first(self.masks.cpu_ids), self.masks.size),
            Placed::On(cpus) => layout::mask(&cpus, self.masks.size),
        };
        waiting.check()?;
        match affinity::set_mask_of(as_pid(thread), &mask) {
            Ok(()) => Ok(0),
            Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL)).into()),
        }
    }
}

impl Masks {
    /// What `sched_getaffinity(2)` says of the length of a mask.
    fn check(&self, call: &Affinity) -> Result<(), Errno> {
        let is_short = call.length.wrapping_mul(u8::BITS) < self.cpu_ids;
        let is_uneven = !call.length.is_multiple_of(call.width.bytes());
        if is_short || is_uneven { Err(Errno::EINVAL) } else { Ok(()) }
    }

    /// How many bytes of the caller's mask count.
    fn length(&self, call: &Affinity) -> usize {
        self.size.min(call.length as usize)
    }
}

/// What is counted of a call that was `answered`, or was not because its caller had gone.
fn outcome(answered: Option<Answer>) -> Answered {
    match answered {
        Some(Answer::Value(_)) => Answered::Container,
        Some(Answer::Error(_)) => Answered::Error,
        Some(Answer::Kernel) => Answered::Kernel,
        None => Answered::Gone,
    }
}

/// Writes the answer into the caller's memory.
fn write(waiting: &Waiting<'_>, place: u64, bytes: &[u8]) -> Result<(), Without> {
    let memory = waiting.memory()?.ok_or(Without::Kernel)?;
    if memory.write(place, bytes) { Ok(()) } else { Err(Errno::EFAULT.into()) }
}

fn as_pid(thread: u32) -> libc::pid_t {
    thread.cast_signed()
}
