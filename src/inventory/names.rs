//! Which element a monitor means: ids, aliases, host names with and without domain, interface
//! names long and short.

use super::model::{ElementId, Inventory, Query, Resolution};

/// Long and short forms of interface names, by prefix.
const INTERFACES: [(&str, &str); 8] = [
    ("tengigabitethernet", "te"),
    ("twentyfivegige", "twe"),
    ("fortygigabitethernet", "fo"),
    ("hundredgige", "hu"),
    ("gigabitethernet", "gi"),
    ("fastethernet", "fa"),
    ("port-channel", "po"),
    ("ethernet", "eth"),
];

/// The form in which names are compared: lower case, interface names short.
pub(super) fn normal(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    for (long, short) in INTERFACES {
        if let Some(rest) = lower.strip_prefix(long)
            && rest.trim_start().starts_with(|c: char| c.is_ascii_digit())
        {
            return format!("{short}{}", rest.trim_start());
        }
    }
    lower
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
        let hosts = if short.parse::<u8>().is_ok() {
            vec![host]
        } else {
            vec![host, short]
        };
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
        for name in ["circuit", "circuit_id", "link", "element"] {
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
        Resolution {
            element: None,
            how: format!("`{host}` is not in the inventory"),
            part_unknown: false,
        }
    }

    fn lookup(&self, name: &str) -> Option<ElementId> {
        self.element(name)
            .or_else(|| self.aliases.get(&normal(name)).copied().map(ElementId))
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

    #[test]
    fn long_and_short_interface_names_are_one() {
        assert_eq!(normal("GigabitEthernet0/1"), "gi0/1");
        assert_eq!(normal("Gi0/1"), "gi0/1");
        assert_eq!(normal("Ethernet Uplink"), "ethernet uplink");
    }
}
