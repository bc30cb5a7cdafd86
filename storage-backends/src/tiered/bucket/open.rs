//! From a URL and options to a store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use super::crypto::Steps;
use super::http::Connector;
use super::pace::Pace;
use super::profile::{Credentials, credentials_of};
use super::{BucketError, BucketOptions, local};

/// The forms that are understood, for messages.
const FORMS: &str =
    "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///DIRECTORY";

/// An opened store.
pub(super) struct Opened {
    pub(super) store: Arc<dyn ObjectStore>,
    /// For parts that can be repeated; a directory has none.
    pub(super) multipart: Option<Arc<dyn MultipartStore>>,
    /// What the URL says after the bucket's name, without slashes around it.
    pub(super) prefix: String,
}

/// The variables of the process, or of a test.
pub(super) type Environment = BTreeMap<String, String>;

/// The variables of this process whose names and values are text.
pub(super) fn environment() -> Environment {
    let variables = std::env::vars_os();
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Opens what the URL names, to send to it at this pace. Nothing is asked of the store yet.
pub(super) fn open(
    url: &str,
    options: &BucketOptions,
    environment: &Environment,
    pace: &Pace,
) -> Result<Opened, BucketError> {
    let invalid = |reason: String| BucketError::invalid(url, reason);
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(invalid(format!("it has no scheme: {FORMS}")));
    };
    if rest.contains(['?', '#', '@']) {
        return Err(invalid(format!("it has more than bucket and prefix: {FORMS}")));
    }
    if scheme == "file" {
        return open_directory(rest).map_err(invalid);
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(invalid(format!("it names no bucket: {FORMS}")));
    }
    let target = Target {
        bucket,
        prefix: prefix.trim_matches('/').to_owned(),
        options,
        environment,
    };
    target.check_endpoint().map_err(invalid)?;
    let connector = Connector::new(options.ca.as_deref(), pace.clone()).map_err(invalid)?;
    let opened = match scheme {
        "s3" | "s3a" => target.open_s3(connector),
        "gs" => target.open_gcs(connector),
        "az" | "azure" => target.open_azure(connector),
        _ => Err(format!("the scheme {scheme:?} is not known: {FORMS}")),
    };
    opened.map_err(invalid)
}

fn open_directory(path: &str) -> Result<Opened, String> {
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err("a directory has to be absolute, with three slashes: file:///DIRECTORY".to_owned());
    }
    if !path.is_dir() {
        return Err(format!(
            "there is no directory {}: create it, or mount what belongs there",
            path.display()
        ));
    }
    Ok(Opened {
        store: local::open(path).map_err(|error| error.to_string())?,
        multipart: None,
        prefix: String::new(),
    })
}

/// A bucket behind HTTP.
struct Target<'a> {
    bucket: &'a str,
    prefix: String,
    options: &'a BucketOptions,
    environment: &'a Environment,
}

impl Target<'_> {
    fn check_endpoint(&self) -> Result<(), String> {
        let Some(endpoint) = &self.options.endpoint else {
            return Ok(());
        };
        let is_plain = endpoint.starts_with("http://");
        if !is_plain && !endpoint.starts_with("https://") {
            return Err(format!(
                "the endpoint {endpoint:?} begins with neither https:// nor http://"
            ));
        }
        if is_plain && self.options.allow_http == Some(false) {
            return Err(format!(
                "the endpoint {endpoint:?} is not encrypted, which allow_http forbids"
            ));
        }
        Ok(())
    }

    fn open_s3(self, connector: Connector) -> Result<Opened, String> {
        let mut builder = AmazonS3Builder::new();
        for (name, value) in self.variables("AWS_") {
            let is_endpoint = name.starts_with("AWS_ENDPOINT");
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
                && !(is_endpoint && self.options.endpoint.is_some())
            {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(region) = &self.options.region {
            builder = builder.with_region(region);
        }
        if let Some(credentials) = self.profile_credentials()? {
            builder = builder
                .with_access_key_id(credentials.key_id)
                .with_secret_access_key(credentials.secret);
            if let Some(token) = credentials.token {
                builder = builder.with_token(token);
            }
        }
        let in_path = self.is_path_style(&builder);
        if let Some(endpoint) = &self.options.endpoint {
            builder = builder.with_endpoint(if in_path {
                endpoint.clone()
            } else {
                endpoint.replacen("://", &format!("://{}.", self.bucket), 1)
            });
        }
        let built = builder
            .with_virtual_hosted_style_request(!in_path)
            .with_bucket_name(self.bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_crypto_provider(Arc::new(Steps))
            .with_disable_bulk_delete(true)
            .with_allow_http(true)
            .with_retry(no_retries())
            .with_http_connector(connector)
            .build();
        self.opened(built)
    }

    /// Where the name of the bucket goes: by the option; else into the path for an endpoint of one's own, and for names with a
    /// dot, which no certificate of a host name covers.
    fn is_path_style(&self, builder: &AmazonS3Builder) -> bool {
        let has_endpoint = self.options.endpoint.is_some()
            || builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_some()
            || builder.get_config_value(&AmazonS3ConfigKey::S3Endpoint).is_some();
        let chosen = self.options.path_style;
        chosen.unwrap_or(has_endpoint || self.bucket.contains('.'))
    }

    fn open_gcs(self, connector: Connector) -> Result<Opened, String> {
        let mut builder = GoogleCloudStorageBuilder::new();
        if let Some(path) = self.environment.get("SERVICE_ACCOUNT") {
            builder = builder.with_service_account_path(path);
        }
        for (name, value) in self.variables("GOOGLE_") {
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(endpoint) = &self.options.endpoint {
            builder = builder.with_base_url(endpoint);
        }
        let built = builder
            .with_bucket_name(self.bucket)
            .with_retry(no_retries())
            .with_http_connector(connector)
            .build();
        self.opened(built)
    }

    fn open_azure(self, connector: Connector) -> Result<Opened, String> {
        let mut builder = MicrosoftAzureBuilder::new();
        for (name, value) in self.variables("AZURE_") {
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(endpoint) = &self.options.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        let built = builder
            .with_container_name(self.bucket)
            .with_allow_http(true)
            .with_retry(no_retries())
            .with_http_connector(connector)
            .build();
        self.opened(built)
    }

    fn opened<S>(self, built: object_store::Result<S>) -> Result<Opened, String>
    where
        S: ObjectStore + MultipartStore,
    {
        let store = Arc::new(built.map_err(|error| error.to_string())?);
        Ok(Opened {
            store: Arc::clone(&store) as Arc<dyn ObjectStore>,
            multipart: Some(store),
            prefix: self.prefix,
        })
    }

    fn variables(&self, start: &'static str) -> impl Iterator<Item = (&String, &String)> {
        let variables = self.environment.iter();
        variables.filter(move |(name, _)| name.starts_with(start))
    }

    /// Credentials of the chosen profile; without one only when the environment names no others.
    fn profile_credentials(&self) -> Result<Option<Credentials>, String> {
        let has = |name: &str| self.environment.contains_key(name);
        let others = [
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_SKIP_SIGNATURE",
        ];
        let chosen = self.options.profile.as_ref();
        if chosen.is_none() && others.into_iter().any(has) {
            return Ok(None);
        }
        let chosen = chosen.or_else(|| self.environment.get("AWS_PROFILE"));
        let Some(file) = self.credentials_file() else {
            return chosen.map_or(Ok(None), |profile| {
                Err(format!(
                    "there is no home directory with the credentials of profile {profile:?}: set AWS_SHARED_CREDENTIALS_FILE"
                ))
            });
        };
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(_) if chosen.is_none() => return Ok(None),
            Err(error) => return Err(format!("credentials file {}: {error}", file.display())),
        };
        let profile = chosen.map_or("default", String::as_str);
        let found = credentials_of(&text, profile).map_err(|error| format!("{}: {error}", file.display()))?;
        match chosen {
            Some(profile) if found.is_none() => Err(format!("{} has no profile {profile:?}", file.display())),
            _ => Ok(found),
        }
    }

    fn credentials_file(&self) -> Option<PathBuf> {
        let named = self.environment.get("AWS_SHARED_CREDENTIALS_FILE");
        named.map(PathBuf::from).or_else(|| {
            let home = self.environment.get("HOME")?;
            Some(Path::new(home).join(".aws").join("credentials"))
        })
    }
}

/// Tries are counted in one place, ours.
fn no_retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 0,
        retry_timeout: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(url: &str, options: &BucketOptions) -> String {
        let error = open(url, options, &Environment::new(), &Pace::default())
            .err()
            .unwrap();
        error.to_string()
    }

    #[test]
    fn a_url_that_names_no_bucket_is_refused_with_the_forms_that_do() {
        let options = BucketOptions::default();
        for url in ["bucket", "s3://", "ftp://x/y", "s3://user:pw@b/x", "s3://b?x=y"] {
            assert!(reason(url, &options).contains("s3://BUCKET/PREFIX"), "{url}");
        }
        assert!(reason("file://relative", &options).contains("absolute"));
        assert!(reason("file:///nowhere/at/all", &options).contains("mount"));
    }

    #[test]
    fn an_endpoint_without_encryption_can_be_forbidden() {
        let options = BucketOptions {
            endpoint: Some("http://localhost:9000".to_owned()),
            allow_http: Some(false),
            ..BucketOptions::default()
        };
        assert!(reason("s3://b", &options).contains("allow_http"));
        let nonsense = BucketOptions {
            endpoint: Some("localhost:9000".to_owned()),
            ..BucketOptions::default()
        };
        assert!(reason("s3://b", &nonsense).contains("https://"));
    }

    #[tokio::test]
    async fn the_prefix_is_what_follows_the_bucket() {
        let environment = Environment::from(
            [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        for (url, prefix) in [("s3://b", ""), ("s3://b/", ""), ("s3://b/x/y/", "x/y")] {
            let opened = open(url, &BucketOptions::default(), &environment, &Pace::default()).unwrap();
            assert_eq!(opened.prefix, prefix);
        }
    }

    #[test]
    fn a_profile_that_was_asked_for_and_is_not_there_is_an_error() {
        let options = BucketOptions {
            profile: Some("ghost".to_owned()),
            ..BucketOptions::default()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let environment = Environment::from([("AWS_SHARED_CREDENTIALS_FILE".to_owned(), path)]);
        let error = open("s3://b", &options, &environment, &Pace::default())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("ghost"), "{error}");
    }
}
