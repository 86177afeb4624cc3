//! Which element a monitor means: ids, aliases, host names with and without domain, interface
//! names long and short.

use super::model::{ElementId, Inventory, Query, Resolution};
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// Long and short forms of interface names, by prefix.
const INTERFACES: [(&str, &str); 17] = [
    ("twentyfivegigabitethernet", "twe"),
    ("twogigabitethernet", "tw"),
    ("fivegigabitethernet", "fi"),
    ("fortygige", "fo"),
    ("tengige", "te"),
    ("bundle-ether", "be"),
    ("loopback", "lo"),
    ("tunnel", "tu"),
    ("vlan", "vl"),
    ("tengigabitethernet", "te"),
    ("twentyfivegige", "twe"),
    ("fortygigabitethernet", "fo"),
    ("hundredgige", "hu"),
    ("gigabitethernet", "gi"),
    ("fastethernet", "fa"),
    ("port-channel", "po"),
    ("ethernet", "eth"),
];

/// Labels whose value is an alias: circuits, links and sensors by their ids.
const NAMING_LABELS: [&str; 5] = ["circuit", "circuit_id", "link", "sensor_id", "element"];

/// Labels in which senders tell the address of the host.
const ADDRESS_LABELS: [&str; 3] = ["address", "host_ip", "ip"];

/// The form in which names are compared: lower case, interface names short, addresses in one
/// spelling. The part before the last `@` and the host behind it by themselves.
pub(super) fn normal(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((part, host)) => format!("{}@{}", plain(part), plain(host)),
        None => plain(name),
    }
}

fn plain(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let bare = lower
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(&lower).parse::<IpAddr>() {
        return address.to_canonical().to_string();
    }
    for (long, short) in INTERFACES {
        if let Some(rest) = lower.strip_prefix(long)
            && rest.trim_start().starts_with(|c: char| c.is_ascii_digit())
        {
            return format!("{short}{}", rest.trim_start());
        }
    }
    lower
}

/// Names without their domain, for monitors that leave it out; one that several elements would
/// share names none of them.
pub(super) fn without_domain<'a>(
    names: impl Iterator<Item = (&'a str, u32)>,
) -> FxHashMap<Box<str>, u32> {
    let mut short: FxHashMap<Box<str>, Option<u32>> = FxHashMap::default();
    for (name, number) in names {
        let (part, host) = match name.rsplit_once('@') {
            Some((part, host)) => (Some(part), host),
            None => (None, name),
        };
        let Some((first, _)) = host.split_once('.').filter(|_| is_domain_name(host)) else {
            continue;
        };
        let name = part.map_or_else(|| first.to_owned(), |part| format!("{part}@{first}"));
        let known = short.entry(name.into_boxed_str()).or_insert(Some(number));
        *known = known.filter(|known| *known == number);
    }
    let single = short.into_iter();
    single
        .filter_map(|(name, number)| Some((name, number?)))
        .collect()
}

/// Labels of letters, digits and hyphens, the last one of letters alone.
fn is_domain_name(host: &str) -> bool {
    let good = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.split('.').all(good) && last.chars().all(|c| c.is_ascii_alphabetic())
}

impl Inventory {
    /// The element of an id or alias.
    pub fn resolve_name(&self, name: &str) -> Resolution {
        match self.lookup(name) {
            Some(element) => Resolution {
                how: format!("element {}", self.element_name(element)),
                element: Some(element),
                part_unknown: false,
            },
            None => Resolution::default(),
        }
    }

    /// The element that a monitor means.
    pub fn resolve(&self, query: &Query) -> Resolution {
        if self.is_empty() {
            return Resolution::default();
        }
        let host = query.host.unwrap_or("");
        let short = host.split('.').next().unwrap_or(host);
        let mut hosts = vec![host];
        if host.parse::<IpAddr>().is_err() && short.parse::<u8>().is_err() {
            hosts.push(short);
        }
        // The host's address, where the sender tells it beside a name of its own.
        let addresses = ADDRESS_LABELS
            .iter()
            .filter_map(|label| query.labels.get(*label));
        let addresses = addresses.filter(|address| address.parse::<IpAddr>().is_ok());
        hosts.extend(addresses.map(String::as_str));
        let parts = [query.component, query.check];
        for host in &hosts {
            for part in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
                let part = normal(part);
                for name in [format!("{part}@{host}"), format!("{host}/{part}")] {
                    if let Some(element) = self.lookup(&name) {
                        let how = format!("{name} is element {}", self.element_name(element));
                        return Resolution {
                            element: Some(element),
                            how,
                            part_unknown: false,
                        };
                    }
                }
            }
        }
        // What a label names is more than the host that it hangs from.
        for name in NAMING_LABELS {
            if let Some(value) = query.labels.get(name)
                && let Some(element) = self.lookup(value)
            {
                let how = format!("{name} {value} is element {}", self.element_name(element));
                return Resolution {
                    element: Some(element),
                    how,
                    part_unknown: false,
                };
            }
        }
        for host in hosts.iter().filter(|host| !host.is_empty()) {
            if let Some(element) = self.lookup(host) {
                let part_unknown = query.component.is_some_and(|part| !part.is_empty());
                let how = format!("host {host} is element {}", self.element_name(element));
                return Resolution {
                    element: Some(element),
                    how,
                    part_unknown,
                };
            }
        }
        Resolution {
            element: None,
            how: format!("`{host}` is not in the inventory"),
            part_unknown: false,
        }
    }

    fn lookup(&self, name: &str) -> Option<ElementId> {
        let normal = normal(name);
        let named = |names: &FxHashMap<Box<str>, u32>| {
            let number = names.get(normal.as_str());
            number.copied().map(ElementId)
        };
        self.element(name)
            .or_else(|| self.element(&normal))
            .or_else(|| named(&self.aliases))
            .or_else(|| named(&self.short_names))
            .or_else(|| self.by_pattern(name))
    }

    /// The first pattern that matches the whole name, in the order of the files.
    fn by_pattern(&self, name: &str) -> Option<ElementId> {
        let found = self.patterns.iter().find(|p| p.regex.is_match(name));
        found.map(|pattern| ElementId(pattern.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn long_and_short_interface_names_are_one() {
        assert_eq!(normal("GigabitEthernet0/1"), "gi0/1");
        assert_eq!(normal("Gi0/1"), "gi0/1");
        assert_eq!(normal("Ethernet Uplink"), "ethernet uplink");
        assert_eq!(normal("TenGigE0/0/0/1@R1"), normal("Te0/0/0/1@r1"));
        assert_eq!(normal("Bundle-Ether12"), "be12");
    }

    fn resolved(inventory: &Inventory, host: &str, part: Option<&str>) -> String {
        resolved_by(inventory, (host, part), &BTreeMap::new())
    }

    fn resolved_by(
        inventory: &Inventory,
        (host, part): (&str, Option<&str>),
        labels: &BTreeMap<String, String>,
    ) -> String {
        let query = Query {
            site: None,
            host: Some(host),
            component: part,
            component_kind: None,
            check: None,
            service: None,
            labels,
        };
        let element = inventory.resolve(&query).element;
        element.map_or_else(String::new, |id| inventory.element_name(id).to_owned())
    }

    #[test]
    fn hosts_are_found_with_and_without_domain_and_addresses_in_any_spelling() {
        let file = crate::inventory::InventoryFile::from_toml(
            r#"
            element = [
                { id = "core-1.example.net", aliases = ["2001:0DB8::0:1", "192.0.2.1"] },
                { id = "Ethernet1@core-1.example.net" },
                { id = "edge.ams.example.net" }, { id = "edge.fra.example.net" },
                { id = "web-1" },
            ]
            "#,
        );
        let inventory = Inventory::build(file.unwrap()).unwrap();
        let found = |host| resolved(&inventory, host, None);
        assert_eq!(found("core-1"), "core-1.example.net");
        assert_eq!(found("CORE-1.example.net"), "core-1.example.net");
        assert_eq!(found("2001:db8:0:0:0:0:0:1"), "core-1.example.net");
        assert_eq!(found("[2001:db8::1]"), "core-1.example.net");
        assert_eq!(found("::ffff:192.0.2.1"), "core-1.example.net");
        assert_eq!(found("web-1.example.net"), "web-1");
        // Two would be meant: neither is.
        assert_eq!(found("edge"), "");
        assert_eq!(found("edge.fra.example.net"), "edge.fra.example.net");
        let part = resolved(&inventory, "core-1", Some("Eth1"));
        assert_eq!(part, "Ethernet1@core-1.example.net");
    }

    #[test]
    fn sensors_and_circuits_are_found_by_their_ids_before_the_host_they_hang_from() {
        let file = crate::inventory::InventoryFile::from_toml(
            r#"
            element = [
                { id = "core-1", aliases = ["192.0.2.1"] },
                { id = "psu1@core-1", aliases = ["2041"] },
                { id = "wan", aliases = ["CKT/0815"] },
                { id = "intake", patterns = ["temp-[0-9]+@crac-1"] },
            ]
            "#,
        );
        let inventory = Inventory::build(file.unwrap()).unwrap();
        let found = |host: &str, part: Option<&str>, label: (&str, &str)| {
            let labels = BTreeMap::from([(label.0.to_owned(), label.1.to_owned())]);
            resolved_by(&inventory, (host, part), &labels)
        };
        assert_eq!(found("core-1", None, ("sensor_id", "2041")), "psu1@core-1");
        assert_eq!(found("core-1", None, ("sensor_id", "7")), "core-1");
        assert_eq!(found("nowhere", None, ("circuit_id", "ckt/0815")), "wan");
        assert_eq!(found("crac-1", Some("temp-12"), ("x", "")), "intake");
        // A name of the monitor's own, and the address behind it.
        assert_eq!(
            found("Core switch", None, ("address", "192.0.2.1")),
            "core-1"
        );
        assert_eq!(found("Core switch", None, ("address", "core-1")), "");
    }
}
