//! Custom fields of a Jira: by id or name, in the form that each type wants.

use super::Jira;
use crate::trackers::Called;
use crate::trackers::words::word;
use serde_json::{Map, Value, json};

/// A field by its id or its name.
pub(super) fn field_named<'a>(known: &'a [Value], name: &str) -> Option<&'a Value> {
    let by = |key: &str| known.iter().find(|field| word(field, key) == name);
    by("id").or_else(|| by("name"))
}

/// A text in the form that a field wants.
fn shaped(field: &Value, value: &str) -> Value {
    let one = |kind: &str| match kind {
        "option" | "priority" => json!({ "value": value }),
        "user" | "version" | "component" => json!({ "name": value }),
        "number" => value
            .parse::<f64>()
            .map_or_else(|_| json!(value), |n| json!(n)),
        _ => json!(value),
    };
    match word(&field["schema"], "type").as_str() {
        "array" => json!([one(&word(&field["schema"], "items"))]),
        kind => one(kind),
    }
}

impl Jira {
    /// Custom fields as this Jira has them, by id or by name.
    pub(super) async fn fields_known<T>(&self) -> Result<&[Value], Called<T>> {
        let known = self.fields.get_or_try_init(|| async {
            let answer = self
                .client
                .get("/rest/api/2/field", &[])
                .await
                .done()?
                .json();
            let list = answer.as_array().cloned();
            list.ok_or_else(|| Called::later("the answer is no list of fields"))
        });
        known.await.map(Vec::as_slice)
    }

    /// Values of custom fields in the form that their types want.
    pub(super) async fn custom<T>(
        &self,
        custom: &[(String, String)],
    ) -> Result<Map<String, Value>, Called<T>> {
        let mut fields = Map::new();
        if custom.is_empty() {
            return Ok(fields);
        }
        let known = self.fields_known().await?;
        for (name, value) in custom {
            let Some(field) = field_named(known, name) else {
                return Err(Called::Refused {
                    reason: format!("Jira has no field `{name}`"),
                    field: Some(name.clone()),
                });
            };
            fields.insert(word(field, "id"), shaped(field, value));
        }
        Ok(fields)
    }
}
