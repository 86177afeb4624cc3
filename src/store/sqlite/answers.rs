//! How the writer answers. Those that wait in one thread's runtime are told together, by a task
//! there: a commit wakes a thread once, and not once for each append.

use super::super::StoreError;
use std::cell::RefCell;
use std::ops::Range;
use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot};

/// The places of an append's rows, or why they are not written.
pub(super) type Answer = Result<Range<u64>, StoreError>;

type Addressed = (oneshot::Sender<Answer>, Answer);
type Mailbox = mpsc::UnboundedSender<Vec<Addressed>>;

/// One who waits for a commit.
pub(super) struct Waiting {
    answer: oneshot::Sender<Answer>,
    mailbox: Option<Mailbox>,
}

thread_local! {
    static MAILBOX: RefCell<Option<(Id, Mailbox)>> = const { RefCell::new(None) };
}

/// One who waits in this thread, and where the answer comes.
pub(super) fn waiting() -> (Waiting, oneshot::Receiver<Answer>) {
    let (answer, answered) = oneshot::channel();
    let mailbox = mailbox();
    (Waiting { answer, mailbox }, answered)
}

/// The mailbox of this thread's runtime; none if the runtime has several threads.
fn mailbox() -> Option<Mailbox> {
    let runtime = Handle::try_current().ok()?;
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
        return None;
    }
    MAILBOX.with_borrow_mut(|known| match known {
        Some((id, mailbox)) if *id == runtime.id() => Some(mailbox.clone()),
        _ => {
            let (mailbox, mut answers) = mpsc::unbounded_channel::<Vec<Addressed>>();
            runtime.spawn(async move {
                while let Some(together) = answers.recv().await {
                    each(together);
                }
            });
            *known = Some((runtime.id(), mailbox.clone()));
            Some(mailbox)
        }
    })
}

/// Tells all of a commit.
pub(super) fn tell(all: impl IntoIterator<Item = (Waiting, Answer)>) {
    let mut alone = Vec::new();
    let mut together: Vec<(Mailbox, Vec<Addressed>)> = Vec::new();
    for (waiting, answer) in all {
        let addressed = (waiting.answer, answer);
        let Some(mailbox) = waiting.mailbox else {
            alone.push(addressed);
            continue;
        };
        let known = together
            .iter_mut()
            .find(|(known, _)| known.same_channel(&mailbox));
        match known {
            Some((_, answers)) => answers.push(addressed),
            None => together.push((mailbox, vec![addressed])),
        }
    }
    for (mailbox, answers) in together {
        if let Err(mpsc::error::SendError(answers)) = mailbox.send(answers) {
            // Its runtime has ended.
            each(answers);
        }
    }
    each(alone);
}

/// A caller that went away hears nothing. If its append was committed it sends it again; else
/// nothing was accepted from it.
fn each(answers: Vec<Addressed>) {
    for (caller, answer) in answers {
        let _ = caller.send(answer);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn alone() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    #[test]
    fn who_waits_in_any_runtime_hears_of_the_own_append() {
        let several = tokio::runtime::Runtime::new().unwrap();
        let (first, second) = (alone(), alone());
        let (mut told, mut heard) = (Vec::new(), Vec::new());
        for runtime in [&first, &several, &second, &first] {
            let _inside = runtime.enter();
            let (waiting, answered) = waiting();
            let place = told.len() as u64;
            assert_eq!(
                waiting.mailbox.is_none(),
                std::ptr::eq(runtime, &raw const several)
            );
            told.push((waiting, Ok(place..place + 1)));
            heard.push((runtime, answered, place));
        }
        std::thread::spawn(move || tell(told)).join().unwrap();
        for (runtime, answered, place) in heard {
            let answer = runtime.block_on(answered).unwrap();
            assert_eq!(answer.unwrap(), place..place + 1);
        }
    }

    #[test]
    fn a_runtime_that_ended_is_in_nobodys_way() {
        let runtime = alone();
        let (waiting, mut answered) = runtime.block_on(async { waiting() });
        drop(runtime);
        tell([(waiting, Ok(1..2))]);
        assert_eq!(answered.try_recv().unwrap().unwrap(), 1..2);
    }
}
