//! `alertbridge try`: what a webhook body or mail would become.

use super::try_decided::decided;
use super::{load_config, say};
use crate::config::Config;
use crate::formats::mapped::Mapping;
use crate::formats::{self, Request, Undecodable, view};
use crate::model::Time;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `try`.
#[derive(clap::Args)]
pub struct Args {
    /// Decode as this sender, or with `--config` as this source, instead of guessing.
    #[arg(long)]
    source: Option<String>,
    /// A configuration: its mail templates are tried before the shipped ones, `--source` may name its
    /// sources and mappings, and each event's rules and severity are printed as well (`decided`).
    #[arg(long)]
    config: Option<PathBuf>,
    /// One JSON object a file. The only form so far, so that scripts can say what they rely on.
    #[arg(long)]
    json: bool,
    /// Webhook bodies or mails (`.eml`); `-` reads standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Runs the verb: 0 all decoded, 1 some could not be.
pub fn run(args: &Args) -> ExitCode {
    let config = match args.config.as_deref().map(|path| load_config(Some(path))) {
        None => None,
        Some(Ok(config)) => Some(config),
        Some(Err(code)) => return code,
    };
    let named = args.source.as_deref().unwrap_or("");
    let known = config.as_ref().and_then(|config| configured(config, named));
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
        } else if name.ends_with(".eml") || (known.is_none() && formats::mail::is_likely(&bytes)) {
            let (sender, outcome) = mail(config.as_ref(), &bytes, received_at);
            (Some(sender), view::MessageKind::Mail, outcome)
        } else {
            let (sender, outcome) = match &known {
                Some((kind, mapping)) => {
                    webhook(Some(kind), mapping.as_deref(), &bytes, received_at)
                }
                None => webhook(args.source.as_deref(), None, &bytes, received_at),
            };
            (sender, view::MessageKind::Webhook, outcome)
        };
        good &= outcome.is_ok();
        let mut shown = view::message(&name, sender.as_deref(), kind, &outcome);
        if let (Some(config), Ok(decoded)) = (&config, &outcome) {
            let sender = sender.as_deref().unwrap_or(named);
            // Unless it is named, it is the source that a message of that kind comes in by.
            let source = match kind {
                _ if !named.is_empty() => named,
                view::MessageKind::Mail => {
                    config.file.smtp.default_source.as_deref().unwrap_or("mail")
                }
                view::MessageKind::Webhook => sender,
            };
            let of = (source, sender);
            shown["decided"] = decided(config, of, decoded, received_at).into();
        }
        say(&shown.to_string());
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The kind of the source of that name and its mapping; a mapping may be named by itself.
fn configured(config: &Config, name: &str) -> Option<(String, Option<Arc<Mapping>>)> {
    let source = config.file.source.iter().find(|source| source.name == name);
    if let Some(source) = source {
        return Some((source.kind.clone(), source.mapping.clone()));
    }
    let mapping = config.file.mapping.get(name)?;
    let mapping = Mapping::compile(name, mapping).ok()?;
    Some((name.to_owned(), Some(Arc::new(mapping))))
}

/// A mail by the templates of a configuration, or by the shipped ones alone.
fn mail(
    config: Option<&Config>,
    bytes: &[u8],
    received_at: Time,
) -> (String, Result<formats::Decoded, Undecodable>) {
    match config {
        Some(config) => config.mail.decode(bytes, received_at),
        None => formats::mail::decode_bytes(bytes, received_at),
    }
}

fn webhook(
    source: Option<&str>,
    mapping: Option<&Mapping>,
    bytes: &[u8],
    received_at: Time,
) -> (Option<String>, Result<formats::Decoded, Undecodable>) {
    let dump = crate::intake::raw::Dump::read(bytes);
    let plain = Request::bare(bytes, received_at);
    let request = dump
        .as_ref()
        .map_or(plain, |dump| dump.request(received_at));
    if let (Some(name), Some(mapping)) = (source, mapping) {
        return (Some(name.to_owned()), mapping.decode(&request));
    }
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
