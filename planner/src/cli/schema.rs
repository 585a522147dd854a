//! `vmpack schema`: the JSON Schemas of the files, made from the types that read them.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{API_VERSION, Kind};
use vmpack_domain::{Certificate, Cluster, Load, Plan, Policy};
use vmpack_planner::whatif::Scenario;

use super::arguments::SchemaArguments;
use super::failure::Failure;
use super::output;
use super::regress::case::Case;
use super::session::Session;

/// Writes them into a folder, or prints one or all.
pub(crate) fn run(arguments: &SchemaArguments, session: &mut Session) -> Result<Exit, Failure> {
    if let Some(folder) = &arguments.out {
        output::make_folder(folder)?;
        for kind in Kind::ALL {
            output::write_whole(&folder.join(file_name(kind)), &pretty(&schema(kind)))?;
        }
        return Ok(Exit::Done);
    }
    match &arguments.kind {
        Some(name) => {
            let kind = Kind::ALL
                .into_iter()
                .find(|k| k.name().eq_ignore_ascii_case(name))
                .ok_or_else(|| {
                    Failure::usage(format!("read kind `{name}`, expected {}", Kind::names()))
                })?;
            session.out.write_all(pretty(&schema(kind)).as_bytes())?;
        }
        None => {
            let all: serde_json::Map<String, Value> = Kind::ALL
                .into_iter()
                .map(|k| (k.name().to_owned(), schema(k)))
                .collect();
            session
                .out
                .write_all(pretty(&Value::Object(all)).as_bytes())?;
        }
    }
    Ok(Exit::Done)
}

fn file_name(kind: Kind) -> String {
    format!("{}.schema.json", kind.name().to_lowercase())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The schema of a kind of file, with its header.
fn schema(kind: Kind) -> Value {
    let mut schema = match kind {
        Kind::Cluster => of::<Cluster>(),
        Kind::Load => of::<Load>(),
        Kind::Policy => of::<Policy>(),
        Kind::Plan => of::<Plan>(),
        Kind::Certificate => of::<Certificate>(),
        Kind::Case => of::<Case>(),
        Kind::Scenario => of::<Scenario>(),
    };
    if let Some(root) = schema.as_object_mut() {
        let properties = root.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert("apiVersion".into(), json!({ "const": API_VERSION }));
            properties.insert("kind".into(), json!({ "const": kind.name() }));
        }
        let required = root.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.extend([json!("apiVersion"), json!("kind")]);
        }
    }
    schema
}

fn of<T: JsonSchema>() -> Value {
    SchemaGenerator::default()
        .into_root_schema_for::<T>()
        .to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_must_say_its_host_which_may_be_none() {
        let guest = &schema(Kind::Cluster)["$defs"]["Guest"];
        assert_eq!(
            guest["properties"]["host"]["type"],
            json!(["string", "null"])
        );
        assert!(
            guest["required"]
                .as_array()
                .unwrap()
                .contains(&json!("host"))
        );
        assert!(
            !guest["required"]
                .as_array()
                .unwrap()
                .contains(&json!("uuid"))
        );
    }

    #[test]
    fn every_kind_demands_its_header_and_refuses_unknown_keys() {
        for kind in Kind::ALL {
            let schema = schema(kind);
            assert_eq!(schema["properties"]["kind"]["const"], kind.name());
            let required = schema["required"].as_array().unwrap();
            assert!(required.contains(&json!("apiVersion")) && required.contains(&json!("kind")));
            assert_eq!(schema["additionalProperties"], false, "{}", kind.name());
        }
    }
}
