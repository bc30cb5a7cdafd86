//! The calls that are not on the hot path.

use std::sync::Arc;

use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use strandline_proto::api::api_server::Api;
use strandline_proto::api::*;

use super::{create, cursor, errors, metadata, publish};
use crate::context::Context;

/// The ordinary service; PublishAsync and Subscribe never get here.
#[derive(Clone, Debug)]
pub(super) struct ApiService {
    context: Arc<Context>,
}

impl ApiService {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

type Stream<T> = futures_util::stream::Empty<Result<T, Status>>;

#[tonic::async_trait]
impl Api for ApiService {
    type SubscribeStream = Stream<Message>;
    type PublishAsyncStream = Stream<PublishResponse>;

    async fn create_stream(
        &self,
        request: Request<CreateStreamRequest>,
    ) -> Result<Response<CreateStreamResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        create::create_stream(&self.context, &metadata, request).await?;
        Ok(Response::new(CreateStreamResponse {}))
    }

    async fn delete_stream(
        &self,
        request: Request<DeleteStreamRequest>,
    ) -> Result<Response<DeleteStreamResponse>, Status> {
        create::delete_stream(&self.context, request.into_inner()).await?;
        Ok(Response::new(DeleteStreamResponse {}))
    }

    async fn fetch_metadata(
        &self,
        request: Request<FetchMetadataRequest>,
    ) -> Result<Response<FetchMetadataResponse>, Status> {
        Ok(Response::new(metadata::fetch(
            &self.context,
            &request.into_inner(),
        )))
    }

    async fn fetch_partition_metadata(
        &self,
        request: Request<FetchPartitionMetadataRequest>,
    ) -> Result<Response<FetchPartitionMetadataResponse>, Status> {
        let (answer, backend) = metadata::fetch_partition(&self.context, &request.into_inner())?;
        let mut response = Response::new(answer);
        let backend = MetadataValue::from_static(backend.name());
        response.metadata_mut().insert(create::BACKEND_METADATA, backend);
        Ok(response)
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let deadline = extensions.get().copied();
        let ack = publish::publish(&self.context, deadline, request).await?;
        Ok(Response::new(PublishResponse {
            ack,
            ..PublishResponse::default()
        }))
    }

    async fn publish_to_subject(
        &self,
        request: Request<PublishToSubjectRequest>,
    ) -> Result<Response<PublishToSubjectResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let deadline = extensions.get().copied();
        let ack = publish::publish_to_subject(&self.context, deadline, request).await?;
        Ok(Response::new(PublishToSubjectResponse { ack }))
    }

    async fn subscribe(
        &self,
        _: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(errors::not_here())
    }

    async fn publish_async(
        &self,
        _: Request<tonic::Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishAsyncStream>, Status> {
        Err(errors::not_here())
    }

    async fn pause_stream(
        &self,
        _: Request<PauseStreamRequest>,
    ) -> Result<Response<PauseStreamResponse>, Status> {
        Err(errors::unimplemented("PauseStream"))
    }

    async fn set_stream_readonly(
        &self,
        _: Request<SetStreamReadonlyRequest>,
    ) -> Result<Response<SetStreamReadonlyResponse>, Status> {
        Err(errors::unimplemented("SetStreamReadonly"))
    }

    async fn set_cursor(
        &self,
        request: Request<SetCursorRequest>,
    ) -> Result<Response<SetCursorResponse>, Status> {
        cursor::set(&self.context, request.into_inner()).await?;
        Ok(Response::new(SetCursorResponse {}))
    }

    async fn fetch_cursor(
        &self,
        request: Request<FetchCursorRequest>,
    ) -> Result<Response<FetchCursorResponse>, Status> {
        let fetched = cursor::fetch(&self.context, request.into_inner()).await?;
        Ok(Response::new(fetched))
    }

    async fn join_consumer_group(
        &self,
        _: Request<JoinConsumerGroupRequest>,
    ) -> Result<Response<JoinConsumerGroupResponse>, Status> {
        Err(errors::unimplemented("JoinConsumerGroup"))
    }

    async fn leave_consumer_group(
        &self,
        _: Request<LeaveConsumerGroupRequest>,
    ) -> Result<Response<LeaveConsumerGroupResponse>, Status> {
        Err(errors::unimplemented("LeaveConsumerGroup"))
    }

    async fn fetch_consumer_group_assignments(
        &self,
        _: Request<FetchConsumerGroupAssignmentsRequest>,
    ) -> Result<Response<FetchConsumerGroupAssignmentsResponse>, Status> {
        Err(errors::unimplemented("FetchConsumerGroupAssignments"))
    }

    async fn report_consumer_group_coordinator(
        &self,
        _: Request<ReportConsumerGroupCoordinatorRequest>,
    ) -> Result<Response<ReportConsumerGroupCoordinatorResponse>, Status> {
        Err(errors::unimplemented("ReportConsumerGroupCoordinator"))
    }
}
