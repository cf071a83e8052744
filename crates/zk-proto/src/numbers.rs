//! Enumerations about watches.

/// Defines an enum of numbers on the wire that keeps the numbers of newer releases.
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
            /// The variant for this number.
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

            /// All variants that have a name.
            pub const NAMED: &'static [Self] = &[$(Self::$name,)+];
        }
    )+};
}

numbers! {
    /// What happened to a watched node.
    EventType {
        /// No change to a node: the state of the connection changed. Used by clients, not sent by servers.
        None = -1,
        /// The node was created.
        Created = 1,
        /// The node was deleted.
        Deleted = 2,
        /// The node's data was written.
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

    /// The state of a client, as events name it. Servers send only [`SyncConnected`](Self::SyncConnected).
    KeeperState {
        /// No longer used.
        UnknownState = -1,
        /// There is no connection.
        Disconnected = 0,
        /// No longer used.
        NoSyncConnected = 1,
        /// Connected to a server of the quorum.
        SyncConnected = 3,
        /// Authentication failed.
        AuthFailed = 4,
        /// Connected to a read-only server.
        ConnectedReadOnly = 5,
        /// Authenticated through SASL.
        SaslAuthenticated = 6,
        /// The client was closed.
        Closed = 7,
        /// The session has expired.
        Expired = -112,
    }

    /// The watches that a [`CheckWatches`](crate::CheckWatches) or [`RemoveWatches`](crate::RemoveWatches) is about.
    WatcherType {
        /// Watches on children.
        Children = 1,
        /// Watches on data.
        Data = 2,
        /// All watches.
        Any = 3,
        /// Persistent watches (3.9; older servers do not know this type).
        Persistent = 4,
        /// Persistent recursive watches (3.9; older servers do not know this type).
        PersistentRecursive = 5,
    }

    /// What an [`AddWatch`](crate::AddWatch) watches.
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
