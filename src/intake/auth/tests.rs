use super::*;
use crate::intake::source::{SourceConfig, Sources};
use crate::model::Time;

fn allowed(config: SourceConfig, headers: &[(&str, &str)], query: &str) -> bool {
    let sources = Sources::new(vec![config], []).unwrap();
    let headers: Vec<_> = headers
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    let request = Request {
        method: "POST",
        path: "/hooks/s",
        query,
        headers: &headers,
        body: b"{\"a\":1}",
        received_at: Time::from_seconds(1_700_000_000),
    };
    let shown = Shown {
        request: &request,
        client: "192.0.2.7".parse().unwrap(),
        loopback: false,
        certificate: Some(&ClientCertificate {
            sha256: "ab12".to_owned(),
            names: vec!["app.netdata.cloud".to_owned()],
        }),
        by_key: false,
    };
    is_allowed(sources.named("s").unwrap(), &shown)
}

fn with(toml: &str) -> SourceConfig {
    let toml = crate::secret::written(toml);
    toml::from_str(&format!("name='s'\nkind='native'\n{toml}")).unwrap()
}

#[test]
fn each_kind_of_credential_is_needed_and_is_enough() {
    let hmac = "09c2cdf7a9c7fc4c5d1e8dbb8e3a3dc1";
    for (toml, name, good, bad) in [
        (
            "[[credentials]]\ntype='bearer'\ntoken='t1'\n[[credentials]]\ntype='bearer'\ntoken='t2'",
            "authorization",
            "Bearer t2",
            "Bearer t3",
        ),
        (
            "[[credentials]]\ntype='bearer'\ntoken='t1'",
            "authorization",
            "t1",
            "Bearer t1x",
        ),
        (
            "[[credentials]]\ntype='basic'\nuser='u'\npassword='p'",
            "authorization",
            "Basic dTpw",
            "Basic dTpx",
        ),
        (
            "[[credentials]]\ntype='header'\nname='X-Secret'\nvalue='v'",
            "x-secret",
            "v",
            "w",
        ),
    ] {
        assert!(allowed(with(toml), &[(name, good)], ""), "{toml}");
        assert!(!allowed(with(toml), &[(name, bad)], ""), "{toml}");
        assert!(!allowed(with(toml), &[(name, "")], ""), "{toml}");
        assert!(!allowed(with(toml), &[], hmac), "{toml}");
    }
    let query = "[[credentials]]\ntype='query'\nname='k'\nvalue='a b'";
    assert!(allowed(with(query), &[], "x=1&k=a%20b"));
    assert!(!allowed(with(query), &[], "k=a"));
    let certificate = "[[credentials]]\ntype='client_certificate'\nsha256='AB:12'";
    assert!(allowed(with(certificate), &[], ""));
    for (keys, good) in [
        ("sha256='AB:13'", false),
        ("name='App.Netdata.Cloud'", true),
        ("name='netdata.cloud'", false),
        ("name='app.netdata.cloud'\nsha256='ab12'", true),
        ("name='app.netdata.cloud'\nsha256='ab13'", false),
        ("", false),
    ] {
        let other = format!("[[credentials]]\ntype='client_certificate'\n{keys}");
        assert_eq!(allowed(with(&other), &[], ""), good, "{keys}");
    }
}

#[test]
fn signatures_cover_body_and_time() {
    let secret = SecretString::from("k");
    let hex = |signed: &[u8]| {
        mac::<Hmac<Sha256>>(&secret, signed)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let plain = "[[credentials]]\ntype='hmac'\nheader='X-Sig'\nsecret='k'\nprefix='v1='";
    let good = format!("v1=00,v1={}", hex(b"{\"a\":1}"));
    assert!(allowed(with(plain), &[("x-sig", &good)], ""));
    assert!(!allowed(with(plain), &[("x-sig", &hex(b"{\"a\":1}"))], ""));
    let timed = format!("{plain}\ntimestamp_header='X-Time'");
    let sign = |time: &str| format!("v1={}", hex(format!("{time}:{{\"a\":1}}").as_bytes()));
    let near = [("x-time", "1700000200"), ("x-sig", &sign("1700000200"))];
    assert!(allowed(with(&timed), &near, ""));
    let old = [("x-time", "1699990000"), ("x-sig", &sign("1699990000"))];
    assert!(!allowed(with(&timed), &old, ""));
    assert!(!allowed(
        with(&timed),
        &[("x-sig", &sign("1700000200"))],
        ""
    ));
}

#[test]
fn the_known_answer_of_hmac_sha1_and_sha256() {
    // RFC 2202 case 2 and RFC 4231 case 2.
    let key = SecretString::from("Jefe");
    let text = b"what do ya want for nothing?";
    assert_eq!(
        mac::<Hmac<Sha1>>(&key, text),
        from_hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79").unwrap()
    );
    assert_eq!(
        mac::<Hmac<Sha256>>(&key, text),
        from_hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843").unwrap()
    );
}

#[test]
fn without_credentials_only_ranges_or_loopback_count() {
    assert!(!allowed(with(""), &[], ""));
    assert!(allowed(with("addresses=['192.0.2.0/24']"), &[], ""));
    assert!(!allowed(with("addresses=['198.51.100.0/24']"), &[], ""));
    let both = "addresses=['198.51.100.0/24']\n[[credentials]]\ntype='bearer'\ntoken='t'";
    assert!(!allowed(with(both), &[("authorization", "Bearer t")], ""));
}

#[test]
fn only_trusted_proxies_name_the_client() {
    let trusted = ["10.0.0.0/8".parse().unwrap()];
    let at = |peer: &str, forwarded| {
        client_address(peer.parse().unwrap(), Some(forwarded), &trusted).to_string()
    };
    assert_eq!(at("192.0.2.1", "198.51.100.1"), "192.0.2.1");
    assert_eq!(
        at("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.9.9.9"),
        "198.51.100.1"
    );
    assert_eq!(at("10.0.0.1", "rubbish"), "10.0.0.1");
    assert_eq!(at("::ffff:10.0.0.1", "198.51.100.1"), "198.51.100.1");
}
