//! The reference page is checked against the table that everything else is made from.

use super::environment::{OTHER_VARIABLES, PREFIXES};
use super::key::{Effect, Key};
use super::keys::{GROUPS, Group};

const BEGIN: &str =
    "<!-- settings: begin, written by `UPDATE_DOCS=1 cargo test -p strandline-daemon reference` -->";
const END: &str = "<!-- settings: end -->";

fn page() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md")
}

fn reference() -> String {
    let mut text = String::new();
    for group in GROUPS {
        section(group, &mut text);
    }
    text.push_str("### Other variables\n\n");
    for (name, purpose) in OTHER_VARIABLES {
        let names: Vec<_> = PREFIXES
            .iter()
            .map(|prefix| format!("`{prefix}{name}`"))
            .collect();
        text.push_str(&format!("- {}: {purpose}\n", names.join(" or ")));
    }
    text
}

fn section(group: &Group, text: &mut String) {
    text.push_str(&format!("### {}\n\n{}\n\n", group.title, group.about));
    text.push_str("| key | flag | value | default | meaning |\n| --- | --- | --- | --- | --- |\n");
    for key in group.keys {
        let first = key
            .first_name
            .map(|name| format!("<br>(`{name}` in the first format)"))
            .unwrap_or_default();
        text.push_str(&format!(
            "| `{}`{first} | {} | {} | {} | {}{} |\n",
            key.name,
            flags(key),
            key.kind.describe(),
            default(key),
            key.help,
            effect(key),
        ));
    }
    text.push('\n');
}

fn flags(key: &Key) -> String {
    let Some(flag) = key.flag else {
        return String::new();
    };
    let short = flag.short.map(|letter| format!("`-{letter}`"));
    let longs = [flag.long]
        .into_iter()
        .chain(flag.aliases.iter().copied())
        .map(|name| format!("`--{name}`"));
    longs.chain(short).collect::<Vec<_>>().join(" ")
}

fn default(key: &Key) -> String {
    match (key.default, key.default_note) {
        ("", "") => "not set".to_owned(),
        ("", note) => note.to_owned(),
        (default, _) => format!("`{default}`"),
    }
}

fn effect(key: &Key) -> String {
    match key.effect {
        Effect::Built => String::new(),
        Effect::NotBuilt { off: [], .. } => "; **refused**: not in this version".to_owned(),
        Effect::NotBuilt { off, .. } => format!(
            "; **refused** unless `{}`: not in this version",
            off.join("` or `")
        ),
        Effect::Idle { what } => format!("; no effect: this version has not got {what}"),
    }
}

#[test]
fn the_reference_page_lists_exactly_the_table() {
    let text = std::fs::read_to_string(page()).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("the page has a mark where settings begin");
    let (found, after) = rest
        .split_once(END)
        .expect("the page has a mark where settings end");
    let expected = format!("\n\n{}\n", reference());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page(), format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert!(
        found == expected,
        "docs/configuration.md is out of date: run the command in its first mark"
    );
}
