//! Templates as data: every shipped file compiles, and mistakes are named.

use super::*;

#[test]
fn every_shipped_file_compiles() {
    for (file, text) in SHIPPED {
        let templates = Templates::parse(file, text).unwrap_or_else(|e| panic!("{e}"));
        assert!(!templates.all.is_empty(), "{file}");
    }
    assert!(Templates::shipped().names().count() > 60);
}

#[test]
fn mistakes_are_named() {
    let error = Templates::parse("own.toml", "[[template]]\nname = \"x\"\ntitel = 1").unwrap_err();
    assert!(error.to_string().starts_with("own.toml: "), "{error}");
    assert!(error.to_string().contains("titel"), "{error}");
    let text = "[[template]]\nname = \"x\"\ntitle = \"X\"\nrecognise.subject = '('\n\
                ignored = \"no\"";
    let error = Templates::parse("own.toml", text).unwrap_err();
    assert!(error.reason.contains("template `x`, recognise"), "{error}");
    let text = "[[template]]\nname = \"x\"\ntitle = \"X\"\nrecognise.subject = 'a'\n\
                state = { of = [\"{a}\"] }\nevent = {}";
    let error = Templates::parse("own.toml", text).unwrap_err();
    assert!(
        error.reason.contains("`event.identity` is empty"),
        "{error}"
    );
}
