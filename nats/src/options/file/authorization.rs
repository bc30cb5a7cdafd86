//! The `authorization` block.

use std::time::Duration;

use super::read::Reader;
use super::{OptionsError, unknown};
use crate::auth::ResponseRule;
use crate::conf::{Entry, Value};
use crate::options::{Authorization, NkeyUser, OnlyUser, PermissionRules, Secret, SubjectRules, User};

/// Reads the block; returns its timeout.
pub(super) fn read(read: &Reader<'_>, out: &mut Authorization) -> Result<Option<Duration>, OptionsError> {
    let (mut name, mut password, mut timeout) = (None, None, None);
    for entry in read.block()? {
        let read = Reader(entry);
        match entry.key.to_ascii_lowercase().as_str() {
            "user" | "username" => name = Some(read.text()?),
            "pass" | "password" => password = Some(Secret::new(read.text()?)),
            "token" => out.token = Some(Secret::new(read.text()?)),
            "users" => users(&read, out)?,
            "timeout" => timeout = Some(read.duration()?),
            "permission" | "permissions" | "default_permission" | "default_permissions" => {
                out.default_permissions = Some(permissions(&read)?);
            }
            "no_auth_user" => out.no_auth_user = Some(read.text()?),
            "auth_callout" => {
                let reason = "list the users here instead";
                return Err(OptionsError::Unsupported {
                    place: entry.place.clone(),
                    key: entry.key.clone(),
                    reason,
                });
            }
            _ => {
                return Err(unknown(
                    entry,
                    &[
                        "user",
                        "password",
                        "token",
                        "users",
                        "timeout",
                        "default_permissions",
                    ],
                ));
            }
        }
    }
    out.only_user = match (name, password) {
        (Some(name), Some(password)) => Some(OnlyUser { name, password }),
        (None, None) => None,
        (Some(_), None) => return Err(read.wrong("has a user without a password")),
        (None, Some(_)) => return Err(read.wrong("has a password without a user")),
    };
    check_together(read, out)?;
    Ok(timeout)
}

/// What excludes each other, as in nats-server.
fn check_together(read: &Reader<'_>, authorization: &Authorization) -> Result<(), OptionsError> {
    let has_list = !(authorization.users.is_empty() && authorization.nkeys.is_empty());
    match (&authorization.only_user, &authorization.token) {
        (Some(_), Some(_)) => Err(read.wrong("has both a user and a token, use one of them")),
        (None, Some(_)) if has_list => Err(read.wrong("has both a token and users, use one of them")),
        (Some(_), None) if has_list => {
            Err(read.wrong("has both a single user and users, move the single one to the list"))
        }
        _ => Ok(()),
    }
}

fn users(read: &Reader<'_>, out: &mut Authorization) -> Result<(), OptionsError> {
    for block in read.blocks()? {
        user(read, block, out)?;
    }
    Ok(())
}

fn user(list: &Reader<'_>, block: &[Entry], out: &mut Authorization) -> Result<(), OptionsError> {
    let (mut name, mut password, mut nkey, mut permissions) = (None, None, None, None);
    for entry in block {
        let read = Reader(entry);
        match entry.key.to_ascii_lowercase().as_str() {
            "user" | "username" => name = Some(read.text()?),
            "pass" | "password" => password = Some(Secret::new(read.text()?)),
            "nkey" => nkey = Some(read.text()?),
            "permission" | "permissions" | "authorization" => permissions = Some(self::permissions(&read)?),
            "allowed_connection_types" | "connection_types" | "proxy_required" => {
                let reason = "there is one type of connection, remove the key";
                return Err(OptionsError::Unsupported {
                    place: entry.place.clone(),
                    key: entry.key.clone(),
                    reason,
                });
            }
            _ => return Err(unknown(entry, &["user", "password", "nkey", "permissions"])),
        }
    }
    match (name, password, nkey) {
        (None, None, Some(nkey)) => out.nkeys.push(NkeyUser { nkey, permissions }),
        (Some(name), password, None) => {
            // As in nats-server; made for users that a certificate is mapped to.
            let password = password.unwrap_or_else(|| Secret::new(""));
            out.users.push(User {
                name,
                password,
                permissions,
            });
        }
        _ => return Err(list.wrong("has a user that is neither a name with a password nor an nkey")),
    }
    Ok(())
}

fn permissions(read: &Reader<'_>) -> Result<PermissionRules, OptionsError> {
    let mut rules = PermissionRules::default();
    for entry in read.block()? {
        let read = Reader(entry);
        match entry.key.to_ascii_lowercase().as_str() {
            "pub" | "publish" | "import" => rules.publish = subjects(&read)?,
            "sub" | "subscribe" | "export" => rules.subscribe = subjects(&read)?,
            "publish_allow_responses" | "allow_responses" => rules.responses = responses(&read)?,
            _ => return Err(unknown(entry, &["publish", "subscribe", "allow_responses"])),
        }
    }
    Ok(rules)
}

/// A subject, a list of them, or a block with `allow` and `deny`.
fn subjects(read: &Reader<'_>) -> Result<SubjectRules, OptionsError> {
    let Value::Map(entries) = &read.0.value else {
        return Ok(SubjectRules {
            allow: Some(read.texts()?),
            deny: Vec::new(),
        });
    };
    let mut rules = SubjectRules::default();
    for entry in entries {
        let read = Reader(entry);
        match entry.key.to_ascii_lowercase().as_str() {
            "allow" => rules.allow = Some(read.texts()?),
            "deny" => rules.deny = read.texts()?,
            _ => return Err(unknown(entry, &["allow", "deny"])),
        }
    }
    Ok(rules)
}

/// `true`, a number of answers, or a block with `max` and `expires`.
fn responses(read: &Reader<'_>) -> Result<Option<ResponseRule>, OptionsError> {
    let mut rule = ResponseRule::default();
    match &read.0.value {
        Value::Boolean(allowed) => return Ok(allowed.then_some(rule)),
        Value::Integer(_) => rule.max = u64::try_from(read.number()?).ok().filter(|&max| max > 0),
        _ => {
            for entry in read.block()? {
                let read = Reader(entry);
                match entry.key.to_ascii_lowercase().as_str() {
                    "max" | "max_msgs" | "max_messages" | "max_responses" => {
                        // Negative means any number; 0 the default.
                        rule.max = match read.number()? {
                            0 => rule.max,
                            number => u64::try_from(number).ok(),
                        };
                    }
                    "expires" | "expiration" | "ttl" => rule.expires = Some(read.duration()?),
                    _ => return Err(unknown(entry, &["max", "expires"])),
                }
            }
        }
    }
    Ok(Some(rule))
}
