//! Rows of NetBox, and the graph that comes of them.

use super::*;
use crate::inventory::health::{Condition, Health};
use crate::inventory::impact::Lives;
use crate::inventory::model::Inventory;
use crate::model::Severity;

fn page(results: &str) -> Vec<u8> {
    format!(r#"{{"count":1,"next":null,"previous":null,"results":[{results}]}}"#).into_bytes()
}

fn netbox() -> Netbox {
    let mut netbox = Netbox::default();
    let mut take = |list, rows: &str| {
        assert_eq!(netbox.take_page(list, &page(rows)), Ok(None));
    };
    take(
        NetboxList::Tenants,
        r#"{"id":1,"name":"Acme","slug":"acme","custom_fields":{"customer":null}},
           {"id":2,"name":"Globex","slug":"globex","custom_fields":{"partner":"reseller"}}"#,
    );
    take(
        NetboxList::Devices,
        r#"{"id":10,"name":"sw-1","site":{"id":1,"slug":"ams"},"tenant":null,
            "status":{"value":"active"},"primary_ip4":{"address":"192.0.2.1/24"},
            "primary_ip6":{"address":"2001:db8::1/64"}},
           {"id":11,"name":"web-1","site":{"id":1,"slug":"ams"},
            "tenant":{"id":1,"slug":"acme"},"status":{"value":"active"}},
           {"id":12,"name":null,"site":{"id":1,"slug":"ams"},
            "tenant":{"id":2,"slug":"globex"},"status":{"value":"planned"}}"#,
    );
    take(
        NetboxList::Interfaces,
        r#"{"id":100,"name":"ae0","device":{"id":10},"type":{"value":"lag"},"lag":null},
           {"id":101,"name":"xe-0/0/1","device":{"id":10},"type":{"value":"10gbase-x-sfpp"},
            "lag":{"id":100,"name":"ae0"}},
           {"id":102,"name":"xe-0/0/2","device":{"id":10},"type":{"value":"10gbase-x-sfpp"},
            "lag":{"id":100,"name":"ae0"}},
           {"id":103,"name":"eth0","device":{"id":99},"type":{"value":"1000base-t"}}"#,
    );
    take(
        NetboxList::Cables,
        r#"{"id":7,"label":"K-7","a_terminations":[{"object_type":"dcim.interface",
            "object_id":101,"object":{"id":101}}],"b_terminations":[]}"#,
    );
    take(
        NetboxList::PowerFeeds,
        r#"{"id":5,"name":"A1","power_panel":{"id":1,"name":"P1","site":{"slug":"ams"}}}"#,
    );
    take(
        NetboxList::Circuits,
        r#"{"id":3,"cid":"CKT-1","status":{"value":"active"},"tenant":{"slug":"globex"}}"#,
    );
    netbox
}

#[test]
fn what_netbox_knows_becomes_a_graph() {
    let (file, problems) = netbox().entries();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["NetBox interface 103: left out: its device is not in the answer"]
    );
    let inventory = Inventory::build(file).unwrap();
    assert!(inventory.resolve_name("2001:db8::1").element.is_some());
    let cable = inventory.resolve_name("K-7").element.unwrap();
    let mut health = Health::new(&inventory);
    health.set(&inventory, cable, Condition::Down);
    let impact = health.impact(&inventory, &[cable], &Lives::default());
    assert_eq!(impact.severity, Some(Severity::S4));
    assert_eq!(
        impact.sentences[0],
        "lag/ae0@sw-1: 1 of 2 working, needs 1: redundancy lost."
    );
    let site = inventory.element("site/ams").unwrap();
    health.set(&inventory, site, Condition::Down);
    let impact = health.impact(&inventory, &[site], &Lives::default());
    assert_eq!(impact.severity, Some(Severity::S2));
    assert_eq!(impact.services, ["device/web-1"]);
}

#[test]
fn what_is_no_answer_of_the_api_is_refused() {
    let error = Netbox::default()
        .take_page(NetboxList::Devices, br#"{"detail":"Invalid token"}"#)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("NetBox /api/dcim/devices/: the answer is no list")
    );
}

#[test]
fn rows_that_move_between_pages_while_they_are_read_are_noticed() {
    let list = NetboxList::Devices;
    let mut netbox = Netbox::default();
    let page = |rows: &str| format!(r#"{{"count":3,"next":null,"results":[{rows}]}}"#);
    let first = page(r#"{"id":1},{"id":2}"#);
    netbox.take_page(list, first.as_bytes()).unwrap();
    let again = page(r#"{"id":2}"#);
    netbox.take_page(list, again.as_bytes()).unwrap();
    let told = netbox.check_whole(list).unwrap_err().to_string();
    assert!(
        told.ends_with("2 of 3 rows came: it changed while it was read"),
        "{told}"
    );
    netbox
        .take_page(list, page(r#"{"id":3}"#).as_bytes())
        .unwrap();
    assert_eq!(netbox.check_whole(list), Ok(()));
}

#[test]
fn power_reaches_devices_through_cables_and_names_are_told_apart() {
    let mut netbox = netbox();
    let panel = |id: u64, panel: &str| {
        format!(r#"{{"id":{id},"name":"A1","power_panel":{{"id":{id},"name":"{panel}"}}}}"#)
    };
    let feeds = format!("[{},{}]", panel(6, "P2"), panel(7, "P3"));
    netbox.take_file("power-feeds", feeds.as_bytes()).unwrap();
    let port = r#"{"object_type":"dcim.powerport","object_id":1,
                   "object":{"id":1,"name":"PSU0","device":{"id":10}}}"#;
    let feed = r#"{"object_type":"dcim.powerfeed","object_id":7,"object":{"id":7,"name":"A1"}}"#;
    let cable =
        format!(r#"{{"id":8,"label":"","a_terminations":[{feed}],"b_terminations":[{port}]}}"#);
    netbox.take_file("cables-2", cable.as_bytes()).unwrap();
    let (file, problems) = netbox.entries();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let inventory = Inventory::build(file).unwrap();
    for id in ["feed/A1", "feed/P2/A1", "feed/P3/A1"] {
        assert!(inventory.element(id).is_some(), "{id}");
    }
    let element = |id: &str| inventory.element(id).unwrap();
    assert_eq!(inventory.site_of(element("PSU0@sw-1")), "ams");
    let mut health = Health::new(&inventory);
    health.set(&inventory, element("feed/P3/A1"), Condition::Down);
    assert_eq!(health.word(element("sw-1")), "down");
    health.set(&inventory, element("feed/P3/A1"), Condition::Up);
    health.set(&inventory, element("feed/A1"), Condition::Down);
    assert_eq!(health.word(element("sw-1")), "up");
}

#[test]
fn a_file_is_pages_or_rows_and_says_which_list_it_is() {
    let mut netbox = Netbox::default();
    let one = r#"{"id":1,"name":"a","url":"http://nb/api/dcim/devices/1/","serial":"kept not"}"#;
    let page = format!(r#"{{"count":3,"next":"x","results":[{one}]}}"#);
    let other = page
        .replace("\"id\":1", "\"id\":2")
        .replace("devices/1", "devices/2");
    // Two answers one after the other, as `curl` leaves them.
    netbox
        .take_file("all", format!("{page}\n{other}").as_bytes())
        .unwrap();
    assert_eq!(netbox.missing(NetboxList::Devices), Some((2, 3)));
    netbox
        .take_file("DEVICES_page3", br#"[{"id":3,"name":"c"}]"#)
        .unwrap();
    assert_eq!(netbox.missing(NetboxList::Devices), None);
    assert!(!serde_json::to_string(&netbox).unwrap().contains("kept not"));
    let told = |name: &str, body: &str| {
        let error = Netbox::default().take_file(name, body.as_bytes());
        error.unwrap_err().to_string()
    };
    let text = told("x", r#"[{"id":1}]"#);
    assert!(
        text.contains("its name is none of tenants.json, devices.json"),
        "{text}"
    );
    assert!(told("devices", "[1]").contains("is no list of NetBox's API"));
    assert!(told("devices", "{").contains("is no JSON"));
}
