//! What could not be read, and the ticket that tells of it.

use super::*;
use crate::limits::QUARANTINED_REMEMBERED_MAX;
use crate::model::Undecoded;

fn unread(story: &mut Story, subject: &str) -> u64 {
    story.input(Input::Undecoded(Undecoded {
        source: "mail".into(),
        sender: "mail".into(),
        reason: "no mail format matches".into(),
        group: subject.into(),
        summary: subject.into(),
        sensitive: false,
    }));
    story.seq
}

fn drop_message(story: &mut Story, seq: u64) {
    story.command(Command::DropQuarantined {
        seq,
        text: String::new(),
    });
}

fn restarted(story: &mut Story) {
    let mut disk = Disk::default();
    disk.keep(story.engine.take_delta());
    let decisions = Decisions {
        routes: vec![Route::desk()],
        ..Decisions::default()
    };
    story.engine = Engine::load(decisions, disk.loaded()).unwrap();
}

#[test]
fn its_ticket_ends_with_the_last_message_also_after_a_restart() {
    let mut story = Story::plain();
    let (one, other) = (unread(&mut story, "odd"), unread(&mut story, "odd"));
    let neighbour = unread(&mut story, "odder");
    assert_eq!(story.open().len(), 2);
    drop_message(&mut story, one);
    drop_message(&mut story, one);
    assert_eq!(story.open().len(), 2, "one of them still waits");
    restarted(&mut story);
    // A fixed template reads it: the message comes in again and names the one that it replays.
    let replayed = Message {
        replay_of: Some(other),
        ..Message::new("mail", "mail", Vec::new())
    };
    story.input(Input::Message(replayed));
    let open: Vec<_> = story.open().iter().map(|i| i.title.clone()).collect();
    assert_eq!(open, ["In quarantine from mail: odder"]);
    drop_message(&mut story, neighbour);
    assert!(story.open().is_empty());
    assert!(story.engine.state.unread.is_empty());
}

#[test]
fn what_comes_after_its_ticket_is_over_opens_it_again() {
    let mut story = Story::plain();
    unread(&mut story, "odd");
    let id = story.open()[0].id;
    story.command(Command::Resolve {
        incident: id,
        false_alarm: false,
        text: String::new(),
    });
    assert!(story.open().is_empty());
    let later = unread(&mut story, "odd");
    assert_eq!(story.open().len(), 1);
    assert!(story.open()[0].id == id && story.open()[0].needs_triage);
    // The first one waits as well.
    drop_message(&mut story, later);
    assert_eq!(story.open().len(), 1);
    drop_message(&mut story, later - 2);
    assert!(story.open().is_empty());
}

#[test]
fn of_very_many_a_person_says_when_it_is_over() {
    let mut story = Story::plain();
    let first = unread(&mut story, "odd");
    for _ in 0..QUARANTINED_REMEMBERED_MAX {
        unread(&mut story, "odd");
    }
    for seq in first..=story.seq {
        drop_message(&mut story, seq);
    }
    assert_eq!(story.open().len(), 1);
}
