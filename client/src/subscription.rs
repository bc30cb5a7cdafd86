//! Reading one partition.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use strandline_proto::api;
use strandline_proto::wire::PROGRESS_HEADER;
use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tonic::{Code, Streaming};

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::message::Record;

/// How long a lost subscription is opened again before its error is told, unless another time is set.
const RESUME_TIME: Duration = Duration::from_secs(30);
/// Pause between tries.
const RESUME_PAUSE: Duration = Duration::from_millis(250);

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With records that come after the subscription.
    #[default]
    New,
    /// With the oldest record.
    Earliest,
    /// With the newest record.
    Latest,
    /// With this offset.
    Offset(u64),
    /// With the first record that is not older: nanoseconds since the Unix epoch.
    Time(i64),
}

/// Where a subscription ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// Never.
    #[default]
    Never,
    /// After the record that is the newest when it begins.
    Latest,
    /// After this offset.
    Offset(u64),
    /// After the last record that is not newer: nanoseconds since the Unix epoch.
    Time(i64),
}

/// What happens when the next record of a subscription was removed, by retention or on demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTrimmed {
    /// It goes on with the oldest record that is kept.
    #[default]
    Skip,
    /// It ends with [`ErrorKind::Trimmed`]. Liftbridge does not know this and goes on.
    Fail,
}

/// A plugin that a subscription has its records pass, beside those of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Name of the plugin, with `@` and a version of it if it is not to be the newest.
    pub plugin: String,
    /// Its settings, a JSON text; empty for none.
    pub settings: String,
}

/// The request metadata that say it.
const ON_TRIMMED_METADATA: &str = "strandline-on-trimmed";
const FILTER_METADATA: &str = "strandline-filter";
const FILTER_SETTINGS_METADATA: &str = "strandline-filter-settings-bin";
const PROGRESS_METADATA: &str = "strandline-progress";
const UNFILTERED_METADATA: &str = "strandline-unfiltered";

/// What a server is asked for, as often as the call is opened.
#[derive(Clone, Debug, Default)]
struct Wanted {
    request: api::SubscribeRequest,
    on_trimmed: OnTrimmed,
    filter: Option<Filter>,
    unfiltered: bool,
}

impl Wanted {
    /// The call, which asks to be told of progress: a lost connection is opened again behind what was looked at.
    fn call(&self, client: &Client) -> Result<tonic::Request<api::SubscribeRequest>, Error> {
        let yes = MetadataValue::from_static("true");
        let mut call = if self.unfiltered {
            let mut call = client.patient_admin_request(self.request.clone());
            call.metadata_mut().insert(UNFILTERED_METADATA, yes.clone());
            call
        } else {
            tonic::Request::new(self.request.clone())
        };
        call.metadata_mut().insert(PROGRESS_METADATA, yes);
        if let Some(Filter { plugin, settings }) = &self.filter {
            let plugin = plugin.parse().map_err(|_| {
                let text = format!("the filter {plugin:?} is no name of a plugin");
                Error::new(ErrorKind::InvalidRequest, text)
            })?;
            call.metadata_mut().insert(FILTER_METADATA, plugin);
            let settings = MetadataValue::from_bytes(settings.as_bytes());
            call.metadata_mut().insert_bin(FILTER_SETTINGS_METADATA, settings);
        }
        if self.on_trimmed == OnTrimmed::Fail {
            let error = MetadataValue::from_static("error");
            call.metadata_mut().insert(ON_TRIMMED_METADATA, error);
        }
        Ok(call)
    }
}

/// Settings of a subscription.
pub struct SubscribeBuilder {
    client: Client,
    wanted: Wanted,
    resume_time: Duration,
    on_loss: Option<OnLoss>,
}

type OnLoss = Box<dyn Fn(&Error) + Send>;

/// The records of a partition. Ends with `None` at its stop position, and after an error.
///
/// A connection that is lost is opened again, behind the last record, for as long as the builder says.
pub struct Subscription {
    client: Client,
    wanted: Wanted,
    state: State,
    next: Option<i64>,
    resume_time: Duration,
    on_loss: Option<OnLoss>,
}

/// The messages of a call; none when there is nothing to deliver.
type Opened = Option<Streaming<api::Message>>;

enum State {
    Open(Box<Streaming<api::Message>>),
    Opening(Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send>>),
    Ended,
}

impl SubscribeBuilder {
    pub(crate) fn new(client: Client, stream: String) -> Self {
        Self {
            client,
            wanted: Wanted {
                request: api::SubscribeRequest {
                    stream,
                    ..Default::default()
                },
                ..Wanted::default()
            },
            resume_time: RESUME_TIME,
            on_loss: None,
        }
    }

    /// For how long a lost connection is opened again; 30 s unless set.
    #[must_use]
    pub fn resume_for(mut self, time: Duration) -> Self {
        self.resume_time = time;
        self
    }

    /// Calls this when the connection is lost, before it is opened again.
    #[must_use]
    pub fn on_loss(mut self, call: impl Fn(&Error) + Send + 'static) -> Self {
        self.on_loss = Some(Box::new(call));
        self
    }

    /// Chooses the partition; 0 unless set.
    #[must_use]
    pub fn partition(mut self, partition: u32) -> Self {
        self.wanted.request.partition = partition as i32;
        self
    }

    /// Sets where it starts.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        let wire = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
        let position = match start {
            Start::New => api::StartPosition::NewOnly,
            Start::Earliest => api::StartPosition::Earliest,
            Start::Latest => api::StartPosition::Latest,
            Start::Offset(offset) => {
                self.wanted.request.start_offset = wire(offset);
                api::StartPosition::Offset
            }
            Start::Time(time) => {
                self.wanted.request.start_timestamp = time;
                api::StartPosition::Timestamp
            }
        };
        self.wanted.request.start_position = position.into();
        self
    }

    /// Sets where it ends.
    #[must_use]
    pub fn stop(mut self, stop: Stop) -> Self {
        let position = match stop {
            Stop::Never => api::StopPosition::StopOnCancel,
            Stop::Latest => api::StopPosition::StopLatest,
            Stop::Offset(offset) => {
                self.wanted.request.stop_offset = i64::try_from(offset).unwrap_or(i64::MAX);
                api::StopPosition::StopOffset
            }
            Stop::Time(time) => {
                self.wanted.request.stop_timestamp = time;
                api::StopPosition::StopTimestamp
            }
        };
        self.wanted.request.stop_position = position.into();
        self
    }

    /// Reads from newest to oldest. Such a subscription is not opened again when its connection is lost.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.wanted.request.reverse = true;
        self
    }

    /// Sets what happens when the next record was removed.
    #[must_use]
    pub fn on_trimmed(mut self, on_trimmed: OnTrimmed) -> Self {
        self.wanted.on_trimmed = on_trimmed;
        self
    }

    /// Delivers only the records that a plugin passes. Liftbridge does not know this and delivers all.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.wanted.filter = Some(filter);
        self
    }

    /// Delivers what is stored, whatever filters the stream has for its subscribers. For callers that may use
    /// [`Client::admin`], others get [`ErrorKind::PermissionDenied`]. Liftbridge does not know this and has no filters.
    #[must_use]
    pub fn unfiltered(mut self) -> Self {
        self.wanted.unfiltered = true;
        self
    }

    /// Opens the subscription.
    ///
    /// # Errors
    ///
    /// There is no such partition or plugin, its positions name nothing, or no server answers.
    pub async fn open(mut self) -> Result<Subscription, Error> {
        if self.wanted.request.start_position() == api::StartPosition::NewOnly && !self.wanted.request.reverse
        {
            // Said as an offset, so that nothing is missed if the connection is lost before the first record.
            let partition = u32::try_from(self.wanted.request.partition).unwrap_or(0);
            let end = self
                .client
                .partition(&self.wanted.request.stream, partition)
                .await?
                .end;
            self = self.start(Start::Offset(end));
        }
        let state = match open(self.client.clone(), self.wanted.clone()).await? {
            Some(messages) => State::Open(Box::new(messages)),
            None => State::Ended,
        };
        Ok(Subscription {
            client: self.client,
            wanted: self.wanted,
            state,
            next: None,
            resume_time: self.resume_time,
            on_loss: self.on_loss,
        })
    }
}

/// What servers say with RESOURCE_EXHAUSTED when there is nothing more to deliver; other causes are errors.
const ENDS: [&str; 3] = [
    "Stop offset reached",
    "Stream is empty",
    "End of readonly partition",
];

/// What servers say when no record lies between the start and a stop time: that is no error of who asks.
const NOTHING_BETWEEN: [&str; 2] = [
    "no record at or before the stop time",
    "Stop offset is before start offset",
];

/// Whether a subscription is over as it should be: its stop position is reached, there is nothing up to it, or a reverse read
/// has come to the oldest record.
fn is_end(request: &api::SubscribeRequest, status: &tonic::Status) -> bool {
    let text = status.message();
    match status.code() {
        Code::ResourceExhausted => ENDS.iter().any(|end| text.contains(end)),
        Code::Unknown => request.reverse && text == "EOF",
        Code::Internal | Code::InvalidArgument
            if request.stop_position() == api::StopPosition::StopTimestamp =>
        {
            NOTHING_BETWEEN.iter().any(|nothing| text.contains(nothing))
        }
        _ => false,
    }
}

/// Whether the record at the stop offset has been delivered: however the call ended, there is nothing to resume.
fn is_past_stop(request: &api::SubscribeRequest, next: Option<i64>) -> bool {
    let stop = request.stop_offset;
    request.stop_position() == api::StopPosition::StopOffset && next.is_some_and(|next| next > stop)
}

/// Opens the call and takes its handshake; none when there is nothing to deliver.
async fn open(client: Client, wanted: Wanted) -> Result<Opened, Error> {
    let request = &wanted.request;
    let partition = u32::try_from(request.partition).unwrap_or(0);
    let mut api = client.leader(&request.stream, partition).await?;
    let call = wanted.call(&client)?;
    let opened = async {
        let mut messages = api.subscribe(call).await?.into_inner();
        Ok(messages.message().await?.map(|_| messages))
    };
    match opened.await {
        Ok(Some(messages)) => Ok(Some(messages)),
        Ok(None) => Err(Error::new(
            ErrorKind::Other,
            "the subscription ended before it began",
        )),
        Err(status) if is_end(request, &status) => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// Opens the call again until it works, the time is over, or an error says that it never will.
async fn resume(client: Client, wanted: Wanted, time: Duration) -> Result<Opened, Error> {
    let start = Instant::now();
    loop {
        match open(client.clone(), wanted.clone()).await {
            Err(error) if error.is_retryable() && start.elapsed() < time => {
                tokio::time::sleep(RESUME_PAUSE).await;
            }
            other => return other,
        }
    }
}

impl Subscription {
    /// Offset behind the last record that was delivered or kept back by a filter; none as long as there was none. Of a reverse
    /// subscription: behind the oldest.
    pub fn position(&self) -> Option<u64> {
        self.next.and_then(|next| u64::try_from(next).ok())
    }

    /// The record of a message; none if it only tells of progress.
    fn take(&mut self, message: api::Message) -> Option<Record> {
        self.next = Some(message.offset.saturating_add(1));
        let is_progress = message.headers.contains_key(PROGRESS_HEADER) && message.subject.is_empty();
        (!is_progress).then(|| message.into())
    }

    /// What to do at the end of a call: open it again, end, or tell the error.
    fn ended(&mut self, status: tonic::Status) -> Option<Error> {
        if is_end(&self.wanted.request, &status) || is_past_stop(&self.wanted.request, self.next) {
            self.state = State::Ended;
            return None;
        }
        let error = Error::from(status);
        if error.kind() != ErrorKind::Unavailable || self.wanted.request.reverse {
            self.state = State::Ended;
            return Some(error);
        }
        if let Some(on_loss) = &self.on_loss {
            on_loss(&error);
        }
        if let Some(next) = self.next {
            self.wanted.request.start_position = api::StartPosition::Offset.into();
            self.wanted.request.start_offset = next;
        }
        let resumed = resume(self.client.clone(), self.wanted.clone(), self.resume_time);
        self.state = State::Opening(Box::pin(resumed));
        None
    }
}

impl Stream for Subscription {
    type Item = Result<Record, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Opening(opening) => match std::task::ready!(opening.as_mut().poll(context)) {
                    Ok(Some(messages)) => self.state = State::Open(Box::new(messages)),
                    Ok(None) => self.state = State::Ended,
                    Err(error) => {
                        self.state = State::Ended;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                State::Open(messages) => match std::task::ready!(Pin::new(messages).poll_next(context)) {
                    Some(Ok(message)) => {
                        if let Some(record) = self.take(message) {
                            return Poll::Ready(Some(Ok(record)));
                        }
                    }
                    Some(Err(status)) => {
                        if let Some(error) = self.ended(status) {
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                    None => self.state = State::Ended,
                },
            }
        }
    }
}

impl std::fmt::Debug for SubscribeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubscribeBuilder")
            .field("wanted", &self.wanted)
            .field("resume_time", &self.resume_time)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("wanted", &self.wanted)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn stopping(stop: api::StopPosition) -> api::SubscribeRequest {
        api::SubscribeRequest {
            stop_position: stop.into(),
            stop_offset: 7,
            ..Default::default()
        }
    }

    #[test]
    fn a_time_without_records_is_an_end_and_a_wrong_offset_an_error() {
        let (time, offset) = (
            stopping(api::StopPosition::StopTimestamp),
            stopping(api::StopPosition::StopOffset),
        );
        let before = Status::invalid_argument("Stop offset is before start offset: 3 < 4");
        let nothing =
            Status::internal("Failed to lookup offset for timestamp: no record at or before the stop time");
        assert!(is_end(&time, &before) && is_end(&time, &nothing));
        assert!(!is_end(&offset, &before) && !is_end(&offset, &nothing));
        for other in [
            Status::internal("the log failed"),
            Status::invalid_argument("Unknown StopPosition 9"),
        ] {
            assert!(!is_end(&time, &other), "{other}");
        }
    }

    #[test]
    fn the_loss_of_a_connection_behind_the_stop_offset_is_its_end() {
        let offset = stopping(api::StopPosition::StopOffset);
        assert!(
            is_past_stop(&offset, Some(8)) && !is_past_stop(&offset, Some(7)) && !is_past_stop(&offset, None)
        );
        assert!(!is_past_stop(&stopping(api::StopPosition::StopOnCancel), Some(8)));
    }
}
