//! The templates of one tracker: checked when it is configured, rendered with a bound on what they
//! may cost. A body of JSON that is none is refused before it is sent.

use super::config::{HttpConfig, Request};
use crate::trackers::words::path_part;
use minijinja::{Environment, UndefinedBehavior, Value as Context};

/// What one rendering may cost, in steps.
const FUEL: u64 = 100_000;

/// The templates of one tracker.
pub(super) struct Templates {
    environment: Environment<'static>,
    json: bool,
}

/// A request as it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    pub path: String,
    pub body: String,
    pub headers: Vec<(String, String)>,
}

impl Templates {
    /// Reads all templates of a configuration.
    pub(super) fn new(config: &HttpConfig) -> Result<Templates, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter("path", |text: String| path_part(&text));
        let mut templates = Templates {
            environment,
            json: config.content_type.contains("json"),
        };
        for (name, request) in [
            ("open", Some(&config.open)),
            ("change", Some(&config.change)),
            ("note", config.note.as_ref()),
            ("find", config.find.as_ref()),
            ("read", config.read.as_ref()),
        ] {
            if let Some(Request { path, body, .. }) = request {
                if !path.starts_with('/') {
                    return Err(format!(
                        "{name}: path: `{path}` does not begin with a slash"
                    ));
                }
                templates.add(format!("{name}.path"), path)?;
                templates.add(format!("{name}.body"), body)?;
            }
        }
        for (name, value) in &config.headers {
            templates.add(format!("headers.{name}"), value)?;
        }
        Ok(templates)
    }

    fn add(&mut self, name: String, text: &str) -> Result<(), String> {
        self.environment
            .add_template_owned(name.clone(), text.to_owned())
            .map_err(|error| format!("{name}: {error}"))
    }

    fn part(&self, name: &str, context: &Context) -> Result<String, String> {
        let template = self.environment.get_template(name);
        let rendered = template.and_then(|template| template.render(context));
        rendered.map_err(|error| format!("the template {name} fails: {error}"))
    }

    /// One request and the headers of every request.
    pub(super) fn render(&self, name: &str, context: &Context) -> Result<Rendered, String> {
        let path = self.part(&format!("{name}.path"), context)?;
        let body = self.part(&format!("{name}.body"), context)?;
        if self.json
            && !body.is_empty()
            && let Err(error) = serde_json::from_str::<serde_json::Value>(&body)
        {
            return Err(format!(
                "the template {name}.body gives no JSON ({error}); texts need `| tojson`"
            ));
        }
        let names = self.environment.templates();
        let names = names.filter_map(|(name, _)| name.strip_prefix("headers."));
        let headers = names.map(|header| {
            let value = self.part(&format!("headers.{header}"), context)?;
            Ok((header.to_owned(), crate::model::text::one_line(&value)))
        });
        Ok(Rendered {
            path,
            body,
            headers: headers.collect::<Result<_, String>>()?,
        })
    }
}
