//! From what a template took to a maintenance notice. What is not certain is left out and said in
//! `unclear`; a notice is never dropped for it.

use super::layout::Maintenance;
use super::pattern::{Fields, ObjectPatterns, Sheet, Template, format, override_groups};
use crate::formats::mail::notices;
use crate::formats::mail::times::{self, Clock};
use crate::formats::{Decoded, Undecodable};
use crate::model::notice::{
    MaintenanceImpact, MaintenanceNotice, MaintenanceObject, MaintenanceStatus, MaintenanceWindow,
    NO_OBJECT, NO_WINDOW,
};
use crate::model::text;
use sha2::{Digest, Sha256};

/// Most windows of one notice.
const WINDOWS_MAX: usize = 50;
/// Most objects of one notice.
const OBJECTS_MAX: usize = 2_000;

impl Template {
    /// The notice that a mail gives.
    pub(super) fn maintenance(
        &self,
        sheet: &Sheet,
        layout: &Maintenance,
        fields: &Fields,
    ) -> Result<Decoded, Undecodable> {
        let mut unclear = Vec::new();
        let status = layout
            .status
            .iter()
            .filter_map(|of| format(of, fields))
            .find_map(|text| notices::status(&text));
        if status.is_none() {
            unclear.push("no word for the status was found".to_owned());
        }
        let status = status.unwrap_or(MaintenanceStatus::Unknown);
        let windows = self.windows(sheet, fields, &mut unclear);
        let objects = self.objects(sheet, fields);
        let over = matches!(
            status,
            MaintenanceStatus::Cancelled | MaintenanceStatus::Completed
        );
        if windows.is_empty() && !over && unclear.is_empty() {
            unclear.push(NO_WINDOW.to_owned());
        }
        if objects.is_empty() && !over {
            unclear.push(NO_OBJECT.to_owned());
        }
        let id = layout.id.as_deref().and_then(|of| format(of, fields));
        let id = match id.filter(|id| MaintenanceNotice::is_id(id)) {
            Some(id) => id,
            None if layout.id.is_none() && !windows.is_empty() && !objects.is_empty() => {
                digest(&windows, &objects)
            }
            None => {
                return Err(Undecodable::because(format!(
                    "a maintenance mail of {} without an id",
                    self.layout.title
                )));
            }
        };
        let notice = MaintenanceNotice {
            provider: format(&layout.provider, fields).unwrap_or_else(|| self.layout.name.clone()),
            maintenance_id: id,
            account: layout.account.as_deref().and_then(|of| format(of, fields)),
            status,
            objects,
            windows,
            // Free-form mails have no sequence: the later mail wins.
            sequence: sheet
                .page
                .sent_at
                .unwrap_or(sheet.page.received_at)
                .seconds(),
            summary: layout
                .summary
                .as_deref()
                .and_then(|of| format(of, fields))
                .unwrap_or_else(|| text::bounded(sheet.page.subject, 300)),
            unclear,
        };
        Ok(Decoded {
            maintenance: vec![notice],
            ..Decoded::default()
        })
    }

    fn windows(
        &self,
        sheet: &Sheet,
        fields: &Fields,
        unclear: &mut Vec<String>,
    ) -> Vec<MaintenanceWindow> {
        let layout = &self.layout.time;
        let mut windows: Vec<MaintenanceWindow> = Vec::new();
        for (window, pattern) in &self.windows {
            for text in sheet.texts(&window.place) {
                for captures in pattern.captures_iter(&text).take(WINDOWS_MAX) {
                    let mut fields = fields.clone();
                    override_groups(pattern, &captures, &mut fields);
                    let zone = layout.zone.as_deref().and_then(|of| format(of, &fields));
                    let year = layout.year.as_deref().and_then(|of| format(of, &fields));
                    let clock = Clock {
                        order: layout.order,
                        zone: zone.as_deref(),
                        year: year.and_then(|year| year.parse().ok()),
                        // A window lies far from the mail's Date, which proves only a year.
                        live: false,
                        ..sheet.page.clock()
                    };
                    let read = |of: &str| {
                        let text = format(of, &fields)?;
                        Some((times::read(&text, clock), text))
                    };
                    let Some((start, shown)) = read(&window.start) else {
                        continue;
                    };
                    let Some(starts_at) = start else {
                        unclear.push(format!("the start `{shown}` names no certain instant"));
                        continue;
                    };
                    let ends_at = window.end.as_deref().and_then(read);
                    let ends_at = match ends_at {
                        Some((Some(end), _)) if end > starts_at => Some(end),
                        Some((_, shown)) => {
                            unclear.push(format!("the end `{shown}` names no certain instant"));
                            None
                        }
                        None => {
                            unclear.push("the notice names no end".to_owned());
                            None
                        }
                    };
                    let window = MaintenanceWindow { starts_at, ends_at };
                    if windows.len() < WINDOWS_MAX && !windows.contains(&window) {
                        windows.push(window);
                    }
                }
            }
            if !windows.is_empty() {
                break;
            }
        }
        windows.sort_by_key(|window| window.starts_at);
        windows
    }

    fn objects(&self, sheet: &Sheet, fields: &Fields) -> Vec<MaintenanceObject> {
        let mut objects: Vec<MaintenanceObject> = Vec::new();
        for patterns in &self.objects {
            let layout = &patterns.layout;
            let common = layout
                .impact
                .as_deref()
                .and_then(|of| format(of, fields))
                .and_then(|text| notices::impact(&text))
                .or(layout.otherwise)
                .unwrap_or(MaintenanceImpact::Outage);
            if let Some(list) = layout.list.as_deref().and_then(|of| format(of, fields)) {
                for id in list.split([',', ';', '、', '，']) {
                    push(&mut objects, id, common);
                }
            }
            rows(patterns, sheet, common, &mut objects);
        }
        objects
    }
}

fn rows(
    patterns: &ObjectPatterns,
    sheet: &Sheet,
    common: MaintenanceImpact,
    objects: &mut Vec<MaintenanceObject>,
) {
    let Some(row) = &patterns.row else {
        return;
    };
    for text in sheet.texts(&patterns.layout.place) {
        let below = match &patterns.after {
            Some(after) => match after.find(&text) {
                Some(found) => text.get(found.end()..).unwrap_or(""),
                None => continue,
            },
            None => text.as_str(),
        };
        for captures in row.captures_iter(below).take(OBJECTS_MAX) {
            let Some(id) = captures.name("id") else {
                continue;
            };
            let impact = captures
                .name("impact")
                .and_then(|m| notices::impact(m.as_str()))
                .unwrap_or(common);
            push(objects, id.as_str(), impact);
        }
    }
}

fn push(objects: &mut Vec<MaintenanceObject>, id: &str, impact: MaintenanceImpact) {
    let id = text::bounded(&text::one_line(id), 200);
    if !id.is_empty() && objects.len() < OBJECTS_MAX && !objects.iter().any(|o| o.id == id) {
        objects.push(MaintenanceObject { id, impact });
    }
}

/// An id for notices without one: equal for equal windows and objects.
fn digest(windows: &[MaintenanceWindow], objects: &[MaintenanceObject]) -> String {
    let mut hash = Sha256::new();
    for window in windows {
        hash.update(window.starts_at.0.to_be_bytes());
        hash.update(window.ends_at.map_or(0, |end| end.0).to_be_bytes());
    }
    for object in objects {
        hash.update(object.id.len().to_be_bytes());
        hash.update(object.id.as_bytes());
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect()
}
