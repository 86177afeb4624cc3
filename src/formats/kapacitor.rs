//! Kapacitor `alert().post()`: id, level and the points that decided. `recoverable: false` says
//! that no OK will come.

use super::draft::Draft;
use super::fields::{Fields, bare_host, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{EventState, Identity};

/// Kapacitor.
pub struct Kapacitor;

const LEVELS: [(&str, EventState); 1] = [("info", EventState::Firing)];

impl Format for Kapacitor {
    fn name(&self) -> &'static str {
        "kapacitor"
    }

    fn about(&self) -> About {
        About {
            title: "Kapacitor",
            says: "problem, repeat, change of level, recovery",
            identity: "`id`",
            auth: "basic, header",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"id":"alertbridge-test","message":"test","level":"WARNING","previousLevel":"OK","data":{"series":[{"name":"test"}]}}"#,
            r#"{"id":"alertbridge-test","message":"test","level":"OK","previousLevel":"WARNING","data":{"series":[{"name":"test"}]}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["id", "level", "previousLevel"])
            || holds(request, &["id", "level", "data.series"])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let level = fields.text("level");
        let (state, odd) = words::judged_state("level", level.as_deref(), &LEVELS);
        let word = level.clone().filter(|_| state == EventState::Firing);
        let (hint, odd_word) = match odd {
            None => words::judged_hint("level", word.as_deref(), &[]),
            Some(_) => Default::default(),
        };
        let series = fields.at("data.series.0");
        let host = series.first(&["tags.host", "tags.hostname", "tags.device"]);
        let final_word = fields.flag("recoverable") == Some(false);
        let at = fields.time("time");
        let draft = Draft::new(state, fields.text("id").and_then(Identity::key), "`id`")?
            .site(series.first(&["tags.site", "tags.datacenter"]))
            .host(host.map(|host| bare_host(&host)))
            .component(series.first(&["tags.interface", "tags.ifName", "tags.device_name"]))
            .check(series.text("name"))
            .severity(level, hint)
            .summary(fields.first(&["message", "id"]))
            .labels(series.labels("tags"))
            .label("previous_level", fields.text("previousLevel"))
            .label("recoverable", final_word.then(|| "false".to_owned()))
            .sent_at(at)
            .problem(odd)
            .problem(odd_word);
        let begun = at.and_then(|at| {
            let nanoseconds = u64::try_from(fields.integer("duration")?).ok()?;
            Some(at.minus(std::time::Duration::from_nanos(nanoseconds)))
        });
        let draft = draft.starts_at(begun.or(at));
        let draft = if state == EventState::Resolved {
            draft.ends_at(at)
        } else {
            draft
        };
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}
