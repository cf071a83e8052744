//! How well the watcher sees changes, and when to report that.

use crate::event::{Event, Why};

/// Turns the result of each complete scan into `Degraded` and `Resynced`. Pure.
///
/// ```text
///           trouble                    other trouble
///   well ───────────► troubled(why) ──────────────┐   each arrow into `troubled`: Degraded(why)
///    ▲                   │  ▲                     │   the arrow back to `well`:   Resynced
///    └───────────────────┘  └─────────────────────┘   a gap while well:           Resynced alone
///         no trouble
/// ```
#[derive(Debug, Default)]
pub(crate) struct Health {
    trouble: Option<Why>,
    /// Hints have been lost since the last scan without trouble.
    gap: bool,
}

/// What to report before and after the changes of a scan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bulletin {
    pub(crate) before: Option<Event>,
    pub(crate) after: Option<Event>,
}

impl Bulletin {
    pub(crate) const SILENCE: Self = Self { before: None, after: None };
}

impl Health {
    /// The trouble of the last scan.
    pub(crate) fn trouble(&self) -> Option<&Why> {
        self.trouble.as_ref()
    }

    pub(crate) fn handle_gap(&mut self) {
        self.gap = true;
    }

    pub(crate) fn handle_scan(&mut self, trouble: Option<Why>) -> Bulletin {
        let before = trouble.clone().filter(|why| self.trouble.as_ref() != Some(why));
        let mended = trouble.is_none() && (self.trouble.is_some() || self.gap);
        if trouble.is_none() {
            self.gap = false;
        }
        self.trouble = trouble;
        Bulletin { before: before.map(Event::Degraded), after: mended.then_some(Event::Resynced) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_and_its_end_once() {
        let degraded = |why| Bulletin { before: Some(Event::Degraded(why)), after: None };
        let resynced = || Bulletin { before: None, after: Some(Event::Resynced) };
        let silence = || Bulletin::SILENCE;
        let mut health = Health::default();
        for (trouble, expected) in [
            (None, silence()),
            (Some(Why::Missing), degraded(Why::Missing)),
            (Some(Why::Missing), silence()),
            (Some(Why::BackendStuck), degraded(Why::BackendStuck)),
            (None, resynced()),
            (None, silence()),
        ] {
            assert_eq!(health.handle_scan(trouble), expected);
        }
    }

    #[test]
    fn a_gap_is_closed_by_the_first_successful_scan() {
        let mut health = Health::default();
        health.handle_gap();
        assert_eq!(health.handle_scan(Some(Why::Missing)).after, None);
        assert_eq!(health.handle_scan(None).after, Some(Event::Resynced));
        health.handle_gap();
        assert_eq!(health.handle_scan(None).after, Some(Event::Resynced));
        assert_eq!(health.handle_scan(None).after, None);
    }
}
