//! Large inventory files are read in pieces: the result is that of reading all at once.
#![allow(clippy::unwrap_used)]

use alertbridge::inventory::{Inventory, InventoryFile};
use std::fmt::Write;

fn large() -> String {
    let mut text = String::new();
    for n in 0..20_000 {
        let _ = write!(
            text,
            "[[element]]\nid = \"host-{n}\"\naliases = [\n  \"höst-{n}\",\n]\n\
             [[service]]\nid = \"service-{n}\"\ndepends_on = [\"host-{n}\"]\n"
        );
    }
    assert!(text.len() > 1024 * 1024);
    text
}

#[test]
fn no_entry_is_lost_between_pieces() {
    let file = InventoryFile::from_toml(&large()).unwrap();
    assert_eq!((file.element.len(), file.service.len()), (20_000, 20_000));
    let last = file.element.last().unwrap();
    assert_eq!(last.aliases, ["höst-19999"]);
    let inventory = Inventory::build(file).unwrap();
    assert!((0..20_000).all(|n| inventory.element(&format!("host-{n}")).is_some()));
}

#[test]
fn an_error_names_its_line_in_the_whole_file() {
    let text = large() + "[[element]]\nid = 7\n";
    let line = text.lines().count();
    let told = InventoryFile::from_toml(&text).unwrap_err().to_string();
    assert!(told.contains(&format!("line {line}")), "{told}");
}

#[test]
fn the_head_of_an_entry_within_a_text_is_text() {
    let alias = "\"\"\"\n[[element]]\n\"\"\"";
    let mut text = large();
    for n in 0..20_000 {
        let _ = write!(text, "[[element]]\nid = \"odd-{n}\"\naliases = [{alias}]\n");
    }
    let file = InventoryFile::from_toml(&text).unwrap();
    assert_eq!(file.element.len(), 40_000);
    assert_eq!(file.element.last().unwrap().aliases, ["[[element]]\n"]);
}
