//! The calls of the administration.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use strandline_proto::admin::admin_server::Admin;
use strandline_proto::admin::{
    DescribeStreamRequest, DescribeStreamResponse, EraseKeyRequest, EraseKeyResponse, TrimStreamRequest,
    TrimStreamResponse, UpdateStreamRequest, UpdateStreamResponse,
};

use super::{describe, removal, update};
use crate::context::Context;

/// The service. Who may call it is decided in front of it.
#[derive(Clone, Debug)]
pub(in crate::grpc) struct AdminService {
    context: Arc<Context>,
}

impl AdminService {
    pub(in crate::grpc) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn describe_stream(
        &self,
        request: Request<DescribeStreamRequest>,
    ) -> Result<Response<DescribeStreamResponse>, Status> {
        let description = describe::describe(&self.context, request.into_inner()).await?;
        Ok(Response::new(description))
    }

    async fn update_stream(
        &self,
        request: Request<UpdateStreamRequest>,
    ) -> Result<Response<UpdateStreamResponse>, Status> {
        let updated = update::update(&self.context, request.into_inner()).await?;
        Ok(Response::new(updated))
    }

    async fn trim_stream(
        &self,
        request: Request<TrimStreamRequest>,
    ) -> Result<Response<TrimStreamResponse>, Status> {
        let trimmed = removal::trim_stream(&self.context, request.into_inner()).await?;
        Ok(Response::new(trimmed))
    }

    async fn erase_key(
        &self,
        request: Request<EraseKeyRequest>,
    ) -> Result<Response<EraseKeyResponse>, Status> {
        let erased = removal::erase_key(&self.context, request.into_inner()).await?;
        Ok(Response::new(erased))
    }
}
