//! Each character set that mails come in, by each of the labels that it comes with.

use crate::formats::mail::read;
use base64::Engine;

/// A text, its bytes in hexadecimal digits, and their labels.
const SETS: &[(&str, &str, &[&str])] = &[
    (
        "Störung in Zürich – behoben",
        "5374f672756e6720696e205afc726963682096206265686f62656e",
        &[
            "windows-1252",
            "iso-8859-1",
            "latin1",
            "us-ascii",
            "1252",
            "cp1252",
            "unknown-8bit",
            "",
            "x-unknown",
        ],
    ),
    (
        "Störung 障害",
        "5374c3b672756e6720e99a9ce5aeb3",
        &["utf-8", "utf8", "UTF8", "us-ascii", "iso-8859-1"],
    ),
    (
        "障害ﾃｽﾄ表示 復旧",
        "8fe18a51c3bdc4955c8ea620959c8b8c",
        &[
            "shift_jis",
            "Shift-JIS",
            "sjis",
            "x-sjis",
            "windows-31j",
            "cp932",
            "MS_Kanji",
        ],
    ),
    (
        "①㈱髙橋 障害",
        "8740878aeee08bb4208fe18a51",
        &["shift_jis", "windows-31j"],
    ),
    ("障害 復旧", "bee3b3b220c9fcb5ec", &["euc-jp", "x-euc-jp"]),
    (
        "故障–恢复",
        "b9cad5cfa843bbd6b8b4",
        &["gb2312", "gbk", "GB_2312-80", "cp936", "gb18030"],
    ),
    (
        "故障 恢复 €",
        "b9cad5cf20bbd6b8b420a2e3",
        &["gb18030", "gb2312"],
    ),
    (
        "線路中斷",
        "bd75b8f4a4a4c25f",
        &["big5", "big5-hkscs", "cp950"],
    ),
    (
        "線路中斷 嘅",
        "bd75b8f4a4a4c25f209def",
        &["big5-hkscs", "big5"],
    ),
    (
        "회선 장애 똠",
        "c8b8bcb120c0e5bed6208c63",
        &[
            "ks_c_5601-1987",
            "euc-kr",
            "windows-949",
            "cp949",
            "ksc5601",
        ],
    ),
    (
        "Канал недоступен",
        "ebc1cec1cc20cec5c4cfd3d4d5d0c5ce",
        &["koi8-r", "koi8r"],
    ),
    (
        "Канал недоступний її",
        "ebc1cec1cc20cec5c4cfd3d4d5d0cec9ca20a7a7",
        &["koi8-u"],
    ),
    (
        "Канал недоступен",
        "cae0ede0eb20ede5e4eef1f2f3efe5ed",
        &["windows-1251", "cp1251", "1251"],
    ),
    (
        "Канал недоступен",
        "bad0ddd0db20ddd5d4dee1e2e3dfd5dd",
        &["iso-8859-5"],
    ),
    (
        "Linka je přerušená",
        "4c696e6b61206a652070f86572759a656ee1",
        &["windows-1250", "cp1250"],
    ),
    (
        "Linka je přerušená",
        "4c696e6b61206a652070f8657275b9656ee1",
        &["iso-8859-2", "latin2"],
    ),
    (
        "Βλάβη γραμμής",
        "c2ebdce2e720e3f1e1ececdef2",
        &["windows-1253"],
    ),
    (
        "Βλάβη γραμμής",
        "c2ebdce2e720e3f1e1ececdef2",
        &["iso-8859-7"],
    ),
    (
        "Arıza İstanbul ş",
        "4172fd7a6120dd7374616e62756c20fe",
        &["windows-1254", "iso-8859-9"],
    ),
    ("תקלה בקו", "faf7ece420e1f7e5", &["windows-1255"]),
    (
        "תקלה בקו",
        "faf7ece420e1f7e5",
        &["iso-8859-8", "iso-8859-8-i"],
    ),
    ("عطل في الخط", "dad8e120dded20c7e1ced8", &["windows-1256"]),
    ("عطل في الخط", "d9d7e420e1ea20c7e4ced7", &["iso-8859-6"]),
    (
        "Līnija pārtraukta",
        "4cee6e696a612070e272747261756b7461",
        &["windows-1257", "cp1257"],
    ),
    ("Sư cô", "53fd2063f4", &["windows-1258"]),
    (
        "สายขัดข้อง",
        "cad2c2a2d1b4a2e9cda7",
        &["windows-874", "tis-620"],
    ),
    (
        "Störung 5 €",
        "5374f672756e67203520a4",
        &["iso-8859-15", "latin9"],
    ),
    (
        "Ħsara fil-linja ġ",
        "a1736172612066696c2d6c696e6a6120f5",
        &["iso-8859-3"],
    ),
    (
        "Bilun á línu þ",
        "42696c756e20e1206ced6e7520fe",
        &["iso-8859-10"],
    ),
    (
        "Līnija pārtraukta",
        "4cee6e696a612070e272747261756b7461",
        &["iso-8859-13"],
    ),
    (
        "Linia întreruptă ț",
        "4c696e696120ee6e74726572757074e320fe",
        &["iso-8859-16"],
    ),
    (
        "Канал недоступен",
        "8aa0ada0ab20ada5a4aee1e2e3afa5ad",
        &["ibm866", "cp866"],
    ),
    ("Störung", "53749472756e67", &["cp850"]),
    ("Störung", "53749a72756e67", &["macintosh"]),
    ("OK 障害", "4f004b0020009c96b35b", &["utf-16le"]),
    ("OK 障害", "004f004b0020969c5bb3", &["utf-16be"]),
    (
        "障害 復旧",
        "1b24423e6333321b2842201b2442497c356c1b2842",
        &[
            "iso-2022-jp",
            "",
            "us-ascii",
            "_iso-2022-jp$ESC",
            "iso-2022-jp-ms",
        ],
    ),
    (
        "①㈱障害",
        "1b24422d212d6a3e6333321b2842",
        &["iso-2022-jp", "iso-2022-jp-ms", ""],
    ),
    ("ﾃｽﾄ ok", "1b2849433d441b2842206f6b", &["iso-2022-jp", ""]),
];

fn bytes_of(digits: &str) -> Vec<u8> {
    let (pairs, _) = digits.as_bytes().as_chunks::<2>();
    let text = |pair: &[u8; 2]| std::str::from_utf8(pair).unwrap().to_owned();
    pairs
        .iter()
        .map(|pair| u8::from_str_radix(&text(pair), 16).unwrap())
        .collect()
}

#[test]
fn a_body_in_each_set_is_read_by_each_label() {
    let mut wrong = Vec::new();
    for (text, digits, labels) in SETS {
        let bytes = bytes_of(digits);
        for label in *labels {
            let field = match *label {
                "" => "text/plain".to_owned(),
                label => format!("text/plain; charset=\"{label}\""),
            };
            let body = base64::engine::general_purpose::STANDARD.encode(&bytes);
            let mail = format!(
                "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: {field}\r\n\
                 Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n"
            );
            let found = read::mail(mail.as_bytes()).unwrap().plain;
            if found.trim_end() != *text {
                wrong.push(format!("{label}: {found:?}, {text:?} was expected"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_encoded_subject_in_each_set_is_read() {
    let mut wrong = Vec::new();
    for (text, digits, labels) in SETS {
        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes_of(digits));
        // An encoded word has a label, and one without the signs that end it.
        for label in labels.iter().filter(|l| !l.is_empty() && !l.contains('$')) {
            let mail = format!("Subject: =?{label}?B?{encoded}?=\r\n\r\nx\r\n");
            let mail = read::mail(mail.as_bytes()).unwrap();
            let found = mail.headers.subject();
            if found != *text {
                wrong.push(format!("{label}: {found:?}, {text:?} was expected"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
