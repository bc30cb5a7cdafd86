//! `strandline storage dump`: what is stored, in readable form.

mod pieces;

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use strandline_broker::maintenance::{self, DumpOptions, Shown};
use strandline_core::Offset;

use super::directory::{DirectoryArgs, parse_target, refused};
use crate::commands::output_failure;
use crate::exit::{Exit, Failure};
use pieces::{Form, Values};

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    /// A file (….seg, ….idx, state), or a partition of the data directory
    #[arg(value_name = "FILE|NAME[:PARTITION]")]
    target: String,
    #[command(flatten)]
    directory: DirectoryArgs,
    /// Begin with the batch that holds this offset, or with the next one
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    offset: u64,
    /// Stop after so many records, or entries of an index
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// How values are shown
    #[arg(long, value_enum, default_value = "text")]
    values: Values,
}

/// Shows it, for as long as the output takes it.
pub(crate) fn run(args: &DumpArgs, output: &mut dyn Write) -> Result<Exit, Failure> {
    let form = Form {
        json: args.json,
        values: args.values,
    };
    let mut dump = Dump {
        output,
        form,
        from: args.offset,
        left: args.limit,
        is_damaged: false,
        written: Ok(()),
    };
    let mut show = |shown: &Shown<'_>| dump.show(shown);
    let (path, from) = (Path::new(&args.target), Offset::new(args.offset));
    let is_file = path.is_file() || args.target.contains('/');
    let dumped = if is_file {
        maintenance::dump_file(path, from, &mut show)
    } else {
        let directory = args.directory.resolve()?;
        let options = DumpOptions {
            data_dir: directory.path,
            target: parse_target(&args.target).map_err(Failure::new)?,
            from,
            masters: directory.masters,
        };
        maintenance::dump_partition(&options, &mut show)
    };
    dump.written.map_err(|error| output_failure(&error))?;
    dumped.map_err(|error| refused("cannot dump", &error))?;
    Ok(if dump.is_damaged {
        Exit::Damage
    } else {
        Exit::Success
    })
}

/// Writes what is shown until the limit.
struct Dump<'a> {
    output: &'a mut dyn Write,
    form: Form,
    from: u64,
    /// Records that may still be shown.
    left: Option<u64>,
    is_damaged: bool,
    written: io::Result<()>,
}

impl Dump<'_> {
    /// Says whether to go on.
    fn show(&mut self, shown: &Shown<'_>) -> bool {
        if self.left == Some(0) {
            return false;
        }
        self.is_damaged |= shown.piece.kind == "damage";
        let (text, records) = self.form.text(shown, self.from, self.left);
        self.left = self.left.map(|left| left.saturating_sub(records));
        self.written = self.output.write_all(&text);
        self.written.is_ok() && self.left != Some(0)
    }
}
