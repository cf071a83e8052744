//! Every async method that says it is cancel safe, with its futures dropped in every place.

mod fds;
mod packet;
mod socket;
mod stream;

use std::{fmt::Debug, time::Duration};

use cancel_kit::{Error, Survey};
use uds_actor::Report;

const HANG: Duration = Duration::from_secs(20);

/// Nothing was found, and not because too little was tried.
#[track_caller]
fn passes<O: Debug>(survey: Result<Survey, Error<O>>, dropped: u64) {
    match survey {
        Ok(survey) => assert!(survey.dropped >= dropped, "{survey}"),
        Err(error) => panic!("{error}"),
    }
}

fn words() -> impl Iterator<Item = String> {
    (0..12).map(|number| format!("message-{number:02}"))
}

/// The part of a report that says what became of the messages.
fn counts(report: &Report) -> (u64, usize, u64, u64) {
    (report.handed_to_kernel.frames, report.unsent.len(), report.delivered.frames, report.lost.frames)
}
