//! Inventory files in CSV: one row an entry, columns by the names in the first row.
//!
//! | column | element | group | service | account |
//! | --- | --- | --- | --- | --- |
//! | `kind` | `element` | `group` | `service` | `account` |
//! | `id` | id | id | id | id |
//! | `parent` | what it is part of (also `part_of`) | | | customer (also `customer`) |
//! | `site` | the site it is at | | | |
//! | `members` | what it depends on (also `depends_on`) | members | what it depends on (also `depends_on`) | |
//! | `needs` | | how many must work | | |
//! | `accounts` | | | its accounts | |
//! | `aliases` | names that monitors use | | | |
//! | `patterns` | regular expressions | | | |
//! | `watchers`, `quorum` | who votes, how many must | | | |
//! | `life`, `active_from` | | | where it stands in its life | |
//! | `partner`, `mail` | | | | who manages it, who speaks for it |
//!
//! Lists are separated by blanks. Only `kind` and `id` are needed; columns may stand in any order.

use super::load::{
    AccountEntry, ElementEntry, GroupEntry, InventoryFile, Life, Problem, ServiceEntry,
};
use csv::StringRecord;

/// Every column that is known.
const COLUMNS: [&str; 18] = [
    "kind",
    "id",
    "parent",
    "part_of",
    "customer",
    "site",
    "members",
    "depends_on",
    "needs",
    "accounts",
    "aliases",
    "patterns",
    "watchers",
    "quorum",
    "life",
    "active_from",
    "partner",
    "mail",
];

/// Where each known column stands.
type Places = [Option<usize>; COLUMNS.len()];

struct Row<'a> {
    record: &'a StringRecord,
    places: &'a Places,
}

impl Row<'_> {
    fn cell(&self, name: &str) -> &str {
        let column = COLUMNS.iter().position(|column| *column == name);
        let place = column.and_then(|column| self.places.get(column).copied().flatten());
        place.and_then(|place| self.record.get(place)).unwrap_or("")
    }

    fn text(&self, name: &str) -> String {
        self.cell(name).to_owned()
    }

    /// The cell of one of two names that mean the same.
    fn either<'n>(&self, name: &'n str, other: &'n str) -> &'n str {
        if self.cell(name).is_empty() {
            other
        } else {
            name
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        let cell = self.cell(name).split_whitespace();
        cell.map(str::to_owned).collect()
    }

    /// A number; empty: `otherwise`.
    fn number(&self, name: &str, otherwise: Option<u32>) -> Result<u32, String> {
        let cell = self.cell(name);
        match otherwise.filter(|_| cell.is_empty()) {
            Some(number) => Ok(number),
            None => cell
                .parse()
                .map_err(|_| format!("{name}: `{cell}` is not a number")),
        }
    }

    fn life(&self) -> Result<Option<Life>, String> {
        Ok(Some(match self.cell("life") {
            "" => return Ok(None),
            "setting_up" => Life::SettingUp,
            "active" => Life::Active,
            "retired" => Life::Retired,
            other => {
                return Err(format!(
                    "life: `{other}`; expected setting_up, active or retired"
                ));
            }
        }))
    }

    fn entry_into(&self, file: &mut InventoryFile) -> Result<(), String> {
        match self.cell("kind") {
            "element" => file.element.push(ElementEntry {
                id: self.text("id"),
                aliases: self.list("aliases"),
                patterns: self.list("patterns"),
                watchers: self.list("watchers"),
                quorum: self.number("quorum", Some(0))?,
                part_of: self.text(self.either("part_of", "parent")),
                site: self.text("site"),
                depends_on: self.list(self.either("depends_on", "members")),
            }),
            "group" => file.group.push(GroupEntry {
                id: self.text("id"),
                members: self.list("members"),
                needs: self.number("needs", None)?,
            }),
            "service" => file.service.push(ServiceEntry {
                id: self.text("id"),
                depends_on: self.list(self.either("depends_on", "members")),
                accounts: self.list("accounts"),
                setting_up: false,
                life: self.life()?,
                active_from: self.text("active_from"),
            }),
            "account" => file.account.push(AccountEntry {
                id: self.text("id"),
                customer: self.text(self.either("customer", "parent")),
                partner: self.text("partner"),
                mail: self.list("mail"),
            }),
            other => {
                return Err(format!(
                    "kind `{other}`; expected element, group, service or account"
                ));
            }
        }
        Ok(())
    }
}

/// Columns by the names in the first row.
fn places(head: &StringRecord) -> Result<Places, Vec<Problem>> {
    let mut places: Places = [None; COLUMNS.len()];
    let mut problems = Vec::new();
    let mut tell = |what: String| {
        problems.push(Problem {
            place: "row 1".to_owned(),
            what,
        });
    };
    for (place, name) in head.iter().enumerate() {
        let name = name.trim_start_matches('\u{feff}').to_lowercase();
        let known = COLUMNS.iter().position(|column| *column == name);
        match known.and_then(|known| places.get_mut(known)) {
            Some(Some(_)) => tell(format!("the column `{name}` stands there twice")),
            Some(free) => *free = Some(place),
            None => tell(format!(
                "unknown column `{name}`; known here: {}",
                COLUMNS.join(", ")
            )),
        }
    }
    for (name, place) in COLUMNS.iter().zip(&places).take(2) {
        if place.is_none() {
            tell(format!("the column `{name}` is missing"));
        }
    }
    if problems.is_empty() {
        Ok(places)
    } else {
        Err(problems)
    }
}

impl InventoryFile {
    /// Reads CSV; the first row names the columns. The errors name the row.
    pub fn from_csv(text: &str) -> Result<InventoryFile, Vec<Problem>> {
        let mut file = InventoryFile::default();
        let mut problems = Vec::new();
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let torn = |place: String, error: csv::Error| Problem {
            place,
            what: error.to_string(),
        };
        let head = reader.headers();
        let places = places(head.map_err(|error| vec![torn("row 1".to_owned(), error)])?)?;
        // Room at once; rows mostly begin with their kind.
        let rows = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
        file.element.reserve_exact(rows("element"));
        let mut record = StringRecord::new();
        for number in 2_usize.. {
            let place = || format!("row {number}");
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {
                    let row = Row {
                        record: &record,
                        places: &places,
                    };
                    if let Err(what) = row.entry_into(&mut file) {
                        let place = place();
                        problems.push(Problem { place, what });
                    }
                }
                Err(error) => problems.push(torn(place(), error)),
            }
        }
        if problems.is_empty() {
            Ok(file)
        } else {
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Inventory;

    #[test]
    fn rows_are_read_and_wrong_ones_named() {
        let text = "kind,id,parent,members,needs,accounts,aliases\n\
                    element,sw1,,,,,core-1 10.0.0.1\n\
                    group,g,,sw1,1,,\n\
                    service,s,,g,,acme,\n\
                    account,acme,,,,,\n";
        let inventory = Inventory::build(InventoryFile::from_csv(text).unwrap()).unwrap();
        assert!(inventory.resolve_name("10.0.0.1").element.is_some());
        let wrong = InventoryFile::from_csv("kind,id\nrouter,x\ngroup,g\n").unwrap_err();
        let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "row 2: kind `router`; expected element, group, service or account",
                "row 3: needs: `` is not a number",
            ]
        );
        let named = "kind,id,part_of,depends_on\nelement,a,,\nelement,b,a,c d\n";
        let named = InventoryFile::from_csv(named).unwrap();
        assert_eq!(named.element[1].part_of, "a");
        assert_eq!(named.element[1].depends_on, ["c", "d"]);
        let wrong = InventoryFile::from_csv("kind,name\nelement,x\n").unwrap_err();
        let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("row 1: unknown column `name`; known here: kind, id, "));
        assert_eq!(told[1], "row 1: the column `id` is missing");
    }

    #[test]
    fn every_column_says_what_the_key_of_that_name_says_in_toml() {
        let csv = "id,kind,parent,site,members,needs,accounts,aliases,patterns,watchers,quorum,life,active_from,partner,mail\n\
                   psu1@sw,element,sw,ams,pdu g,,,p1,psu-.*,m1 m2,2,,,,\n\
                   g,group,,,a b,1,,,,,,,,,\n\
                   s,service,,,g,,acme,,,,,setting_up,2026-03-01,,\n\
                   acme,account,holding,,,,,,,,,,,reseller,noc@acme.example @acme.example\n";
        let toml = r#"
            [[element]]
            id = "psu1@sw"
            part_of = "sw"
            site = "ams"
            depends_on = ["pdu", "g"]
            aliases = ["p1"]
            patterns = ["psu-.*"]
            watchers = ["m1", "m2"]
            quorum = 2
            [[group]]
            id = "g"
            members = ["a", "b"]
            needs = 1
            [[service]]
            id = "s"
            depends_on = ["g"]
            accounts = ["acme"]
            life = "setting_up"
            active_from = "2026-03-01"
            [[account]]
            id = "acme"
            customer = "holding"
            partner = "reseller"
            mail = ["noc@acme.example", "@acme.example"]
        "#;
        let said = |file: &InventoryFile| format!("{file:?}");
        let read = InventoryFile::from_csv(csv).unwrap();
        assert_eq!(said(&read), said(&InventoryFile::from_toml(toml).unwrap()));
    }
}
