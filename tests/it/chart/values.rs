//! The values: their defaults, their schema and their page of documentation say the same.

use std::fs;

use crate::bench::{helm::chart, tools};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

const INTRODUCTION: &str = "\
# Values of the Helm chart

Made from `charts/vestibule/values.yaml` and `values.schema.json` by the tests (`UPDATE_EXPECT=1 cargo test --test it chart::values`).
The schema is closed: Helm refuses a key that is not listed here.

| value | default | what it does |
|---|---|---|
";

#[test]
fn the_page_of_values_is_what_the_defaults_and_the_schema_say() -> Result<()> {
    let (schema, defaults) = schema_and_defaults()?;
    let mut page = INTRODUCTION.to_owned();
    rows(&schema, Some(&defaults), "", &mut page)?;
    let file = tools::repository().join("docs/helm-values.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, &page)?;
    }
    let written = fs::read_to_string(&file)?;
    assert!(
        written == page,
        "docs/helm-values.md is out of date: UPDATE_EXPECT=1 cargo test --test it chart::values"
    );
    Ok(())
}

#[test]
fn every_default_is_in_the_schema() -> Result<()> {
    let (schema, defaults) = schema_and_defaults()?;
    known(&schema, &defaults, "")
}

#[test]
fn the_schema_is_closed_wherever_it_names_keys() -> Result<()> {
    let (schema, _) = schema_and_defaults()?;
    closed(&schema, "")
}

fn schema_and_defaults() -> Result<(Value, Value)> {
    let schema = serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json"))?)?;
    let defaults = serde_saphyr::from_str(&fs::read_to_string(chart().join("values.yaml"))?)?;
    Ok((schema, defaults))
}

/// A row for each key, outer keys before inner ones. A key whose inner keys are rows has no default of its own.
fn rows(schema: &Value, default: Option<&Value>, prefix: &str, page: &mut String) -> Result<()> {
    for (key, of) in properties(schema) {
        let name = format!("{prefix}{key}");
        let description = of.get("description").and_then(Value::as_str);
        let description = description.with_context(|| format!("{name} has no description"))?;
        let default = default.and_then(|default| default.get(key));
        let inner = of.get("properties").is_some();
        let shown = match default {
            Some(default) if !inner => format!("`{default}`"),
            _ => String::new(),
        };
        page.push_str(&format!(
            "| `{name}` | {shown} | {} |\n",
            description.replace('|', "\\|")
        ));
        rows(of, default, &format!("{name}."), page)?;
    }
    Ok(())
}

fn known(schema: &Value, defaults: &Value, prefix: &str) -> Result<()> {
    let Some(properties) = schema.get("properties") else {
        return Ok(());
    };
    for (key, default) in defaults.as_object().into_iter().flatten() {
        let of = properties
            .get(key)
            .with_context(|| format!("values.yaml has {prefix}{key}, the schema does not"))?;
        known(of, default, &format!("{prefix}{key}."))?;
    }
    Ok(())
}

fn closed(schema: &Value, prefix: &str) -> Result<()> {
    if schema.get("properties").is_some()
        && schema.get("additionalProperties") != Some(&Value::Bool(false))
    {
        bail!("{prefix} takes keys that it does not name");
    }
    for (key, of) in properties(schema) {
        closed(of, &format!("{prefix}.{key}"))?;
    }
    Ok(())
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}
