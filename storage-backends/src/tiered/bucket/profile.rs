//! Credentials from the shared file of AWS tools, which `object_store` does not read.

/// The credentials of one profile.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) key_id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

/// Finds a profile's credentials in the text of a credentials file; none when the file has no such profile.
///
/// # Errors
///
/// The profile is there but has no usable keys; as text.
pub(super) fn credentials_of(text: &str, profile: &str) -> Result<Option<Credentials>, String> {
    let (mut is_ours, mut is_found) = (false, false);
    let (mut key_id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_ours = section.trim() == profile;
            is_found |= is_ours;
            continue;
        }
        let Some((name, value)) = line
            .split_once('=')
            .filter(|_| is_ours && !line.starts_with(['#', ';']))
        else {
            continue;
        };
        let value = Some(value.trim().to_owned());
        match name.trim() {
            "aws_access_key_id" => key_id = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    match (key_id, secret) {
        (Some(key_id), Some(secret)) => Ok(Some(Credentials {
            key_id,
            secret,
            token,
        })),
        _ if !is_found => Ok(None),
        _ => Err(format!(
            "profile {profile:?} has no aws_access_key_id and aws_secret_access_key; roles, SSO and credential processes are \
             not read: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# comment
[default]
aws_access_key_id = A
aws_secret_access_key=B=/+
[ other ]
; aws_access_key_id = no
aws_access_key_id = C
aws_secret_access_key = D
aws_session_token = E
[role]
role_arn = arn:aws:iam::1:role/x
";

    #[test]
    fn the_keys_of_the_named_profile_are_taken() {
        let default = credentials_of(FILE, "default").unwrap().unwrap();
        assert_eq!((default.key_id.as_str(), default.secret.as_str()), ("A", "B=/+"));
        assert_eq!(default.token, None);
        let other = credentials_of(FILE, "other").unwrap().unwrap();
        assert_eq!((other.key_id.as_str(), other.token.as_deref()), ("C", Some("E")));
    }

    #[test]
    fn a_profile_without_keys_is_not_a_missing_one() {
        assert!(credentials_of(FILE, "missing").unwrap().is_none());
        let error = credentials_of(FILE, "role").err().unwrap();
        assert!(error.contains("AWS_ACCESS_KEY_ID"), "{error}");
    }
}
