//! Open files: records in memory that outlives the worker, and the worker's
//! books of which of them are free.
//!
//! The books are made anew from the records when a worker takes over
//! ([`OpenFiles::take_over`]); a record half made by the dead worker is free
//! again once its requests were answered ([`OpenFiles::sweep`]).
//!
//! What this module does not do: decide whose file it is or what it says (`serve`).

use std::collections::HashMap;

use parking_lot::{Condvar, Mutex};

use crate::shared::Shared;
use crate::shared::open_table::{RECORDS, Record, Use};
use crate::shared::slots::Slot;
use crate::shared::texts::{CHUNK, CHUNKS};
use std::sync::atomic::Ordering::SeqCst;

/// The handle of a file that has no record, because the table was full.
pub(crate) const UNRECORDED: u64 = 0;

/// Open files of one container, at most; so that four of them that leak
/// descriptors are needed to fill the table.
const RECORDS_SHARE: u32 = 16_384;

/// Chunks of text of one container, at most; an eighth of all.
const CHUNKS_SHARE: u32 = 512;

/// All open files of the mount.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    shared: &'static Shared,
    /// Part of every handle: those given out before the tables were begun anew
    /// stand for nothing.
    era: u16,
    books: Mutex<Books>,
    in_use: InUse,
}

/// What is free, and who uses how much of the rest.
#[derive(Debug, Default)]
struct Books {
    free_records: Vec<u32>,
    free_chunks: Vec<u32>,
    records_of: HashMap<u64, u32>,
    chunks_of: HashMap<u64, u32>,
}

/// Records that threads are at: two reads of one file must not overlap, and nobody waits
/// for a read of another's.
#[derive(Debug, Default)]
struct InUse {
    places: Mutex<Vec<u32>>,
    left: Condvar,
}

/// Nobody else is at this record while this value lives.
#[derive(Debug)]
struct Alone<'a> {
    in_use: &'a InUse,
    index: u32,
}

/// An open file that nobody else reads at the moment.
#[derive(Debug)]
pub(crate) struct OpenFile<'a> {
    files: &'a OpenFiles,
    record: &'a Record,
    _alone: Alone<'a>,
}

/// Which bytes are asked for, and by which request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) unique: u64,
    pub(crate) offset: u64,
    pub(crate) size: u32,
}

impl OpenFiles {
    /// Makes the books from the records that earlier workers left.
    pub(crate) fn take_over(shared: &'static Shared) -> Self {
        let mut books = Books::default();
        let mut text_places = vec![true; CHUNKS];
        for (index, record) in used(shared) {
            let share = record.share.load(SeqCst);
            match record.state() {
                (Use::Free, _) => books.free_records.push(index),
                (Use::Opening, _) => {}
                (Use::Open, _) => {
                    *books.records_of.entry(share).or_default() += 1;
                    for place in shared.texts.places(record.text.load(SeqCst)) {
                        *books.chunks_of.entry(share).or_default() += 1;
                        if let Some(free) = text_places.get_mut(place as usize) {
                            *free = false;
                        }
                    }
                }
            }
        }
        let places = (0..).zip(text_places);
        books.free_chunks = places.filter(|(_place, free)| *free).map(|(place, _)| place).collect();
        // What is given out first is taken from the end: the lowest place, so
        // that few pages are used.
        books.free_chunks.reverse();
        books.free_records.reverse();
        Self {
            shared,
            era: low_half(shared.header.era.load(SeqCst)),
            books: Mutex::new(books),
            in_use: InUse::default(),
        }
    }

    /// Frees what the dead worker was about to open; call it once its requests
    /// have been answered.
    pub(crate) fn sweep(&self) {
        let mut books = self.books.lock();
        for (index, record) in used(self.shared) {
            if record.state().0 == Use::Opening {
                record.free();
                books.free_records.push(index);
            }
        }
    }

    /// Records a file opened by the request `unique` in `slot`, whose `share` it
    /// counts against; `decide` fills in the rest of the record. [`UNRECORDED`]
    /// when the table or the share is full.
    pub(crate) fn open(
        &self,
        slot: &Slot,
        unique: u64,
        share: u64,
        decide: impl FnOnce(&Record),
    ) -> u64 {
        if let Some(handle) = self.opened_before(slot, unique) {
            return handle;
        }
        let Some((index, record)) = self.claim_record(share) else {
            self.shared.header.unrecorded_opens.fetch_add(1, SeqCst);
            return UNRECORDED;
        };
        let handle = handle(record.begin(), self.era, index);
        slot.handle.store(handle, SeqCst);
        slot.handle_for.store(unique, SeqCst);
        record.share.store(share, SeqCst);
        decide(record);
        record.publish();
        handle
    }

    /// The open file that `handle` stands for, while it is open.
    pub(crate) fn find(&self, handle: u64) -> Option<OpenFile<'_>> {
        let (generation, era, index) = taken_apart(handle);
        let record = self.shared.open_table.records.get(index as usize)?;
        let file = OpenFile { files: self, record, _alone: self.in_use.enter(index) };
        (era == self.era && record.state() == (Use::Open, generation)).then_some(file)
    }

    /// What `handle` counts against, 0 when it stands for nothing. Only for who is to be
    /// answered first: nobody is waited for to know it.
    pub(crate) fn share(&self, handle: u64) -> u64 {
        let (generation, _era, index) = taken_apart(handle);
        let record = self.shared.open_table.records.get(index as usize);
        let open = record.filter(|record| record.state() == (Use::Open, generation));
        open.map_or(0, |record| record.share.load(SeqCst))
    }

    /// Forgets a closed file; nothing happens when it is not open.
    pub(crate) fn close(&self, handle: u64) {
        let Some(file) = self.find(handle) else { return };
        file.drop_text();
        let share = file.record.share.load(SeqCst);
        let mut books = self.books.lock();
        file.record.free();
        books.free_records.push(taken_apart(handle).2);
        give_back(&mut books.records_of, share, 1);
    }

    /// The handle that a dead worker gave out for this very request.
    fn opened_before(&self, slot: &Slot, unique: u64) -> Option<u64> {
        let handle = slot.handle.load(SeqCst);
        let ours = slot.handle_for.load(SeqCst) == unique && handle != UNRECORDED;
        (ours && self.find(handle).is_some()).then_some(handle)
    }

    fn claim_record(&self, share: u64) -> Option<(u32, &'static Record)> {
        let table = &self.shared.open_table;
        let mut books = self.books.lock();
        let count = *books.records_of.get(&share).unwrap_or(&0);
        if count >= RECORDS_SHARE {
            return None;
        }
        let index = match books.free_records.pop() {
            Some(index) => index,
            None => {
                let used = table.used.load(SeqCst);
                if used >= RECORDS as u64 {
                    return None;
                }
                table.used.store(used + 1, SeqCst);
                u32::try_from(used).ok()?
            }
        };
        books.records_of.insert(share, count + 1);
        Some((index, table.records.get(index as usize)?))
    }

    fn claim_chunks(&self, share: u64, length: usize) -> Option<Vec<u32>> {
        let needed = length.div_ceil(CHUNK);
        let mut books = self.books.lock();
        let count = *books.chunks_of.get(&share).unwrap_or(&0);
        let after = count.saturating_add(u32::try_from(needed).ok()?);
        let left = books.free_chunks.len().checked_sub(needed)?;
        if after > CHUNKS_SHARE {
            return None;
        }
        books.chunks_of.insert(share, after);
        Some(books.free_chunks.split_off(left))
    }
}

impl InUse {
    /// Waits until nobody else is at the record `index`.
    fn enter(&self, index: u32) -> Alone<'_> {
        let mut places = self.places.lock();
        while places.contains(&index) {
            self.left.wait(&mut places);
        }
        places.push(index);
        Alone { in_use: self, index }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.in_use.places.lock().retain(|index| *index != self.index);
        self.in_use.left.notify_all();
    }
}

impl OpenFile<'_> {
    /// The record, for what was decided when the file was opened.
    pub(crate) fn record(&self) -> &Record {
        self.record
    }

    /// Appends what a read of `range` returns to `out`, and keeps what the next
    /// read needs.
    ///
    /// `generate` writes the text as it is now into `text`, whatever was there; it is called at offset 0, where
    /// a new look begins, and when nothing of the text is known any more.
    pub(crate) fn read<E>(
        &self,
        range: Range,
        (out, text): (&mut Vec<u8>, &mut Vec<u8>),
        generate: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let again = self.record.made_for.load(SeqCst) == range.unique;
        if range.offset > 0 && self.is_end(range.offset) {
            self.drop_text();
            return Ok(());
        }
        if self.record.text.load(SeqCst) != 0 && (range.offset > 0 || again) {
            self.continue_text(range, out);
            return Ok(());
        }
        generate(text)?;
        let (start, end) = range.within(text.len());
        out.extend_from_slice(text.get(start..end).unwrap_or_default());
        self.keep(text, end < text.len(), range.unique);
        Ok(())
    }

    /// True when the text that the reader last saw ends at or before `offset`.
    fn is_end(&self, offset: u64) -> bool {
        let ends_at = |length: &std::sync::atomic::AtomicU64| length.load(SeqCst).checked_sub(1);
        ends_at(&self.record.length).is_some_and(|length| offset >= length)
            || ends_at(&self.record.other_length) == Some(offset)
    }

    fn continue_text(&self, range: Range, out: &mut Vec<u8>) {
        let length = self.record.length.load(SeqCst).saturating_sub(1);
        let (start, end) = range.within(usize::try_from(length).unwrap_or(0));
        let first = self.record.text.load(SeqCst);
        self.files.shared.texts.read(first, start, end - start, out);
    }

    /// Notes the length of a new text, and the text itself when it was read in
    /// `part` only.
    ///
    /// A request may be handled again after a crash although its first answer
    /// arrived. Then the reader saw the text made first, so both lengths count
    /// as the end.
    fn keep(&self, text: &[u8], part: bool, unique: u64) {
        let record = self.record;
        let again = record.made_for.load(SeqCst) == unique;
        self.drop_text();
        let before = if again { record.length.load(SeqCst) } else { 0 };
        record.other_length.store(before, SeqCst);
        record.length.store(text.len() as u64 + 1, SeqCst);
        if part {
            let share = record.share.load(SeqCst);
            let places = self.files.claim_chunks(share, text.len()).unwrap_or_default();
            record.text.store(self.files.shared.texts.write(text, &places), SeqCst);
        }
        record.made_for.store(unique, SeqCst);
    }

    fn drop_text(&self) {
        let first = self.record.text.swap(0, SeqCst);
        if first != 0 {
            let places: Vec<u32> = self.files.shared.texts.places(first).collect();
            let count = u32::try_from(places.len()).unwrap_or(u32::MAX);
            let mut books = self.files.books.lock();
            give_back(&mut books.chunks_of, self.record.share.load(SeqCst), count);
            books.free_chunks.extend(places);
        }
    }
}

impl Range {
    /// The part of a text of `length` bytes that is asked for.
    pub(crate) fn within(&self, length: usize) -> (usize, usize) {
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX).min(length);
        (start, start.saturating_add(self.size as usize).min(length))
    }
}

/// Records that were used so far, with their places.
fn used(shared: &'static Shared) -> impl Iterator<Item = (u32, &'static Record)> {
    let used = usize::try_from(shared.open_table.used.load(SeqCst)).unwrap_or(0);
    (0..).zip(shared.open_table.records.iter().take(used))
}

/// Lowers the count of `share` by `number` and forgets it at 0.
fn give_back(counts: &mut HashMap<u64, u32>, share: u64, number: u32) {
    if let Some(count) = counts.get_mut(&share) {
        *count = count.saturating_sub(number);
        if *count == 0 {
            counts.remove(&share);
        }
    }
}

/// Generation, era and place as one word: 32, 16 and 16 bits.
fn handle(generation: u32, era: u16, index: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(era) << 16 | u64::from(index)
}

/// Generation, era and place of a handle.
fn taken_apart(handle: u64) -> (u32, u16, u32) {
    let generation = u32::try_from(handle >> 32).unwrap_or(0);
    (generation, low_half(handle >> 16), low_half(handle).into())
}

/// The lowest 16 bits.
fn low_half(word: u64) -> u16 {
    let [a, b, ..] = word.to_le_bytes();
    u16::from_le_bytes([a, b])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::shared_memory;
    use std::convert::Infallible;
    use std::os::fd::AsFd;
    use std::time::Duration;

    const ONE: u64 = 1;

    fn memory() -> &'static Shared {
        shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap()
    }

    fn slot(shared: &'static Shared) -> &'static Slot {
        &shared.banks[0].slots[0]
    }

    /// Reads from a file whose text is a new number each time it is generated.
    struct Reader {
        shared: &'static Shared,
        files: OpenFiles,
        handle: u64,
        generated: u32,
        unique: u64,
    }

    impl Reader {
        fn new() -> Self {
            let shared = memory();
            let files = OpenFiles::take_over(shared);
            let handle = files.open(slot(shared), 1, ONE, |_record| {});
            Self { shared, files, handle, generated: 0, unique: 2 }
        }

        fn read(&mut self, offset: u64, size: u32) -> String {
            self.unique += 2;
            self.read_again(offset, size)
        }

        /// Handles the last request once more, as after a crash.
        fn read_again(&mut self, offset: u64, size: u32) -> String {
            let mut out = Vec::new();
            let generated = &mut self.generated;
            let range = Range { unique: self.unique, offset, size };
            let file = self.files.find(self.handle).unwrap();
            let mut text = Vec::new();
            let result = file.read::<Infallible>(range, (&mut out, &mut text), |text| {
                *generated += 1;
                text.extend_from_slice(format!("look {generated}\n").as_bytes());
                Ok(())
            });
            result.unwrap();
            String::from_utf8(out).unwrap()
        }

        /// What was opened before a crash is continued by the next worker.
        fn crash(&mut self) {
            self.files = OpenFiles::take_over(self.shared);
            self.files.sweep();
        }
    }

    #[test]
    fn a_read_to_the_end_is_followed_by_nothing() {
        let mut reader = Reader::new();
        assert_eq!(reader.read(0, 100), "look 1\n");
        assert_eq!(reader.read(7, 100), "");
        assert_eq!(reader.read(7000, 100), "");
    }

    #[test]
    fn a_file_that_is_being_read_keeps_only_its_own_readers_waiting() {
        let shared = memory();
        let files = OpenFiles::take_over(shared);
        let handles: Vec<_> =
            (1..=130).map(|unique| files.open(slot(shared), unique, ONE, |_record| {})).collect();
        let first = files.find(handles[0]).unwrap();
        for other in &handles[1..] {
            assert!(files.find(*other).is_some());
        }
        let (say, hear) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| say.send(files.find(handles[0]).is_some()).unwrap());
            let too_early = hear.recv_timeout(Duration::from_millis(50));
            assert!(too_early.is_err(), "two at one file");
            drop(first);
            assert!(hear.recv().unwrap());
        });
    }

    #[test]
    fn one_byte_at_a_time_is_one_text() {
        let mut reader = Reader::new();
        let text: String = (0..9).map(|offset| reader.read(offset, 1)).collect();
        assert_eq!(text, "look 1\n");
        assert_eq!(reader.generated, 1);
    }

    #[test]
    fn offset_zero_looks_anew() {
        let mut reader = Reader::new();
        assert_eq!(reader.read(0, 100), "look 1\n");
        assert_eq!(reader.read(0, 4), "look");
        assert_eq!(reader.read(4, 100), " 2\n");
        assert_eq!(reader.read(0, 100), "look 3\n");
    }

    #[test]
    fn a_first_read_may_be_at_an_offset() {
        let mut reader = Reader::new();
        assert_eq!(reader.read(5, 100), "1\n");
        assert_eq!(reader.read(7, 100), "");
        assert_eq!(reader.read(100, 1), "");
    }

    #[test]
    fn a_crash_between_two_reads_changes_nothing() {
        let mut reader = Reader::new();
        assert_eq!(reader.read(0, 4), "look");
        reader.crash();
        assert_eq!(reader.read(4, 2), " 1");
        reader.crash();
        assert_eq!(reader.read(6, 100), "\n");
        assert_eq!(reader.read(7, 100), "");
    }

    #[test]
    fn a_request_handled_twice_is_answered_alike() {
        let mut reader = Reader::new();
        assert_eq!(reader.read(0, 4), "look");
        reader.crash();
        assert_eq!(reader.read_again(0, 4), "look");
        assert_eq!(reader.read(4, 100), " 1\n");
        reader.crash();
        assert_eq!(reader.read_again(4, 100), " 1\n");
    }

    /// The first answer may have arrived, so the reader may be at either end.
    #[test]
    fn both_texts_of_a_request_handled_twice_end_the_file() {
        let mut reader = Reader::new();
        reader.generated = 8;
        assert_eq!(reader.read(0, 100), "look 9\n");
        reader.crash();
        assert_eq!(reader.read_again(0, 100), "look 10\n");
        assert_eq!(reader.read(7, 100), "");
        assert_eq!(reader.read(8, 100), "");
    }

    #[test]
    fn an_open_handled_twice_has_one_handle() {
        let shared = memory();
        let files = OpenFiles::take_over(shared);
        let handle = files.open(slot(shared), 5, ONE, |_record| {});
        let files = OpenFiles::take_over(shared);
        assert_eq!(files.open(slot(shared), 5, ONE, |_record| {}), handle);
        assert_ne!(files.open(slot(shared), 7, ONE, |_record| {}), handle);
    }

    #[test]
    fn a_closed_handle_is_not_the_next_one() {
        let shared = memory();
        let files = OpenFiles::take_over(shared);
        let first = files.open(slot(shared), 5, ONE, |_record| {});
        files.close(first);
        let second = files.open(slot(shared), 7, ONE, |_record| {});
        assert_eq!(taken_apart(first).2, taken_apart(second).2);
        assert!(files.find(first).is_none());
        assert!(files.find(second).is_some());
        assert!(files.find(UNRECORDED).is_none());
    }

    #[test]
    fn a_handle_of_an_earlier_era_stands_for_nothing() {
        let shared = memory();
        let before = OpenFiles::take_over(shared).open(slot(shared), 5, ONE, |_record| {});
        assert_eq!(taken_apart(before), (1, 0, 0));
        let shared = memory();
        shared.header.era.store(0x1_0003, SeqCst);
        let files = OpenFiles::take_over(shared);
        let after = files.open(slot(shared), 6, 2, |_record| {});
        assert_eq!(taken_apart(after), (1, 3, 0));
        assert!(files.find(before).is_none());
        files.close(before);
        assert!(files.find(after).is_some());
    }

    #[test]
    fn what_a_dead_worker_was_opening_is_free_again() {
        let shared = memory();
        let files = OpenFiles::take_over(shared);
        let (_index, record) = files.claim_record(ONE).unwrap();
        record.begin();
        let files = OpenFiles::take_over(shared);
        assert!(files.books.lock().free_records.is_empty());
        files.sweep();
        assert_eq!(files.books.lock().free_records.len(), 1);
    }

    #[test]
    fn one_container_cannot_fill_the_table() {
        let shared = memory();
        let files = OpenFiles::take_over(shared);
        let open = |unique, share| files.open(slot(shared), unique, share, |_record| {});
        for unique in 0..u64::from(RECORDS_SHARE) {
            assert_ne!(open(unique + 1, ONE), UNRECORDED);
        }
        assert_eq!(open(1_000_000, ONE), UNRECORDED);
        assert_ne!(open(1_000_001, 2), UNRECORDED);
    }

    #[test]
    fn chunks_are_given_back() {
        let mut reader = Reader::new();
        for _round in 0..3 {
            reader.read(0, 1);
            assert_eq!(reader.files.books.lock().free_chunks.len(), CHUNKS - 1);
            reader.crash();
            assert_eq!(reader.files.books.lock().free_chunks.len(), CHUNKS - 1);
        }
        reader.files.close(reader.handle);
        assert_eq!(reader.files.books.lock().free_chunks.len(), CHUNKS);
        assert!(reader.files.books.lock().chunks_of.is_empty());
    }
}
