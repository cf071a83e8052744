//! The numbers that have to do with watches.

/// An enum of numbers on the wire, with those of newer releases kept.
macro_rules! numbers {
    ($($(#[$doc:meta])* $enum:ident { $($(#[$variant_doc:meta])* $name:ident = $number:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $enum {
            $($(#[$variant_doc])* $name,)+
            /// A number that this crate has no name for.
            Unknown(i32),
        }

        impl $enum {
            /// What this number means.
            #[must_use]
            pub const fn from_number(number: i32) -> Self {
                match number {
                    $($number => Self::$name,)+
                    other => Self::Unknown(other),
                }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self {
                    $(Self::$name => $number,)+
                    Self::Unknown(number) => number,
                }
            }

            /// Every one that has a name.
            pub const NAMED: &'static [Self] = &[$(Self::$name,)+];
        }
    )+};
}

numbers! {
    /// What happened to a watched node.
    EventType {
        /// Nothing: the state of the connection changed. Used by clients, not sent by servers.
        None = -1,
        /// It was created.
        Created = 1,
        /// It was deleted.
        Deleted = 2,
        /// Its data was written.
        DataChanged = 3,
        /// A child was created or deleted.
        ChildrenChanged = 4,
        /// A data watch was removed. Used by clients, not sent by servers.
        DataWatchRemoved = 5,
        /// A child watch was removed. Used by clients, not sent by servers.
        ChildWatchRemoved = 6,
        /// A persistent watch was removed. Used by clients, not sent by servers.
        PersistentWatchRemoved = 7,
    }

    /// The state of a client, as events name it. Servers send [`SyncConnected`](Self::SyncConnected) only.
    KeeperState {
        /// Not used any more.
        UnknownState = -1,
        /// There is no connection.
        Disconnected = 0,
        /// Not used any more.
        NoSyncConnected = 1,
        /// Connected to a server of the quorum.
        SyncConnected = 3,
        /// Authentication failed.
        AuthFailed = 4,
        /// Connected to a read-only server.
        ConnectedReadOnly = 5,
        /// Authenticated by SASL.
        SaslAuthenticated = 6,
        /// The client was closed.
        Closed = 7,
        /// The session is over.
        Expired = -112,
    }

    /// Which watches [`CheckWatches`](crate::CheckWatches) and [`RemoveWatches`](crate::RemoveWatches) are about.
    WatcherType {
        /// Those on children.
        Children = 1,
        /// Those on data.
        Data = 2,
        /// All of them.
        Any = 3,
        /// Those that last (3.9; older servers do not know it).
        Persistent = 4,
        /// Those that last, on trees (3.9; older servers do not know it).
        PersistentRecursive = 5,
    }

    /// What [`AddWatch`](crate::AddWatch) watches.
    AddWatchMode {
        /// A node and its children.
        Persistent = 0,
        /// A node and everything below it.
        PersistentRecursive = 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_unknown_ones_are_kept() {
        fn check<T: Copy + PartialEq + std::fmt::Debug>(
            named: &[T],
            from: impl Fn(i32) -> T,
            number: impl Fn(T) -> i32,
            unknown: impl Fn(i32) -> T,
        ) {
            for value in named {
                assert_eq!(from(number(*value)), *value);
            }
            for other in [i32::MIN, -7, 8, 99, i32::MAX] {
                assert_eq!((from(other), number(from(other))), (unknown(other), other));
            }
        }
        check(EventType::NAMED, EventType::from_number, EventType::number, EventType::Unknown);
        check(KeeperState::NAMED, KeeperState::from_number, KeeperState::number, KeeperState::Unknown);
        check(WatcherType::NAMED, WatcherType::from_number, WatcherType::number, WatcherType::Unknown);
        check(AddWatchMode::NAMED, AddWatchMode::from_number, AddWatchMode::number, AddWatchMode::Unknown);
    }
}
