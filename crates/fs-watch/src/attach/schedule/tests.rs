//! Histories, and what they lead to.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use socket_file::{DotFiles, Facts};

use super::*;
use crate::roster::{Listing, Roster, Sighting};
use crate::socket::{Socket, SocketId};

const SECOND: Duration = Duration::from_secs(1);

/// A made-up directory of sockets, with the schedule for them.
struct Scene {
    schedule: Schedule<Socket>,
    roster: Roster,
    inode: u64,
    now: Instant,
}

impl Scene {
    fn new(policy: Policy) -> Self {
        let roster = Roster::new("/d", DotFiles::Ignored);
        Self { schedule: Schedule::new(policy), roster, inode: 0, now: Instant::now() }
    }

    /// A new socket comes to this name, in the place of what is there.
    fn bind(&mut self, name: &str) {
        self.inode += 1;
        self.roster.handle_sighting(name.into(), Sighting::Socket(facts(self.inode)));
        self.tell();
    }

    fn unlink(&mut self, name: &str) {
        self.roster.handle_sighting(name.into(), Sighting::Absent);
        self.tell();
    }

    fn tell(&mut self) {
        while let Some(change) = self.roster.poll_change() {
            match change {
                crate::Change::Added(socket) => self.schedule.handle_added(socket, self.now),
                crate::Change::Ready(_) => {}
                crate::Change::Removed { id, .. } => self.schedule.handle_removed(&id, self.now),
            }
        }
    }

    fn end(&mut self, name: &str, ending: Ending) -> Followup<SocketId> {
        self.schedule.handle_end(&Path::new("/d").join(name), ending, self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.schedule.handle_time(self.now);
    }

    /// What is to be done, in words.
    fn actions(&mut self) -> Vec<String> {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        std::iter::from_fn(|| self.schedule.poll_action())
            .map(|action| match action {
                Action::Start(socket) => format!("start {} {}", name(&socket.path), socket.generation),
                Action::Ask(path) => format!("ask {}", name(&path)),
                Action::Abort(path) => format!("abort {}", name(&path)),
                Action::Skip(id) => format!("skip {} {}", name(&id.path), id.generation),
            })
            .collect()
    }
}

fn facts(inode: u64) -> Facts {
    let (birth, ctime) = (Some(UNIX_EPOCH), UNIX_EPOCH);
    Facts { device: 1, inode, birth, ctime, mode: 0o600, uid: 0, gid: 0 }
}

#[test]
fn a_successor_starts_when_its_predecessor_has_ended() {
    let mut scene = Scene::new(Policy::default());
    scene.bind("a");
    assert_eq!(scene.actions(), ["start a 1"]);
    scene.bind("a");
    assert_eq!(scene.actions(), ["ask a"]);
    let followup = scene.end("a", Ending::Failed);
    assert!(followup.asked && followup.again_in.is_none());
    assert_eq!(scene.actions(), ["start a 2"]);
}

/// A source may announce a successor without saying that what was there has gone.
#[test]
fn one_whose_successor_comes_is_asked_to_stop_and_what_is_announced_twice_has_one_handler() {
    let mut scene = Scene::new(Policy::default());
    let [first, second, third] = ["a", "a", "a"].map(|name| {
        scene.inode += 1;
        scene.roster.handle_sighting(name.into(), Sighting::Socket(facts(scene.inode)));
        std::iter::from_fn(|| scene.roster.poll_change())
            .find_map(|change| if let crate::Change::Added(socket) = change { Some(socket) } else { None })
            .unwrap()
    });
    let now = scene.now;
    let add = |scene: &mut Scene, socket: &Socket| {
        scene.schedule.handle_added(socket.clone(), now);
        scene.schedule.handle_added(socket.clone(), now);
        scene.actions()
    };
    assert_eq!(add(&mut scene, &first), ["start a 1"]);
    assert_eq!(add(&mut scene, &second), ["ask a"]);
    assert_eq!(add(&mut scene, &third), ["skip a 2"]);
    // It comes too late, and is about neither.
    scene.schedule.handle_removed(&first.id(), now);
    scene.schedule.handle_removed(&second.id(), now);
    assert_eq!(scene.actions(), [""; 0]);
    assert!(scene.end("a", Ending::Finished).asked);
    assert_eq!(scene.actions(), ["start a 3"]);
    scene.end("a", Ending::Finished);
    assert_eq!(add(&mut scene, &third), [""; 0], "it is finished with this one");
    scene.schedule.handle_removed(&third.id(), now);
    assert_eq!(add(&mut scene, &third), ["start a 3"], "it was away");
}

#[test]
fn a_successor_does_not_take_over_the_pauses_of_the_failures_before_it() {
    let mut scene = Scene::new(Policy::default());
    scene.bind("a");
    for _ in 0..10 {
        let pause = scene.end("a", Ending::Failed).again_in.unwrap();
        scene.pass(pause);
    }
    scene.bind("a");
    scene.end("a", Ending::Finished);
    assert_eq!(scene.end("a", Ending::Failed).again_in, Some(SECOND / 10));
}

#[test]
fn once_no_more_are_started_those_that_run_stay_and_pauses_end() {
    let mut scene = Scene::new(Policy::default().with_limit(2).with_patience(Duration::MAX));
    for name in ["a", "b", "c"] {
        scene.bind(name);
    }
    scene.end("b", Ending::Failed);
    assert_eq!(scene.actions(), ["start a 1", "start b 1", "start c 1"]);
    scene.schedule.start_no_more();
    scene.bind("d");
    assert_eq!((scene.actions(), scene.schedule.alarm()), (vec![], None));
    assert_eq!(scene.end("c", Ending::Failed).again_in, None);
    assert!(!scene.schedule.is_idle());
    scene.unlink("a");
    assert_eq!(scene.actions(), ["ask a"]);
    // Its patience is unlimited.
    assert_eq!(scene.schedule.alarm(), None);
    scene.end("a", Ending::Finished);
    assert_eq!(scene.actions(), [""; 0]);
    assert!(scene.schedule.is_idle());
}

#[test]
fn a_socket_that_goes_before_it_is_started_is_skipped() {
    let mut scene = Scene::new(Policy::default());
    scene.bind("a");
    scene.bind("a");
    scene.bind("a");
    assert_eq!(scene.actions(), ["start a 1", "ask a", "skip a 2"]);
    scene.end("a", Ending::Finished);
    assert_eq!(scene.actions(), ["start a 3"]);
}

#[test]
fn one_that_does_not_stop_is_aborted_and_still_waited_for() {
    let mut scene = Scene::new(Policy::default());
    scene.bind("a");
    scene.bind("a");
    scene.actions();
    scene.pass(4 * SECOND);
    assert_eq!(scene.actions(), [""; 0]);
    scene.pass(SECOND);
    assert_eq!(scene.actions(), ["abort a"]);
    assert_eq!(scene.schedule.alarm(), None);
    scene.end("a", Ending::Finished);
    assert_eq!(scene.actions(), ["start a 2"]);
}

#[test]
fn one_that_fails_is_started_again_after_pauses_that_grow_to_a_limit() {
    let mut scene = Scene::new(Policy::default());
    scene.bind("a");
    assert_eq!(scene.actions(), ["start a 1"]);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let pause = scene.end("a", Ending::Failed).again_in.unwrap();
        pauses.push(pause.as_millis());
        scene.pass(pause - Duration::from_nanos(1));
        assert_eq!(scene.actions(), [""; 0]);
        scene.pass(Duration::from_nanos(1));
        assert_eq!(scene.actions(), ["start a 1"]);
    }
    assert_eq!(pauses[..4], [100, 200, 400, 800]);
    assert_eq!(pauses[11], 30_000);
    // A run that lasts forgives.
    scene.now += 10 * SECOND;
    assert_eq!(scene.end("a", Ending::Failed).again_in, Some(SECOND / 10));
}

#[test]
fn one_that_is_finished_is_not_started_again_for_the_same_socket() {
    let mut scene = Scene::new(Policy::default());
    scene.bind("a");
    scene.end("a", Ending::Finished);
    scene.pass(3600 * SECOND);
    assert_eq!(scene.actions(), ["start a 1"]);
    scene.bind("a");
    assert_eq!(scene.actions(), ["start a 2"]);
}

#[test]
fn a_socket_that_goes_during_the_pause_takes_its_retry_along() {
    let mut scene = Scene::new(Policy::default());
    scene.bind("a");
    scene.end("a", Ending::Failed);
    scene.unlink("a");
    assert_eq!(scene.schedule.alarm(), None);
    scene.pass(60 * SECOND);
    assert_eq!(scene.actions(), ["start a 1"]);
}

#[test]
fn a_new_socket_does_not_wait_for_the_pause_of_the_old_one() {
    let mut scene = Scene::new(Policy::default());
    scene.bind("a");
    scene.end("a", Ending::Failed);
    scene.bind("a");
    assert_eq!(scene.actions(), ["start a 1", "start a 2"]);
}

#[test]
fn a_path_that_flaps_slows_down_even_when_it_is_empty_in_between() {
    let mut scene = Scene::new(Policy::default());
    for _ in 0..16 {
        scene.bind("a");
        scene.unlink("a");
        scene.end("a", Ending::Finished);
    }
    assert_eq!(scene.actions().len(), 32, "within the grace: each was started and asked");
    scene.bind("a");
    scene.unlink("a");
    scene.end("a", Ending::Finished);
    assert_eq!(scene.actions(), ["start a 17", "ask a"]);
    scene.bind("a");
    assert_eq!(scene.actions(), [""; 0]);
    scene.pass(SECOND / 10);
    assert_eq!(scene.actions(), ["start a 18"]);
}

#[test]
fn memory_of_paths_that_are_gone_is_bounded_and_fades() {
    let mut scene = Scene::new(Policy::default());
    for number in 0..3 * REMEMBERED {
        let name = format!("{number}");
        scene.bind(&name);
        scene.end(&name, Ending::Failed);
        scene.unlink(&name);
    }
    assert!(scene.schedule.by_place.len() <= REMEMBERED + 1, "{}", scene.schedule.by_place.len());
    assert!(scene.schedule.alarms.is_empty());
    scene.pass(61 * SECOND);
    scene.bind("another");
    assert_eq!(scene.schedule.by_place.len(), 1);
}

#[test]
fn sockets_beyond_the_limit_wait_for_a_slot() {
    let mut scene = Scene::new(Policy::default().with_limit(2));
    for name in ["a", "b", "c", "d", "e"] {
        scene.bind(name);
    }
    scene.unlink("c");
    assert_eq!(scene.actions(), ["start a 1", "start b 1", "skip c 1"]);
    scene.end("b", Ending::Finished);
    assert_eq!(scene.actions(), ["start d 1"]);
    scene.end("a", Ending::Finished);
    assert_eq!(scene.actions(), ["start e 1"]);
    assert_eq!(scene.schedule.working(), 2);
}

#[test]
fn a_socket_that_goes_while_it_waits_leaves_nothing_behind() {
    let mut scene = Scene::new(Policy::default().with_limit(1));
    scene.bind("a");
    scene.bind("c");
    for _ in 0..1000 {
        scene.bind("b");
        scene.bind("b");
        scene.unlink("b");
    }
    assert_eq!((scene.schedule.queue.len(), scene.schedule.by_place.len()), (1, 2));
    scene.actions();
    scene.end("a", Ending::Finished);
    assert_eq!(scene.actions(), ["start c 1"]);
    assert_eq!(scene.schedule.queue.len(), 0);
}

#[test]
fn after_the_end_nothing_starts() {
    let mut scene = Scene::new(Policy::default().with_limit(1));
    scene.bind("a");
    scene.bind("b");
    scene.schedule.close(scene.now);
    scene.bind("c");
    let mut actions = scene.actions();
    actions.sort();
    assert_eq!(actions, ["ask a", "skip b 1", "start a 1"]);
    assert_eq!(scene.end("a", Ending::Failed).again_in, None);
    assert_eq!(scene.actions(), [""; 0]);
    assert_eq!((scene.schedule.working(), scene.schedule.alarm()), (0, None));
}

/// Any history: never two workers at one path, and what is there at the end has one, once all pauses are over.
#[test]
fn whatever_happens_what_is_there_in_the_end_is_served_by_one() {
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Bind(u8),
        Unlink(u8),
        End(u8, bool),
        Pass(u16),
        Relist,
    }
    let step = prop_oneof![
        (0..4_u8).prop_map(Step::Bind),
        (0..4_u8).prop_map(Step::Unlink),
        (0..4_u8, any::<bool>()).prop_map(|(name, fails)| Step::End(name, fails)),
        (0..20_000_u16).prop_map(Step::Pass),
        Just(Step::Relist),
    ];
    proptest!(|(steps in proptest::collection::vec(step, 0..200), limit in 1..5_usize, grace in 0..3_u32)| {
        let mut scene = Scene::new(Policy::default().with_limit(limit).with_grace(grace));
        let mut workers = BTreeMap::<String, String>::new();
        let perform = |scene: &mut Scene, workers: &mut BTreeMap<String, String>| {
            for action in scene.actions() {
                let words: Vec<&str> = action.split(' ').collect();
                match words[..] {
                    ["start", name, generation] => {
                        assert_eq!(workers.insert(name.into(), generation.into()), None, "two live");
                    }
                    ["ask" | "abort", name] => assert!(workers.contains_key(name), "there is no worker to ask"),
                    _ => {}
                }
            }
            assert!(workers.len() <= limit);
            assert_eq!(workers.len(), scene.schedule.working());
        };
        for step in steps {
            match step {
                Step::Bind(name) => scene.bind(&name.to_string()),
                Step::Unlink(name) => scene.unlink(&name.to_string()),
                Step::End(name, fails) => {
                    if workers.remove(&name.to_string()).is_some() {
                        scene.end(&name.to_string(), if fails { Ending::Failed } else { Ending::Finished });
                    }
                }
                Step::Pass(millis) => scene.pass(Duration::from_millis(millis.into())),
                Step::Relist => {
                    scene.roster.handle_listing(Listing::Complete(Vec::new()));
                    while let Some(name) = scene.roster.poll_doubt() {
                        scene.roster.handle_sighting(name, Sighting::Absent);
                    }
                    scene.tell();
                }
            }
            perform(&mut scene, &mut workers);
        }
        // Everything ends, everything there is replaced, and time passes: each is served.
        while let Some((name, _)) = workers.pop_first() {
            scene.end(&name, Ending::Finished);
            perform(&mut scene, &mut workers);
        }
        let mut served = BTreeSet::new();
        let there: Vec<String> = (0..4_u8).map(|name| name.to_string()).collect();
        for name in &there {
            scene.bind(name);
        }
        for _ in 0..40 {
            scene.pass(Duration::from_secs(60));
            perform(&mut scene, &mut workers);
            while let Some((name, _)) = workers.pop_first() {
                served.insert(name.clone());
                scene.end(&name, Ending::Finished);
                perform(&mut scene, &mut workers);
            }
        }
        assert_eq!(served.into_iter().collect::<Vec<_>>(), there);
    });
}
