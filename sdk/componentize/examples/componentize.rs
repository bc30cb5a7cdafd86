//! Makes a plugin of a core module: `componentize MODULE.wasm PLUGIN.wasm`.

use std::error::Error;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    let [module, plugin] = &arguments[..] else {
        return Err("usage: componentize MODULE.wasm PLUGIN.wasm".into());
    };
    let core = fs::read(module).map_err(|error| format!("{module}: {error}"))?;
    let made = strandline_componentize::componentize(&core).map_err(|error| format!("{module}: {error}"))?;
    fs::write(plugin, made).map_err(|error| format!("{plugin}: {error}"))?;
    Ok(())
}
