//! The life of a worker: prepare, wait for the predecessor's end, answer what it
//! left, serve.
//!
//! Everything slow happens before [`State::Ready`], while the predecessor still
//! serves or, after a crash, while the kernel queues requests.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, OnceLock};
use std::thread;

use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd;
use tracing::{debug, info, warn};

use crate::catalog;
use crate::config::Settings;
use crate::fuse::device::Server;
use crate::fuse::door::Door;
use crate::fuse::filesystem::Filesystem;
use crate::fuse::histories::SharedHistories;
use crate::fuse::rehearsal::{Omission, Rehearsal};
use crate::fuse::source::Source;
use crate::fuse::tree::Tree;
use crate::fuse::turns::Turns;
use crate::metrics::listener;
use crate::serve;
use crate::shared::header::TABLES;
use crate::shared::slots::{Bank, Realm, SLOTS, State};
use crate::shared::{Shared, UNMOUNTED, descriptors};
use crate::sys::{crash, descriptor, fuse_device, shared_memory};

/// What the keeper tells a worker on its command line.
#[derive(Debug)]
pub struct WorkerOptions {
    /// Which bank is its own.
    pub bank: usize,
    /// Only copy the host's files.
    pub fallback: bool,
    /// How to answer.
    pub settings: Settings,
    /// What to fail at on purpose.
    pub rehearsals: Vec<Rehearsal>,
}

/// Lives the life of a worker; returns only on errors.
///
/// # Errors
///
/// Why it cannot serve.
pub fn run(options: WorkerOptions) -> io::Result<()> {
    // Standard output may be a pipe that somebody reads to its end.
    unistd::dup2_stdout(io::stderr())?;
    let inherited = Inherited::take(options.bank)?;
    let shared = shared_memory::map(inherited.memory.as_fd())?;
    shared.header.check().map_err(io::Error::other)?;
    let no_bank = || io::Error::other("the keeper named a bank that is not there");
    let bank = shared.banks.get(options.bank).ok_or_else(no_bank)?;
    let omission = options.rehearsals.iter().find_map(Rehearsal::omission);
    if omission != Some(Omission::Prefault) {
        keep_buffers(bank);
    }
    prepare_to_crash(shared)?;
    let tree = Tree::new(&options.settings.root, &shared.paths);
    let layout = options.rehearsals.iter().find_map(Rehearsal::layout).unwrap_or(TABLES);
    let fresh = options.settings.fresh;
    let source = if options.fallback {
        Source::Host
    } else {
        options.rehearsals.iter().try_for_each(Rehearsal::before_start)?;
        let memory = Box::new(SharedHistories::new(shared));
        let settings = options.settings.within(descriptor::granted(WANTED_DESCRIPTORS)?);
        let server = serve::Server::new(settings).map_err(io::Error::other)?;
        let server = server.with_memory(memory).counted_by(&shared.counters);
        server.warm_up();
        Source::Server(Box::new(server), options.rehearsals.clone())
    };
    let gate = Arc::new(OnceLock::new());
    start_threads(&gate, &inherited.devices, bank)?;
    announce(bank, &inherited)?;
    inherited.wait_for(bank, State::Serving)?;
    understand_tables(shared, inherited.memory.as_fd(), layout)?;
    let era = shared.header.era.load(SeqCst);
    options.rehearsals.iter().for_each(|rehearsal| rehearsal.before_take_over(era));
    let filesystem = Filesystem::take_over(tree, source, shared, fresh);
    shared.counters.begin(catalog::fingerprint());
    let Inherited { wake, devices, watch, .. } = inherited;
    let waiting = shared.waiting.get(options.bank).ok_or_else(no_bank)?;
    let turns = shared.counters.waiting.each_ref().map(Turns::new);
    let server = Server { filesystem, devices, watch, shared, waiting, turns, omission };
    let server = Arc::new(server);
    take_over(&server, bank)?;
    bank.reading.store(1, SeqCst);
    shared.header.attempts.store(0, SeqCst);
    gate.get_or_init(|| Arc::clone(&server));
    answer_scrapers(shared)?;
    open_door(&server)?;
    let idle = Arc::clone(&server);
    thread::Builder::new().name("rest".to_owned()).spawn(move || idle.filesystem.give_back())?;
    let mut has_settled = false;
    loop {
        if !has_settled && !is_woken_within(&wake, SETTLING)? {
            enter_group();
            has_settled = true;
        }
        wait(&wake)?;
        replay_lost(&server, shared)?;
    }
}

/// Descriptors that a worker wants: enough for all that [`Settings`] lets it keep open,
/// and one for the init of each of tens of thousands of containers.
const WANTED_DESCRIPTORS: u64 = 65_536;

/// How long a worker serves before it enters its control group, in milliseconds.
const SETTLING: u16 = 1000;

/// Enters the workers' control group, where there is one.
///
/// Meanwhile, for tens of milliseconds, the kernel lets no process start or end
/// (`cgroup_threadgroup_rwsem`): no successor either, should this worker die.
fn enter_group() {
    let Ok(group) = descriptor::inherited(descriptors::GROUP) else { return };
    if let Err(error) = unistd::write(&group, b"0") {
        debug!(%error, "stays in the keeper's control group");
    }
}

/// What the keeper left open for a worker.
struct Inherited {
    memory: OwnedFd,
    watch: OwnedFd,
    keeper_wake: OwnedFd,
    wake: OwnedFd,
    devices: [Option<OwnedFd>; SLOTS],
}

impl Inherited {
    fn take(bank: usize) -> io::Result<Self> {
        let not_there = || io::Error::from_raw_os_error(libc::EBADF);
        let wake = *descriptors::WORKER_WAKE.get(bank).ok_or_else(not_there)?;
        let devices = descriptors::DEVICES.map(|number| descriptor::inherited(number).ok());
        let inherited = Self {
            memory: descriptor::inherited(descriptors::MEMORY)?,
            watch: descriptor::inherited(descriptors::WATCH)?,
            keeper_wake: descriptor::inherited(descriptors::KEEPER_WAKE)?,
            wake: descriptor::inherited(wake)?,
            devices,
        };
        if inherited.devices.iter().all(Option::is_none) { Err(not_there()) } else { Ok(inherited) }
    }

    fn wait_for(&self, bank: &Bank, state: State) -> io::Result<()> {
        while bank.state() != state {
            wait(&self.wake)?;
        }
        Ok(())
    }
}

/// False when the keeper has nothing to say for so many milliseconds.
fn is_woken_within(wake: &OwnedFd, milliseconds: u16) -> io::Result<bool> {
    let mut waiting = [PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
    match poll(&mut waiting, milliseconds) {
        Ok(happened) => Ok(happened > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits until the keeper has something to say.
fn wait(wake: &OwnedFd) -> io::Result<()> {
    let mut counter = [0; 8];
    match unistd::read(wake, &mut counter) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Brings the request buffers into memory, to stay there: else a kill while one is
/// brought in would be noticed.
fn keep_buffers(bank: &'static Bank) {
    if let Err(error) = shared_memory::keep_resident(bank) {
        warn!(%error, "request buffers cannot be locked in memory; a crash under memory pressure may be noticed");
    }
    for slot in &bank.slots {
        slot.request.touch();
    }
}

/// Makes sure that whoever crashes at any later moment is blamed.
fn prepare_to_crash(shared: &'static Shared) -> io::Result<()> {
    crash::install(shared)?;
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        // A panic is a crash like any other: the successor answers.
        process::abort();
    }));
    Ok(())
}

/// Tells the keeper that this worker could serve.
fn announce(bank: &Bank, inherited: &Inherited) -> io::Result<()> {
    for (place, byte) in bank.version.iter().zip(env!("CARGO_PKG_VERSION").bytes().chain([0])) {
        place.store(byte, SeqCst);
    }
    bank.set_state(State::Ready);
    unistd::write(&inherited.keeper_wake, &1_u64.to_ne_bytes())?;
    Ok(())
}

/// Workers in a row that may end over tables which then are begun anew.
const MOST_ATTEMPTS: u32 = 3;

/// Begins new tables when those of the worker before, who has ended, are of another
/// `layout`, or have ended workers. Killed on the way it leaves tables that the next worker
/// begins anew.
fn understand_tables(shared: &Shared, memory: BorrowedFd<'_>, layout: u64) -> io::Result<()> {
    let header = &shared.header;
    let found = header.tables.load(SeqCst);
    let attempts = header.attempts.fetch_add(1, SeqCst);
    // Somebody else's SIGKILL says nothing about the tables.
    let was_killed = header.last_end.load(SeqCst) == libc::SIGKILL.cast_unsigned();
    if found == layout && (attempts < MOST_ATTEMPTS || was_killed) {
        return Ok(());
    }
    header.tables.store(0, SeqCst);
    header.era.fetch_add(1, SeqCst);
    shared_memory::clear_tables(memory)?;
    header.tables.store(layout, SeqCst);
    let reason = if found == layout {
        "workers ended over the tables, which are begun anew"
    } else {
        "the version before kept other tables"
    };
    warn!(found, layout, "{reason}: open files are answered for whoever reads them");
    Ok(())
}

/// Answers everything that earlier workers left.
fn take_over(server: &Server, bank: &Bank) -> io::Result<()> {
    let header = &server.shared.header;
    let replayed = replay_lost(server, server.shared)?;
    server.filesystem.sweep();
    let (generation, takeovers) = (bank.generation.load(SeqCst), header.takeovers.load(SeqCst));
    if generation == 1 {
        return Ok(());
    }
    if header.can_resend.load(SeqCst) == 1 && server.omission.is_none() {
        let first_of = |realm: Realm| server.devices.get(realm.first_thread());
        for device in Realm::ALL.into_iter().filter_map(first_of).flatten() {
            fuse_device::resend(device.as_fd())?;
        }
    }
    let last_end = header.last_end.load(SeqCst);
    info!(generation, takeovers, replayed, last_end, "took over from the worker before");
    Ok(())
}

/// Answers the requests of workers that are dead or dying; frees the banks of
/// those that are dead.
fn replay_lost(server: &Server, shared: &Shared) -> io::Result<u32> {
    let mut replayed = 0;
    for (bank, waiting) in shared.banks.iter().zip(&shared.waiting) {
        let state = bank.state();
        if matches!(state, State::Lost | State::Hung) {
            replayed += server.replay(bank, waiting)?;
        }
        if state == State::Lost {
            bank.set_state(State::Free);
        }
    }
    Ok(replayed)
}

/// Has a thread answer who asks for metrics, where somebody can.
fn answer_scrapers(shared: &'static Shared) -> io::Result<()> {
    let sockets = listener::inherited();
    if sockets.is_empty() {
        return Ok(());
    }
    thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        if let Err(error) = sockets.answer(shared) {
            warn!(%error, "metrics are not told any more; reads are answered as before");
        }
    })?;
    Ok(())
}

/// Has a thread answer who asks for private trees, where there can be some.
fn open_door(server: &Arc<Server>) -> io::Result<()> {
    let inherited = |number| descriptor::inherited(number).ok();
    let (Some(socket), Some(namespace)) =
        (inherited(descriptors::DOOR), inherited(descriptors::NAMESPACE))
    else {
        return Ok(());
    };
    let door = Door { socket: socket.into(), namespace };
    let server = Arc::clone(server);
    thread::Builder::new().name("door".to_owned()).spawn(move || {
        if let Err(error) = door.answer(&server) {
            warn!(%error, "no private trees are made any more; containers get the shared files");
        }
    })?;
    Ok(())
}

/// Starts a thread for each device, which serves once the `gate` is open: when what
/// earlier workers left is answered.
fn start_threads(
    gate: &Arc<OnceLock<Arc<Server>>>,
    devices: &[Option<OwnedFd>; SLOTS],
    bank: &'static Bank,
) -> io::Result<()> {
    let threads = bank.slots.iter().zip(devices).enumerate();
    for (number, (slot, _device)) in threads.filter(|(_, (_, device))| device.is_some()) {
        let gate = Arc::clone(gate);
        let name = format!("device-{number}");
        thread::Builder::new().name(name).spawn(move || {
            match gate.wait().serve(number, slot) {
                // The namespace is gone, and every container with a tree: nobody is served less.
                Ok(()) if Realm::of_thread(number) != Realm::Shared => {}
                Ok(()) => {
                    debug!("unmounted");
                    process::exit(UNMOUNTED)
                }
                Err(error) => {
                    // The successor tries again what failed here.
                    tracing::error!(%error, "the FUSE device failed");
                    process::exit(1)
                }
            }
        })?;
    }
    Ok(())
}
