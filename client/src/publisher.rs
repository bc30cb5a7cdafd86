//! Publishing many messages.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use strandline_proto::api;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::message::{Ack, AckPolicy, Message};
use crate::partition::{Partitioner, Partitioning};

/// Settings of a publisher.
#[derive(Debug)]
pub struct PublisherBuilder {
    client: Client,
    stream: String,
    window: u32,
    partitioning: Partitioning,
}

/// Publishes messages to a stream with up to a window of them in flight. Order is kept for each partition.
#[derive(Debug)]
pub struct Publisher {
    client: Client,
    stream: String,
    window: u32,
    partitioner: Partitioner,
    permits: Arc<Semaphore>,
    session: Option<Session>,
    next_id: u64,
}

#[derive(Debug)]
struct Session {
    requests: mpsc::Sender<api::PublishRequest>,
    in_flight: Arc<InFlight>,
    reader: JoinHandle<Result<(), Error>>,
}

/// Messages whose answer is to come, by correlation id.
#[derive(Debug, Default)]
struct InFlight {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    by_id: HashMap<String, (oneshot::Sender<Result<Ack, Error>>, OwnedSemaphorePermit)>,
    lost: bool,
    /// The first refusal of a message without ack.
    unheard: Option<Error>,
}

/// The ack of a message, once it is there. Dropping it forgets the ack, not the message.
#[derive(Debug)]
pub struct PendingAck {
    answer: oneshot::Receiver<Result<Ack, Error>>,
}

impl Future for PendingAck {
    type Output = Result<Ack, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer)
            .poll(context)
            .map(|answer| answer.unwrap_or_else(|_| Err(Error::lost())))
    }
}

impl PublisherBuilder {
    pub(crate) fn new(client: Client, stream: String) -> Self {
        Self {
            client,
            stream,
            window: 1000,
            partitioning: Partitioning::default(),
        }
    }

    /// Messages that may be in flight; 1,000 unless set.
    #[must_use]
    pub fn window(mut self, messages: u32) -> Self {
        self.window = messages.max(1);
        self
    }

    /// How messages are spread over partitions.
    #[must_use]
    pub fn partitioning(mut self, partitioning: Partitioning) -> Self {
        self.partitioning = partitioning;
        self
    }

    /// Opens the publisher.
    ///
    /// # Errors
    ///
    /// There is no such stream, or no server answers.
    pub async fn open(self) -> Result<Publisher, Error> {
        let metadata = self.client.metadata().await?;
        let missing = || Error::new(ErrorKind::NotFound, format!("no such stream: {}", self.stream));
        let partitions = metadata
            .streams
            .get(&self.stream)
            .ok_or_else(missing)?
            .partitions
            .len();
        Ok(Publisher {
            client: self.client,
            stream: self.stream,
            window: self.window,
            partitioner: Partitioner::new(self.partitioning, u32::try_from(partitions).unwrap_or(u32::MAX)),
            permits: Arc::new(Semaphore::new(self.window as usize)),
            session: None,
            next_id: 0,
        })
    }
}

impl Publisher {
    /// Sends a message once there is room in the window; the handle tells its ack. With [`AckPolicy::None`] the handle
    /// resolves when the message is handed over.
    ///
    /// Cancel safety: a cancelled call may have sent the message.
    ///
    /// # Errors
    ///
    /// No server answers; the message was not sent then.
    pub async fn send(&mut self, message: Message) -> Result<PendingAck, Error> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| Error::lost())?;
        let silent = message.policy == AckPolicy::None;
        let partition = self.partitioner.choose(&message);
        self.next_id += 1;
        let id = self.next_id.to_string();
        let request = message.into_request(&self.stream, partition, id.clone());
        let (sender, answer) = oneshot::channel();
        let stream = self.stream.clone();
        let session = self.session().await?;
        if silent {
            // The receiver is in this function.
            let _ = sender.send(Ok(Ack {
                stream,
                subject: String::new(),
                offset: None,
            }));
        } else {
            session.in_flight.add(id.clone(), sender, permit)?;
        }
        if session.requests.send(request).await.is_err() {
            session.in_flight.answer(&id, Err(Error::lost()));
        }
        Ok(PendingAck { answer })
    }

    /// Waits until nothing is in flight. What became of each message is told by its own handle.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// None today; the signature leaves room.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.permits
            .acquire_many(self.window)
            .await
            .map(drop)
            .map_err(|_| Error::lost())
    }

    /// Waits until the server has taken everything that was sent, messages without ack too, and ends the connection.
    ///
    /// Cancel safety: messages that were sent may be stored or not.
    ///
    /// # Errors
    ///
    /// The connection was lost before the server had taken everything, or a message without ack was refused: the first
    /// reason. What became of messages with an ack is told by their handles.
    pub async fn close(mut self) -> Result<(), Error> {
        self.flush().await?;
        let Some(mut session) = self.session.take() else {
            return Ok(());
        };
        // The server ends its side once it is done with what it got.
        session.requests = mpsc::channel(1).0;
        let ended = (&mut session.reader).await.unwrap_or_else(|_| Err(Error::lost()));
        let unheard = session.in_flight.lock().unheard.take();
        unheard.map_or(ended, Err)
    }

    /// The open session; a new one if the connection was lost.
    async fn session(&mut self) -> Result<&Session, Error> {
        let usable = self
            .session
            .take()
            .filter(|session| !session.in_flight.lock().lost);
        let session = match usable {
            Some(session) => session,
            None => Session::open(&self.client, self.window).await?,
        };
        Ok(self.session.insert(session))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reader.abort();
        self.in_flight.lose();
    }
}

impl Session {
    async fn open(client: &Client, window: u32) -> Result<Self, Error> {
        let (requests, receiver) = mpsc::channel(window as usize);
        let mut api = client.any()?;
        let mut responses = api
            .publish_async(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        let in_flight = Arc::new(InFlight::default());
        let answers = Arc::clone(&in_flight);
        let reader = tokio::spawn(async move {
            let ended = loop {
                match responses.message().await {
                    Ok(Some(response)) => answers.take(response),
                    Ok(None) => break Ok(()),
                    Err(status) => break Err(Error::from(status)),
                }
            };
            answers.lose();
            ended
        });
        Ok(Self {
            requests,
            in_flight,
            reader,
        })
    }
}

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that holds the lock can leave it half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(
        &self,
        id: String,
        sender: oneshot::Sender<Result<Ack, Error>>,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), Error> {
        let mut waiting = self.lock();
        if waiting.lost {
            return Err(Error::new(ErrorKind::Unavailable, "the connection is lost"));
        }
        waiting.by_id.insert(id, (sender, permit));
        Ok(())
    }

    fn take(&self, response: api::PublishResponse) {
        let outcome = match response.async_error {
            Some(error) => Err(async_error(error)),
            None => match response.ack {
                Some(ack) => Ok(ack.into()),
                None => return,
            },
        };
        self.answer(&response.correlation_id, outcome);
    }

    fn answer(&self, id: &str, outcome: Result<Ack, Error>) {
        let mut waiting = self.lock();
        match waiting.by_id.remove(id) {
            Some((sender, _permit)) => {
                drop(waiting);
                // The caller may not be interested.
                let _ = sender.send(outcome);
            }
            None => {
                if let Err(error) = outcome {
                    waiting.unheard.get_or_insert(error);
                }
            }
        }
    }

    fn lose(&self) {
        let mut waiting = self.lock();
        waiting.lost = true;
        let lost = std::mem::take(&mut waiting.by_id);
        drop(waiting);
        for (sender, _permit) in lost.into_values() {
            let _ = sender.send(Err(Error::lost()));
        }
    }
}

fn async_error(error: api::PublishAsyncError) -> Error {
    use api::publish_async_error::Code;
    let kind = match Code::try_from(error.code) {
        Ok(Code::BadRequest) if error.message.contains("exceeds max replication size") => ErrorKind::TooLarge,
        Ok(Code::BadRequest) => ErrorKind::InvalidRequest,
        Ok(Code::NotFound) => ErrorKind::NotFound,
        Ok(Code::Readonly) => ErrorKind::Readonly,
        Ok(Code::IncorrectOffset) => ErrorKind::IncorrectOffset,
        _ => ErrorKind::Other,
    };
    Error::new(kind, error.message)
}
