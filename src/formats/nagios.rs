//! Nagios Core 4 and Nagios XI: a notification command runs `alertbridge notify nagios`, posts the
//! macros as JSON or a form, or dumps the environment (`NAGIOS_*`). Versions seen: 4.4.

use super::fields::{Fields, mentions, mentions_any, names_source};
use super::notification::Notification;
use super::{About, Decoded, Detection, Format, Request, Undecodable, body};

/// Nagios Core and XI.
pub struct Nagios;

impl Format for Nagios {
    fn name(&self) -> &'static str {
        "nagios"
    }

    fn about(&self) -> About {
        About {
            title: "Nagios Core 4, Nagios XI, Naemon",
            says: "problem, repeat, acknowledged, flapping, downtime, unreachable, recovery, custom, test",
            identity: "host, or host and service",
            auth: "bearer, basic, header, certificate, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"nagios","type":"PROBLEM","host":"alertbridge-test","service":"test","state":"WARNING","output":"test"}"#,
            r#"{"source":"nagios","type":"RECOVERY","host":"alertbridge-test","service":"test","state":"OK","output":"test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(request, &["NAGIOS_NOTIFICATIONTYPE"]) || names_source(request, "nagios") {
            return Detection::Certain;
        }
        let form = mentions(request, &["type=", "host=", "state=", "output="]);
        let names = mentions(request, &["\"host", "state\"", "output\""])
            && mentions_any(request, &["\"notification_type\"", "\"type\""]);
        if form || names {
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let mut decoded = Notification::new(Fields::of(&body.value), "NAGIOS_").decoded()?;
        decoded.problems.extend(body.repaired.map(str::to_owned));
        Ok(decoded)
    }
}
