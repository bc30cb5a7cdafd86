//! Subjects and filters as they stand on the wire: bytes, split into tokens by dots.

const SEPARATOR: u8 = b'.';

/// The tokens of a subject, empty ones included.
pub(crate) fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|byte| *byte == SEPARATOR)
}

/// Whether a subject could match any filter: no token is empty.
pub(crate) fn is_well_formed(subject: &[u8]) -> bool {
    tokens(subject).all(|token| !token.is_empty())
}

/// Whether the bytes are a subject without wildcards, as a pedantic publisher must use it.
pub(crate) fn is_literal(subject: &[u8]) -> bool {
    tokens(subject).all(|token| !token.is_empty() && token != b"*" && token != b">")
}

/// Whether the bytes are a filter: well-formed, `>` only as the last token.
pub(crate) fn is_filter(filter: &[u8]) -> bool {
    let mut ended = false;
    tokens(filter).all(|token| {
        let fits = !ended && !token.is_empty();
        ended = token == b">";
        fits
    })
}

/// Whether a valid filter has a wildcard token.
pub(crate) fn has_wildcard(filter: &[u8]) -> bool {
    tokens(filter).any(|token| token == b"*" || token == b">")
}

/// Whether a valid filter matches a subject. A wildcard in the subject is literal text.
pub(crate) fn matches(filter: &[u8], subject: &[u8]) -> bool {
    let mut subject = tokens(subject);
    for token in tokens(filter) {
        let Some(part) = subject.next() else { return false };
        if part.is_empty() {
            return false;
        }
        if token == b">" {
            return subject.all(|part| !part.is_empty());
        }
        if token != b"*" && token != part {
            return false;
        }
    }
    subject.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_a_whole_token_and_the_tail_wildcard_is_last() {
        for good in [
            "foo",
            "*",
            ">",
            "foo.*",
            "foo.>",
            "*.bar.>",
            "foo*",
            "foo.>bar",
            "*bar",
            "a.b,*,>,c",
            "ü",
        ] {
            assert!(is_filter(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ".",
            "foo.",
            ".foo",
            "foo..bar",
            "foo.>.bar",
            ">.foo",
            "foo.bar.",
        ] {
            assert!(!is_filter(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn wildcards_match_as_documented() {
        for (filter, subject) in [
            ("foo.*", "foo.bar"),
            ("foo.>", "foo.bar.baz"),
            (">", "foo"),
            ("*", "foo"),
            ("foo.*", "foo.*"),
        ] {
            assert!(
                matches(filter.as_bytes(), subject.as_bytes()),
                "{filter} {subject}"
            );
        }
        for (filter, subject) in [
            ("foo.>", "foo"),
            ("*", "foo.bar"),
            ("foo", "foo.bar"),
            (">", "foo."),
            ("*.bar", ".bar"),
            ("foo*", "foob"),
        ] {
            assert!(
                !matches(filter.as_bytes(), subject.as_bytes()),
                "{filter} {subject}"
            );
        }
    }

    #[test]
    fn a_literal_subject_has_no_wildcard_token() {
        assert!(is_literal(b"foo.b*r.b>"));
        for bad in [&b"foo.*"[..], b"foo.>", b"foo.", b""] {
            assert!(!is_literal(bad));
        }
        assert!(has_wildcard(b"foo.*") && has_wildcard(b">") && !has_wildcard(b"foo*.>x"));
    }
}
