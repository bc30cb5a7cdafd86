//! The layer in front of the administration that lets in who may call it.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use parking_lot::Mutex;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::super::errors;
use super::super::hot_path::counted;
use super::super::read_only;
use super::access::{Access, Caller, Denied};
use super::by::Asker;
use crate::context::Context as BrokerContext;

/// Passes on the calls of who may make them, and answers the others.
#[derive(Clone, Debug)]
pub(in crate::grpc) struct Gate<S> {
    access: Access,
    context: Arc<BrokerContext>,
    told: Arc<Mutex<Option<Instant>>>,
    inner: S,
}

/// Time between two log lines about callers that are refused, however many there are.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

impl<S> Gate<S> {
    pub(in crate::grpc) fn new(access: Access, context: Arc<BrokerContext>, inner: S) -> Self {
        Self {
            access,
            context,
            told: Arc::default(),
            inner,
        }
    }

    fn refuse(&self, call: &str, caller: &Caller<'_>, denied: Denied) -> Response<Body> {
        let mut told = self.told.lock();
        if told.is_none_or(|at| at.elapsed() >= TELL_INTERVAL) {
            *told = Some(Instant::now());
            tracing::warn!(call, address = ?caller.address, %denied, "administration refused");
        }
        counted(&self.context, errors::permission_denied(&denied).into_http())
    }
}

impl<S: NamedService> NamedService for Gate<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Gate<S>
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
        self.context.metrics.grpc.request(request.uri().path());
        let caller = Caller::of(request.extensions(), request.headers());
        if let Err(denied) = self.access.check(&caller) {
            let response = self.refuse(request.uri().path(), &caller, denied);
            return Box::pin(std::future::ready(Ok(response)));
        }
        if let Some(status) = read_only::refusal(&self.context, request.uri().path()) {
            let response = counted(&self.context, status.into_http());
            return Box::pin(std::future::ready(Ok(response)));
        }
        let asker = Asker::of(&caller, request.headers());
        request.extensions_mut().insert(asker);
        let (call, context) = (self.inner.call(request), Arc::clone(&self.context));
        Box::pin(async move { call.await.map(|response| counted(&context, response)) })
    }
}
