//! Buckets on stores: a directory, and ones that fail.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::super::check::probe;
use super::*;

fn directory() -> (tempfile::TempDir, Bucket) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    let bucket = Bucket::open(&url, &BucketOptions::default()).unwrap();
    (directory, bucket)
}

#[tokio::test]
async fn a_directory_keeps_every_promise() {
    let (_directory, bucket) = directory();
    let report = probe(&bucket).await;
    assert!(report.is_usable(), "{report:#?}");
    assert!(bucket.list("strandline-check", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_store_in_memory_keeps_every_promise() {
    let report = probe(&Bucket::in_memory()).await;
    assert!(report.is_usable(), "{report:#?}");
}

#[tokio::test]
async fn names_with_percent_signs_are_the_same_in_a_directory() {
    let (_directory, bucket) = directory();
    let key = "cluster/%C3%A4%20%2520.7/0/HEAD";
    bucket.create(key, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(bucket.get(key).await.unwrap().0, "x");
    let listed = bucket.list("cluster", 10).await.unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|object| object.key.as_str())
            .collect::<Vec<_>>(),
        [key]
    );
    assert_eq!(bucket.directories("cluster").await.unwrap(), ["%C3%A4%20%2520.7"]);
    assert!(
        bucket.list("cluster", 0).await.is_err(),
        "there are more than none"
    );
}

#[tokio::test]
async fn two_openings_of_a_directory_do_not_overwrite_each_other() {
    let (directory, one) = directory();
    let url = format!("file://{}", directory.path().display());
    let other = Bucket::open(&url, &BucketOptions::default()).unwrap();
    let old = one.create("HEAD", Bytes::from_static(b"0")).await.unwrap();
    other
        .replace("HEAD", Bytes::from_static(b"1"), &old)
        .await
        .unwrap();
    let late = one.replace("HEAD", Bytes::from_static(b"2"), &old).await;
    assert!(matches!(late, Err(BucketError::Conflict { .. })), "{late:?}");
    one.delete("HEAD").await.unwrap();
    let gone = one.replace("HEAD", Bytes::from_static(b"2"), &old).await;
    assert!(matches!(gone, Err(BucketError::Conflict { .. })), "{gone:?}");
}

/// A store that takes the conditions of writes and does not heed them, as some do.
#[derive(Debug)]
struct Heedless(InMemory);

impl fmt::Display for Heedless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("heedless")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Heedless {
    async fn put_opts(&self, location: &Path, payload: PutPayload, _: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, PutOptions::default()).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_store_that_takes_conditions_and_does_not_heed_them_is_found_out() {
    let store = Arc::new(Heedless(InMemory::new()));
    let bucket = Bucket::of_stores(store, None, &BucketOptions::default());
    let report = probe(&bucket).await;
    let failed: Vec<_> = report.failures().map(|finding| finding.what).collect();
    assert_eq!(
        failed,
        [
            "refuse to write an object a second time",
            "refuse to replace an object of an old version",
            "let one of many writers create an object",
            "let one of many writers replace an object",
        ]
    );
}

#[tokio::test]
async fn a_range_beyond_an_object_is_damage_and_not_a_short_answer() {
    let bucket = Bucket::in_memory();
    bucket
        .create("object", Bytes::from_static(b"0123456789"))
        .await
        .unwrap();
    assert_eq!(bucket.get_range("object", 2..5).await.unwrap(), "234");
    assert_eq!(bucket.get_range("object", 5..5).await.unwrap(), "");
    let beyond = bucket.get_range("object", 5..11).await;
    assert!(matches!(beyond, Err(BucketError::Damaged { .. })), "{beyond:?}");
    let missing = bucket.get_range("other", 0..1).await;
    assert!(
        matches!(missing, Err(BucketError::NotFound { .. })),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_key_that_leads_elsewhere_is_refused() {
    let bucket = Bucket::in_memory();
    let error = bucket.get("a/../b").await.unwrap_err();
    assert!(matches!(error, BucketError::Refused { .. }), "{error}");
}

/// One request that is answered as a store answers: the client's own code runs, without a store.
#[tokio::test]
async fn requests_go_over_http_and_answers_are_told_apart() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"e\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\nabc",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n",
    ];
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let read = socket.read(&mut buffer).await.unwrap();
            requests.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
            let answer = answer.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
            socket.write_all(answer.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
        }
        requests
    });
    let options = BucketOptions {
        endpoint: Some(format!("http://{address}")),
        region: Some("r".to_owned()),
        tries: 1,
        ..BucketOptions::default()
    };
    let environment = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let environment = environment
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let opened = open::open("s3://bucket/pre", &options, &environment, &Pace::default()).unwrap();
    let bucket = Bucket {
        prefix: opened.prefix.into(),
        ..Bucket::of_stores(opened.store, opened.multipart, &options)
    };
    let (bytes, version) = bucket.get("x/HEAD").await.unwrap();
    assert_eq!(bytes, "abc");
    let denied = bucket.list("x", 10).await.unwrap_err();
    assert!(matches!(denied, BucketError::Denied { .. }), "{denied}");
    let lost = bucket.replace("x/HEAD", bytes, &version).await.unwrap_err();
    assert!(matches!(lost, BucketError::Conflict { .. }), "{lost}");
    let slow = bucket.head("x/HEAD").await.unwrap_err();
    assert!(matches!(slow, BucketError::Unreachable { .. }), "{slow}");
    let requests = server.await.unwrap();
    assert!(
        requests[0].starts_with("GET /bucket/pre/x/HEAD HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
    assert!(
        requests[2].to_ascii_lowercase().contains("if-match: \"e\""),
        "{}",
        requests[2]
    );
}

#[tokio::test]
async fn requests_are_counted_by_what_they_cost() {
    let bucket = Bucket::in_memory();
    let version = bucket.create("a/b", Bytes::from_static(b"x")).await.unwrap();
    bucket
        .replace("a/b", Bytes::from_static(b"y"), &version)
        .await
        .unwrap();
    bucket.get("a/b").await.unwrap();
    bucket.head("a/b").await.unwrap();
    bucket.list("a", 10).await.unwrap();
    bucket.delete("a/b").await.unwrap();
    let found = bucket.requests();
    assert_eq!(
        (found.reads, found.writes, found.lists, found.deletes),
        (2, 2, 1, 1)
    );
}
