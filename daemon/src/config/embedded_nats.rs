//! Options of the embedded NATS server.

use strandline_nats::Options;

use super::problem::{Problem, Problems};
use super::values::Values;

const CONFIG: &str = "nats.embedded.config";
const LISTEN: &str = "nats.embedded.listen";

/// The options of the server's own file if one is named, else its defaults; an address of ours beats the file's.
pub(crate) fn options(values: &Values, problems: &mut Problems) -> Options {
    let mut options = match values.path(CONFIG) {
        None => Options::default(),
        Some(path) => Options::from_file(&path).unwrap_or_else(|error| {
            let reason = format!("is no usable configuration of a nats server: {error}");
            problems.push(Problem::Invalid {
                origin: values.origin(CONFIG),
                key: CONFIG,
                reason,
            });
            Options::default()
        }),
    };
    if let Some(listen) = values.address(LISTEN) {
        if let Some(host) = &listen.host {
            options.host.clone_from(host);
        }
        options.port = listen.port;
    }
    options
}

#[cfg(test)]
mod tests {
    use super::super::value::{Origin, Raw};
    use super::*;

    fn resolve(settings: &[(&str, &str)]) -> (Options, Problems) {
        let (mut values, mut problems) = (Values::defaults(), Problems::default());
        let flag = |(name, text): &(&str, &str)| {
            (
                (*name).to_owned(),
                Some(Raw::Text((*text).to_owned())),
                Origin::Flag("--set".to_owned()),
            )
        };
        values.lay_over(settings.iter().map(flag).collect(), &mut problems);
        let options = options(&values, &mut problems);
        (options, problems)
    }

    #[test]
    fn the_address_beats_the_servers_own_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nats.conf");
        std::fs::write(&file, "listen: 127.0.0.1:4333\nmax_payload: 2MB\n").unwrap();
        let file = file.to_str().unwrap();
        let (options, problems) = resolve(&[(CONFIG, file)]);
        assert_eq!(
            (options.host.as_str(), options.port, problems),
            ("127.0.0.1", 4333, Problems::default())
        );
        let (options, _) = resolve(&[(CONFIG, file), (LISTEN, "[::1]:4444")]);
        assert_eq!((options.host.as_str(), options.port), ("::1", 4444));
        assert_ne!(options.max_payload, Options::default().max_payload);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nats.conf");
        for text in ["cluster { port: 6222 }", "max_payloed: 1", "listen: {"] {
            std::fs::write(&file, text).unwrap();
            let (_, problems) = resolve(&[(CONFIG, file.to_str().unwrap())]);
            let told = problems.to_string();
            assert!(told.contains(CONFIG) && told.contains("nats.conf:1"), "{told}");
        }
        assert_eq!(resolve(&[(CONFIG, "/nowhere/nats.conf")]).1.0.len(), 1);
    }
}
