//! The archive: where it is, and what it may use.

use std::time::Duration;

use strandline_broker::settings::{ArchiveSettings, ArchiveTarget};
use strandline_core::retention::RetentionLimits;

use super::grpc_tls::read_pem;
use super::problem::{Problem, Problems};
use super::resolve::whole;
use super::values::Values;

const URL: &str = "archive.url";
const ENDPOINT: &str = "archive.endpoint";
const REGION: &str = "archive.region";
const PATH_STYLE: &str = "archive.path.style";
const CA: &str = "archive.ca";
const BY_DEFAULT: &str = "streams.archive";

const FORMS: &str = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///DIRECTORY";

/// What the broker is told about the archive.
pub(crate) fn archive(values: &Values, problems: &mut Problems) -> ArchiveSettings {
    let defaults = ArchiveSettings::default();
    let limit = |name| whole(values, name).filter(|&limit: &u64| limit > 0);
    let local_age = values.duration("archive.local.max.age");
    ArchiveSettings {
        target: target(values, problems),
        by_default: values.bool(BY_DEFAULT).unwrap_or_default(),
        upload_max_age: values
            .duration("archive.upload.max.age")
            .unwrap_or(defaults.upload_max_age),
        upload_rate: whole(values, "archive.upload.rate").unwrap_or_default(),
        local: RetentionLimits {
            max_bytes: limit("archive.local.max.bytes"),
            max_records: None,
            max_age: local_age.filter(|age: &Duration| !age.is_zero()),
        },
        cache_memory: whole(values, "archive.cache.memory").unwrap_or(defaults.cache_memory),
        cache_disk: whole(values, "archive.cache.disk").unwrap_or_default(),
        fetch_timeout: values
            .duration("archive.fetch.timeout")
            .unwrap_or(defaults.fetch_timeout),
    }
}

fn target(values: &Values, problems: &mut Problems) -> Option<ArchiveTarget> {
    let Some(url) = values.text(URL) else {
        check_without_url(values, problems);
        return None;
    };
    let mut invalid = |key: &'static str, reason: String| {
        let origin = values.origin(key);
        problems.push(Problem::Invalid { origin, key, reason });
    };
    let url = url.trim();
    if let Err(reason) = check_url(url) {
        invalid(URL, reason);
    }
    let endpoint = values.text(ENDPOINT).map(str::trim);
    if let Some(Err(reason)) = endpoint.map(|endpoint| check_endpoint(endpoint, url)) {
        invalid(ENDPOINT, reason);
    }
    let ca = values.path(CA);
    Some(ArchiveTarget {
        url: url.to_owned(),
        endpoint: endpoint.map(str::to_owned),
        region: values.text(REGION).map(|region| region.trim().to_owned()),
        path_style: values.bool(PATH_STYLE),
        ca: ca.filter(|path| read_pem(values, CA, path, "CERTIFICATE", problems).is_some()),
    })
}

/// What says how to reach an archive, or that streams use it, is a mistake when there is none.
fn check_without_url(values: &Values, problems: &mut Problems) {
    let mut needs = |key: &'static str, reason| {
        problems.push(Problem::Incomplete {
            origin: values.origin(key),
            key,
            missing: URL,
            reason,
        });
    };
    for key in [ENDPOINT, REGION, PATH_STYLE, CA] {
        if values.is_set(key) {
            needs(
                key,
                "it says how to reach an archive, and there is none; name its bucket, or remove this",
            );
        }
    }
    if values.bool(BY_DEFAULT) == Some(true) {
        needs(
            BY_DEFAULT,
            "name the bucket that streams are archived in, such as s3://BUCKET/PREFIX",
        );
    }
}

fn check_url(url: &str) -> Result<(), String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(format!("must be {FORMS}, not {url:?}"));
    };
    // What stands before an @ is secret, so it is not repeated.
    if rest.contains('@') {
        return Err("holds credentials; remove them, they come from the environment".to_owned());
    }
    if rest.contains(['?', '#']) {
        return Err(format!("takes no ? and #: it is {FORMS}"));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    match scheme {
        "s3" | "gs" | "az" if bucket.is_empty() => Err(format!("names no bucket: {url:?}; it is {FORMS}")),
        "file" if !bucket.is_empty() => Err(format!(
            "must be file:///DIRECTORY with three slashes, not {url:?}"
        )),
        "file" if prefix.is_empty() => Err("names no directory; it is file:///DIRECTORY".to_owned()),
        "s3" | "gs" | "az" | "file" => check_parts(prefix),
        _ => Err(format!("has an unknown kind of store, {scheme:?}; it is {FORMS}")),
    }
}

fn check_parts(prefix: &str) -> Result<(), String> {
    if prefix.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("takes no parts . and ..; write where it leads".to_owned());
    }
    Ok(())
}

fn check_endpoint(endpoint: &str, url: &str) -> Result<(), String> {
    if url.starts_with("file:") {
        return Err(format!(
            "has no meaning for a directory ({URL} = {url}); remove it"
        ));
    }
    let host = endpoint
        .strip_prefix("https://")
        .or_else(|| endpoint.strip_prefix("http://"));
    match host {
        Some(host) if host.contains('@') => {
            Err("holds credentials; remove them, they come from the environment".to_owned())
        }
        Some(host) if !host.is_empty() && !host.starts_with(['/', ':']) => Ok(()),
        _ => Err(format!(
            "must be http://HOST:PORT or https://HOST:PORT, not {endpoint:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::{Origin, Raw};
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<ArchiveSettings, String> {
        let (mut values, mut problems) = (Values::defaults(), Problems::default());
        let flag = |(name, text): &(&str, &str)| {
            let raw = Raw::Text((*text).to_owned());
            ((*name).to_owned(), Some(raw), Origin::Flag("--set".to_owned()))
        };
        values.lay_over(settings.iter().map(flag).collect(), &mut problems);
        let archive = archive(&values, &mut problems);
        problems
            .none_or()
            .map(|()| archive)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn there_is_no_archive_unless_it_is_named() {
        assert_eq!(read(&[]), Ok(ArchiveSettings::default()));
    }

    #[test]
    fn every_setting_of_the_archive_arrives() {
        let archive = read(&[
            ("archive.url", "s3://b/p"),
            ("archive.endpoint", "http://127.0.0.1:9000"),
            ("archive.region", "eu-1"),
            ("archive.path.style", "false"),
            ("streams.archive", "true"),
            ("archive.upload.max.age", "1s"),
            ("archive.upload.rate", "2"),
            ("archive.local.max.age", "0"),
            ("archive.local.max.bytes", "3"),
            ("archive.cache.memory", "16MiB"),
            ("archive.cache.disk", "5"),
            ("archive.fetch.timeout", "6s"),
        ]);
        let expected = ArchiveSettings {
            target: Some(ArchiveTarget {
                endpoint: Some("http://127.0.0.1:9000".to_owned()),
                region: Some("eu-1".to_owned()),
                path_style: Some(false),
                ..ArchiveTarget::new("s3://b/p")
            }),
            by_default: true,
            upload_max_age: Duration::from_secs(1),
            upload_rate: 2,
            local: RetentionLimits {
                max_bytes: Some(3),
                ..RetentionLimits::default()
            },
            cache_memory: 16 << 20,
            cache_disk: 5,
            fetch_timeout: Duration::from_secs(6),
        };
        assert_eq!(archive, Ok(expected));
    }

    #[test]
    fn addresses_of_every_kind_of_store_are_taken() {
        for url in [
            "s3://bucket",
            "s3://bucket/a/b",
            "gs://b/",
            "az://c/p",
            "file:///var/archive",
        ] {
            assert!(read(&[("archive.url", url)]).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_bucket_is_refused_by_key_with_the_fix() {
        let cases = [
            ("bucket", "--set: archive.url must be s3://BUCKET/PREFIX"),
            ("http://x/y", "unknown kind of store, \"http\""),
            ("s3:///prefix", "names no bucket"),
            ("file://relative/dir", "three slashes"),
            ("file:///", "names no directory"),
            ("file:///a/../b", "takes no parts . and .."),
            ("s3://b/p?x=1", "takes no ? and #"),
            ("s3://key:secret@b/p", "holds credentials"),
        ];
        for (url, text) in cases {
            let error = read(&[("archive.url", url)]).unwrap_err();
            assert!(
                error.contains(text) && !error.contains("secret"),
                "{url}: {error}"
            );
        }
        for endpoint in ["minio:9000", "ftp://x", "http://", "https://k:s@h"] {
            let error = read(&[("archive.url", "s3://b"), ("archive.endpoint", endpoint)]).unwrap_err();
            assert!(
                error.starts_with("--set: archive.endpoint "),
                "{endpoint}: {error}"
            );
        }
        let error = read(&[("archive.url", "file:///a"), ("archive.endpoint", "http://h")]).unwrap_err();
        assert!(error.contains("has no meaning for a directory"), "{error}");
    }

    #[test]
    fn what_needs_an_archive_says_so_when_there_is_none() {
        for (key, value) in [
            ("archive.endpoint", "http://h"),
            ("archive.region", "r"),
            ("archive.path.style", "true"),
            ("archive.ca", "/ca.pem"),
            ("streams.archive", "true"),
        ] {
            let error = read(&[(key, value)]).unwrap_err();
            let start = format!("--set: {key} needs archive.url: ");
            assert!(error.starts_with(&start), "{error}");
        }
        assert!(read(&[("streams.archive", "false")]).is_ok());
    }

    #[test]
    fn the_file_of_authorities_has_to_hold_some() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let settings = [("archive.url", "s3://b"), ("archive.ca", path)];
        let error = read(&settings).unwrap_err();
        assert!(
            error.contains("archive.ca holds no certificate in pem form"),
            "{error}"
        );
        std::fs::write(path, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert_eq!(read(&settings).unwrap().target.unwrap().ca, Some(path.into()));
    }
}
