//! Templates: mail formats as data. A template says how its sender's mails are recognised, where
//! the fields stand, which words mean which state, and what makes the identity. The shipped ones
//! are TOML files in `templates/`; operators add their own, which are tried first.
//!
//! Invariant: state words are compared as a whole with what a pattern took, never searched for in
//! running text, so that an `OK` inside `BROKEN` is no recovery.

mod alerts;
mod layout;
mod maintenance;
mod pattern;
mod pieces;
#[cfg(test)]
mod tests;

pub use alerts::believable;
pub use layout::{About, Layout};

use super::read::Mail;
use super::times::Clock;
use crate::formats::{Decoded, Undecodable};
use crate::model::Time;
use std::sync::LazyLock;

/// Templates that ship with the program, in the order in which they are tried.
const SHIPPED: &[(&str, &str)] = &[
    ("monitors.toml", include_str!("../templates/monitors.toml")),
    ("network.toml", include_str!("../templates/network.toml")),
    ("cloud.toml", include_str!("../templates/cloud.toml")),
    ("systems.toml", include_str!("../templates/systems.toml")),
    ("hardware.toml", include_str!("../templates/hardware.toml")),
    ("carriers.toml", include_str!("../templates/carriers.toml")),
];
/// Largest file of templates, bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Why a file of templates cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct TemplateError {
    /// The file's name.
    pub file: String,
    /// What is wrong, where, and what was expected.
    pub reason: String,
}

/// Compiled templates, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    all: Vec<pattern::Template>,
}

/// A file holds `[[template]]` tables.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    template: Vec<Layout>,
}

impl Templates {
    /// Reads a file of templates. `file` names it in errors.
    pub fn parse(file: &str, text: &str) -> Result<Templates, TemplateError> {
        let error = |reason: String| TemplateError {
            file: file.to_owned(),
            reason,
        };
        if text.len() > FILE_BYTES_MAX {
            return Err(error(format!(
                "{} bytes; a file of templates may have {FILE_BYTES_MAX}",
                text.len()
            )));
        }
        let parsed: File = toml::from_str(text).map_err(|e| error(e.to_string()))?;
        let all = parsed
            .template
            .into_iter()
            .map(pattern::Template::compile)
            .collect::<Result<Vec<_>, String>>()
            .map_err(error)?;
        Ok(Templates { all })
    }

    /// The templates that ship with the program.
    pub fn shipped() -> &'static Templates {
        static SHIPPED_TEMPLATES: LazyLock<Templates> = LazyLock::new(|| {
            let mut all = Templates::default();
            for (file, text) in SHIPPED {
                // A test holds that every shipped file compiles.
                if let Ok(templates) = Templates::parse(file, text) {
                    all.all.extend(templates.all);
                }
            }
            all
        });
        &SHIPPED_TEMPLATES
    }

    /// These templates, and `later` where none of these matches.
    pub fn then(mut self, later: &Templates) -> Templates {
        self.all.extend(later.all.iter().cloned());
        self
    }

    /// Name and title of each template, in order.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all
            .iter()
            .map(|t| (t.layout.name.as_str(), t.layout.title.as_str()))
    }

    /// The documentation row of each template, in order.
    pub fn about(&self) -> impl Iterator<Item = About<'_>> {
        self.all.iter().map(|template| template.layout.about())
    }

    /// What the first template that fits makes of a mail; `None` if none fits.
    pub fn decode(&self, page: &Page) -> Option<(String, Result<Decoded, Undecodable>)> {
        let mut refused: Option<(String, Undecodable)> = None;
        for template in &self.all {
            let Some(outcome) = template.decode(page) else {
                continue;
            };
            let name = template.layout.name.clone();
            match outcome {
                Ok(decoded) => return Some((name, Ok(decoded))),
                Err(error) => {
                    refused.get_or_insert((name, error));
                }
            }
        }
        refused.map(|(name, error)| (name, Err(error)))
    }
}

/// A mail as templates see it.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Headers, files and links.
    pub mail: &'a Mail,
    /// The subject without prefixes of mailers, lists and gateways.
    pub subject: &'a str,
    /// Plain text without banners.
    pub plain: &'a str,
    /// Text of the HTML body without banners.
    pub html: &'a str,
    /// When the mail says that it was sent, if that is believable.
    pub sent_at: Option<Time>,
    /// When the door accepted it.
    pub received_at: Time,
}

impl Page<'_> {
    fn clock(&self) -> Clock<'static> {
        Clock {
            sent_at: self.sent_at,
            live: true,
            ..Clock::default()
        }
    }
}
