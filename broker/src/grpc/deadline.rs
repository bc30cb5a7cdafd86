//! The deadline that a caller sends along, and the layer that keeps it.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::errors;

/// tonic ends a call at its deadline with the code Cancelled, which clients take for their own doing. Whoever would say it
/// better has to be done this long before.
const MARGIN: Duration = Duration::from_millis(1);

/// When a call has to be answered: an extension of requests whose caller sent a deadline along.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// The deadline of a request that has come just now (`grpc-timeout`); what cannot be read is none.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("grpc-timeout")?.to_str().ok()?;
        Instant::now().checked_add(parse(text)?).map(Self)
    }

    /// When a handler that has an answer of its own for this gives it.
    pub(super) fn for_handlers(self) -> Instant {
        self.before(2)
    }

    /// When the layer answers for a handler that has none.
    fn for_layer(self) -> Instant {
        self.before(1)
    }

    fn before(self, margins: u32) -> Instant {
        self.0.checked_sub(MARGIN * margins).unwrap_or(self.0)
    }
}

/// A `grpc-timeout`: up to eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_amount = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let amount: u64 = digits.parse().ok().filter(|_| is_amount)?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// Answers DeadlineExceeded, as gRPC's other servers do, when a call is not answered before its deadline.
#[derive(Clone, Debug)]
pub(super) struct Deadlines<S> {
    inner: S,
}

impl<S> Deadlines<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: NamedService> NamedService for Deadlines<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Deadlines<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(deadline) = Deadline::of(request.headers()) else {
            return Box::pin(self.inner.call(request));
        };
        request.extensions_mut().insert(deadline);
        let call = self.inner.call(request);
        Box::pin(async move {
            match tokio::time::timeout_at(deadline.for_layer().into(), call).await {
                Ok(answered) => answered,
                Err(_) => Ok(errors::deadline_exceeded().into_http()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_in_each_unit() {
        let read = ["2H", "3M", "4S", "5m", "6u", "7n", "99999999H"].map(|text| parse(text).unwrap());
        let expected = [
            7_200_000_000_000,
            180_000_000_000,
            4_000_000_000,
            5_000_000,
            6000,
            7,
        ];
        let expected = expected.map(Duration::from_nanos);
        assert_eq!(read[..6], expected);
        assert_eq!(read[6], Duration::from_secs(99_999_999 * 3600));
    }

    #[test]
    fn what_is_no_deadline_is_none() {
        for text in ["", "S", "5", "5x", "-5S", "+5S", "5 S", "123456789S", "5é"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    /// Answers after a time.
    #[derive(Clone)]
    struct After(Duration);

    impl Service<Request<Body>> for After {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            let time = self.0;
            Box::pin(async move {
                tokio::time::sleep(time).await;
                Ok(Response::new(Body::empty()))
            })
        }
    }

    /// The status with which a call that takes `time` ends under `deadline`, and how long before the deadline.
    async fn ends(time: Duration, deadline: &str) -> (Option<String>, Duration) {
        let request = Request::builder().header("grpc-timeout", deadline);
        let request = request.body(Body::empty()).unwrap();
        let started = tokio::time::Instant::now();
        let response = Deadlines::new(After(time)).call(request).await.unwrap();
        let left = parse(deadline)
            .unwrap_or_default()
            .saturating_sub(started.elapsed());
        let status = response.headers().get("grpc-status");
        (status.map(|status| status.to_str().unwrap().to_owned()), left)
    }

    /// Under load the timer of tonic fired before that of Publish, and go-liftbridge, which looks for DeadlineExceeded, told
    /// its caller of a broken connection: the server had answered Cancelled, "Timeout expired".
    #[tokio::test]
    async fn a_call_that_is_late_ends_as_deadline_exceeded_before_tonic_cancels_it() {
        let (status, left) = ends(Duration::from_secs(60), "300m").await;
        assert_eq!(status.as_deref(), Some("4"));
        assert!(left < Duration::from_millis(200), "{left:?} left");
        let (status, _) = ends(Duration::from_secs(60), "0n").await;
        assert_eq!(status.as_deref(), Some("4"));
    }

    #[tokio::test]
    async fn a_call_that_is_in_time_or_has_no_deadline_that_can_be_read_is_left_alone() {
        for deadline in ["60S", "soon"] {
            assert_eq!(ends(Duration::from_millis(1), deadline).await.0, None);
        }
    }

    #[test]
    fn a_handler_answers_before_the_layer_and_the_layer_before_tonic() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", "5S".parse().unwrap());
        let deadline = Deadline::of(&headers).unwrap();
        assert!(deadline.for_handlers() < deadline.for_layer());
        assert!(deadline.for_layer() < deadline.0);
    }
}
