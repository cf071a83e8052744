//! Every command of the tool in every environment that this machine can make: namespaces, missing kernel features, full
//! disks, low limits, foreign filesystems, other users, clocks that jump.
//!
//! The expected outcomes are the table in `docs/environments.md`, so what users read is what is tested. One test is one
//! row. The test makes the environment, and this same program, started again inside it, plays a [scenario] for each
//! column. An environment that the machine cannot make is `SKIPPED`, with the reason.

#![expect(clippy::unwrap_used, reason = "a test may")]
#![expect(clippy::print_stdout, reason = "programs that play peers, and rows that are skipped, say so there")]

mod environment;
mod inside;
mod outcome;
mod scenario;
mod table;

use crate::{environment::Environment, outcome::Outcome, scenario::Scenario, table::Table};

/// One test for each row of the table.
macro_rules! environments {
    ($($name:ident = $row:literal,)+) => {
        const ROWS: &[&str] = &[$($row),+];
        $(#[test]
        fn $name() {
            check($row);
        })+
    };
}

environments! {
    a_plain_machine = "a plain machine",
    a_user_namespace_with_root = "a user namespace in which you are root",
    a_user_namespace_without_root = "a user namespace without root",
    a_user_namespace_as_nobody = "a user namespace as uid 65534 (`user: nobody`)",
    a_pid_namespace = "a process namespace",
    peers_in_another_network_namespace = "peers in another network namespace",
    a_chroot_without_proc = "a chroot without `/proc` and `/sys`",
    no_proc = "no `/proc`",
    no_socket_table = "no `sock_diag` (`RestrictAddressFamilies=AF_UNIX`)",
    no_peer_groups = "no `SO_PEERGROUPS` (gVisor)",
    no_rename_flags = "no flags of `renameat2` (gVisor, Kata)",
    a_full_disk = "a full disk",
    few_descriptors = "32 descriptors",
    no_more_threads = "no thread to be had",
    no_file_may_grow = "`RLIMIT_FSIZE` of 0",
    little_memory = "64 MiB of memory (`RLIMIT_AS`)",
    a_small_stack = "a stack of 64 KiB",
    an_overlay = "an overlay filesystem",
    a_fuse_filesystem = "a FUSE filesystem",
    peers_of_another_user = "peers of another user",
    a_directory_of_mode_777 = "a directory of mode 0777 (`emptyDir`)",
    a_directory_of_mode_2775 = "a setgid directory of mode 2775",
    a_clock_that_was_set_back = "a clock that was set back an hour",
    a_clock_that_was_set_forward = "a clock that was set forward an hour",
    a_clock_that_jumps = "a clock that jumps an hour back and forth",
    a_bind_mounted_directory = "a directory that is bind-mounted elsewhere",
    no_inotify = "no inotify instance left",
    a_path_over_107_bytes = "a path longer than 107 bytes",
    non_blocking_output = "non-blocking standard output",
    no_standard_error = "standard error closed",
    no_standard_input = "standard input closed",
}

#[test]
fn the_table_has_a_row_for_each_environment_and_a_cell_for_each_command() {
    let table = Table::read();
    assert_eq!(table.rows().collect::<Vec<_>>(), ROWS);
    assert_eq!(table.columns(), Scenario::ALL.map(Scenario::name));
    // The front page says how many there are.
    let claim = format!("each command run in {} environments", ROWS.len());
    assert!(include_str!("../../../../README.md").contains(&claim), "{claim}");
}

/// Plays every scenario of a row, and compares all outcomes before it fails.
fn check(row: &str) {
    let table = Table::read();
    let environment = match Environment::make(row) {
        Ok(environment) => environment,
        Err(reason) => return println!("SKIPPED {row}: {reason}"),
    };
    let mut wrong = Vec::new();
    for scenario in Scenario::ALL {
        let expected = table.cell(row, scenario.name());
        let Some(plan) = expected.plan() else { continue };
        // A cell that names options is wrong too if the command would do without them.
        let mut verdicts = vec![(plan.without, environment.play(scenario, &[]))];
        if let Some(options) = &plan.options {
            verdicts.push((Outcome::works(), environment.play(scenario, options)));
        }
        for (expected, seen) in verdicts {
            if !expected.matches(&seen) {
                wrong.push(format!("{}: expected {expected}, saw {seen}", scenario.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{row}:\n  {}", wrong.join("\n  "));
}
