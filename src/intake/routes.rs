//! Where the paths of the webhook door lead, and the keys by which drop-in receivers tell their
//! sources. Pure.

use super::answers::{Answer, PAGERDUTY_V1, Route};
use super::auth;
use super::http::HttpSettings;
use crate::formats::Request;
use serde::Deserialize;
use std::borrow::Cow;

/// Below `/hooks/`: hooks of trackers. No source has that name.
const TRACKERS: &str = "trackers/";

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// To a source by its name.
    Take(Route, &'a str),
    /// To the source of the key that the request carries.
    Keyed(Route),
    /// To the hooks of a tracker by its name.
    Tracker(&'a str),
    /// An answer that needs no source.
    Fixed(Fixed),
    /// Nowhere.
    Nothing,
}

/// What is answered to anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fixed {
    /// The door is up.
    Healthy,
    /// What an Alertmanager says of itself.
    Status,
}

impl Fixed {
    pub(super) fn answer(self) -> Answer {
        match self {
            Fixed::Healthy => Answer {
                content_type: "text/plain; charset=utf-8",
                ..Answer::json(200, "OK")
            },
            Fixed::Status => Answer::json(200, STATUS),
        }
    }
}

/// What Alertmanager's clients look at before they send.
const STATUS: &str = r#"{"cluster":{"status":"disabled","peers":[]},"versionInfo":{"version":"0.27.0","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":""},"config":{"original":""},"uptime":"1970-01-01T00:00:00.000Z"}"#;

impl<'a> Target<'a> {
    /// Of a path.
    pub(super) fn of(path: &'a str, settings: &'a HttpSettings) -> Target<'a> {
        match path {
            "/healthz" | "/-/healthy" | "/-/ready" => Target::Fixed(Fixed::Healthy),
            "/api/v2/status" => Target::Fixed(Fixed::Status),
            "/v1/events" => Target::Take(Route::Native, &settings.native_source),
            "/api/v2/alerts" | "/api/v1/alerts" => {
                Target::Take(Route::Alertmanager, &settings.alertmanager_source)
            }
            "/v2/enqueue" | "/v2/change/enqueue" | PAGERDUTY_V1 => Target::Keyed(Route::PagerDuty),
            "/v2/alerts" => Target::Keyed(Route::Opsgenie),
            _ => match path.strip_prefix("/hooks/") {
                Some(rest) if rest.starts_with(TRACKERS) => {
                    Target::Tracker(rest.trim_start_matches(TRACKERS))
                }
                Some(rest) if !rest.is_empty() => Target::hook(rest),
                _ if path.starts_with("/v2/alerts/") || path.starts_with("/v2/heartbeats/") => {
                    Target::Keyed(Route::Opsgenie)
                }
                _ => Target::Nothing,
            },
        }
    }

    fn hook(rest: &'a str) -> Target<'a> {
        let (source, below) = rest.split_once('/').unwrap_or((rest, ""));
        match below {
            "-/healthy" | "-/ready" => Target::Fixed(Fixed::Healthy),
            "api/v2/status" => Target::Fixed(Fixed::Status),
            "api/v2/alerts" | "api/v1/alerts" => Target::Take(Route::Alertmanager, source),
            "v2/enqueue" | "v2/change/enqueue" => Target::Take(Route::PagerDuty, source),
            below if below.starts_with("v2/alerts") || below.starts_with("v2/heartbeats/") => {
                Target::Take(Route::Opsgenie, source)
            }
            _ => Target::Take(Route::Hook, source),
        }
    }
}

/// The key in a request to a drop-in receiver.
pub(super) fn key_of<'a>(route: Route, request: &Request<'a>) -> Option<Cow<'a, str>> {
    #[derive(Deserialize)]
    struct Keyed<'b> {
        #[serde(borrow, alias = "service_key")]
        routing_key: Option<Cow<'b, str>>,
    }
    match route {
        Route::PagerDuty => request
            .header("x-routing-key")
            .map(Cow::Borrowed)
            .or_else(|| {
                serde_json::from_slice::<Keyed<'a>>(request.body)
                    .ok()?
                    .routing_key
            }),
        _ => auth::genie_key(request).map(Cow::Borrowed),
    }
}
