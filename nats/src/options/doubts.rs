//! Options that nats-server takes, and that are probably not meant as they stand.

use super::Options;

/// Payloads over this are for few clients only.
const LARGE_PAYLOAD_BYTES: usize = 8 << 20;

impl Options {
    /// What a log should say about the options.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut doubts: Vec<String> = self.users_without_password().collect();
        let authorization = &self.authorization;
        let without_permissions = authorization.only_user.is_some() || authorization.token.is_some();
        if authorization.default_permissions.is_some() && without_permissions {
            doubts.push(
                "permissions hold for the users of a list only, as in nats-server: clients with the single user's \
                 password or the token may do everything"
                    .to_owned(),
            );
        }
        if self.max_payload > LARGE_PAYLOAD_BYTES {
            doubts.push(format!(
                "max_payload is {} bytes: over 8 MiB every message holds up those behind it",
                self.max_payload
            ));
        }
        doubts
    }

    fn users_without_password(&self) -> impl Iterator<Item = String> {
        let authorization = &self.authorization;
        let maps = self.tls.as_ref().is_some_and(|tls| tls.verify_and_map);
        let users = authorization.users.iter().filter(move |user| {
            let is_for_all = authorization.no_auth_user.as_ref() == Some(&user.name);
            user.password.expose().is_empty() && !maps && !is_for_all
        });
        users.map(|user| {
            format!(
                "user {:?} has no password: whoever gives that name is let in",
                user.name
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn doubts(text: &str) -> String {
        let options = Options::from_text(text, Path::new("nats.conf")).unwrap();
        options.doubts().join("\n")
    }

    #[test]
    fn what_is_as_it_should_be_is_not_doubted() {
        for text in [
            "",
            "max_payload: 8MB",
            "authorization { users: [{user: a, password: b}], default_permissions { publish: x } }",
            "authorization { users: [{user: a}], no_auth_user: a }",
            "tls { cert_file: c, key_file: k, verify_and_map: true }\nauthorization { users: [{user: a}] }",
        ] {
            assert_eq!(doubts(text), "", "{text}");
        }
    }

    #[test]
    fn what_lets_in_more_than_it_seems_to_is_doubted() {
        for (text, about) in [
            ("max_payload: 9MB", "9437184"),
            (
                "authorization { token: t, default_permissions { publish: x } }",
                "may do everything",
            ),
            (
                "authorization { user: u, password: p, permissions { publish: x } }",
                "may do everything",
            ),
            (
                "authorization { users: [{user: ann}, {user: b, password: c}] }",
                "user \"ann\" has no password",
            ),
        ] {
            let told = doubts(text);
            assert!(told.contains(about) && told.lines().count() == 1, "{told}");
        }
    }
}
