use super::section::{ContactSection, PlanSection, PlanText};
use super::*;
use crate::sla::SlaSections;
use jiff::tz::TimeZoneDatabase;

const CONTRACTS: &str = r#"
[calendar.office]
tz = "Europe/Paris"
week = { mon = [["09:00", "17:00"]], tue = [["09:00", "17:00"]], fri = [["09:00", "17:00"]] }
[policy.p]
[policy.p.category]
incident = { severity = "set", targets = [] }
[contract.direct]
policy = "p"
contacts = { incidents = ["ops@direct.example", "OPS@direct.example"], maintenance = ["change@direct.example"] }
maintenance_lead = "240h"
[contract.northwind]
policy = "p"
account = "partner"
locale = "ja"
tz = "Asia/Tokyo"
contacts = { incidents = ["noc@northwind.example"], security = ["cert@northwind.example"] }
[contract.shop]
policy = "p"
account = "managed"
partner = "northwind"
locale = "fr"
tz = "Europe/Paris"
contacts = { incidents = ["it@shop.example", "noc@northwind.example"] }
[contract.silent]
policy = "p"
"#;

fn sla() -> Sla {
    let sections: SlaSections = toml::from_str(CONTRACTS).unwrap();
    sections.compile(&TimeZoneDatabase::bundled()).unwrap().0
}

fn text() -> PlanText {
    let contact = ContactSection {
        mail: vec!["shift@noc.example".to_owned()],
        ..ContactSection::default()
    };
    PlanText {
        plan: PlanSection {
            on_call: vec!["shift".to_owned()],
            working_hours: "office".to_owned(),
            warn_in: "office".to_owned(),
            sender_name: "NOC".to_owned(),
            support: "help@noc.example".to_owned(),
            ..PlanSection::default()
        },
        contacts: BTreeMap::from([("shift".to_owned(), contact)]),
        mail: true,
        ..PlanText::default()
    }
}

fn plan_of(text: &PlanText) -> (Plan, Vec<PlanProblem>) {
    let check = |address: &str| match address.contains('@') {
        true => Ok(()),
        false => Err("no address".to_owned()),
    };
    text.compile(&sla(), &TimeZoneDatabase::bundled(), &check)
}

fn told(plan: &Plan, contract: &str, matter: Matter, hit: bool) -> Vec<(String, Audience)> {
    let sla = sla();
    let readers = plan.readers(&sla, &sla.contracts[contract], matter, |_| hit);
    let readers = readers.readers.into_iter();
    readers.map(|r| (r.address, r.audience)).collect()
}

fn one(address: &str, audience: Audience) -> Vec<(String, Audience)> {
    vec![(address.to_owned(), audience)]
}

#[test]
fn a_direct_customer_is_told_itself_and_nobody_twice() {
    let (plan, _) = plan_of(&text());
    let customer = one("ops@direct.example", Audience::Customer);
    assert_eq!(told(&plan, "direct", Matter::Incidents, true), customer);
    // No list of its own: those for incidents.
    assert_eq!(told(&plan, "direct", Matter::Escalation, true), customer);
    let change = one("change@direct.example", Audience::Customer);
    assert_eq!(told(&plan, "direct", Matter::Maintenance, true), change);
}

#[test]
fn a_partner_is_told_in_place_of_the_accounts_that_it_manages() {
    let (mut plan, _) = plan_of(&text());
    let partner = one("noc@northwind.example", Audience::Partner);
    for matter in [Matter::Incidents, Matter::Maintenance, Matter::Escalation] {
        assert_eq!(told(&plan, "shop", matter, true), partner, "{matter:?}");
    }
    let wants = PartnerSection {
        managed_users_get_incidents: true,
        sender_name: "Northwind".to_owned(),
        support: "help@northwind.example".to_owned(),
    };
    plan.partners.insert("northwind".to_owned(), wants);
    let sla = sla();
    let readers = plan.readers(&sla, &sla.contracts["shop"], Matter::Incidents, |_| true);
    // Who is in both audiences reads it once, as the partner.
    let addresses: Vec<_> = readers.readers.iter().map(|r| r.address.as_str()).collect();
    assert_eq!(addresses, ["noc@northwind.example", "it@shop.example"]);
    let [partner, user] = readers.readers.as_slice() else {
        panic!("two readers")
    };
    assert_eq!((partner.locale.as_str(), partner.words), ("ja", true));
    assert_eq!(user.locale, "fr");
    assert_eq!(user.sender_name, "Northwind");
    assert_eq!(user.support, "help@northwind.example");
    assert!(
        !user.words,
        "facts alone: no prices, no billing, no chat links"
    );
    // Never of maintenance, whatever the partner wants.
    let partner = one("noc@northwind.example", Audience::Partner);
    assert_eq!(told(&plan, "shop", Matter::Maintenance, true), partner);
}

#[test]
fn security_reaches_managed_users_directly_and_the_partner_if_it_is_hit() {
    let (plan, _) = plan_of(&text());
    let users = vec![
        ("it@shop.example".to_owned(), Audience::Security),
        ("noc@northwind.example".to_owned(), Audience::Security),
    ];
    assert_eq!(told(&plan, "shop", Matter::Security, false), users);
    let with_partner = told(&plan, "shop", Matter::Security, true);
    assert_eq!(with_partner[0].0, "cert@northwind.example");
    assert_eq!(with_partner.len(), 3);
}

#[test]
fn our_own_people_are_left_alone_off_hours_unless_it_is_urgent() {
    let (plan, _) = plan_of(&text());
    let at = |text: &str| Time::parse_rfc3339(text).unwrap();
    // Friday evening in Paris; Monday at nine is the next opening.
    let (friday, monday) = (at("2026-06-05T20:00:00Z"), at("2026-06-08T07:00:00Z"));
    let s3 = Some(Severity::S3);
    let waits = |kind, severity| plan.staff_time(kind, severity, friday);
    let next_day = (monday, Some(WaitsFor::NextWorkingDay));
    assert_eq!(waits(NoticeKind::Opened, s3), next_day);
    assert_eq!(waits(NoticeKind::Breach, Some(Severity::S5)), next_day);
    let quiet = (monday, Some(WaitsFor::QuietHours));
    assert_eq!(waits(NoticeKind::Warning, Some(Severity::S1)), quiet);
    for urgent in [Severity::S1, Severity::S2] {
        assert_eq!(waits(NoticeKind::Breach, Some(urgent)), (friday, None));
    }
    assert_eq!(waits(NoticeKind::Unaddressed, s3), (friday, None));
    let in_hours = at("2026-06-08T08:00:00Z");
    assert_eq!(
        plan.staff_time(NoticeKind::Opened, s3, in_hours),
        (in_hours, None)
    );
}

#[test]
fn planned_work_is_told_as_long_before_as_the_contract_says() {
    let (plan, sla) = (plan_of(&text()).0, sla());
    let now = Time::from_seconds(1_000_000_000);
    let lead = |contract: &str, hours: u64| {
        let from = now.plus(Duration::from_secs(hours * 3600));
        plan.lead_time(&sla.contracts[contract], from, now)
    };
    let (at, why, late) = lead("direct", 250);
    assert_eq!(at, now.plus(Duration::from_secs(10 * 3600)));
    assert_eq!((why, late), (Some(WaitsFor::LeadTime), false));
    assert_eq!(lead("direct", 24), (now, None, true), "later than agreed");
    assert_eq!(lead("silent", 250), (now, None, false));
}

#[test]
fn what_is_wrong_and_who_is_nobody_is_told_at_once() {
    let mut wrong = text();
    wrong.plan.on_call.push("nobody".to_owned());
    wrong.plan.working_hours = "offices".to_owned();
    wrong
        .partners
        .insert("globex".to_owned(), PartnerSection::default());
    let contact = ContactSection {
        mail: vec!["shift".to_owned()],
        pager: "none".to_owned(),
        locale: Some("de".to_owned()),
        tz: Some("Mars/Olympus".to_owned()),
    };
    wrong.contacts.insert("bad".to_owned(), contact);
    let (_, problems) = plan_of(&wrong);
    let all: Vec<String> = problems
        .iter()
        .map(|p| {
            format!(
                "{}{}: {}",
                if p.warning { "warning " } else { "" },
                p.key,
                p.what
            )
        })
        .collect();
    let all = all.join("\n");
    for part in [
        "notices.on_call: there is no contact `nobody`",
        "notices.working_hours: there is no calendar `offices`",
        "partner.globex: there is no contract",
        "contact.bad.mail: `shift`: no address",
        "contact.bad.pager: there is no pager `none`",
        "contact.bad.locale: `de`",
        "contact.bad.tz: `Mars/Olympus`",
        "warning notices: an audience is nobody: contract silent has no contacts for incidents",
    ] {
        assert!(all.contains(part), "{part} is missing in\n{all}");
    }
    let (plan, problems) = plan_of(&PlanText::default());
    assert!(!plan.is_on() && problems.is_empty(), "{problems:?}");
}
