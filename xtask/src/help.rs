//! The help text, grouped by what one wants to do.

use std::ffi::OsString;

pub(crate) const TEXT: &str = "\
cargo xtask COMMAND

See it work
  demo [--timeout SECONDS]       build mpsr, start real producers, account for every line

Check it
  ci                             everything CI checks, in order of cost
     --list                      print the steps and stop
     --only NAMES                only these steps or groups, separated by commas
     --keep-going                go on after a failed step
  tidy                           the repository's own rules: purity, arrows, manifests, text

Test it
  prop [--cases N]               the property tests of every crate, with a fresh seed
       [--replay SEED]           ... with the seed an earlier run printed
  fuzz [TARGET] [--secs N]       libFuzzer on every target, or one, 10 seconds each
       [--list]                  the targets
       [--canary]                proof that a planted mistake is found
  loom [--preemptions N]         every interleaving of locks, token and credits, within a bound
  integration                    the tests package, real Apache ZooKeeper included

Measure it
  bench                          rate, CPU and memory beside libzmq, tokio-util and others
     --quick                     three short rounds: to see that everything runs, not to quote
     --only NAMES                only these experiments, contenders or payload sizes
     --rounds N                  rounds of each experiment (7 without it)
     --save                      write table, JSON and plot to docs/benchmarks

Know the machine
  doctor                         what is installed, what is missing, how to install it
  help                           this text
";

/// No arguments at all, `help`, or `--help` anywhere.
pub(crate) fn is_asked_for(arguments: &[OsString]) -> bool {
    match arguments {
        [] => true,
        [only] if only == "help" => true,
        all => all.iter().any(|argument| argument == "--help" || argument == "-h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_the_text() {
        let grammar = include_str!("flags.rs");
        let commands: Vec<_> = grammar
            .lines()
            .filter_map(|line| line.strip_prefix("        cmd "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(commands.len() > 5, "found only {commands:?}");
        for command in commands {
            assert!(
                TEXT.lines().any(|line| line.trim_start().split(' ').next() == Some(command)),
                "`{command}` is missing from the help"
            );
        }
        for flag in grammar.lines().filter_map(|line| line.trim().strip_prefix("optional ")) {
            let flag = flag.split(' ').next().unwrap();
            // What has no dashes is named in capitals.
            let shown = flag.strip_suffix(':').map_or(flag.to_owned(), str::to_uppercase);
            assert!(TEXT.contains(&shown), "`{shown}` is missing from the help");
        }
    }

    #[test]
    fn help_is_asked_for_by_saying_nothing() {
        assert!(is_asked_for(&[]));
        assert!(is_asked_for(&["help".into()]));
        assert!(is_asked_for(&["ci".into(), "--help".into()]));
        assert!(!is_asked_for(&["ci".into()]));
    }
}
