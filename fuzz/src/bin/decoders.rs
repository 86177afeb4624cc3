//! Fuzzes the HTTP decoders. With `ALERTBRIDGE_FUZZ_SEEDS=FOLDER` it writes every fixture there,
//! with the byte that picks its decoder in front.
#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

use std::path::Path;

libfuzzer_sys::fuzz_target!(
    init: { write_seeds(); },
    |data: &[u8]| targets::decoder(data)
);

fn write_seeds() {
    let Some(folder) = std::env::var_os("ALERTBRIDGE_FUZZ_SEEDS") else {
        return;
    };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/formats");
    for sender in std::fs::read_dir(fixtures).expect("fixtures") {
        let sender = sender.expect("a folder").path();
        let name = sender.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(byte) = targets::byte_of(&name) else {
            continue;
        };
        for file in std::fs::read_dir(&sender).expect("a folder") {
            let file = file.expect("a file").path();
            let case = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if case.ends_with(".expected.json") || case.ends_with(".toml") {
                continue;
            }
            let mut seed = vec![byte];
            seed.extend(std::fs::read(&file).expect("a fixture"));
            let to = Path::new(&folder).join(format!("{name}-{case}"));
            std::fs::write(to, seed).expect("a seed");
        }
    }
}
