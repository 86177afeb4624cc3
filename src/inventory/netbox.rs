//! Inventory from what NetBox's REST API answers: devices, interfaces, cables, power feeds,
//! circuits and tenants. Pure: pages of JSON in, out of answers or files, and entries out; who asks
//! and when is elsewhere.
//!
//! | NetBox | becomes |
//! | --- | --- |
//! | site | element `site/SLUG`, at the site `SLUG` |
//! | device | element of its name, part of its site; a service of its tenant, if it has one |
//! | interface | element `NAME@DEVICE`, part of its device |
//! | interface in a LAG | member of the group `lag/LAG@DEVICE`, on which the LAG depends |
//! | cable | element `cable/ID`; its label is an alias. Interfaces and power ports at its ends depend on it; it depends on the feed, the outlet's device or the circuit at its end |
//! | power port with a cable | element `NAME@DEVICE`, part of its device; member of the group `power/DEVICE`, of which one carries the device |
//! | power feed | element `feed/NAME`, part of its site; `feed/PANEL/NAME` if the name is taken |
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

    /// The name of a file that holds it, without its end.
    const fn name(self) -> &'static str {
        match self {
            NetboxList::Devices => "devices",
            NetboxList::Interfaces => "interfaces",
            NetboxList::Cables => "cables",
            NetboxList::PowerFeeds => "power-feeds",
            NetboxList::Circuits => "circuits",
            NetboxList::Tenants => "tenants",
        }
    }

    /// The list that a row belongs to by its address, else by the name of its file.
    fn of(file: &str, row: Option<&Value>) -> Option<NetboxList> {
        let mut lists = NetboxList::ALL.into_iter();
        match row.and_then(|row| text(row, "/url")) {
            Some(url) => lists.find(|list| url.contains(list.path())),
            None => {
                let file = file.to_lowercase().replace('_', "-");
                lists.find(|list| file.starts_with(list.name()))
            }
        }
    }
}

/// Keys of rows that are read; a row has some forty.
const KEYS: [&str; 18] = [
    "a_terminations",
    "b_terminations",
    "cid",
    "custom_fields",
    "device",
    "id",
    "label",
    "lag",
    "name",
    "oob_ip",
    "power_panel",
    "primary_ip4",
    "primary_ip6",
    "site",
    "slug",
    "status",
    "tenant",
    "type",
];

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
        self.take_rows(list, page.results);
        self.counts.extend(page.count.map(|count| (list, count)));
        Ok(page.next)
    }

    /// Takes a file: one answer of the API or several, or their rows, as a list or one after the
    /// other. Which list it is say the addresses of its rows, else the file's name without its end.
    pub fn take_file(&mut self, name: &str, body: &[u8]) -> Result<(), Problem> {
        let wrong = |what: String| Problem {
            place: format!("NetBox {name}"),
            what,
        };
        let mut left: Vec<Value> = Vec::new();
        for value in serde_json::Deserializer::from_slice(body).into_iter() {
            left.push(value.map_err(|error| wrong(format!("is no JSON: {error}")))?);
        }
        let (mut rows, mut count) = (Vec::new(), None);
        left.reverse();
        while let Some(value) = left.pop() {
            match value {
                Value::Array(values) => left.extend(values.into_iter().rev()),
                Value::Object(_) if value.get("results").is_some() => {
                    let page: Page = serde_json::from_value(value)
                        .map_err(|error| wrong(format!("is no list of NetBox's API: {error}")))?;
                    count = page.count.or(count);
                    rows.extend(page.results);
                }
                Value::Object(_) if value.get("id").is_some() => rows.push(value),
                _ => return Err(wrong("is no list of NetBox's API".to_owned())),
            }
        }
        let Some(list) = NetboxList::of(name, rows.first()) else {
            let known = NetboxList::ALL.map(|list| format!("{}.json", list.name()));
            return Err(wrong(format!(
                "its rows have no address of NetBox's (`url`), and its name is none of {}",
                known.join(", ")
            )));
        };
        self.take_rows(list, rows);
        self.counts.extend(count.map(|count| (list, count)));
        Ok(())
    }

    fn take_rows(&mut self, list: NetboxList, rows: Vec<Value>) {
        let known = self.rows.entry(list).or_default();
        known.extend(rows.into_iter().map(|mut row| {
            if let Some(row) = row.as_object_mut() {
                row.retain(|key, _| KEYS.contains(&key.as_str()));
            }
            row
        }));
    }

    /// How many rows of a list are there and how many there should be, if these differ.
    pub fn missing(&mut self, list: NetboxList) -> Option<(usize, u64)> {
        let rows = self.rows.entry(list).or_default();
        let mut seen = BTreeSet::new();
        rows.retain(|row| number(row, "/id").is_none_or(|id| seen.insert(id)));
        let count = *self.counts.get(&list)?;
        (count != rows.len() as u64).then_some((rows.len(), count))
    }

    /// Whether all rows of a list came: what changes while its pages are read moves rows from one
    /// page to another.
    pub fn check_whole(&mut self, list: NetboxList) -> Result<(), Problem> {
        self.missing(list).map_or(Ok(()), |(came, count)| {
            Err(Problem {
                place: format!("NetBox {}", list.path()),
                what: format!("{came} of {count} rows came: it changed while it was read"),
            })
        })
    }

    /// Entries, and what had to be left out.
    pub fn entries(&self) -> (InventoryFile, Vec<Problem>) {
        let mut reader = Reader::default();
        let rows = |list| self.rows.get(&list).into_iter().flatten();
        rows(NetboxList::Tenants).for_each(|row| reader.tenant(row));
        rows(NetboxList::Devices).for_each(|row| reader.device(row));
        rows(NetboxList::Interfaces).for_each(|row| reader.interface(row));
        rows(NetboxList::PowerFeeds).for_each(|row| reader.feed(row));
        rows(NetboxList::Circuits).for_each(|row| reader.circuit(row));
        rows(NetboxList::Cables).for_each(|row| reader.cable(row));
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
    feeds: BTreeMap<u64, String>,
    circuits: BTreeSet<String>,
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
            site: text(row, "/site/slug").unwrap_or("").to_owned(),
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
                .or_insert_with(|| one_of(&group));
        }
        if let Some(lag_name) = text(row, "/lag/name") {
            let group = format!("lag/{lag_name}@{device}");
            let entry = self
                .groups
                .entry(group.clone())
                .or_insert_with(|| one_of(&group));
            entry.members.push(element);
        }
    }

    fn cable(&mut self, row: &Value) {
        let Some(id) = number(row, "/id") else {
            return self.skip("cable", row, "it has no id");
        };
        let (mut ends, mut needs) = (Vec::new(), Vec::new());
        for side in ["/a_terminations", "/b_terminations"] {
            let terminations = row.pointer(side).and_then(Value::as_array);
            for end in terminations.into_iter().flatten() {
                match text(end, "/object_type") {
                    Some("dcim.interface") => {
                        let id = number(end, "/object_id").or_else(|| number(end, "/object/id"));
                        ends.extend(id.and_then(|id| self.interfaces.get(&id)).cloned());
                    }
                    Some("dcim.powerport") => ends.extend(self.power_port(end)),
                    Some("dcim.powerfeed") => {
                        let id = number(end, "/object_id").or_else(|| number(end, "/object/id"));
                        needs.extend(id.and_then(|id| self.feeds.get(&id)).cloned());
                    }
                    Some("dcim.poweroutlet") => {
                        let device = number(end, "/object/device/id");
                        needs.extend(device.and_then(|id| self.devices.get(&id)).cloned());
                    }
                    Some("circuits.circuittermination") => {
                        let circuit = text(end, "/object/circuit/cid");
                        let known = circuit.filter(|cid| self.circuits.contains(*cid));
                        needs.extend(known.map(str::to_owned));
                    }
                    _ => {}
                }
            }
        }
        if ends.is_empty() {
            return self.skip("cable", row, "it ends at no known interface or power port");
        }
        let element = format!("cable/{id}");
        let label = text(row, "/label").filter(|label| !label.is_empty());
        let entry = ElementEntry {
            id: element.clone(),
            aliases: label.into_iter().map(str::to_owned).collect(),
            depends_on: needs,
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

    /// The power port at the end of a cable: part of its device, which works while one of them does.
    fn power_port(&mut self, end: &Value) -> Option<String> {
        let device = number(end, "/object/device/id")?;
        let device = self.devices.get(&device)?.clone();
        let element = format!("{}@{device}", text(end, "/object/name")?);
        let group = format!("power/{device}");
        if !self.elements.contains_key(&element) {
            let entry = ElementEntry {
                id: element.clone(),
                part_of: device.clone(),
                ..ElementEntry::default()
            };
            self.elements.insert(element.clone(), entry);
        }
        let entry = self.groups.entry(group.clone());
        let entry = entry.or_insert_with(|| one_of(&group));
        if !entry.members.contains(&element) {
            entry.members.push(element.clone());
        }
        let carried = self.elements.get_mut(&device)?;
        if !carried.depends_on.contains(&group) {
            carried.depends_on.push(group);
        }
        Some(element)
    }

    fn feed(&mut self, row: &Value) {
        let Some(name) = text(row, "/name") else {
            return self.skip("power feed", row, "it has no name");
        };
        let mut feed = format!("feed/{name}");
        if self.elements.contains_key(&feed)
            && let Some(panel) = text(row, "/power_panel/name")
        {
            feed = format!("feed/{panel}/{name}");
        }
        let entry = ElementEntry {
            id: feed.clone(),
            part_of: self.site(row),
            ..ElementEntry::default()
        };
        if self.add("power feed", row, entry)
            && let Some(id) = number(row, "/id")
        {
            self.feeds.insert(id, feed);
        }
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
        self.circuits.insert(cid.to_owned());
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
                site: slug,
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

/// One working member carries a LAG or a device, as far as NetBox knows.
fn one_of(id: &str) -> GroupEntry {
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
mod tests;
