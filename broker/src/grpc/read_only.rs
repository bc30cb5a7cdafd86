//! What a read-only mount answers to whoever wants to change something.

use tonic::Status;

use crate::context::Context;

/// The calls that change nothing. All others are refused, also those that are yet to be invented.
const READS: [&str; 16] = [
    "/proto.API/Subscribe",
    "/proto.API/FetchMetadata",
    "/proto.API/FetchPartitionMetadata",
    "/proto.API/FetchCursor",
    "/proto.API/JoinConsumerGroup",
    "/proto.API/LeaveConsumerGroup",
    "/proto.API/FetchConsumerGroupAssignments",
    "/strandline.v1.Admin/DescribeStream",
    "/strandline.v1.Admin/FetchPlugin",
    "/strandline.v1.Admin/ListPlugins",
    "/strandline.v1.Admin/DescribePlugin",
    "/strandline.v1.Admin/ListAttachments",
    "/strandline.v1.Admin/PluginHistory",
    "/strandline.v1.Admin/ReadPluginLog",
    "/strandline.v1.Admin/AttachmentStats",
    "/strandline.v1.Admin/ArchiveStatus",
];

/// Why a call is refused, if it is.
pub(super) fn refusal(context: &Context, path: &str) -> Option<Status> {
    let is_refused = context.reads_only && !READS.contains(&path);
    is_refused.then(|| {
        let call = path.rsplit('/').next().unwrap_or(path);
        Status::failed_precondition(format!(
            "{call}: this broker is a read-only mount of an archive; publish to the cluster that archives, and change it there"
        ))
    })
}

#[cfg(test)]
mod tests {
    use strandline_proto::admin::admin_server;
    use strandline_proto::api::api_server;

    use super::*;

    #[test]
    fn the_calls_that_are_let_in_are_named_as_the_services_are() {
        for path in READS {
            let (_, rest) = path.split_at(1);
            let (service, call) = rest.split_once('/').unwrap();
            assert!(
                [api_server::SERVICE_NAME, admin_server::SERVICE_NAME].contains(&service),
                "{path}"
            );
            assert!(!call.is_empty());
        }
    }
}
