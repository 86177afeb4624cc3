//! `alertbridge try`: what a webhook body or mail would become.

use super::say;
use crate::formats::{self, Request, Undecodable, view};
use crate::model::Time;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `try`.
#[derive(clap::Args)]
pub struct Args {
    /// Decode as this sender instead of guessing.
    #[arg(long)]
    source: Option<String>,
    /// One JSON object a file. The only form so far, so that scripts can say what they rely on.
    #[arg(long)]
    json: bool,
    /// Webhook bodies or mails (`.eml`); `-` reads standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Runs the verb: 0 all decoded, 1 some could not be.
pub fn run(args: &Args) -> ExitCode {
    let mut good = true;
    for file in &args.files {
        let name = file.display().to_string();
        let mut bytes = Vec::new();
        let read = if name == "-" {
            std::io::stdin().read_to_end(&mut bytes).map(|_| ())
        } else {
            std::fs::read(file).map(|found| bytes = found)
        };
        let received_at = Time::from_timestamp(jiff::Timestamp::now());
        let (sender, kind, outcome) = if let Err(error) = read {
            let reason = format!("cannot be read: {error}");
            (
                None,
                view::MessageKind::Webhook,
                Err(Undecodable::because(reason)),
            )
        } else if name.ends_with(".eml") {
            let (sender, outcome) = formats::mail::decode_bytes(&bytes, received_at);
            (Some(sender), view::MessageKind::Mail, outcome)
        } else {
            let (sender, outcome) = webhook(args.source.as_deref(), &bytes, received_at);
            (sender, view::MessageKind::Webhook, outcome)
        };
        good &= outcome.is_ok();
        say(&view::message(&name, sender.as_deref(), kind, &outcome).to_string());
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn webhook(
    source: Option<&str>,
    bytes: &[u8],
    received_at: Time,
) -> (Option<String>, Result<formats::Decoded, Undecodable>) {
    let dump = crate::intake::raw::Dump::read(bytes);
    let plain = Request {
        method: "POST",
        path: "/",
        query: "",
        headers: &[],
        body: bytes,
        received_at,
    };
    let request = dump
        .as_ref()
        .map_or(plain, |dump| dump.request(received_at));
    let sender = source.or_else(|| formats::detect(&request).map(formats::Format::name));
    match sender {
        Some(sender) => (
            Some(sender.to_owned()),
            formats::decode_as(sender, &request),
        ),
        None => (
            None,
            Err(Undecodable::because(
                "no known sender: name it with --source",
            )),
        ),
    }
}
