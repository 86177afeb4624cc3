//! `trackers check` asks each tracker for what the routes name there: queue, type, custom fields.
//! What is there is told as such; what is not, under the route's name.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod stand_in;

use alertbridge::trackers::{Asked as Wanted, Tracker, registry};
use serde_json::{Value, json};
use stand_in::{Asked, Said, said, serve};
use std::sync::{Arc, Mutex, Once};

fn ready() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// What each tracker has: one of everything.
fn answer(_: &mut (), asked: &Asked) -> Said {
    let absent = || said(404, json!({ "error": "not there" }));
    if let Some(form) = asked.text.strip_prefix("json_data=") {
        let pairs = format!("x={form}");
        let (_, operation) = url::form_urlencoded::parse(pairs.as_bytes())
            .next()
            .unwrap();
        let operation: Value = serde_json::from_str(&operation).unwrap();
        let there = operation["output_fields"] == "site_name";
        let code = if there { 0 } else { 5 };
        return said(200, json!({ "code": code, "message": "", "objects": null }));
    }
    let there = |query: &str, names: &[&str]| names.iter().any(|name| query.contains(name));
    match asked.path.as_str() {
        "/rest/api/2/field" => said(200, json!([{ "id": "customfield_7", "name": "Site" }])),
        "/rest/api/2/project/OPS" => said(200, json!({ "issueTypes": [{ "name": "Incident" }] })),
        "/api/v1/groups" => said(200, json!([{ "name": "Users" }, { "name": "noc" }])),
        "/api/v1/tickets/search" if there(&format!("{:?}", asked.query), &["ticket.site]"]) => {
            said(200, json!([]))
        }
        "/api/v1/tickets/search" => said(422, json!({ "error": "Invalid condition" })),
        "/api/now/table/sys_user_group" => {
            let rows = if there(asked.query("sysparm_query"), &["=noc^"]) {
                json!([{ "name": "noc", "sys_id": "s" }])
            } else {
                json!([])
            };
            said(200, json!({ "result": rows }))
        }
        // The instance is sloppy: it finds more than was asked for.
        "/api/now/table/sys_dictionary" => said(
            200,
            json!({ "result": [
                { "name": "incident", "element": "u_site" },
                { "name": "cmdb_ci", "element": "u_rack" },
            ] }),
        ),
        "/TicketSearch" if there(&asked.text, &["DynamicField_Site"]) => said(200, json!({})),
        "/TicketSearch" => said(200, json!({ "TicketID": ["1", "2"] })),
        "/api/v2/groups/7" => said(200, json!({ "group": { "id": 7, "name": "noc" } })),
        "/api/v2/ticket_fields/360001" => said(200, json!({ "ticket_field": { "id": 360_001 } })),
        "/api/v2/ticket_fields" => said(200, json!([{ "name": "cf_site" }])),
        "/api/mailboxes/1/custom_fields" => said(
            200,
            json!({ "_embedded": { "custom_fields": [{ "id": 12, "name": "Site" }] } }),
        ),
        "/initSession" => said(200, json!({ "session_token": "s" })),
        "/Group/7" => said(200, json!({ "id": 7, "name": "noc" })),
        _ => absent(),
    }
}

/// A kind, its section, and queue, type and field that are there.
type Case = (&'static str, &'static str, [&'static str; 3]);

const CASES: [Case; 10] = [
    (
        "jira",
        "deployment = \"cloud\"\nproject = \"OPS\"\nuser = \"a\"\ntoken = \"t\"",
        ["OPS", "Incident", "Site"],
    ),
    (
        "zammad",
        "group = \"Users\"\ncustomer = \"c@example.net\"\ntoken = \"t\"",
        ["noc", "", "site"],
    ),
    (
        "servicenow",
        "user = \"a\"\npassword = \"p\"",
        ["noc", "", "u_site"],
    ),
    (
        "znuny",
        "user = \"a\"\npassword = \"p\"\nqueue = \"q\"\ncustomer = \"c\"",
        ["", "", "Site"],
    ),
    (
        "zendesk",
        "token = \"t\"\nrequester = \"c@example.net\"",
        ["7", "incident", "360001"],
    ),
    (
        "freshdesk",
        "token = \"t\"\nagent = 7\nrequester = \"c@example.net\"",
        ["7", "", "cf_site"],
    ),
    (
        "itop",
        "user = \"a\"\npassword = \"p\"\norganization = \"Example\"",
        ["", "", "site_name"],
    ),
    (
        "freescout",
        "token = \"t\"\nmailbox = 1\nuser = 7\ncustomer = \"c@example.net\"",
        ["1", "", "12"],
    ),
    (
        "gitlab",
        "project = \"noc/net\"\ntoken = \"t\"",
        ["", "incident", ""],
    ),
    ("glpi", "token = \"t\"", ["7", "request", ""]),
];

async fn said_of(tracker: &Arc<dyn Tracker>, [queue, kind, field]: [&str; 3]) -> Vec<String> {
    let asked = Wanted {
        route: "noc".to_owned(),
        queue: queue.to_owned(),
        kind: kind.to_owned(),
        custom: Some(field.to_owned())
            .filter(|field| !field.is_empty())
            .into_iter()
            .collect(),
    };
    let said = tracker.check_asked(&[asked]).await;
    assert!(!said.is_empty());
    said.into_iter().filter_map(Result::err).collect()
}

#[tokio::test]
async fn what_is_there_is_well_and_what_is_not_is_told() {
    ready();
    for (kind, section, there) in CASES {
        let address = serve(Arc::new(Mutex::new(())), answer).await;
        let text = format!("url = \"http://{address}/\"\n{section}");
        let section = toml::from_str(&text).unwrap();
        let tracker = (registry::find(kind).unwrap().build)("sample", section).unwrap();
        let wrong = said_of(&tracker, there).await;
        assert!(wrong.is_empty(), "{kind}: {wrong:?}");
        for place in 0..3 {
            if there[place].is_empty() {
                continue;
            }
            let mut asked = there;
            asked[place] = "99";
            let wrong = said_of(&tracker, asked).await;
            assert!(
                !wrong.is_empty(),
                "{kind}: `99` for `{}` is no problem",
                there[place]
            );
            assert!(wrong[0].contains("99"), "{kind}: {wrong:?}");
        }
    }
}
