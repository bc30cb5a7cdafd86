//! Who asks, as histories remember it.

use http::HeaderMap;

use super::access::Caller;

/// Request metadata by which a tool says for whom it asks. Nothing depends on it: it stands in histories beside what is known.
const USER_METADATA: &str = "strandline-user";
/// Characters of it that are remembered.
const USER_MAX_CHARS: usize = 64;

/// Who asks: what the caller says of itself, and where the call comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asker(String);

impl Asker {
    pub(super) fn of(caller: &Caller<'_>, metadata: &HeaderMap) -> Self {
        let address = caller.address.map_or_else(
            || "somewhere".to_owned(),
            |address| address.to_canonical().to_string(),
        );
        let proof = match (caller.has_certificate, caller.authorization.is_some()) {
            (true, _) => " with a certificate",
            (false, true) => " with the token",
            (false, false) => "",
        };
        let user = metadata
            .get(USER_METADATA)
            .and_then(|user| user.to_str().ok())
            .map(str::trim);
        Self(match user.filter(|user| !user.is_empty()) {
            Some(user) => {
                let user: String = user.chars().take(USER_MAX_CHARS).collect();
                format!("{user} ({address}{proof})")
            }
            None => format!("{address}{proof}"),
        })
    }

    /// As text, short and without control characters.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asker_is_named_by_what_it_says_and_what_is_known() {
        let caller = Caller {
            address: Some("::ffff:127.0.0.1".parse().unwrap()),
            ..Caller::default()
        };
        let mut metadata = HeaderMap::new();
        assert_eq!(Asker::of(&caller, &metadata).into_text(), "127.0.0.1");
        metadata.insert(USER_METADATA, "ann".parse().unwrap());
        assert_eq!(Asker::of(&caller, &metadata).into_text(), "ann (127.0.0.1)");
        let certified = Caller {
            has_certificate: true,
            ..caller
        };
        assert_eq!(
            Asker::of(&certified, &metadata).into_text(),
            "ann (127.0.0.1 with a certificate)"
        );
        metadata.insert(USER_METADATA, "x".repeat(5000).parse().unwrap());
        assert!(Asker::of(&caller, &metadata).into_text().len() < 255);
    }
}
