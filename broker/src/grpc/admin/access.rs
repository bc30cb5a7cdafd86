//! Who may call the administration, until there is authorization.

use std::net::IpAddr;

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};
use subtle::ConstantTimeEq;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

use crate::settings::Secret;

/// What opens the administration.
#[derive(Clone, Debug)]
pub(in crate::grpc) struct Access {
    token: Option<Secret>,
}

/// What is known of who calls.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::grpc) struct Caller<'a> {
    /// Where the connection comes from.
    pub(super) address: Option<IpAddr>,
    /// Whether the connection showed a certificate; one that was not verified gets no connection.
    pub(super) has_certificate: bool,
    /// What the request says of itself, in `authorization`.
    pub(super) authorization: Option<&'a [u8]>,
}

impl<'a> Caller<'a> {
    /// Who makes a request, by what is known of its connection and stands in its metadata.
    pub(in crate::grpc) fn of(extensions: &Extensions, metadata: &'a HeaderMap) -> Self {
        let plain = extensions.get::<TcpConnectInfo>();
        let tls = extensions.get::<TlsConnectInfo<TcpConnectInfo>>();
        let address = plain.or(tls.map(TlsConnectInfo::get_ref));
        Self {
            address: address
                .and_then(TcpConnectInfo::remote_addr)
                .map(|address| address.ip()),
            has_certificate: tls
                .and_then(TlsConnectInfo::peer_certs)
                .is_some_and(|certificates| !certificates.is_empty()),
            authorization: metadata.get(AUTHORIZATION).map(HeaderValue::as_bytes),
        }
    }
}

/// Why a caller is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::grpc) enum Denied {
    /// It is nobody in particular.
    #[error(
        "the administration answers callers on this machine (a loopback address), with a client certificate, or with the \
         token of admin.token in `authorization: Bearer TOKEN`"
    )]
    Stranger,
    /// It sent another token, which is no way in from anywhere.
    #[error("the token in `authorization` is not that of admin.token")]
    WrongToken,
}

impl Access {
    /// With this token, if there is one.
    pub(in crate::grpc) fn new(token: Option<Secret>) -> Self {
        Self { token }
    }

    /// Decides on a caller.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub(in crate::grpc) fn check(&self, caller: &Caller<'_>) -> Result<(), Denied> {
        if let Some((token, sent)) = self.token.as_ref().zip(caller.authorization) {
            return if is_bearer_of(token, sent) {
                Ok(())
            } else {
                Err(Denied::WrongToken)
            };
        }
        let is_local = caller
            .address
            .is_some_and(|address| address.to_canonical().is_loopback());
        if caller.has_certificate || is_local {
            return Ok(());
        }
        Err(Denied::Stranger)
    }
}

/// Takes as long whichever of the token's bytes are right.
fn is_bearer_of(token: &Secret, sent: &[u8]) -> bool {
    const SCHEME: &[u8] = b"bearer ";
    let Some((scheme, sent)) = sent.split_at_checked(SCHEME.len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(SCHEME) && bool::from(sent.ct_eq(token.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn from(address: &str) -> Caller<'static> {
        Caller {
            address: Some(address.parse().unwrap()),
            ..Caller::default()
        }
    }

    #[test]
    fn callers_on_this_machine_need_nothing() {
        let access = Access::new(None);
        for address in ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(access.check(&from(address)), Ok(()), "{address}");
        }
    }

    #[test]
    fn callers_from_elsewhere_are_strangers() {
        for access in [Access::new(None), Access::new(Some(Secret::new(TOKEN)))] {
            for address in ["10.0.0.1", "192.168.0.1", "::ffff:10.0.0.1", "fe80::1", "0.0.0.0"] {
                assert_eq!(access.check(&from(address)), Err(Denied::Stranger), "{address}");
            }
            assert_eq!(access.check(&Caller::default()), Err(Denied::Stranger));
        }
    }

    #[test]
    fn a_certificate_or_the_token_lets_them_in() {
        let certified = Caller {
            has_certificate: true,
            ..from("10.0.0.1")
        };
        assert_eq!(Access::new(None).check(&certified), Ok(()));
        let access = Access::new(Some(Secret::new(TOKEN)));
        for text in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef"] {
            let bearer = Caller {
                authorization: Some(text.as_bytes()),
                ..from("10.0.0.1")
            };
            assert_eq!(access.check(&bearer), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_wrong_token_is_refused_wherever_it_comes_from() {
        let access = Access::new(Some(Secret::new(TOKEN)));
        for text in [
            "",
            "Bearer ",
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789abcde",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            let wrong = Caller {
                authorization: Some(text.as_bytes()),
                has_certificate: true,
                ..from("127.0.0.1")
            };
            assert_eq!(access.check(&wrong), Err(Denied::WrongToken), "{text}");
        }
    }

    #[test]
    fn without_a_token_in_the_configuration_none_is_looked_at() {
        let sent = |address| Caller {
            authorization: Some(b"Bearer x"),
            ..from(address)
        };
        let access = Access::new(None);
        assert_eq!(access.check(&sent("127.0.0.1")), Ok(()));
        assert_eq!(access.check(&sent("10.0.0.1")), Err(Denied::Stranger));
    }
}
