//! Plugins and attachments as text and as JSON.

use serde_json::{Value, json};
use strandline_client::admin::{Attachment, Plugin, PluginDescription, PluginVersion, Pushed, Variant};

use super::super::stream::columns;
use super::history::event_json;
use crate::config::show_duration;
use crate::time;

/// What became of a push.
pub(super) fn pushed(pushed: &Pushed) -> String {
    let Pushed { name, version, added } = pushed;
    let what = if *added { "pushed" } else { "already there:" };
    let mut text = format!(
        "{what} {name}@{}, a {} for contract {}, {} bytes, sha256 {}\n",
        version.number,
        version.world,
        version.contract,
        version.size,
        hex(&version.sha256)
    );
    if !version.imports.is_empty() {
        text.push_str(&format!("imports {}\n", version.imports.join(", ")));
    }
    text
}

/// As [`pushed`], one JSON object on a line.
pub(super) fn pushed_json(pushed: &Pushed) -> String {
    let object = json!({
        "name": pushed.name,
        "added": pushed.added,
        "version": version_json(&pushed.version),
    });
    format!("{object}\n")
}

/// One line a plugin, in columns.
pub(super) fn plugins(plugins: &[Plugin]) -> String {
    if plugins.is_empty() {
        return "there are no plugins; push one with `strandline plugin push NAME FILE`\n".to_owned();
    }
    let header = ["NAME", "VERSIONS", "NEWEST", "WORLD", "BYTES", "PUSHED"].map(str::to_owned);
    let rows = plugins.iter().map(|plugin| {
        let newest = plugin.versions.last();
        let of = |text: fn(&PluginVersion) -> String| newest.map(text).unwrap_or_default();
        [
            plugin.name.clone(),
            plugin.versions.len().to_string(),
            of(|version| version.number.to_string()),
            of(|version| version.world.clone()),
            of(|version| version.size.to_string()),
            of(|version| time::show(version.pushed)),
        ]
    });
    columns(&[header].into_iter().chain(rows).collect::<Vec<_>>())
}

/// A plugin with a line for each version, and who uses it.
pub(super) fn description(described: &PluginDescription) -> String {
    let header = ["VERSION", "WORLD", "CONTRACT", "BYTES", "SHA256", "PUSHED", "BY"].map(str::to_owned);
    let rows = described.plugin.versions.iter().map(|version| {
        [
            version.number.to_string(),
            version.world.clone(),
            version.contract.clone(),
            version.size.to_string(),
            hex(&version.sha256),
            time::show(version.pushed),
            version.pushed_by.clone(),
        ]
    });
    let versions = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    let mut text = format!("plugin  {}\n\n{versions}", described.plugin.name);
    if let Some(newest) = described
        .plugin
        .versions
        .last()
        .filter(|newest| !newest.imports.is_empty())
    {
        text.push_str(&format!(
            "\nversion {} imports {}\n",
            newest.number,
            newest.imports.join(", ")
        ));
    }
    if !described.attachments.is_empty() {
        text.push('\n');
        text.push_str(&attachments(&described.attachments));
    }
    text
}

/// As [`description`], one JSON object on a line.
pub(super) fn description_json(described: &PluginDescription) -> String {
    let mut object = plugin_json(&described.plugin);
    if let Some(object) = object.as_object_mut() {
        let attachments = described.attachments.iter().map(attachment_json).collect();
        object.insert("attachments".to_owned(), Value::Array(attachments));
        let history = described.history.iter().map(event_json).collect();
        object.insert("history".to_owned(), Value::Array(history));
    }
    format!("{object}\n")
}

/// One line an attachment, in columns, and what is wrong with some.
pub(super) fn attachments(attachments: &[Attachment]) -> String {
    if attachments.is_empty() {
        return "nothing is attached; `strandline plugin attach STREAM PLUGIN` does it\n".to_owned();
    }
    let header = [
        "ATTACHMENT",
        "STREAM",
        "SIDE",
        "ORDER",
        "PLUGIN",
        "CANARY",
        "ON ERROR",
        "STATE",
    ]
    .map(str::to_owned);
    let rows = attachments.iter().map(|attachment| {
        [
            attachment.id.to_string(),
            attachment.stream.clone(),
            attachment
                .side
                .map_or("unknown".to_owned(), |side| side.to_string()),
            attachment.order.to_string(),
            reference(attachment, &attachment.active),
            canary(attachment),
            on_error(attachment),
            if attachment.problem.is_empty() {
                "works"
            } else {
                "does not work"
            }
            .to_owned(),
        ]
    });
    let mut text = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    for attachment in attachments
        .iter()
        .filter(|attachment| !attachment.problem.is_empty())
    {
        text.push_str(&format!("attachment {}: {}\n", attachment.id, attachment.problem));
    }
    text
}

/// An attachment that a command has changed.
pub(super) fn changed(attachment: &Attachment, json: bool) -> String {
    if json {
        return format!("{}\n", attachment_json(attachment));
    }
    let mut text = attachments(std::slice::from_ref(attachment));
    if let Some(previous) = &attachment.previous {
        text.push_str(&format!("`strandline plugin rollback {}` goes ", attachment.id));
        text.push_str(&match &attachment.canary {
            Some(_) => "on without the canary\n".to_owned(),
            None => format!("back to {}\n", reference(attachment, previous)),
        });
    }
    text
}

fn reference(attachment: &Attachment, variant: &Variant) -> String {
    format!("{}@{}", attachment.plugin, variant.version.unwrap_or_default())
}

fn canary(attachment: &Attachment) -> String {
    attachment.canary.as_ref().map_or("-".to_owned(), |canary| {
        let mode = canary.mode.map_or("unknown".to_owned(), |mode| mode.to_string());
        format!("{} ({mode})", reference(attachment, &canary.candidate))
    })
}

fn on_error(attachment: &Attachment) -> String {
    match &attachment.dead_letters {
        Some(stream) => format!("{} ({stream})", attachment.policy),
        None => attachment.policy.to_string(),
    }
}

/// A plugin with its versions.
pub(super) fn plugin_json(plugin: &Plugin) -> Value {
    json!({
        "name": plugin.name,
        "versions": plugin.versions.iter().map(version_json).collect::<Vec<_>>(),
    })
}

fn version_json(version: &PluginVersion) -> Value {
    json!({
        "version": version.number,
        "sha256": hex(&version.sha256),
        "bytes": version.size,
        "world": version.world,
        "contract": version.contract,
        "imports": version.imports,
        "pushed": version.pushed,
        "pushed_by": version.pushed_by,
    })
}

/// An attachment with everything that is known of it.
pub(super) fn attachment_json(attachment: &Attachment) -> Value {
    json!({
        "id": attachment.id,
        "stream": attachment.stream,
        "side": attachment.side.map(|side| side.to_string()),
        "order": attachment.order,
        "plugin": attachment.plugin,
        "active": variant_json(&attachment.active),
        "previous": attachment.previous.as_ref().map(variant_json),
        "canary": attachment.canary.as_ref().map(|canary| json!({
            "candidate": variant_json(&canary.candidate),
            "mode": canary.mode.map(|mode| mode.to_string()),
            "since": canary.since,
        })),
        "on_error": attachment.policy.to_string(),
        "dead_letters": attachment.dead_letters,
        "memory_bytes": attachment.memory_bytes,
        "budget": attachment.budget.map(show_duration),
        "debug": attachment.debug,
        "attached": attachment.attached,
        "problem": Some(&attachment.problem).filter(|problem| !problem.is_empty()),
    })
}

/// Settings are JSON themselves.
fn variant_json(variant: &Variant) -> Value {
    let settings = serde_json::from_str(&variant.settings);
    json!({
        "version": variant.version,
        "settings": settings.unwrap_or_else(|_| json!(variant.settings)),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use strandline_client::admin::{Canary, CanaryMode, ErrorPolicy, Side};

    use super::*;

    fn attachment() -> Attachment {
        let variant = |version| Variant {
            version: Some(version),
            settings: r#"{"field":"a"}"#.to_owned(),
        };
        Attachment {
            id: 7,
            stream: "orders".to_owned(),
            side: Some(Side::Write),
            order: -1,
            plugin: "json".to_owned(),
            active: variant(2),
            previous: Some(variant(1)),
            canary: Some(Canary {
                candidate: variant(3),
                mode: Some(CanaryMode::Percent(10)),
                since: 5,
            }),
            policy: ErrorPolicy::DeadLetter,
            dead_letters: Some("bad".to_owned()),
            memory_bytes: None,
            budget: None,
            debug: false,
            attached: 1,
            problem: String::new(),
        }
    }

    #[test]
    fn attachments_are_shown_in_columns_with_what_is_wrong() {
        let mut one = attachment();
        one.problem = "a file is damaged".to_owned();
        let text = attachments(&[one]);
        let lines: Vec<_> = text.lines().collect();
        let expected =
            "7           orders  write  -1     json@2  json@3 (10 %)  dead-letter (bad)  does not work";
        assert_eq!(lines[1..], [expected, "attachment 7: a file is damaged"]);
        assert!(attachments(&[]).contains("plugin attach"));
    }

    #[test]
    fn settings_are_json_within_json() {
        let object = attachment_json(&attachment());
        assert_eq!(
            object["active"],
            json!({"version": 2, "settings": {"field": "a"}})
        );
        assert_eq!(object["canary"]["mode"], "10 %");
        assert_eq!(object["problem"], Value::Null);
    }

    #[test]
    fn what_a_rollback_does_is_told() {
        let mut one = attachment();
        assert!(
            changed(&one, false).ends_with("`strandline plugin rollback 7` goes on without the canary\n")
        );
        one.canary = None;
        assert!(changed(&one, false).ends_with("`strandline plugin rollback 7` goes back to json@1\n"));
    }
}
