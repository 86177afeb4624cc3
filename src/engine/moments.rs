//! What falls due of a case's clocks, told once each: warnings, breaches, levels of escalation, and
//! breaches that a late fact took back.

use super::Engine;
use super::monthly::DUE;
use crate::model::figure::Family;
use crate::model::outgoing::NoticeKind;
use crate::model::reason::Reason;
use crate::model::{IncidentId, Time};
use crate::sla::report::CorrectionKind;
use crate::sla::{Contract, Moment, Stage, View};

impl Engine {
    /// A fact that was learned later took a breach back: that is told and counted, once.
    pub(super) fn tell_withdrawn(&mut self, key: &(IncidentId, String), view: &View) {
        let Some(case) = self.state.cases.get(key) else {
            return;
        };
        let told = case.told.iter().map(String::as_str);
        let withdrawn: Vec<String> = view
            .withdrawn(told)
            .into_iter()
            .map(|word| format!("withdrawn/{word}"))
            .filter(|word| !case.told.contains(word))
            .collect();
        for word in withdrawn {
            let breach = word.trim_start_matches("withdrawn/");
            let due = self.told_due(key, breach);
            self.correct(key, CorrectionKind::Withdrawn, breach, due);
            let text = format!("{}: a missed target was taken back: {word}.", key.1);
            self.decide(key.0, Reason::SlaBreached, text);
            self.note_told(key, word);
        }
    }

    pub(super) fn tell_moments(
        &mut self,
        key: &(IncidentId, String),
        contract: &Contract,
        view: &View,
    ) {
        let now = self.recorded_at().seconds();
        for moment in &view.moments {
            let word = moment.key();
            if self.was_told(key, &word) {
                continue;
            }
            self.note_moment(key, moment);
            let due = Time(moment.at.saturating_mul(1000));
            let what = moment.target.word().replace('_', " ");
            let sev = view.severity.unwrap_or(0).to_string();
            match moment.stage {
                // A warning that comes late says nothing any more.
                Stage::AtRisk if view.resolved_at.is_none() => {
                    let text = format!("{}: {what} is at risk since {due}.", contract.name);
                    self.decide(key.0, Reason::SlaAtRisk, text.clone());
                    self.note_tickets(key.0, &text, false);
                    self.tell_moment(key, contract, moment, NoticeKind::Warning);
                }
                Stage::AtRisk => {}
                Stage::Breached if moment.soft => {
                    let text = format!("{}: {what} was missed at {due}.", contract.name);
                    self.decide(key.0, Reason::SlaBreached, text);
                }
                Stage::Breached => {
                    let how = if moment.retroactive {
                        " with the change of severity"
                    } else {
                        ""
                    };
                    let text = format!("{}: {what} was due by {due}{how}: missed.", contract.name);
                    self.decide(key.0, Reason::SlaBreached, text.clone());
                    self.note_tickets(key.0, &text, false);
                    let labels = [contract.policy.as_str(), moment.target.word(), &sev];
                    self.add_figure(Family::SlaBreaches, &labels, 1);
                    self.tell_moment(key, contract, moment, NoticeKind::Breach);
                    if !moment.retroactive {
                        self.note_found_late(key, moment);
                    }
                    self.out
                        .figures
                        .push(super::Figure::SlaRecorded(now.saturating_sub(moment.at)));
                }
            }
        }
    }

    /// From now on this moment was told.
    pub(super) fn note_moment(&mut self, key: &(IncidentId, String), moment: &Moment) {
        let word = moment.key();
        if moment.stage == Stage::Breached {
            self.note_told(key, format!("{DUE}{word}/{}", moment.at));
        }
        self.note_told(key, word);
    }

    /// Staff hear of a target that is at risk or was missed; customers read it in their report.
    fn tell_moment(
        &mut self,
        key: &(IncidentId, String),
        contract: &Contract,
        moment: &Moment,
        kind: NoticeKind,
    ) {
        let first = contract.levels.first();
        let contact = first.map_or("", |level| level.contact.as_str());
        self.tell_staff_of_case(key, kind, &moment.key(), contact, |facts| {
            moment.target.word().clone_into(&mut facts.target);
            facts.until = Some(Time::from_seconds(moment.at));
        });
    }

    pub(super) fn tell_rises(
        &mut self,
        key: &(IncidentId, String),
        contract: &Contract,
        view: &View,
    ) {
        for rise in &view.rises {
            let word = format!("level/{}/{}", view.cycle, rise.level);
            if self.was_told(key, &word) {
                continue;
            }
            self.note_told(key, word);
            let contact = contract
                .levels
                .iter()
                .find(|level| level.level == rise.level)
                .map_or("", |level| level.contact.as_str());
            let level = rise.level.to_string();
            self.add_figure(Family::Escalations, &[&level, rise.reason], 1);
            if let Some(entry) = self.state.incidents.get_mut(&key.0) {
                entry.escalation = entry.escalation.max(rise.level);
            }
            let text = format!(
                "{}: level {level} ({}), to {contact}.",
                contract.name, rise.reason
            );
            self.decide(key.0, Reason::Escalated, text.clone());
            self.note_tickets(key.0, &text, false);
            self.tell_rise(key, contact, rise.level, rise.reason);
        }
    }
}
