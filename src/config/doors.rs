//! What doors need before they may leave loopback.

use super::read::Problem;
use super::sections::ConfigFile;
use crate::intake::source::SourceConfig;
use crate::limits;
use std::net::SocketAddr;

/// What is wrong with the doors together.
pub(super) fn check(file: &ConfigFile, problems: &mut Vec<Problem>) {
    let doors: [(&str, Option<SocketAddr>, bool, bool); 4] = [
        (
            "http",
            file.http.listen,
            file.http.tls.is_some(),
            file.http.plaintext,
        ),
        (
            "smtp",
            file.smtp.listen,
            file.smtp.tls.is_some(),
            file.smtp.plaintext,
        ),
        (
            "lmtp",
            file.lmtp.listen,
            file.lmtp.tls.is_some(),
            file.lmtp.plaintext,
        ),
        (
            "operators",
            file.operators.listen,
            file.operators.tls.is_some(),
            file.operators.plaintext,
        ),
    ];
    for (name, listen, tls, plaintext) in doors {
        let open = listen.is_some_and(|address| !address.ip().is_loopback());
        if open && !tls && !plaintext {
            problems.push(Problem::of(
                format!("{name}.listen"),
                "a door off loopback needs `tls`, or `plaintext = true` if the network is trusted",
            ));
        }
        if open && name == "operators" && file.operators.token.is_empty() {
            problems.push(Problem::of(
                "operators.listen",
                "a door off loopback needs at least one [[operators.token]]",
            ));
        }
    }
    if file.operators.soonest_clocks > limits::CLOCKS_SHOWN_MAX {
        let what = format!("at most {} was expected", limits::CLOCKS_SHOWN_MAX);
        problems.push(Problem::of("operators.soonest_clocks", what));
    }
    let open = file.http.listen.is_some_and(|a| !a.ip().is_loopback());
    let proven = |source: &SourceConfig| {
        !source.credentials.is_empty() || !source.keys.is_empty() || !source.addresses.is_empty()
    };
    if open && !file.source.iter().any(proven) {
        problems.push(Problem::of(
            "http.listen",
            "a door off loopback takes nothing from sources without credentials; give at least \
             one [[source]] some",
        ));
    }
}
