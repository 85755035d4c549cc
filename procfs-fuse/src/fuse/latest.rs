//! The latest texts, each of which answers everybody who waits for it.
//!
//! A text whose reading began after a request had been taken is as good for that asker as
//! one of its own: [`moment`](crate::moment) says why.
//!
//! Nobody waits for a reading of another thread: two that come at once read both. Texts are
//! there while requests wait, in this process alone; a successor reads anew.
//!
//! What this module does not do: say who waits (`turns`), or whose file it is
//! ([`filesystem`](super::filesystem)).

use parking_lot::Mutex;

use crate::moment::{Moment, Moments};
use crate::serve::OPENING_WORDS;

/// Texts that there may be at once: of a few files, for a few containers.
const TEXTS: usize = 16;

/// Longest text that is kept, in bytes: 512 KiB are in use at most, while requests wait.
const LENGTH: usize = 32 << 10;

/// All that a text depends on, but for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The file, as the shared tree numbers it; one of a CPU by the asker's number.
    pub(crate) node: u64,
    /// For whom it is.
    pub(crate) opening: [u64; OPENING_WORDS],
}

/// The latest texts of this worker.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    moments: Moments,
    texts: Mutex<Vec<Text>>,
}

#[derive(Debug)]
struct Text {
    subject: Subject,
    /// When its reading began.
    began: Moment,
    bytes: Vec<u8>,
}

impl Latest {
    /// This moment: after all those before, whichever thread's.
    pub(crate) fn moment(&self) -> Moment {
        self.moments.now()
    }

    /// Replaces `out` by the text about `subject` whose reading began after `since`; false
    /// when there is none.
    pub(crate) fn find(&self, subject: &Subject, since: Moment, out: &mut Vec<u8>) -> bool {
        let texts = self.texts.lock();
        let is_it = |text: &&Text| text.began > since && text.subject == *subject;
        let Some(text) = texts.iter().find(is_it) else { return false };
        out.clear();
        out.extend_from_slice(&text.bytes);
        true
    }

    /// Keeps a text whose reading began at `began`, in place of the one before or, where
    /// there are too many, of the oldest.
    pub(crate) fn keep(&self, subject: &Subject, began: Moment, bytes: &[u8]) {
        if bytes.len() > LENGTH {
            return;
        }
        let mut texts = self.texts.lock();
        let same = texts.iter().position(|text| text.subject == *subject);
        let is_full = texts.len() >= TEXTS;
        let oldest = || texts.iter().enumerate().min_by_key(|(_place, text)| text.began);
        let place = same.or_else(|| is_full.then(oldest)?.map(|(place, _oldest)| place));
        let Some(text) = place.and_then(|place| texts.get_mut(place)) else {
            texts.push(Text { subject: *subject, began, bytes: bytes.to_vec() });
            return;
        };
        // Another thread may have begun later and be done already.
        if text.began < began {
            (text.subject, text.began) = (*subject, began);
            text.bytes.clear();
            text.bytes.extend_from_slice(bytes);
        }
    }

    /// Nobody waits any more: gives back what is kept.
    pub(crate) fn forget(&self) {
        self.texts.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: Subject = Subject { node: 7, opening: [1; OPENING_WORDS] };

    /// What who waits `since` is told about `subject`.
    #[track_caller]
    fn check(latest: &Latest, subject: &Subject, since: Moment, expected: Option<&str>) {
        let mut out = b"what was there".to_vec();
        let is_told = latest.find(subject, since, &mut out);
        assert_eq!(is_told.then_some(&*out), expected.map(str::as_bytes));
    }

    #[test]
    fn who_asked_before_the_reading_began_is_told() {
        let latest = Latest::default();
        let before = latest.moment();
        let began = latest.moment();
        let meanwhile = latest.moment();
        latest.keep(&MEMINFO, began, b"text");
        check(&latest, &MEMINFO, before, Some("text"));
        check(&latest, &MEMINFO, began, None);
        check(&latest, &MEMINFO, meanwhile, None);
        check(&latest, &MEMINFO, latest.moment(), None);
    }

    #[test]
    fn another_file_or_container_is_not() {
        let latest = Latest::default();
        let before = latest.moment();
        latest.keep(&MEMINFO, latest.moment(), b"text");
        check(&latest, &Subject { node: 8, ..MEMINFO }, before, None);
        check(&latest, &Subject { opening: [2; OPENING_WORDS], ..MEMINFO }, before, None);
    }

    #[test]
    fn a_reading_that_took_long_does_not_replace_a_later_one() {
        let latest = Latest::default();
        let before = latest.moment();
        let (slow, fast) = (latest.moment(), latest.moment());
        latest.keep(&MEMINFO, fast, b"later");
        latest.keep(&MEMINFO, slow, b"earlier");
        check(&latest, &MEMINFO, before, Some("later"));
        latest.keep(&MEMINFO, latest.moment(), b"last");
        check(&latest, &MEMINFO, fast, Some("last"));
    }

    #[test]
    fn the_oldest_makes_room_and_all_are_given_back() {
        let latest = Latest::default();
        let before = latest.moment();
        let subject = |node: usize| Subject { node: node as u64, ..MEMINFO };
        (0..=TEXTS).for_each(|node| latest.keep(&subject(node), latest.moment(), b"text"));
        latest.keep(&subject(TEXTS + 1), latest.moment(), &[0; LENGTH + 1]);
        check(&latest, &subject(0), before, None);
        check(&latest, &subject(1), before, Some("text"));
        check(&latest, &subject(TEXTS), before, Some("text"));
        check(&latest, &subject(TEXTS + 1), before, None);
        latest.forget();
        assert!(latest.texts.lock().is_empty());
    }
}
