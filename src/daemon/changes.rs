//! What a reload changes, in words.

use crate::config::Config;

/// What a reload cannot change.
pub(super) fn fixed_changes(old: &Config, new: &Config) -> Vec<String> {
    let doors = [
        ("http", old.file.http.listen, new.file.http.listen),
        ("smtp", old.file.smtp.listen, new.file.smtp.listen),
        ("lmtp", old.file.lmtp.listen, new.file.lmtp.listen),
        (
            "operators",
            old.file.operators.listen,
            new.file.operators.listen,
        ),
    ];
    let addresses = doors
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(name, ..)| {
            format!("{name}.listen: an address changes only at a restart; put it back or restart")
        });
    let gone = old
        .keyring
        .ids()
        .filter(|id| new.keyring.ids().all(|new| new != *id));
    let keys = gone.map(|id| {
        format!(
            "sealing.key: key {id} is gone, and what it seals could not be read any more; put it \
             back, and seal with a new one of a higher id"
        )
    });
    addresses.chain(keys).collect()
}

/// A sentence about what is new.
pub(super) fn changes(old: &Config, new: &Config) -> String {
    let count = |what: &str, before: usize, after: usize| {
        (before != after).then(|| format!("{what} {before} → {after}"))
    };
    let told: Vec<String> = [
        count("sources", old.file.source.len(), new.file.source.len()),
        count("rules", old.file.rule.len(), new.file.rule.len()),
        count("routes", old.file.route.len(), new.file.route.len()),
        count(
            "inventory entries",
            old.decisions.inventory.len(),
            new.decisions.inventory.len(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    match (told.is_empty(), old.digest == new.digest) {
        (false, _) => format!("reloaded: {}", told.join(", ")),
        (true, true) => "reloaded: nothing is new".to_owned(),
        (true, false) => "reloaded: settings changed".to_owned(),
    }
}
