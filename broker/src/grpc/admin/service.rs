//! The calls of the administration.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use strandline_proto::admin;
use strandline_proto::admin::admin_server::Admin;
use strandline_proto::admin::{
    DescribeStreamRequest, DescribeStreamResponse, EraseKeyRequest, EraseKeyResponse, TrimStreamRequest,
    TrimStreamResponse, UpdateStreamRequest, UpdateStreamResponse,
};

use super::by::Asker;
use super::{archive, archive_care, archive_points, describe, plugins, removal, update};
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

/// The message of a request, and who asks.
fn asked<T>(mut request: Request<T>) -> (String, T) {
    let asker = request.extensions_mut().remove::<Asker>();
    // The gate has let nobody in without.
    let by = asker.map_or_else(|| "somebody".to_owned(), Asker::into_text);
    (by, request.into_inner())
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

    async fn push_plugin(
        &self,
        request: Request<Streaming<admin::PushPluginRequest>>,
    ) -> Result<Response<admin::PushPluginResponse>, Status> {
        let (by, request) = asked(request);
        Ok(Response::new(plugins::push(&self.context, by, request).await?))
    }

    type FetchPluginStream = plugins::Pieces;

    async fn fetch_plugin(
        &self,
        request: Request<admin::FetchPluginRequest>,
    ) -> Result<Response<plugins::Pieces>, Status> {
        let request = request.into_inner();
        Ok(Response::new(plugins::fetch(&self.context, &request).await?))
    }

    async fn list_plugins(
        &self,
        _request: Request<admin::ListPluginsRequest>,
    ) -> Result<Response<admin::ListPluginsResponse>, Status> {
        Ok(Response::new(plugins::list(&self.context)))
    }

    async fn describe_plugin(
        &self,
        request: Request<admin::DescribePluginRequest>,
    ) -> Result<Response<admin::DescribePluginResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(plugins::describe(&self.context, &request)?))
    }

    async fn delete_plugin(
        &self,
        request: Request<admin::DeletePluginRequest>,
    ) -> Result<Response<admin::DeletePluginResponse>, Status> {
        let (by, request) = asked(request);
        Ok(Response::new(plugins::delete(&self.context, by, request).await?))
    }

    async fn attach_plugin(
        &self,
        request: Request<admin::AttachPluginRequest>,
    ) -> Result<Response<admin::Attachment>, Status> {
        let (by, request) = asked(request);
        Ok(Response::new(plugins::attach(&self.context, by, request).await?))
    }

    async fn detach_plugin(
        &self,
        request: Request<admin::DetachPluginRequest>,
    ) -> Result<Response<admin::Attachment>, Status> {
        let (by, request) = asked(request);
        Ok(Response::new(plugins::detach(&self.context, by, &request).await?))
    }

    async fn list_attachments(
        &self,
        request: Request<admin::ListAttachmentsRequest>,
    ) -> Result<Response<admin::ListAttachmentsResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(plugins::list_attachments(&self.context, &request)?))
    }

    async fn change_attachment(
        &self,
        request: Request<admin::ChangeAttachmentRequest>,
    ) -> Result<Response<admin::Attachment>, Status> {
        let (by, request) = asked(request);
        Ok(Response::new(plugins::change(&self.context, by, request).await?))
    }

    async fn start_canary(
        &self,
        request: Request<admin::StartCanaryRequest>,
    ) -> Result<Response<admin::Attachment>, Status> {
        let (by, request) = asked(request);
        Ok(Response::new(
            plugins::start_canary(&self.context, by, request).await?,
        ))
    }

    async fn promote_canary(
        &self,
        request: Request<admin::PromoteCanaryRequest>,
    ) -> Result<Response<admin::Attachment>, Status> {
        let (by, request) = asked(request);
        Ok(Response::new(
            plugins::promote(&self.context, by, &request).await?,
        ))
    }

    async fn roll_back_attachment(
        &self,
        request: Request<admin::RollBackAttachmentRequest>,
    ) -> Result<Response<admin::Attachment>, Status> {
        let (by, request) = asked(request);
        Ok(Response::new(
            plugins::roll_back(&self.context, by, &request).await?,
        ))
    }

    async fn plugin_history(
        &self,
        request: Request<admin::PluginHistoryRequest>,
    ) -> Result<Response<admin::PluginHistoryResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(plugins::history(&self.context, &request)?))
    }

    async fn read_plugin_log(
        &self,
        request: Request<admin::ReadPluginLogRequest>,
    ) -> Result<Response<admin::ReadPluginLogResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(plugins::log(&self.context, &request)?))
    }

    async fn attachment_stats(
        &self,
        request: Request<admin::AttachmentStatsRequest>,
    ) -> Result<Response<admin::AttachmentStatsResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(plugins::stats(&self.context, &request)?))
    }

    async fn archive_status(
        &self,
        request: Request<admin::ArchiveStatusRequest>,
    ) -> Result<Response<admin::ArchiveStatusResponse>, Status> {
        let status = archive::status(&self.context, &request.into_inner()).await?;
        Ok(Response::new(status))
    }

    async fn restore_archive(
        &self,
        request: Request<admin::RestoreArchiveRequest>,
    ) -> Result<Response<admin::RestoreArchiveResponse>, Status> {
        let (by, request) = asked(request);
        Ok(Response::new(archive::restore(&self.context, by, request).await?))
    }

    async fn create_archive_point(
        &self,
        request: Request<admin::CreateArchivePointRequest>,
    ) -> Result<Response<admin::CreateArchivePointResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(
            archive_points::create(&self.context, request).await?,
        ))
    }

    async fn list_archive_points(
        &self,
        request: Request<admin::ListArchivePointsRequest>,
    ) -> Result<Response<admin::ListArchivePointsResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(archive_points::list(&self.context, request).await?))
    }

    async fn remove_archive_point(
        &self,
        request: Request<admin::RemoveArchivePointRequest>,
    ) -> Result<Response<admin::RemoveArchivePointResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(
            archive_points::remove(&self.context, request).await?,
        ))
    }

    async fn collect_archive(
        &self,
        request: Request<admin::CollectArchiveRequest>,
    ) -> Result<Response<admin::CollectArchiveResponse>, Status> {
        let collected = archive_care::collect(&self.context, request.into_inner()).await?;
        Ok(Response::new(collected))
    }

    async fn renew_archive(
        &self,
        request: Request<admin::RenewArchiveRequest>,
    ) -> Result<Response<admin::RenewArchiveResponse>, Status> {
        let renewed = archive_care::renew(&self.context, request.into_inner()).await?;
        Ok(Response::new(renewed))
    }
}
