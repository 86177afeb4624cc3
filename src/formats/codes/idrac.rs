//! EEMI ids of Dell: iDRAC over Redfish, OpenManage Enterprise.

use super::{Row, part, whole};
use crate::model::{ComponentKind as Kind, SeverityHint as Hint};

/// By bare id. Ids that stand in no row are judged by their first letters and severity.
pub(in super::super) static IDRAC: &[Row] = &[
    part(
        "power_supply",
        &[
            "PSU0001", "PSU0003", "PSU0004", "PSU0031", "PSU0032", "PSU0800",
        ],
        &["PSU0017", "PSU0019"],
        Kind::PowerSupply,
        Hint::Redundancy,
    ),
    whole(
        "power_redundancy",
        &["RDU0012"],
        &["RDU0011"],
        Kind::PowerSupply,
        Hint::Redundancy,
    ),
    whole(
        "fan_redundancy",
        &["RDU0001", "RDU0002", "RDU0004"],
        &[],
        Kind::Fan,
        Hint::Redundancy,
    ),
    part(
        "fan",
        &["FAN0001", "FAN0003"],
        &[],
        Kind::Fan,
        Hint::Redundancy,
    ),
    part(
        "drive",
        &["PDR1001", "PDR3", "PDR5", "PDR16"],
        &[],
        Kind::Disk,
        Hint::Redundancy,
    ),
    part(
        "volume",
        &["VDR8", "VDR57"],
        &[],
        Kind::Array,
        Hint::Redundancy,
    ),
];
