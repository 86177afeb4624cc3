//! Webhooks of trackers at `/hooks/trackers/NAME`. The door proves who speaks; what a hook means is
//! for others to say. Nothing is stored: a hook is a hint to read the tracker now.

use super::Refused;
use super::answers::{Answer, Refusal, Route};
use super::http::{HttpDoor, Served};
use super::listener::Peer;
use super::source::Source;
use crate::formats::Request;
use crate::limits;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// What takes the hooks of trackers.
pub trait TrackerHooks: Send + Sync {
    /// Who may send the hooks of the tracker of that name; `None`: it takes none.
    fn sender(&self, tracker: &str) -> Option<Arc<Source>>;

    /// A hook whose sender has proven itself. The error is a sentence; the sender may try again.
    fn take<'a>(
        &'a self,
        tracker: &'a str,
        hook: &'a Request<'a>,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// The takers of hooks, if there are any.
#[derive(Clone, Default)]
pub struct HookTaker(pub Option<Arc<dyn TrackerHooks>>);

impl std::fmt::Debug for HookTaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HookTaker")
    }
}

impl HttpDoor {
    /// Takes the hook of a tracker.
    pub(super) async fn tracker_hook(
        &self,
        tracker: &str,
        served: &Served<'_>,
        peer: &Peer,
    ) -> Answer {
        let taker = self.settings.tracker_hooks.0.as_ref();
        let sender = taker.and_then(|taker| taker.sender(tracker));
        let (Some(taker), Some(sender)) = (taker, sender) else {
            let reason = "no tracker of that name takes hooks; it needs `hook_secret`";
            return self.refuse(Route::Hook, 404, Refused::Unknown, reason);
        };
        if served.request.method != "POST" {
            let reason = "this path takes POST";
            return self.refuse(Route::Hook, 405, Refused::Malformed, reason);
        }
        if let Err(answer) = self.admit(Route::Hook, &sender, served, peer, false).await {
            return answer;
        }
        if served.request.body.len() > limits::TRACKER_HOOK_BYTES_MAX {
            let reason = "a hook of a tracker is not so large";
            return self.refuse(Route::Hook, 413, Refused::TooLarge, reason);
        }
        match taker.take(tracker, &served.request).await {
            Ok(()) => Answer::json(200, r#"{"status":"successful"}"#),
            Err(reason) => self.answers.refused(
                Route::Hook,
                &Refusal {
                    status: 503,
                    reason,
                    retry_after: Some(30),
                },
            ),
        }
    }
}
