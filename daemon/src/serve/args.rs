//! The command line of a broker, made from the table of settings.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Flag, GROUPS, Invocation, Key, Kind, Sources, all_keys};

const CONFIG: &str = "config";
const SET: &str = "set";

/// What the command line says about a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServeArgs {
    /// The configuration file.
    config: Option<PathBuf>,
    /// Settings: name, value, flag.
    settings: Vec<(String, String, String)>,
}

impl ServeArgs {
    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Everything that makes up the configuration, the environment of this process included.
    pub(crate) fn sources(&self, invocation: Invocation) -> Sources {
        Sources::of_process(invocation, self.config.clone(), self.settings.clone())
    }
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let command = command
            .arg(
                Arg::new(CONFIG)
                    .long("config")
                    .short('c')
                    .value_name("FILE")
                    .value_parser(clap::value_parser!(PathBuf))
                    .help("configuration file, in one of Liftbridge's formats"),
            )
            .arg(
                Arg::new(SET)
                    .long("set")
                    .value_name("KEY=VALUE")
                    .action(ArgAction::Append)
                    .help("any setting by its name, as often as needed; docs/configuration.md lists them"),
            );
        GROUPS.iter().fold(command, |command, group| {
            let flags = group
                .keys
                .iter()
                .filter_map(|key| Some((key, key.flag.as_ref()?)));
            flags.fold(command, |command, (key, flag)| {
                command.arg(argument(key, flag).help_heading(group.title))
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(key: &'static Key, flag: &'static Flag) -> Arg {
    let help = match (key.default, key.default_note) {
        ("", "") => key.help.to_owned(),
        ("", note) => format!("{} [default: {note}]", key.help),
        (default, _) => format!("{} [default: {default}]", key.help),
    };
    // The table is written for the reference page.
    let help = help.replace('`', "");
    let arg = Arg::new(key.name)
        .long(flag.long)
        .help(help)
        .visible_aliases(flag.aliases.iter().copied());
    let arg = match flag.short {
        Some(letter) => arg.short(letter),
        None => arg,
    };
    match key.kind {
        // As in Go: the flag alone means true, and `--flag=false` is possible.
        Kind::Bool => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("BOOL"),
        Kind::List => arg.action(ArgAction::Append).value_name("A,B"),
        Kind::Choice(words) => arg
            .value_name("WORD")
            .value_parser(PossibleValuesParser::new(words))
            .ignore_case(true),
        Kind::Path => arg.value_name("PATH"),
        Kind::Address => arg.value_name("ADDRESS"),
        Kind::Integer { .. } | Kind::Bytes { .. } => arg.value_name("NUMBER"),
        Kind::Duration { .. } => arg.value_name("DURATION"),
        Kind::Text | Kind::Token => arg.value_name("TEXT"),
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self {
            config: matches.get_one::<PathBuf>(CONFIG).cloned(),
            settings: Vec::new(),
        };
        for key in all_keys() {
            let Some(flag) = key.flag else { continue };
            // A list may be given in several flags and with commas.
            if let Some(values) = matches.get_many::<String>(key.name) {
                let value = values.map(String::as_str).collect::<Vec<_>>().join(",");
                args.settings
                    .push((key.name.to_owned(), value, format!("--{}", flag.long)));
            }
        }
        for setting in matches.get_many::<String>(SET).into_iter().flatten() {
            let Some((name, value)) = setting.split_once('=') else {
                let text = format!("--set takes KEY=VALUE, not {setting:?}\n");
                return Err(clap::Error::raw(clap::error::ErrorKind::ValueValidation, text));
            };
            args.settings.push((
                name.trim().to_owned(),
                value.to_owned(),
                format!("--set {}", name.trim()),
            ));
        }
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Go's programs take long flags with one dash as well (`-data-dir DIR`, `-id=a`); ours does for the flags of a broker.
pub(crate) fn with_go_flags(args: impl Iterator<Item = std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let mut args: Vec<_> = args.collect();
    let is_broker = |arg: &std::ffi::OsString| {
        arg == "serve" || arg == "config" || arg.to_string_lossy().starts_with('-')
    };
    if args.get(1).is_some_and(is_broker) {
        for arg in args.iter_mut().skip(1) {
            if let Some(text) = arg.to_str().filter(|text| is_go_flag(text)) {
                *arg = format!("-{text}").into();
            }
        }
    }
    args
}

fn is_go_flag(text: &str) -> bool {
    let Some(name) = text.strip_prefix('-').filter(|rest| !rest.starts_with('-')) else {
        return false;
    };
    let name = name.split('=').next().unwrap_or(name);
    let of_a_key = |key: &Key| {
        key.flag
            .is_some_and(|flag| flag.long == name || flag.aliases.contains(&name))
    };
    matches!(name, "config" | "help" | "version") || all_keys().any(of_a_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<ServeArgs, clap::Error> {
        let words = ["strandline"]
            .into_iter()
            .chain(line.split_whitespace())
            .map(std::ffi::OsString::from);
        let matches =
            ServeArgs::augment_args(Command::new("strandline")).try_get_matches_from(with_go_flags(words))?;
        ServeArgs::from_arg_matches(&matches)
    }

    fn settings(line: &str) -> Vec<(String, String)> {
        parse(line)
            .unwrap()
            .settings
            .into_iter()
            .map(|(name, value, _)| (name, value))
            .collect()
    }

    #[test]
    fn every_flag_of_liftbridge_is_taken() {
        let args = parse(
            "-c f --server-id a --namespace b -n x,y --nats-servers z -e --embedded-nats-config n -d D -p 1 --tls-cert C \
             --tls-key K -l debug --raft-bootstrap-seed --raft-bootstrap-peers p,q --raft-bootstrap-peers r",
        )
        .unwrap();
        assert_eq!(args.config, Some("f".into()));
        let found: std::collections::BTreeMap<_, _> = args
            .settings
            .iter()
            .map(|(name, value, _)| (name.as_str(), value.as_str()))
            .collect();
        let expected = [
            ("clustering.server.id", "a"),
            ("clustering.namespace", "b"),
            ("nats.servers", "x,y,z"),
            ("nats.embedded", "true"),
            ("nats.embedded.config", "n"),
            ("data.dir", "D"),
            ("port", "1"),
            ("tls.cert", "C"),
            ("tls.key", "K"),
            ("logging.level", "debug"),
            ("clustering.raft.bootstrap.seed", "true"),
            ("clustering.raft.bootstrap.peers", "p,q,r"),
        ];
        assert_eq!(found, expected.into_iter().collect());
    }

    #[test]
    fn the_short_names_of_liftbridge_are_taken_with_one_dash_and_with_two() {
        let expected = [
            ("clustering.server.id", "a"),
            ("clustering.namespace", "b"),
            ("nats.embedded.config", "n"),
        ];
        for line in ["--id a --ns b --nc n", "-id a -ns b -nc n", "-id=a -ns=b -nc=n"] {
            let mut found = settings(line);
            found.sort();
            let mut expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            expected.sort();
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn switches_take_a_value_after_an_equals_sign() {
        let off = [("nats.embedded".to_owned(), "false".to_owned())];
        assert_eq!(settings("--embedded-nats=false"), off);
        assert_eq!(settings("-embedded-nats=false"), off);
        assert!(parse("--embedded-nats false").is_err());
    }

    #[test]
    fn any_setting_can_be_set_by_name() {
        let expected = [
            ("streams.durability".to_owned(), "os".to_owned()),
            ("a".to_owned(), "b=c".to_owned()),
        ];
        assert_eq!(settings("--set streams.durability=os --set a=b=c"), expected);
        assert!(parse("--set nothing").is_err());
    }

    #[test]
    fn words_that_are_no_flags_are_left_alone() {
        let words = ["strandline", "publish", "-id"].map(std::ffi::OsString::from);
        assert_eq!(with_go_flags(words.clone().into_iter()), words);
    }
}
