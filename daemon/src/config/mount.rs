//! A broker that only serves what is in the archive.

use std::path::PathBuf;

use strandline_broker::settings::MountSettings;
use strandline_core::metadata::ClusterId;

use super::problem::{Problem, Problems};
use super::values::Values;

const MOUNT: &str = "archive.mount";
const CLUSTER: &str = "archive.mount.cluster";
const URL: &str = "archive.url";

/// What is mounted, if something is.
pub(super) fn mount(values: &Values, problems: &mut Problems) -> Option<MountSettings> {
    if values.bool(MOUNT) != Some(true) {
        return None;
    }
    if values.text(URL).is_none() {
        problems.push(Problem::Incomplete {
            origin: values.origin(MOUNT),
            key: MOUNT,
            missing: URL,
            reason: "name the bucket that is to be served, such as s3://BUCKET/PREFIX",
        });
    }
    let cluster = values.text(CLUSTER).map(str::trim).map(ClusterId::new);
    let cluster = cluster.and_then(|cluster| {
        let invalid = |error: &dyn std::error::Error| Problem::Invalid {
            origin: values.origin(CLUSTER),
            key: CLUSTER,
            reason: format!("is no identity of a cluster: {error}"),
        };
        cluster.map_err(|error| problems.push(invalid(&error))).ok()
    });
    Some(MountSettings {
        cluster,
        interval: values
            .duration("archive.mount.interval")
            .unwrap_or(MountSettings::DEFAULT_INTERVAL),
    })
}

/// The directory of a mount; empty = a temporary one. That of a broker is none of its business.
pub(super) fn directory(values: &Values) -> PathBuf {
    values.path("archive.mount.dir").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::value::{Origin, Raw};
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Option<MountSettings>, String> {
        let (mut values, mut problems) = (Values::defaults(), Problems::default());
        let flag = |(name, text): &(&str, &str)| {
            let raw = Raw::Text((*text).to_owned());
            ((*name).to_owned(), Some(raw), Origin::Flag("--set".to_owned()))
        };
        values.lay_over(settings.iter().map(flag).collect(), &mut problems);
        let mount = mount(&values, &mut problems);
        problems
            .none_or()
            .map(|()| mount)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_mount_needs_a_bucket_and_takes_a_cluster() {
        assert_eq!(read(&[]), Ok(None));
        let url = ("archive.url", "s3://b");
        assert_eq!(
            read(&[url, ("archive.mount", "true")]),
            Ok(Some(MountSettings::default()))
        );
        let expected = MountSettings {
            cluster: Some(ClusterId::new("c").unwrap()),
            interval: Duration::from_secs(1),
        };
        let settings = [
            url,
            ("archive.mount", "true"),
            ("archive.mount.cluster", "c"),
            ("archive.mount.interval", "1s"),
        ];
        assert_eq!(read(&settings), Ok(Some(expected)));
        let error = read(&[("archive.mount", "true")]).unwrap_err();
        assert!(
            error.starts_with("--set: archive.mount needs archive.url: "),
            "{error}"
        );
        let error = read(&[url, ("archive.mount", "true"), ("archive.mount.cluster", "a/b")]).unwrap_err();
        assert!(error.contains("is no identity of a cluster"), "{error}");
    }
}
