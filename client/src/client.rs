//! The client.

use std::sync::Arc;
use std::time::Duration;

use strandline_proto::admin::admin_client::AdminClient;
use strandline_proto::api;
use strandline_proto::api::api_client::ApiClient;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use crate::admin::Admin;
use crate::channels::Channels;
use crate::error::{Error, ErrorKind};
use crate::message::{Ack, AckPolicy, Message};
use crate::metadata::{Metadata, PartitionInfo, StreamInfo};
use crate::publisher::PublisherBuilder;
use crate::stream::{BACKEND_METADATA, StreamConfig};
use crate::subscription::SubscribeBuilder;

/// Request metadata that says for whom a call of the administration is made.
const USER_METADATA: &str = "strandline-user";
/// Tries of a call that finds no server, unless another number is set.
const TRIES: u32 = 5;
/// Pause before the first try again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A client of a cluster. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    servers: Vec<String>,
    channels: Channels,
    timeout: Duration,
    tries: u32,
    /// What admin calls send as `authorization`.
    bearer: Option<MetadataValue<Ascii>>,
    /// For whom admin calls are made.
    user: Option<MetadataValue<Ascii>>,
}

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct Builder {
    servers: Vec<String>,
    ca_pem: Option<Vec<u8>>,
    identity: Option<Identity>,
    domain: Option<String>,
    timeout: Duration,
    connect_timeout: Duration,
    max_message_bytes: usize,
    tries: u32,
    admin_token: Option<String>,
    admin_user: Option<String>,
}

impl Builder {
    /// Adds a server, `host:port`. Without one `localhost:9292` is tried.
    #[must_use]
    pub fn server(mut self, address: impl Into<String>) -> Self {
        self.servers.push(address.into());
        self
    }

    /// Uses TLS and trusts these authorities, PEM.
    #[must_use]
    pub fn tls(mut self, ca_pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem = Some(ca_pem.into());
        self
    }

    /// Shows this certificate and key, PEM.
    #[must_use]
    pub fn client_certificate(mut self, cert_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
        self.identity = Some(Identity::from_pem(cert_pem, key_pem));
        self
    }

    /// Expects this name in the servers' certificates instead of the host that is connected to.
    #[must_use]
    pub fn tls_domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sends this token with the calls of [`Client::admin`], and with no others.
    #[must_use]
    pub fn admin_token(mut self, token: impl Into<String>) -> Self {
        self.admin_token = Some(token.into());
        self
    }

    /// Says with the calls of [`Client::admin`] for whom they are made, which stands in histories beside what the broker knows.
    #[must_use]
    pub fn admin_user(mut self, user: impl Into<String>) -> Self {
        self.admin_user = Some(user.into());
        self
    }

    /// Time that a call may take; 5 s unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Time that a connection may take; 5 s unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How often a call goes over all servers, with growing pauses, before it fails because none answers; 5 unless set.
    #[must_use]
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// Largest message that is sent or taken, in bytes; 64 MiB unless set.
    #[must_use]
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// Connects: returns once a server has answered.
    ///
    /// # Errors
    ///
    /// No server answers, or an address, certificate or token is wrong.
    pub async fn connect(self) -> Result<Client, Error> {
        let bearer = self.admin_token.as_deref().map(bearer).transpose()?;
        let tls = self.ca_pem.as_ref().map(|ca| {
            let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
            if let Some(identity) = &self.identity {
                tls = tls.identity(identity.clone());
            }
            if let Some(domain) = &self.domain {
                tls = tls.domain_name(domain.clone());
            }
            tls
        });
        let channels = Channels::new(tls, self.connect_timeout, self.max_message_bytes);
        let mut servers = self.servers;
        if servers.is_empty() {
            servers.push("localhost:9292".to_owned());
        }
        let client = Client {
            inner: Arc::new(Inner {
                servers,
                channels,
                timeout: self.timeout,
                tries: self.tries,
                bearer,
                // A name that cannot be sent is not needed either.
                user: self.admin_user.and_then(|user| user.parse().ok()),
            }),
        };
        client.metadata().await?;
        Ok(client)
    }
}

impl Client {
    /// Settings of a new client.
    pub fn builder() -> Builder {
        Builder {
            servers: Vec::new(),
            ca_pem: None,
            identity: None,
            domain: None,
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            max_message_bytes: 64 << 20,
            tries: TRIES,
            admin_token: None,
            admin_user: None,
        }
    }

    /// The administration of streams.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// Brokers and all streams.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// No server answers.
    pub async fn metadata(&self) -> Result<Metadata, Error> {
        let fetch = |mut api: ApiClient<Channel>| async move {
            api.fetch_metadata(self.request(api::FetchMetadataRequest::default()))
                .await
        };
        self.on_any(fetch).await.map(Into::into)
    }

    /// A stream, each partition as its leader knows it; none if there is no such stream.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// No server answers, or the leader of a partition does not.
    pub async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, Error> {
        let request = api::FetchMetadataRequest {
            streams: vec![name.to_owned()],
            groups: Vec::new(),
        };
        let fetch = |mut api: ApiClient<Channel>| {
            let request = self.request(request.clone());
            async move { api.fetch_metadata(request).await }
        };
        let mut metadata: Metadata = self.on_any(fetch).await.map(Into::into)?;
        let Some(mut stream) = metadata.streams.remove(name) else {
            return Ok(None);
        };
        for (&number, partition) in &mut stream.partitions {
            let leader = metadata.address_of(&partition.leader);
            (*partition, stream.backend) = self.partition_at(leader, name, number).await?;
        }
        Ok(Some(stream))
    }

    /// A partition as its leader knows it.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is no such partition, or its leader does not answer.
    pub async fn partition(&self, stream: &str, partition: u32) -> Result<PartitionInfo, Error> {
        let leader = self.metadata().await?.leader_address(stream, partition);
        let (info, _) = self.partition_at(leader, stream, partition).await?;
        Ok(info)
    }

    async fn partition_at(
        &self,
        leader: Option<String>,
        stream: &str,
        partition: u32,
    ) -> Result<(PartitionInfo, Option<String>), Error> {
        let mut api = self.at(leader.as_deref())?;
        let request = api::FetchPartitionMetadataRequest {
            stream: stream.to_owned(),
            partition: partition as i32,
        };
        let response = api.fetch_partition_metadata(self.request(request)).await?;
        let backend = response.metadata().get(BACKEND_METADATA);
        let backend = backend.and_then(|name| name.to_str().ok()).map(str::to_owned);
        let missing = || Error::new(ErrorKind::Other, "the answer holds no partition");
        let partition = response.into_inner().metadata.ok_or_else(missing)?;
        Ok((partition.into(), backend))
    }

    /// Creates a stream; it can be used when this returns.
    ///
    /// Cancel safety: the stream may have been created.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`], or what is wrong with the settings.
    pub async fn create_stream(&self, config: StreamConfig) -> Result<(), Error> {
        let create = |mut api: ApiClient<Channel>| {
            let request = config.request(self.request(()));
            async move { api.create_stream(request).await }
        };
        self.on_any(create).await.map(|_| ())
    }

    /// Deletes a stream with its data.
    ///
    /// Cancel safety: the stream may have been deleted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn delete_stream(&self, name: &str) -> Result<(), Error> {
        let delete = |mut api: ApiClient<Channel>| {
            let request = self.request(api::DeleteStreamRequest {
                name: name.to_owned(),
            });
            async move { api.delete_stream(request).await }
        };
        self.on_any(delete).await.map(|_| ())
    }

    /// Publishes one message to partition 0, or the message's own, and waits for its ack. With [`AckPolicy::None`] the ack
    /// tells no offset.
    ///
    /// Cancel safety: the message may have been stored.
    ///
    /// # Errors
    ///
    /// [`Error::may_have_taken_effect`] tells whether the message may be stored all the same.
    pub async fn publish(&self, stream: &str, message: Message) -> Result<Ack, Error> {
        let silent = message.policy == AckPolicy::None;
        let partition = message.partition.unwrap_or(0);
        let request = message.into_request(stream, partition, String::new());
        let mut api = self.any()?;
        let response = api.publish(self.request(request)).await?.into_inner();
        let none = Ack {
            stream: stream.to_owned(),
            subject: String::new(),
            offset: None,
        };
        match response.ack {
            Some(ack) => Ok(ack.into()),
            None if silent => Ok(none),
            None => Err(Error::new(ErrorKind::Timeout, "the ack did not come in time").after_send()),
        }
    }

    /// Publishes one message on a NATS subject and waits for the first ack of a stream that recorded it; with
    /// [`AckPolicy::None`] there is none, and nobody need record it.
    ///
    /// Cancel safety: as [`Client::publish`].
    ///
    /// # Errors
    ///
    /// As [`Client::publish`]; [`ErrorKind::Timeout`] also when no stream records the subject.
    pub async fn publish_to_subject(&self, subject: &str, message: Message) -> Result<Option<Ack>, Error> {
        let silent = message.policy == AckPolicy::None;
        let request = message.into_request("", 0, String::new());
        let request = api::PublishToSubjectRequest {
            key: request.key,
            value: request.value,
            subject: subject.to_owned(),
            headers: request.headers,
            ack_policy: request.ack_policy,
            ..Default::default()
        };
        let response = self
            .any()?
            .publish_to_subject(self.request(request))
            .await?
            .into_inner();
        let Some(ack) = response.ack else {
            let unheard = || Error::new(ErrorKind::Timeout, "no stream has answered").after_send();
            return silent.then_some(None).ok_or_else(unheard);
        };
        if ack.ack_error == api::ack::Error::Ok as i32 {
            return Ok(Some(ack.into()));
        }
        Err(Error::of_ack(ack.ack_error()))
    }

    /// A publisher of many messages.
    pub fn publisher(&self, stream: impl Into<String>) -> PublisherBuilder {
        PublisherBuilder::new(self.clone(), stream.into())
    }

    /// A subscription to one partition.
    pub fn subscribe(&self, stream: impl Into<String>) -> SubscribeBuilder {
        SubscribeBuilder::new(self.clone(), stream.into())
    }

    /// A request with the client's deadline.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.inner.timeout);
        request
    }

    /// A request of the administration, with the client's deadline.
    pub(crate) fn admin_request<T>(&self, message: T) -> Request<T> {
        let mut request = self.patient_admin_request(message);
        request.set_timeout(self.inner.timeout);
        request
    }

    /// A request of the administration that takes as long as it takes.
    pub(crate) fn patient_admin_request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.inner.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        if let Some(user) = &self.inner.user {
            request.metadata_mut().insert(USER_METADATA, user.clone());
        }
        request
    }

    /// The administration of the server at an address.
    pub(crate) fn admin_at(&self, address: &str) -> Result<AdminClient<Channel>, Error> {
        self.inner.channels.admin(address)
    }

    /// Some server.
    pub(crate) fn any(&self) -> Result<ApiClient<Channel>, Error> {
        let first = self
            .inner
            .servers
            .first()
            .map_or("localhost:9292", String::as_str);
        self.inner.channels.client(first)
    }

    /// The leader of a partition; some server when it is not known yet.
    pub(crate) async fn leader(&self, stream: &str, partition: u32) -> Result<ApiClient<Channel>, Error> {
        let leader = self.metadata().await?.leader_address(stream, partition);
        self.at(leader.as_deref())
    }

    /// The server at an address; some server when none is known.
    pub(crate) fn at(&self, address: Option<&str>) -> Result<ApiClient<Channel>, Error> {
        match address {
            Some(address) => self.inner.channels.client(address),
            None => self.any(),
        }
    }

    /// Calls one server after another until one answers, with growing pauses.
    async fn on_any<T, F>(&self, call: impl Fn(ApiClient<Channel>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        self.on_each(|server| self.inner.channels.client(server).map(&call))
            .await
    }

    /// As `on_any`, for calls that connect by themselves.
    pub(crate) async fn on_each<T, F>(&self, call: impl Fn(&str) -> Result<F, Error>) -> Result<T, Error>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let mut pause = FIRST_PAUSE;
        let mut last = Error::new(ErrorKind::Unavailable, "there is no server");
        for tried in 0..self.inner.tries {
            if tried > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            for server in &self.inner.servers {
                match call(server)?.await {
                    Ok(response) => return Ok(response.into_inner()),
                    Err(status) => {
                        last = Error::from(status);
                        if last.kind() != ErrorKind::Unavailable {
                            return Err(last);
                        }
                    }
                }
            }
        }
        Err(last)
    }
}

/// A token as `authorization` carries it.
fn bearer(token: &str) -> Result<MetadataValue<Ascii>, Error> {
    let unfit = |_| {
        Error::new(
            ErrorKind::InvalidRequest,
            "the admin token has characters that cannot stand in a header",
        )
    };
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}
