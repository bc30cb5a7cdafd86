//! Core modules become plugins, or an error says what they lack.

use std::fs;
use std::path::Path;

use super::*;

/// A module of that world with the exports that are named, as a compiler would write it.
fn module(exports: &[&str], more: &str) -> Vec<u8> {
    let exports = exports.iter().map(|name| match name.rsplit_once('#') {
        None if *name == "memory" => "(memory (export \"memory\") 1)".to_owned(),
        None => format!("(func (export \"{name}\") (param i32 i32 i32 i32) (result i32) i32.const 1024)"),
        Some(_) => format!("(func (export \"{name}\") (param i32 i32) (result i32) i32.const 0)"),
    });
    wat::parse_str(format!("(module {more} {})", exports.collect::<String>())).unwrap()
}

fn exports(world: World) -> Vec<&'static str> {
    [world.exports(), &["memory", "cabi_realloc"]].concat()
}

/// The names of what a component imports and exports.
fn face(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let mut face = (Vec::new(), Vec::new());
    let mut depth = 0;
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            wasmparser::Payload::ModuleSection { .. } | wasmparser::Payload::ComponentSection { .. } => {
                depth += 1;
            }
            wasmparser::Payload::End(_) => depth -= 1,
            wasmparser::Payload::ComponentImportSection(section) if depth == 0 => {
                face.0.extend(
                    section
                        .into_iter()
                        .map(|import| import.unwrap().name.name.to_owned()),
                );
            }
            wasmparser::Payload::ComponentExportSection(section) if depth == 0 => {
                face.1.extend(
                    section
                        .into_iter()
                        .map(|export| export.unwrap().name.name.to_owned()),
                );
            }
            _ => {}
        }
    }
    face
}

fn error(module: &[u8]) -> String {
    componentize(module).unwrap_err().to_string()
}

#[test]
fn a_module_of_each_world_becomes_a_component_of_it() {
    for (world, interface) in [
        (World::Filter, "strandline:plugin/filtering@1.0.0"),
        (World::KeyExtractor, "strandline:plugin/extraction@1.0.0"),
    ] {
        let component = componentize(&module(&exports(world), "")).unwrap();
        assert_eq!(face(&component).1, [interface], "{world}");
    }
}

#[test]
fn what_is_printed_by_way_of_preview_1_leaves_by_way_of_wasi_0_2() {
    let imports =
        "(import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32)))
        (import \"wasi_snapshot_preview1\" \"clock_time_get\" (func (param i32 i64 i32) (result i32)))
        (import \"strandline:plugin/log@1.0.0\" \"write\" (func (param i32 i32 i32)))";
    let component = componentize(&module(&exports(World::Filter), imports)).unwrap();
    let (imports, _) = face(&component);
    let wanted = [
        "strandline:plugin/log@1.0.0",
        "wasi:cli/stderr@0.2.0",
        "wasi:cli/stdout@0.2.0",
        "wasi:io/error@0.2.0",
        "wasi:io/streams@0.2.0",
    ];
    for import in &imports {
        assert!(
            wanted.contains(&import.as_str()) || import == "strandline:plugin/types@1.0.0",
            "{import}"
        );
    }
    assert!(
        wanted
            .iter()
            .all(|name| imports.iter().any(|import| import == name)),
        "{imports:?}"
    );
}

#[test]
fn every_function_of_preview_1_is_answered() {
    let adapter = include_bytes!("preview1/adapter.wasm");
    let mut functions = 0;
    for payload in wasmparser::Parser::new(0).parse_all(adapter) {
        if let wasmparser::Payload::ExportSection(section) = payload.unwrap() {
            functions = section.count();
        }
    }
    assert_eq!(functions, 46);
}

#[test]
fn what_is_missing_is_named() {
    let mut some = exports(World::Filter);
    some.retain(|name| !name.ends_with("#explain") && *name != "cabi_realloc");
    assert_eq!(
        error(&module(&some, "")),
        "a plugin of the world filter exports strandline:plugin/filtering@1.0.0#explain and cabi_realloc, which this \
         module does not"
    );
}

#[test]
fn modules_that_are_no_plugins_are_told_apart() {
    assert!(matches!(
        componentize(b"\x7fELF").unwrap_err(),
        Error::NotWebAssembly(_)
    ));
    assert!(matches!(
        componentize(&module(&["memory"], "")).unwrap_err(),
        Error::NoPlugin
    ));
    let both = World::ALL.map(exports).concat();
    let both = both
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>();
    assert!(matches!(
        componentize(&module(&both, "")).unwrap_err(),
        Error::TwoWorlds
    ));
    let component = componentize(&module(&exports(World::Filter), "")).unwrap();
    assert!(matches!(
        componentize(&component).unwrap_err(),
        Error::AlreadyComponent
    ));
}

#[test]
fn an_import_that_no_host_gives_is_named() {
    let import = "(import \"env\" \"time\" (func))";
    assert!(
        error(&module(&exports(World::Filter), import))
            .starts_with("imports \"time\" from \"env\", which no host gives")
    );
}

#[test]
fn a_function_of_another_type_is_refused() {
    let mut some = exports(World::Filter);
    some.retain(|name| !name.ends_with("#judge"));
    let judge = "(func (export \"strandline:plugin/filtering@1.0.0#judge\") (param i32))";
    assert!(error(&module(&some, judge)).starts_with("cannot be made a component"));
}

/// After a change of `plugin.wit` or of `adapter.wat`, run the tests with STRANDLINE_TEST_WRITE=1.
fn up_to_date(file: &str, wanted: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("STRANDLINE_TEST_WRITE").is_some() {
        fs::write(&path, wanted).unwrap();
    }
    assert!(
        fs::read(&path).unwrap() == wanted,
        "{file} is out of date: run the tests with STRANDLINE_TEST_WRITE=1"
    );
}

#[test]
fn the_rust_sdk_carries_the_worlds() {
    for world in World::ALL {
        up_to_date(
            &format!("../rust/src/world/{world}.component-type"),
            &world.section().unwrap(),
        );
    }
}

#[test]
fn the_adapter_is_assembled_from_its_source() {
    up_to_date(
        "src/preview1/adapter.wasm",
        &wat::parse_str(include_str!("preview1/adapter.wat")).unwrap(),
    );
}

/// What the built examples are, which `tests/run` does first: by its name the world of each.
const EXAMPLES: [(&str, World); 8] = [
    ("allow_list", World::Filter),
    ("column", World::KeyExtractor),
    ("header_match", World::Filter),
    ("json_field", World::Filter),
    ("key_from_json", World::KeyExtractor),
    ("key_from_subject", World::KeyExtractor),
    ("least", World::Filter),
    ("sample", World::Filter),
];

#[test]
fn every_example_is_a_component_of_its_world() {
    let Some(directory) = std::env::var_os("STRANDLINE_TEST_PLUGINS") else {
        return;
    };
    for (name, world) in EXAMPLES {
        let component = fs::read(Path::new(&directory).join(format!("{name}.wasm"))).unwrap();
        wasmparser::Validator::new().validate_all(&component).unwrap();
        let (imports, exports) = face(&component);
        let interface = world.exports()[0].split('#').next().unwrap();
        assert_eq!(exports, [interface], "{name}");
        let given = |import: &String| import.starts_with("strandline:plugin/") || import.starts_with("wasi:");
        assert!(imports.iter().all(given), "{name}: {imports:?}");
    }
}
