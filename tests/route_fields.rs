//! What a route gives a new ticket reaches each tracker that has a place for it, in that tracker's
//! own form; text of alerts in it stays one value.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod stand_in;

use alertbridge::model::ticket::{TicketFields, TicketStatus};
use alertbridge::trackers::{Called, Draft, Takes, Tracker, registry};
use serde_json::{Value, json};
use stand_in::{Asked, Said, said, serve};
use std::sync::{Arc, Mutex, Once};

fn ready() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Each request that creates; answers as little as each tracker's adaptor needs to believe it.
fn answer(created: &mut Vec<Value>, asked: &Asked) -> Said {
    let path = asked.path.as_str();
    let form = asked.text.strip_prefix("json_data=");
    if let Some(form) = form {
        let pairs = format!("x={form}");
        let (_, operation) = url::form_urlencoded::parse(pairs.as_bytes())
            .next()
            .unwrap();
        created.push(serde_json::from_str(&operation).unwrap());
        let object = json!({ "key": "7", "fields": { "ref": "R-7" } });
        return said(
            200,
            json!({ "code": 0, "objects": { "UserRequest::7": object } }),
        );
    }
    if asked.method == "GET" {
        return match path {
            "/initSession" => said(200, json!({ "session_token": "s" })),
            "/listSearchOptions/Ticket" => said(200, json!({})),
            "/rest/api/2/field" => said(
                200,
                json!([
                    { "id": "customfield_7", "name": "Site", "schema": { "type": "option" } },
                    { "id": "customfield_8", "name": "Racks", "schema": { "type": "array", "items": "string" } },
                ]),
            ),
            _ => said(404, json!({})),
        };
    }
    created.push(if path.ends_with("/watchers") {
        json!({ "watcher": asked.body })
    } else {
        asked.body.clone()
    });
    let id = json!({
        "id": "7", "key": "OPS-7", "iid": 7, "TicketID": "7", "status": "success",
        "result": { "sys_id": "7", "number": "INC7" }, "ticket": { "id": 7 },
    });
    said(201, id)
}

/// What `type`, watchers and fields are in each: the section, the draft's words, and where they
/// must stand in the request.
struct Case {
    kind: &'static str,
    section: &'static str,
    ticket: &'static str,
    watcher: &'static str,
    field: &'static str,
    expected: &'static [(&'static str, &'static str)],
}

const CASES: [Case; 11] = [
    Case {
        kind: "jira",
        section: "deployment = \"cloud\"\nproject = \"OPS\"\nuser = \"a\"\ntoken = \"t\"",
        ticket: "Incident",
        watcher: "account-7",
        field: "Site",
        expected: &[
            ("/0/fields/issuetype/name", "Incident"),
            ("/0/fields/customfield_7/value", HOSTILE),
            ("/1/watcher", "account-7"),
        ],
    },
    Case {
        kind: "zammad",
        section: "group = \"Users\"\ncustomer = \"noc@example.net\"\ntoken = \"t\"",
        ticket: "",
        watcher: "",
        field: "site",
        expected: &[
            ("/0/site", HOSTILE),
            ("/0/customer_id", "guess:acme@example.net"),
        ],
    },
    Case {
        kind: "servicenow",
        section: "user = \"a\"\npassword = \"p\"",
        ticket: "",
        watcher: "noc@example.net",
        field: "u_site",
        expected: &[
            ("/0/u_site", HOSTILE),
            ("/0/watch_list", "noc@example.net"),
            ("/0/caller_id", "acme@example.net"),
        ],
    },
    Case {
        kind: "glpi",
        section: "token = \"t\"",
        ticket: "request",
        watcher: "7",
        field: "",
        expected: &[
            ("/0/input/_users_id_observer/0", "7"),
            ("/0/input/_users_id_requester", "acme@example.net"),
        ],
    },
    Case {
        kind: "znuny",
        section: "user = \"a\"\npassword = \"p\"\nqueue = \"q\"\ncustomer = \"c\"",
        ticket: "Incident",
        watcher: "",
        field: "Site",
        expected: &[
            ("/0/Ticket/Type", "Incident"),
            ("/0/Ticket/CustomerUser", "acme@example.net"),
            ("/0/DynamicField/1/Name", "Site"),
            ("/0/DynamicField/1/Value", HOSTILE),
        ],
    },
    Case {
        kind: "zendesk",
        section: "token = \"t\"\nrequester = \"noc@example.net\"",
        ticket: "incident",
        watcher: "noc@example.net",
        field: "360001",
        expected: &[
            ("/0/ticket/type", "incident"),
            ("/0/ticket/followers/0/user_email", "noc@example.net"),
            ("/0/ticket/custom_fields/0/value", HOSTILE),
            ("/0/ticket/requester/email", "acme@example.net"),
        ],
    },
    Case {
        kind: "freshdesk",
        section: "token = \"t\"\nagent = 7\nrequester = \"noc@example.net\"",
        ticket: "Incident",
        watcher: "noc@example.net",
        field: "cf_site",
        expected: &[
            ("/0/type", "Incident"),
            ("/0/cc_emails/0", "noc@example.net"),
            ("/0/custom_fields/cf_site", HOSTILE),
        ],
    },
    Case {
        kind: "itop",
        section: "user = \"a\"\npassword = \"p\"\norganization = \"Example\"",
        ticket: "",
        watcher: "",
        field: "site_name",
        expected: &[
            ("/0/fields/site_name", HOSTILE),
            (
                "/0/fields/caller_id",
                "SELECT Person WHERE email = 'acme@example.net'",
            ),
        ],
    },
    Case {
        kind: "freescout",
        section: "token = \"t\"\nmailbox = 1\nuser = 7\ncustomer = \"noc@example.net\"",
        ticket: "",
        watcher: "",
        field: "12",
        expected: &[
            ("/0/customFields/0/value", HOSTILE),
            ("/0/customer/email", "acme@example.net"),
        ],
    },
    Case {
        kind: "gitlab",
        section: "project = \"noc/net\"\ntoken = \"t\"",
        ticket: "incident",
        watcher: "",
        field: "",
        expected: &[("/0/issue_type", "incident")],
    },
    Case {
        kind: "pagerduty",
        section: "routing_key = \"k\"",
        ticket: "",
        watcher: "",
        field: "site",
        expected: &[("/0/payload/custom_details/site", HOSTILE)],
    },
];

/// A value as an alert may bring it.
const HOSTILE: &str = "ams'1\"}], \"x\": {{ 7 }} <b> ^OR";

fn draft(case: &Case) -> Draft {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Draft {
        key: "ab-1".to_owned(),
        fields: TicketFields {
            subject: "core-1 is down".to_owned(),
            status: TicketStatus::New,
            severity: None,
            queue: String::new(),
        },
        body: "x".to_owned(),
        kind: case.ticket.to_owned(),
        requestor: "acme@example.net".to_owned(),
        watchers: given(case.watcher).into_iter().collect(),
        custom: given(case.field)
            .map(|name| (name, HOSTILE.to_owned()))
            .into_iter()
            .collect(),
        attachments: Vec::new(),
        follows: None,
    }
}

fn tracker(case: &Case, address: std::net::SocketAddr) -> Arc<dyn Tracker> {
    let text = format!("url = \"http://{address}/\"\n{}", case.section);
    let section = toml::from_str(&text).unwrap();
    (registry::find(case.kind).unwrap().build)("sample", section).unwrap()
}

#[tokio::test]
async fn what_a_route_gives_stands_in_each_tracker_in_its_own_form() {
    ready();
    for case in &CASES {
        let created = Arc::new(Mutex::new(Vec::new()));
        let tracker = tracker(case, serve(created.clone(), answer).await);
        let takes = tracker.capabilities().takes;
        let declared = Takes {
            kind: !case.ticket.is_empty(),
            watchers: !case.watcher.is_empty(),
            custom: !case.field.is_empty(),
            ..takes
        };
        assert_eq!(takes, declared, "{}", case.kind);
        let called = tracker.open(&draft(case)).await;
        assert!(
            matches!(called, Called::Done(_)),
            "{}: {called:?}",
            case.kind
        );
        let created = Value::Array(created.lock().unwrap().clone());
        for (place, value) in case.expected {
            let found = created.pointer(place).and_then(Value::as_str);
            assert_eq!(found, Some(*value), "{} {place}: {created:#}", case.kind);
        }
    }
}

#[tokio::test]
async fn a_field_that_is_none_is_refused_by_its_name_before_anything_is_made() {
    ready();
    for (kind, field) in [("jira", "Rack"), ("zendesk", "rack"), ("freescout", "rack")] {
        let case = CASES.iter().find(|case| case.kind == kind).unwrap();
        let created = Arc::new(Mutex::new(Vec::new()));
        let tracker = tracker(case, serve(created.clone(), answer).await);
        let mut draft = draft(case);
        draft.custom = vec![(field.to_owned(), "x".to_owned())];
        let called = tracker.open(&draft).await;
        let Called::Refused { field: named, .. } = called else {
            panic!("{kind}: {called:?}");
        };
        assert_eq!(named.as_deref(), Some(field));
        assert!(created.lock().unwrap().is_empty());
    }
}

#[test]
fn trackers_that_take_nothing_of_it_say_so() {
    ready();
    for kind in ["github", "osticket", "gitlab_alerts", "goalert"] {
        let kind = registry::find(kind).unwrap();
        let section = toml::from_str(kind.example).unwrap();
        let tracker = (kind.build)("sample", section).unwrap();
        assert_eq!(
            tracker.capabilities().takes,
            Takes::NOTHING,
            "{}",
            kind.name
        );
    }
}
