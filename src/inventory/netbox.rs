//! Inventory from what NetBox's REST API answers: devices, interfaces, cables, power feeds,
//! circuits and tenants. Pure: pages of JSON in, entries out; who asks and when is elsewhere.
//!
//! | NetBox | becomes |
//! | --- | --- |
//! | site | element `site/SLUG` |
//! | device | element of its name, part of its site; a service of its tenant, if it has one |
//! | interface | element `NAME@DEVICE`, part of its device |
//! | interface in a LAG | member of the group `lag/LAG@DEVICE`, on which the LAG depends |
//! | cable | element `cable/ID`, on which both ends depend; its label is an alias |
//! | power feed | element `feed/NAME`, part of its site |
//! | circuit | element of its id; a service of its tenant, if it has one |
//! | tenant | account of its slug; `customer`, `partner` and `mail` from custom fields of those names |

use super::load::{
    AccountEntry, ElementEntry, GroupEntry, InventoryFile, Life, Problem, ServiceEntry,
};
use crate::model::text::bounded;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetboxList {
    /// Devices.
    Devices,
    /// Interfaces.
    Interfaces,
    /// Cables.
    Cables,
    /// Power feeds.
    PowerFeeds,
    /// Circuits.
    Circuits,
    /// Tenants.
    Tenants,
}

impl NetboxList {
    /// Every list, in the order in which they are asked for.
    pub const ALL: [NetboxList; 6] = [
        NetboxList::Tenants,
        NetboxList::Devices,
        NetboxList::Interfaces,
        NetboxList::Cables,
        NetboxList::PowerFeeds,
        NetboxList::Circuits,
    ];

    /// Its path below the address of the installation.
    pub const fn path(self) -> &'static str {
        match self {
            NetboxList::Devices => "/api/dcim/devices/",
            NetboxList::Interfaces => "/api/dcim/interfaces/",
            NetboxList::Cables => "/api/dcim/cables/",
            NetboxList::PowerFeeds => "/api/dcim/power-feeds/",
            NetboxList::Circuits => "/api/circuits/circuits/",
            NetboxList::Tenants => "/api/tenancy/tenants/",
        }
    }
}

/// Pages collected so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Netbox {
    rows: BTreeMap<NetboxList, Vec<Value>>,
    /// How many rows the last page said there are.
    #[serde(skip)]
    counts: BTreeMap<NetboxList, u64>,
}

#[derive(Deserialize)]
struct Page {
    count: Option<u64>,
    next: Option<String>,
    results: Vec<Value>,
}

impl Netbox {
    /// Takes one page; returns the address of the next one, if there is one.
    pub fn take_page(&mut self, list: NetboxList, body: &[u8]) -> Result<Option<String>, Problem> {
        let page: Page = serde_json::from_slice(body).map_err(|error| Problem {
            place: format!("NetBox {}", list.path()),
            what: format!("the answer is no list of NetBox's API: {error}"),
        })?;
        self.rows.entry(list).or_default().extend(page.results);
        self.counts.extend(page.count.map(|count| (list, count)));
        Ok(page.next)
    }

    /// Whether all rows of a list came: what changes while its pages are read moves rows from one
    /// page to another.
    pub fn check_whole(&mut self, list: NetboxList) -> Result<(), Problem> {
        let rows = self.rows.entry(list).or_default();
        let mut seen = BTreeSet::new();
        rows.retain(|row| number(row, "/id").is_none_or(|id| seen.insert(id)));
        let Some(count) = self.counts.get(&list).filter(|c| **c != rows.len() as u64) else {
            return Ok(());
        };
        Err(Problem {
            place: format!("NetBox {}", list.path()),
            what: format!(
                "{} of {count} rows came: it changed while it was read",
                rows.len()
            ),
        })
    }

    /// Entries, and what had to be left out.
    pub fn entries(&self) -> (InventoryFile, Vec<Problem>) {
        let mut reader = Reader::default();
        let rows = |list| self.rows.get(&list).into_iter().flatten();
        rows(NetboxList::Tenants).for_each(|row| reader.tenant(row));
        rows(NetboxList::Devices).for_each(|row| reader.device(row));
        rows(NetboxList::Interfaces).for_each(|row| reader.interface(row));
        rows(NetboxList::Cables).for_each(|row| reader.cable(row));
        rows(NetboxList::PowerFeeds).for_each(|row| reader.feed(row));
        rows(NetboxList::Circuits).for_each(|row| reader.circuit(row));
        reader.finish()
    }
}

#[derive(Default)]
struct Reader {
    accounts: BTreeMap<String, AccountEntry>,
    elements: BTreeMap<String, ElementEntry>,
    groups: BTreeMap<String, GroupEntry>,
    services: Vec<ServiceEntry>,
    devices: BTreeMap<u64, String>,
    interfaces: BTreeMap<u64, String>,
    sites: BTreeSet<String>,
    /// Addresses that speak by mail, in lower case, and for which account.
    mails: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Reader {
    fn skip(&mut self, what: &str, row: &Value, why: &str) {
        self.problems.push(Problem {
            place: format!("NetBox {what} {}", number(row, "/id").unwrap_or(0)),
            what: format!("left out: {why}"),
        });
    }

    fn add(&mut self, what: &str, row: &Value, entry: ElementEntry) -> bool {
        if self.elements.contains_key(&entry.id) {
            let why = format!("`{}` is there already", entry.id);
            self.skip(what, row, &why);
            return false;
        }
        self.elements.insert(entry.id.clone(), entry);
        true
    }

    fn tenant(&mut self, row: &Value) {
        let Some(id) = text(row, "/slug") else {
            return self.skip("tenant", row, "it has no slug");
        };
        let mail = self.contacts(row, id);
        let entry = AccountEntry {
            id: id.to_owned(),
            customer: text(row, "/custom_fields/customer")
                .unwrap_or("")
                .to_owned(),
            partner: text(row, "/custom_fields/partner").unwrap_or("").to_owned(),
            mail,
        };
        self.accounts.insert(entry.id.clone(), entry);
    }

    /// The addresses that speak for a tenant; an address speaks for one.
    fn contacts(&mut self, row: &Value, tenant: &str) -> Vec<String> {
        let said = text(row, "/custom_fields/mail").unwrap_or("");
        let mut contacts = Vec::new();
        for word in said.split(|c: char| c.is_whitespace() || ",;".contains(c)) {
            if word.is_empty() {
                continue;
            }
            let address = word.to_lowercase();
            let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
            let why = match self.mails.get(&address) {
                _ if domain.is_empty() || address.contains(['<', '>']) => {
                    "is no mail address".to_owned()
                }
                Some(owner) => format!("speaks for `{owner}` already"),
                None => {
                    self.mails.insert(address, tenant.to_owned());
                    contacts.push(word.to_owned());
                    continue;
                }
            };
            let why = format!("`{}` {why}", bounded(word, 100));
            self.skip("mail of tenant", row, &why);
        }
        contacts
    }

    /// The site's element, made when it is first named.
    fn site(&mut self, row: &Value) -> String {
        // Power feeds name their panel; some versions name the site with it.
        let slug = text(row, "/site/slug").or_else(|| text(row, "/power_panel/site/slug"));
        let Some(slug) = slug else {
            return String::new();
        };
        self.sites.insert(slug.to_owned());
        format!("site/{slug}")
    }

    fn device(&mut self, row: &Value) {
        let Some(id) = number(row, "/id") else {
            return self.skip("device", row, "it has no id");
        };
        let name = text(row, "/name").map_or_else(|| format!("device-{id}"), str::to_owned);
        let addresses = [
            "/primary_ip4/address",
            "/primary_ip6/address",
            "/oob_ip/address",
        ];
        let addresses = addresses.iter().filter_map(|path| text(row, path));
        let aliases: BTreeSet<String> = addresses
            .map(|address| address.split('/').next().unwrap_or(address).to_owned())
            .collect();
        let entry = ElementEntry {
            id: name.clone(),
            aliases: aliases.into_iter().collect(),
            part_of: self.site(row),
            ..ElementEntry::default()
        };
        if !self.add("device", row, entry) {
            return;
        }
        self.devices.insert(id, name.clone());
        let life = match text(row, "/status/value") {
            Some("planned" | "staged" | "inventory") => Life::SettingUp,
            Some("decommissioning") => Life::Retired,
            _ => Life::Active,
        };
        self.service(row, &format!("device/{name}"), &name, life);
    }

    /// What belongs to a tenant serves that tenant.
    fn service(&mut self, row: &Value, id: &str, element: &str, life: Life) {
        if let Some(tenant) = text(row, "/tenant/slug") {
            self.services.push(ServiceEntry {
                id: id.to_owned(),
                depends_on: vec![element.to_owned()],
                accounts: vec![tenant.to_owned()],
                life: Some(life),
                ..ServiceEntry::default()
            });
        }
    }

    fn interface(&mut self, row: &Value) {
        let device = number(row, "/device/id")
            .and_then(|id| self.devices.get(&id))
            .cloned();
        let (Some(id), Some(name), Some(device)) = (number(row, "/id"), text(row, "/name"), device)
        else {
            return self.skip("interface", row, "its device is not in the answer");
        };
        let element = format!("{name}@{device}");
        let is_lag = text(row, "/type/value") == Some("lag");
        let group = format!("lag/{element}");
        let entry = ElementEntry {
            id: element.clone(),
            part_of: device.clone(),
            depends_on: if is_lag {
                vec![group.clone()]
            } else {
                Vec::new()
            },
            ..ElementEntry::default()
        };
        if !self.add("interface", row, entry) {
            return;
        }
        self.interfaces.insert(id, element.clone());
        if is_lag {
            self.groups
                .entry(group.clone())
                .or_insert_with(|| lag(&group));
        }
        if let Some(lag_name) = text(row, "/lag/name") {
            let group = format!("lag/{lag_name}@{device}");
            let entry = self
                .groups
                .entry(group.clone())
                .or_insert_with(|| lag(&group));
            entry.members.push(element);
        }
    }

    fn cable(&mut self, row: &Value) {
        let Some(id) = number(row, "/id") else {
            return self.skip("cable", row, "it has no id");
        };
        let mut ends = Vec::new();
        for side in ["/a_terminations", "/b_terminations"] {
            let terminations = row.pointer(side).and_then(Value::as_array);
            for end in terminations.into_iter().flatten() {
                if text(end, "/object_type") == Some("dcim.interface") {
                    let id = number(end, "/object_id").or_else(|| number(end, "/object/id"));
                    ends.extend(id.and_then(|id| self.interfaces.get(&id)).cloned());
                }
            }
        }
        if ends.is_empty() {
            return self.skip("cable", row, "it ends at no known interface");
        }
        let element = format!("cable/{id}");
        let label = text(row, "/label").filter(|label| !label.is_empty());
        let entry = ElementEntry {
            id: element.clone(),
            aliases: label.into_iter().map(str::to_owned).collect(),
            ..ElementEntry::default()
        };
        if self.add("cable", row, entry) {
            for end in ends {
                if let Some(entry) = self.elements.get_mut(&end) {
                    entry.depends_on.push(element.clone());
                }
            }
        }
    }

    fn feed(&mut self, row: &Value) {
        let Some(name) = text(row, "/name") else {
            return self.skip("power feed", row, "it has no name");
        };
        let site = self.site(row);
        let entry = ElementEntry {
            id: format!("feed/{name}"),
            part_of: site,
            ..ElementEntry::default()
        };
        self.add("power feed", row, entry);
    }

    fn circuit(&mut self, row: &Value) {
        let Some(cid) = text(row, "/cid") else {
            return self.skip("circuit", row, "it has no circuit id");
        };
        let entry = ElementEntry {
            id: cid.to_owned(),
            ..ElementEntry::default()
        };
        if !self.add("circuit", row, entry) {
            return;
        }
        let life = match text(row, "/status/value") {
            Some("planned" | "provisioning") => Life::SettingUp,
            Some("deprovisioning" | "decommissioned") => Life::Retired,
            _ => Life::Active,
        };
        self.service(row, &format!("circuit/{cid}"), cid, life);
    }

    fn finish(mut self) -> (InventoryFile, Vec<Problem>) {
        for slug in std::mem::take(&mut self.sites) {
            let id = format!("site/{slug}");
            self.elements.entry(id.clone()).or_insert(ElementEntry {
                id,
                ..ElementEntry::default()
            });
        }
        // A LAG without members in the answer carries nothing: it is an interface like others.
        let empty = self
            .groups
            .iter()
            .filter(|(_, group)| group.members.is_empty());
        let empty: Vec<String> = empty.map(|(id, _)| id.clone()).collect();
        for id in empty {
            self.groups.remove(&id);
            for element in self.elements.values_mut() {
                element.depends_on.retain(|on| *on != id);
            }
        }
        // An address that two devices share names neither.
        let mut claims: BTreeMap<String, u32> = BTreeMap::new();
        for alias in self.elements.values().flat_map(|e| &e.aliases) {
            *claims.entry(alias.to_lowercase()).or_default() += 1;
        }
        let elements = &self.elements;
        let taken = |alias: &String| {
            claims.get(&alias.to_lowercase()).copied() > Some(1) || elements.contains_key(alias)
        };
        let shared: BTreeSet<String> = claims
            .keys()
            .filter(|alias| taken(alias))
            .cloned()
            .collect();
        for alias in &shared {
            self.problems.push(Problem {
                place: format!("NetBox alias `{alias}`"),
                what: "left out: more than one element claims it".to_owned(),
            });
        }
        for element in self.elements.values_mut() {
            element
                .aliases
                .retain(|alias| !shared.contains(&alias.to_lowercase()));
        }
        let file = InventoryFile {
            element: self.elements.into_values().collect(),
            group: self.groups.into_values().collect(),
            service: self.services,
            account: self.accounts.into_values().collect(),
        };
        (file, self.problems)
    }
}

/// One working member carries a LAG, as far as NetBox knows.
fn lag(id: &str) -> GroupEntry {
    GroupEntry {
        id: id.to_owned(),
        members: Vec::new(),
        needs: 1,
    }
}

fn text<'a>(row: &'a Value, path: &str) -> Option<&'a str> {
    row.pointer(path).and_then(Value::as_str)
}

fn number(row: &Value, path: &str) -> Option<u64> {
    row.pointer(path).and_then(Value::as_u64)
}

#[cfg(test)]
mod tests {
    use super::super::health::{Condition, Health};
    use super::super::impact::Lives;
    use super::super::model::Inventory;
    use super::*;
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
}
