use super::*;

fn senders(toml: &str, contacts: &[(&str, &str)]) -> Senders {
    let section: MailSection = toml::from_str(toml).unwrap();
    Senders::new(&section, contacts.iter().copied()).unwrap()
}

fn letter(head: &str) -> Letter {
    let raw = format!("{head}Subject: x\r\n\r\nx\r\n");
    Letter::read(raw.as_bytes(), &Own::default()).unwrap()
}

fn from(peer: &str) -> Envelope {
    Envelope {
        peer: Some(peer.parse().unwrap()),
        ..Envelope::default()
    }
}

const MX: &str =
    "[[trusted_server]]\nauthserv_id = \"mx.noc.example\"\npeers = [\"127.0.0.1/32\"]\n";
const PASS: &str =
    "Authentication-Results: mx.noc.example; dmarc=pass header.from=acme.example\r\n";
const AUTHOR: &str = "From: noc@acme.example\r\n";

fn account(standing: Standing) -> Option<String> {
    match standing {
        Standing::Believed(author) => author.account,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_addresses_everybody_is_believed_and_with_one_only_the_known_are() {
    let open = senders("", &[]);
    assert!(open.is_open());
    let stranger = letter("From: x@evil.example\r\n");
    let here = from("127.0.0.1");
    assert_eq!(open.judge(&stranger, &here, None, None), Standing::Anybody);
    let closed = senders(MX, &[("noc@acme.example", "acme")]);
    let Standing::NotBelieved(why) = closed.judge(&stranger, &here, None, None) else {
        panic!("a stranger is believed");
    };
    assert!(why.contains("x@evil.example"), "{why}");
    let any = senders("senders = \"any\"", &[("noc@acme.example", "acme")]);
    assert_eq!(any.judge(&stranger, &here, None, None), Standing::Anybody);
}

#[test]
fn a_trusted_server_proves_only_by_its_name_and_from_its_address() {
    let known = senders(MX, &[("noc@acme.example", "acme")]);
    let here = from("127.0.0.1");
    let proven = letter(&format!("{PASS}{AUTHOR}"));
    assert_eq!(
        account(known.judge(&proven, &here, None, None)).as_deref(),
        Some("acme")
    );
    let elsewhere = from("192.0.2.9");
    for (what, letter, envelope) in [
        ("from another host", &proven, &elsewhere),
        ("without a result", &letter(AUTHOR), &here),
        (
            "another server's",
            &letter(&format!("{}{AUTHOR}", PASS.replace("mx.noc", "mx.evil"))),
            &here,
        ),
        (
            "another domain's",
            &letter(&format!(
                "{}{AUTHOR}",
                PASS.replace("from=acme", "from=evil")
            )),
            &here,
        ),
        (
            "below a failed one",
            &letter(&format!("{}{PASS}{AUTHOR}", PASS.replace("=pass", "=fail"))),
            &here,
        ),
        (
            "with a second author",
            &letter(&format!("{PASS}{AUTHOR}From: x@evil.example\r\n")),
            &here,
        ),
    ] {
        assert!(
            matches!(
                known.judge(letter, envelope, None, None),
                Standing::NotBelieved(_)
            ),
            "{what}"
        );
    }
    // A mailbox or a pipe has no peer; the server's name is enough there.
    let mailbox = Envelope::default();
    assert!(account(known.judge(&proven, &mailbox, None, None)).is_some());
}

#[test]
fn hosts_domains_roles_and_bound_sources() {
    let known = senders(
        "[[sender]]\naddress = \"@mon.example\"\nhosts = [\"192.0.2.0/28\"]\n\
         [[sender]]\naddress = \"Jo@noc.example\"\nrole = \"engineer\"\nhosts = [\"127.0.0.1/32\"]\n\
         [[sender]]\naddress = \"ops@acme.example\"\naccount = \"acme\"\nhosts = [\"127.0.0.1/32\"]\n",
        &[],
    );
    let judged = |head: &str, peer: &str, bound: Option<&str>| {
        known.judge(&letter(head), &from(peer), None, bound)
    };
    let speaker = |standing: Standing| match standing {
        Standing::Believed(author) => Some(author.speaker),
        _ => None,
    };
    let monitor = "From: nagios@mon.example\r\n";
    assert_eq!(
        speaker(judged(monitor, "192.0.2.3", None)),
        Some(Speaker::Monitor)
    );
    assert_eq!(speaker(judged(monitor, "192.0.2.99", None)), None);
    assert_eq!(
        speaker(judged("From: jo@noc.example\r\n", "127.0.0.1", None)),
        Some(Speaker::Engineer)
    );
    let acme = "From: ops@acme.example\r\n";
    assert_eq!(
        account(judged(acme, "127.0.0.1", Some("acme"))).as_deref(),
        Some("acme")
    );
    assert!(matches!(
        judged(acme, "127.0.0.1", Some("globex")),
        Standing::NotBelieved(_)
    ));
    // A monitor at a source that is bound to an account speaks for that account.
    assert_eq!(
        account(judged(monitor, "192.0.2.3", Some("acme"))).as_deref(),
        Some("acme")
    );
}

#[test]
fn our_own_check_and_the_seals_of_trusted_forwarders_prove() {
    let known = senders(
        "verify = true\narc_sealers = [\"lists.example.org\"]\n",
        &[("noc@acme.example", "acme")],
    );
    let here = from("198.51.100.1");
    let mut checked = Checked::default();
    assert!(known.needs_check(&letter(AUTHOR), &here));
    assert!(!known.needs_check(&letter("From: x@evil.example\r\n"), &here));
    checked.verdicts.dkim_domains = vec!["evil.example".to_owned()];
    let judged = |letter: &Letter, checked: &Checked| {
        matches!(
            known.judge(letter, &here, Some(checked), None),
            Standing::Believed(_)
        )
    };
    assert!(!judged(&letter(AUTHOR), &checked));
    checked
        .verdicts
        .dkim_domains
        .push("acme.example".to_owned());
    assert!(judged(&letter(AUTHOR), &checked));

    let sealed = letter(&format!(
        "ARC-Authentication-Results: i=1; lists.example.org; dmarc=pass \
         header.from=acme.example\r\n{AUTHOR}"
    ));
    let mut checked = Checked {
        sealer: Some("lists.example.org".to_owned()),
        ..Checked::default()
    };
    assert!(!judged(&sealed, &checked), "the seals do not hold");
    checked.verdicts.arc = Verdict::Pass;
    assert!(judged(&sealed, &checked));
    checked.sealer = Some("lists.evil.example".to_owned());
    assert!(!judged(&sealed, &checked), "nobody's forwarder");
}

#[test]
fn topics_are_whole_words_of_the_subject() {
    let known = senders(
        "[[topic]]\nname = \"billing\"\nwords = [\"invoice\", \"請求\"]\n",
        &[],
    );
    assert_eq!(known.topic("Question about Invoice 7"), "billing");
    assert_eq!(known.topic("6月の請求について"), "billing");
    assert_eq!(known.topic("invoiced twice"), "");
    let shipped = senders("", &[]);
    for (subject, topic) in [
        ("Question about invoice 7", "billing"),
        ("Facture de mai", "billing"),
        ("6月の請求について", "billing"),
        ("A quote for a second line", "sales"),
        ("Demande de devis", "sales"),
        ("The line is out of order", ""),
    ] {
        assert_eq!(shipped.topic(subject), topic, "{subject}");
    }
}

#[test]
fn wrong_entries_are_told() {
    let wrong = |toml: &str, contacts: &[(&str, &str)]| {
        let section: MailSection = toml::from_str(toml).unwrap();
        Senders::new(&section, contacts.iter().copied())
            .unwrap_err()
            .join("\n")
    };
    assert!(wrong("[[sender]]\naddress = \"noc\"\n", &[]).contains("name@domain"));
    assert!(
        wrong(
            "[[sender]]\naddress = \"a@x.example\"\nrole = \"customer\"\n",
            &[]
        )
        .contains("needs an `account`")
    );
    assert!(wrong("", &[("a@x.example", "x"), ("A@x.example", "y")]).contains("two accounts"));
}

#[test]
fn a_tag_is_nobodys_word_and_a_monitor_answers_no_ticket() {
    assert!(!may_answer(&Standing::Anybody, Answers::Tag));
    assert!(may_answer(&Standing::Anybody, Answers::Reference));
    let author = |speaker| {
        Standing::Believed(Author {
            speaker,
            ..Author::default()
        })
    };
    assert!(may_answer(&author(Speaker::Customer), Answers::Tag));
    assert!(!may_answer(&author(Speaker::Monitor), Answers::Reference));
}
