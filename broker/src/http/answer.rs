//! From a request to its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;

use super::health::Verdict;
use super::site::Site;
use crate::metrics::Format;

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PATHS: &str = "/metrics  numbers, in Prometheus' text format or OpenMetrics\n\
    /healthz  200 while the process works, 503 when it has to be restarted\n\
    /readyz   200 while clients are served, 503 otherwise\n";

/// Answers one request. The body of an answer to HEAD is left out by the server.
pub(super) async fn answer<B: Body>(site: Arc<Site>, request: Request<B>) -> Response<Full<Bytes>> {
    if let Some(refusal) = refuse(&request) {
        return refusal;
    }
    match request.uri().path() {
        "/metrics" => {
            let accept = request
                .headers()
                .get(ACCEPT)
                .and_then(|value| value.to_str().ok());
            let format = Format::accepted(accept.unwrap_or_default());
            match site.scrape(format).await {
                Some(text) => response(StatusCode::OK, format.content_type(), text),
                None => response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "the broker is stopping\n"),
            }
        }
        "/healthz" => verdict(&site.health().await),
        "/readyz" => verdict(&site.readiness()),
        _ => response(
            StatusCode::NOT_FOUND,
            PLAIN,
            format!("there is nothing here; try:\n\n{PATHS}"),
        ),
    }
}

fn refuse<B: Body>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = response(
            StatusCode::METHOD_NOT_ALLOWED,
            PLAIN,
            "only GET and HEAD are answered here\n",
        );
        let headers = refusal.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        // What may follow as a body is not read.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        return Some(refusal);
    }
    if request.body().size_hint().upper() != Some(0) {
        let text = "requests have no body here\n";
        let mut refusal = response(StatusCode::PAYLOAD_TOO_LARGE, PLAIN, text);
        refusal
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        return Some(refusal);
    }
    None
}

fn verdict(verdict: &Verdict) -> Response<Full<Bytes>> {
    let status = if verdict.is_good() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    // Texts always serialize.
    let mut body = serde_json::to_string(verdict).unwrap_or_default();
    body.push('\n');
    response(status, JSON, body)
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty};

    use super::*;
    use crate::metrics::Metrics;

    async fn ask(method: &str, path: &str) -> (StatusCode, String, Response<()>) {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let (head, body) = answer(Site::new(Metrics::new(), false), request)
            .await
            .into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        (head.status, text, Response::from_parts(head, ()))
    }

    #[tokio::test]
    async fn a_starting_broker_is_alive_and_not_ready_and_has_numbers() {
        let (status, text, _) = ask("GET", "/healthz").await;
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::OK, "{\"status\":\"ok\",\"reasons\":[]}\n")
        );
        let (status, text, _) = ask("GET", "/readyz?verbose").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("\"reason\":\"starting\""), "{text}");
        let (status, text, _) = ask("GET", "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            text.contains("\nstrandline_ready 0\n") && text.contains("\nprocess_threads "),
            "{text}"
        );
    }

    #[tokio::test]
    async fn anything_else_is_told_what_there_is() {
        let (status, text, _) = ask("GET", "/").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(text.contains("/metrics") && text.contains("/healthz") && text.contains("/readyz"));
        let (status, _, response) = ask("POST", "/metrics").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        assert_eq!(ask("HEAD", "/healthz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_request_with_a_body_is_refused() {
        let request = Request::new(Full::new(Bytes::from_static(b"x")));
        let refused = answer(Site::new(Metrics::new(), false), request).await;
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
