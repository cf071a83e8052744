//! A process to race with.

use std::io::stdin;

use test_kit::process::say;
use uds_socket::Bind;

#[test]
#[ignore = "a process that other tests start"]
fn child_that_listens() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let mut held = None;
    for line in stdin().lines().map_while(Result::ok) {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("bind", rest) => {
                let (mode, path) = rest.split_once(' ').unwrap();
                match Bind::path(path).mode(mode.parse().unwrap()).listen() {
                    Ok(listener) => {
                        held = Some(listener);
                        say("bound");
                    }
                    Err(error) => say(format!("{error:?}")),
                }
            }
            ("release", _) => {
                drop(held.take());
                say("done");
            }
            ("umask", mask) => {
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(u32::from_str_radix(mask, 8).unwrap()));
                say("done");
            }
            other => panic!("{other:?}"),
        }
    }
}
