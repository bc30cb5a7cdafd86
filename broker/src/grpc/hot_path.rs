//! The two calls that carry records, served below tonic's codec.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::admin::Access;
use super::errors;
use super::frames::{FrameBody, FrameQueue, response};
use super::publish_async::PublishAsync;
use super::read_only;
use super::session::Session;
use super::subscribe;
use crate::context::Context as BrokerContext;
use crate::metrics::Door as Arrival;
use crate::publish::Door;

const PUBLISH_ASYNC: &str = "/proto.API/PublishAsync";
const SUBSCRIBE: &str = "/proto.API/Subscribe";
/// Numbers of gRPC codes.
const OUT_OF_RANGE: &[u8] = b"11";
const RESOURCE_EXHAUSTED: &str = "8";

/// Takes the calls that carry records and passes all others on.
#[derive(Clone, Debug)]
pub(super) struct HotPath<S> {
    context: Arc<BrokerContext>,
    /// Who may ask for more than others.
    access: Access,
    inner: S,
}

impl<S> HotPath<S> {
    pub(super) fn new(context: Arc<BrokerContext>, access: Access, inner: S) -> Self {
        Self {
            context,
            access,
            inner,
        }
    }
}

impl<S: NamedService> NamedService for HotPath<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for HotPath<S>
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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.context.metrics.grpc.request(request.uri().path());
        if let Some(status) = read_only::refusal(&self.context, request.uri().path()) {
            return ready(counted(&self.context, status.into_http()));
        }
        match request.uri().path() {
            PUBLISH_ASYNC => ready(publish_async(&self.context, request.into_body())),
            SUBSCRIBE => {
                let call = subscribe::call(Arc::clone(&self.context), self.access.clone(), request);
                let context = Arc::clone(&self.context);
                Box::pin(async move { Ok(counted(&context, call.await)) })
            }
            _ => {
                let call = self.inner.call(request);
                let context = Arc::clone(&self.context);
                Box::pin(async move {
                    let answered = call.await.map(name_oversize);
                    answered.map(|response| counted(&context, response))
                })
            }
        }
    }
}

fn ready(response: Response<Body>) -> BoxFuture<'static, Result<Response<Body>, Infallible>> {
    Box::pin(std::future::ready(Ok(response)))
}

/// Counts an answer that is an error and nothing else: its status stands in the headers.
pub(super) fn counted(context: &BrokerContext, response: Response<Body>) -> Response<Body> {
    if let Some(status) = response.headers().get("grpc-status") {
        context.metrics.grpc.failure(status.as_bytes());
    }
    response
}

/// tonic answers a request over the size limit with OutOfRange; gRPC's other servers, and what clients expect, say
/// ResourceExhausted. Nothing else here answers with that code.
fn name_oversize(mut response: Response<Body>) -> Response<Body> {
    if let Some(status) = response.headers_mut().get_mut("grpc-status")
        && status.as_bytes() == OUT_OF_RANGE
    {
        *status = http::HeaderValue::from_static(RESOURCE_EXHAUSTED);
    }
    response
}

fn publish_async(context: &Arc<BrokerContext>, body: Body) -> Response<Body> {
    if context.stopping.is_cancelled() {
        return errors::stopping().into_http();
    }
    let queue = Arc::new(FrameQueue::new(context.metrics.grpc.answers.clone()));
    let metrics = Arc::clone(&context.metrics);
    let open = metrics.grpc.sessions.hold();
    let session = Session::new(context.inboxes.open(), Arc::clone(&queue), metrics);
    let call = PublishAsync {
        streams: Arc::clone(&context.streams),
        door: Door::new(
            Arrival::GrpcSession,
            context.bus.publisher(),
            Arc::clone(&context.clock),
        ),
        session,
        queue: Arc::clone(&queue),
        max_message_bytes: context.max_request_bytes(),
        stopping: context.stopping.clone(),
    };
    context.tasks.spawn(async move {
        call.run(body).await;
        drop(open);
    });
    response(FrameBody::new(queue))
}
