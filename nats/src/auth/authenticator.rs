//! Checks what a client shows.

use std::sync::Arc;

use hashbrown::HashMap;
use rustls_pki_types::CertificateDer;
use subtle::ConstantTimeEq;

use super::distinguished_name::DistinguishedName;
use super::mapping::CertificateNames;
use super::nkey;
use super::permissions::Permissions;
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
    no_auth_user: Option<NoAuthUser>,
    /// Whether a certificate says which of the users its owner is.
    maps_certificates: bool,
    /// The users who are named like the subject of a certificate.
    subjects: Vec<(DistinguishedName, String)>,
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

/// The user that clients without credentials are.
#[derive(Clone, Debug)]
enum NoAuthUser {
    /// Also before they CONNECT.
    Named(Identity),
    /// As in nats-server, only with a CONNECT.
    Key(Identity),
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
            authenticator.no_auth_user = authenticator.no_auth_user(name);
            if authenticator.no_auth_user.is_none() {
                return Err(format!("no_auth_user is none of the users: {name:?}"));
            }
        }
        Ok(authenticator)
    }

    fn no_auth_user(&self, name: &str) -> Option<NoAuthUser> {
        let named = self.users.get(name);
        let named = named.map(|user| NoAuthUser::Named(user.identity.clone()));
        let key = || self.nkeys.get(name);
        named.or_else(|| key().map(|user| NoAuthUser::Key(user.identity.clone())))
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
            if let Some(subject) = DistinguishedName::parse(&user.name) {
                self.subjects.push((subject, user.name.clone()));
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
        let has_list = !(self.users.is_empty() && self.nkeys.is_empty());
        self.only_user.is_some() || self.token.is_some() || has_list
    }

    /// Whether a client without credentials is refused.
    pub(crate) fn is_required(&self) -> bool {
        self.is_configured() && self.no_auth_user.is_none()
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

    /// Who a client is before it says CONNECT; none without authentication.
    ///
    /// # Errors
    ///
    /// It has to CONNECT first.
    pub(crate) fn newcomer(&self, certificates: &[CertificateDer<'_>]) -> Result<Option<Identity>, Denied> {
        if !self.is_configured() {
            return Ok(None);
        }
        let Some(NoAuthUser::Named(identity)) = &self.no_auth_user else {
            return Err(Denied);
        };
        if !self.maps_certificates {
            return Ok(Some(identity.clone()));
        }
        let user = self.mapped(certificates).ok_or(Denied)?;
        let needs_no_password = user.password.expose().is_empty();
        needs_no_password
            .then(|| Some(user.identity.clone()))
            .ok_or(Denied)
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
        if let Some(key) = &options.nkey {
            return self.signed(key, options.sig.as_deref(), nonce);
        }
        let maps = self.maps_certificates && !self.users.is_empty();
        let shows_nothing = options.user.is_none() && options.pass.is_none() && options.auth_token.is_none();
        match &self.no_auth_user {
            Some(NoAuthUser::Key(identity)) if shows_nothing => return Ok(identity.clone()),
            Some(NoAuthUser::Named(identity)) if shows_nothing && !maps => return Ok(identity.clone()),
            _ => {}
        }
        if maps {
            let shown = options.pass.as_deref().unwrap_or_default();
            let user = self
                .mapped(certificates)
                .filter(|user| is_same(&user.password, shown));
            return user.map(|user| user.identity.clone()).ok_or(Denied);
        }
        self.with_token(options)
            .or_else(|| self.with_password(options))
            .ok_or(Denied)
    }

    /// The user that a certificate names. What the client calls itself does not count.
    fn mapped(&self, certificates: &[CertificateDer<'_>]) -> Option<&KnownUser> {
        let names = CertificateNames::read(certificates.first()?);
        if let Some(user) = names.texts.iter().find_map(|name| self.users.get(name)) {
            return Some(user);
        }
        let shown = names.subject?;
        let same = self.subjects.iter().find(|(subject, _)| *subject == shown);
        let (_, name) = same.or_else(|| {
            let mut subjects = self.subjects.iter();
            subjects.find(|(subject, _)| subject.has_parts_of(&shown))
        })?;
        self.users.get(name)
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
mod tests;
