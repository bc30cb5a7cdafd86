//! Checks what a client shows.

use std::sync::Arc;

use hashbrown::HashMap;
use rustls_pki_types::CertificateDer;
use subtle::ConstantTimeEq;

use super::permissions::Permissions;
use super::{mapping, nkey};
use crate::connection::ConnectOptions;
use crate::options::{Authorization, OnlyUser, Options, PermissionRules, Secret};

/// A client that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// Name of the user, for logs; empty without authentication.
    pub(crate) name: String,
    /// What it may do; none = everything.
    pub(crate) permissions: Option<Arc<Permissions>>,
}

/// A client that is not. There is one answer for every reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authorization violation")]
pub(crate) struct Denied;

/// Users or rules that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authorization: {problem}")]
pub(crate) struct InvalidAuthorization {
    problem: String,
}

/// Knows all users.
#[derive(Debug, Default)]
pub(crate) struct Authenticator {
    users: HashMap<String, KnownUser>,
    nkeys: HashMap<String, KnownKey>,
    only_user: Option<OnlyUser>,
    token: Option<Secret>,
    anonymous: Option<Identity>,
    maps_certificates: bool,
    always_nonce: bool,
}

#[derive(Debug)]
struct KnownUser {
    password: Secret,
    identity: Identity,
}

#[derive(Debug)]
struct KnownKey {
    key: ed25519_dalek::VerifyingKey,
    identity: Identity,
}

impl Authenticator {
    /// Takes the users from the settings.
    ///
    /// # Errors
    ///
    /// Says which user, key or rule is wrong.
    pub(crate) fn from_options(options: &Options) -> Result<Self, InvalidAuthorization> {
        Self::compile(options).map_err(|problem| InvalidAuthorization { problem })
    }

    fn compile(options: &Options) -> Result<Self, String> {
        let authorization = &options.authorization;
        let mut authenticator = Self {
            only_user: authorization.only_user.clone(),
            token: authorization.token.clone(),
            maps_certificates: options.tls.as_ref().is_some_and(|tls| tls.verify_and_map),
            always_nonce: authorization.always_nonce,
            ..Self::default()
        };
        authenticator.add_users(authorization)?;
        if let Some(name) = &authorization.no_auth_user {
            let user = authenticator.users.get(name).map(|user| user.identity.clone());
            let user = user.or_else(|| authenticator.nkeys.get(name).map(|user| user.identity.clone()));
            authenticator.anonymous =
                Some(user.ok_or_else(|| format!("no_auth_user is none of the users: {name:?}"))?);
        }
        Ok(authenticator)
    }

    fn add_users(&mut self, authorization: &Authorization) -> Result<(), String> {
        let defaults = authorization.default_permissions.as_ref();
        let defaults = defaults.map(compile).transpose()?;
        for user in &authorization.users {
            let identity = identity(&user.name, user.permissions.as_ref(), defaults.as_ref())?;
            let known = KnownUser {
                password: user.password.clone(),
                identity,
            };
            if self.users.insert(user.name.clone(), known).is_some() {
                return Err(format!("user is defined twice: {:?}", user.name));
            }
        }
        for user in &authorization.nkeys {
            let key = nkey::user_key(&user.nkey)
                .ok_or_else(|| format!("not a public user nkey: {:?}", user.nkey))?;
            let identity = identity(&user.nkey, user.permissions.as_ref(), defaults.as_ref())?;
            if self
                .nkeys
                .insert(user.nkey.clone(), KnownKey { key, identity })
                .is_some()
            {
                return Err(format!("nkey is defined twice: {:?}", user.nkey));
            }
        }
        Ok(())
    }

    /// Whether any credentials are set up.
    pub(crate) fn is_configured(&self) -> bool {
        self.only_user.is_some() || self.token.is_some() || self.has_list()
    }

    fn has_list(&self) -> bool {
        !(self.users.is_empty() && self.nkeys.is_empty())
    }

    /// Whether a client without credentials is refused.
    pub(crate) fn is_required(&self) -> bool {
        self.is_configured() && self.anonymous.is_none()
    }

    /// Whether clients need a nonce to sign.
    fn needs_nonce(&self) -> bool {
        self.always_nonce || !self.nkeys.is_empty()
    }

    /// A nonce for one connection to sign, if clients need one.
    pub(crate) fn new_nonce(&self) -> Option<String> {
        let mut bytes = [0; 11];
        // Without randomness there is no nonce, and nobody can sign in with a key.
        let random = self.needs_nonce().then(|| getrandom::fill(&mut bytes));
        random?
            .ok()
            .map(|()| data_encoding::BASE64URL_NOPAD.encode(&bytes))
    }

    /// The user that clients without credentials are.
    pub(crate) fn anonymous(&self) -> Option<Identity> {
        self.anonymous.clone()
    }

    /// Finds out who a client is.
    ///
    /// # Errors
    ///
    /// It is nobody.
    pub(crate) fn authenticate(
        &self,
        options: &ConnectOptions,
        nonce: Option<&str>,
        certificates: &[CertificateDer<'_>],
    ) -> Result<Identity, Denied> {
        if !self.is_configured() {
            return Ok(Identity::default());
        }
        if self.maps_certificates && self.has_list() {
            return self.mapped(certificates).ok_or(Denied);
        }
        let shows_nothing = options.user.is_none()
            && options.pass.is_none()
            && options.auth_token.is_none()
            && options.nkey.is_none();
        if shows_nothing {
            return self.anonymous().ok_or(Denied);
        }
        if let Some(key) = &options.nkey {
            return self.signed(key, options.sig.as_deref(), nonce);
        }
        self.with_token(options)
            .or_else(|| self.with_password(options))
            .ok_or(Denied)
    }

    fn mapped(&self, certificates: &[CertificateDer<'_>]) -> Option<Identity> {
        let names = mapping::names(certificates.first()?);
        names
            .iter()
            .find_map(|name| self.users.get(name))
            .map(|user| user.identity.clone())
    }

    fn signed(&self, key: &str, signature: Option<&str>, nonce: Option<&str>) -> Result<Identity, Denied> {
        let user = self.nkeys.get(key).ok_or(Denied)?;
        let (signature, nonce) = signature.zip(nonce).ok_or(Denied)?;
        if nkey::is_signed(&user.key, nonce, signature) {
            Ok(user.identity.clone())
        } else {
            Err(Denied)
        }
    }

    /// Some clients show the token as a user without a password.
    fn with_token(&self, options: &ConnectOptions) -> Option<Identity> {
        let token = self.token.as_ref()?;
        let alone = options.user.as_ref().filter(|_| options.pass.is_none());
        let shown = options.auth_token.as_ref().or(alone)?;
        is_same(token, shown).then(Identity::default)
    }

    fn with_password(&self, options: &ConnectOptions) -> Option<Identity> {
        let name = options.user.as_ref()?;
        let shown = options.pass.as_deref().unwrap_or_default();
        if let Some(user) = self.only_user.as_ref().filter(|user| user.name == *name) {
            let identity = Identity {
                name: name.clone(),
                permissions: None,
            };
            return is_same(&user.password, shown).then_some(identity);
        }
        let user = self.users.get(name)?;
        is_same(&user.password, shown).then(|| user.identity.clone())
    }
}

fn identity(
    name: &str,
    own: Option<&PermissionRules>,
    defaults: Option<&Arc<Permissions>>,
) -> Result<Identity, String> {
    let own = own.map(compile).transpose()?;
    Ok(Identity {
        name: name.to_owned(),
        permissions: own.or_else(|| defaults.cloned()),
    })
}

fn compile(rules: &PermissionRules) -> Result<Arc<Permissions>, String> {
    let permissions =
        Permissions::new(rules).map_err(|rule| format!("not a subject in permissions: {rule:?}"))?;
    Ok(Arc::new(permissions))
}

fn is_same(secret: &Secret, shown: &str) -> bool {
    if secret.is_hash() {
        return bcrypt::verify(shown, secret.expose()).unwrap_or(false);
    }
    secret.expose().as_bytes().ct_eq(shown.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{NkeyUser, User};

    fn user(name: &str, password: &str) -> User {
        User {
            name: name.into(),
            password: Secret::new(password),
            permissions: None,
        }
    }

    fn authenticator(authorization: Authorization) -> Authenticator {
        Authenticator::from_options(&Options {
            authorization,
            ..Options::default()
        })
        .unwrap()
    }

    fn connect(user: &str, pass: &str) -> ConnectOptions {
        ConnectOptions {
            user: Some(user.into()),
            pass: Some(pass.into()),
            ..ConnectOptions::default()
        }
    }

    fn allows(authenticator: &Authenticator, options: &ConnectOptions) -> bool {
        authenticator.authenticate(options, Some("nonce"), &[]).is_ok()
    }

    #[test]
    fn users_are_known_by_plain_and_hashed_passwords() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let users = vec![user("plain", "secret"), user("hashed", &hash)];
        let authenticator = authenticator(Authorization {
            users,
            ..Authorization::default()
        });
        for name in ["plain", "hashed"] {
            assert!(allows(&authenticator, &connect(name, "secret")));
            assert!(!allows(&authenticator, &connect(name, "wrong")));
            assert!(!allows(&authenticator, &connect(name, "")));
        }
        assert!(!allows(&authenticator, &connect("nobody", "secret")));
        assert!(!allows(&authenticator, &ConnectOptions::default()));
    }

    #[test]
    fn a_token_may_be_shown_as_a_user() {
        let authenticator = authenticator(Authorization {
            token: Some(Secret::new("t0k")),
            ..Authorization::default()
        });
        let token = |text: &str| ConnectOptions {
            auth_token: Some(text.into()),
            ..ConnectOptions::default()
        };
        assert!(allows(&authenticator, &token("t0k")) && !allows(&authenticator, &token("bad")));
        let as_user = ConnectOptions {
            user: Some("t0k".into()),
            ..ConnectOptions::default()
        };
        assert!(allows(&authenticator, &as_user));
    }

    #[test]
    fn a_key_has_to_sign_this_connections_nonce() {
        let pair = nkeys::KeyPair::new_user();
        let nkeys = vec![NkeyUser {
            nkey: pair.public_key(),
            permissions: None,
        }];
        let authenticator = authenticator(Authorization {
            nkeys,
            users: vec![user("a", "b")],
            ..Authorization::default()
        });
        assert!(authenticator.needs_nonce());
        let signed = |text: &[u8]| ConnectOptions {
            nkey: Some(pair.public_key()),
            sig: Some(data_encoding::BASE64URL_NOPAD.encode(&pair.sign(text).unwrap())),
            ..ConnectOptions::default()
        };
        assert!(allows(&authenticator, &signed(b"nonce")) && !allows(&authenticator, &signed(b"other")));
        assert!(allows(&authenticator, &connect("a", "b")));
    }

    #[test]
    fn clients_without_credentials_become_the_user_that_is_named_for_them() {
        let users = vec![user("guest", "x")];
        let options = Authorization {
            users: users.clone(),
            no_auth_user: Some("guest".into()),
            ..Authorization::default()
        };
        let authenticator = authenticator(options);
        assert_eq!(
            authenticator
                .authenticate(&ConnectOptions::default(), None, &[])
                .unwrap()
                .name,
            "guest"
        );
        assert!(!authenticator.is_required() && !allows(&authenticator, &connect("guest", "wrong")));
        let wrong = Authorization {
            users,
            no_auth_user: Some("nobody".into()),
            ..Authorization::default()
        };
        assert!(
            Authenticator::from_options(&Options {
                authorization: wrong,
                ..Options::default()
            })
            .is_err()
        );
    }

    #[test]
    fn passwords_do_not_show_in_debug_output() {
        let text = format!("{:?}", user("a", "hunter2"));
        assert!(!text.contains("hunter2"), "{text}");
    }
}
