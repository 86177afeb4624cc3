//! Ids. All are counters of the engine's state, so a replay gives the same ones.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            /// Reads the number with or without its prefix, in either case.
            fn from_str(text: &str) -> Result<$name, String> {
                let lower = text.trim().to_ascii_lowercase();
                let digits = lower.strip_prefix(&$prefix.to_ascii_lowercase()).unwrap_or(&lower);
                digits.parse().map($name).map_err(|_| {
                    format!(concat!("`{}` is not an id; expected ", $prefix, "<number>"), text)
                })
            }
        }
    };
}

id!(
    /// An alert: a condition with an identity and a state.
    AlertId,
    "A-"
);
id!(
    /// An incident: one real problem.
    IncidentId,
    "INC-"
);
id!(
    /// A wanted ticket: an incident (or case) on one route. Not the tracker's number.
    TicketId,
    "T-"
);
id!(
    /// A silence.
    SilenceId,
    "SIL-"
);
id!(
    /// A maintenance window.
    WindowId,
    "MW-"
);

id!(
    /// A notice to one reader.
    NoticeId,
    "N-"
);
id!(
    /// A security message that waits for a person, or was released.
    SecurityId,
    "SEC-"
);

/// An interned string of the engine's state. `Sym(0)` is the empty string.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Sym(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_with_and_without_prefix() {
        assert_eq!("inc-12".parse::<IncidentId>(), Ok(IncidentId(12)));
        assert_eq!("12".parse::<IncidentId>(), Ok(IncidentId(12)));
        assert!(
            "INC-x"
                .parse::<IncidentId>()
                .unwrap_err()
                .contains("expected INC-<number>")
        );
    }
}
