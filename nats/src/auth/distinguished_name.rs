//! Distinguished names: the subject of a certificate, and users who are named like one.

use x509_parser::prelude::X509Name;

/// The attributes that nats-server knows in a subject, with their object identifiers, in the order of its text.
const IN_TEXT: [(&str, &str); 9] = [
    ("SERIALNUMBER", "2.5.4.5"),
    ("CN", "2.5.4.3"),
    ("POSTALCODE", "2.5.4.17"),
    ("STREET", "2.5.4.9"),
    ("ST", "2.5.4.8"),
    ("L", "2.5.4.7"),
    ("OU", "2.5.4.11"),
    ("O", "2.5.4.10"),
    ("C", "2.5.4.6"),
];
/// One more, which has no place in the text.
const DOMAIN_COMPONENT: (&str, &str) = ("DC", "0.9.2342.19200300.100.1.25");

/// A name in parts, the most specific first, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DistinguishedName {
    /// Most have one attribute; those with several are written with `+`.
    parts: Vec<Vec<Attribute>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    /// Upper case.
    kind: String,
    value: String,
}

impl DistinguishedName {
    /// The subject of a certificate; none if it has an attribute that nats-server does not know.
    pub(super) fn of_subject(subject: &X509Name<'_>) -> Option<Self> {
        let parts: Option<Vec<Vec<Attribute>>> = subject
            .iter_rdn()
            .map(|part| part.iter().map(Attribute::of_subject).collect())
            .collect();
        let mut parts = parts?;
        parts.reverse();
        Some(Self { parts })
    }

    /// Reads a name like `CN=ann, OU=east+OU=sales, O=Tides\, Inc`; none if it is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut name = Self::default();
        let (mut part, mut rest) = (Vec::new(), text.as_bytes());
        loop {
            let (attribute, end) = Attribute::read(&mut rest)?;
            part.push(attribute);
            if end != Some(b'+') {
                name.parts.push(std::mem::take(&mut part));
            }
            if end.is_none() {
                return Some(name);
            }
        }
    }

    /// Whether the other has the same parts, in any order.
    pub(super) fn has_parts_of(&self, other: &Self) -> bool {
        self.sorted() == other.sorted()
    }

    fn sorted(&self) -> Vec<Vec<&Attribute>> {
        let mut parts: Vec<Vec<&Attribute>> = self.parts.iter().map(|part| part.iter().collect()).collect();
        for part in &mut parts {
            part.sort();
        }
        parts.sort();
        parts
    }
}

/// A certificate's subject as nats-server writes it: what it does not know is left out, attributes of one kind are one
/// part, and the kinds have a fixed order.
pub(super) fn subject_text(subject: &X509Name<'_>) -> String {
    let part = |(kind, oid): (&str, &str)| {
        let same = subject.iter_attributes();
        let same = same.filter(|attribute| attribute.attr_type().to_id_string() == oid);
        let values: Vec<String> = same
            .filter_map(|attribute| attribute.as_str().ok())
            .map(|value| format!("{kind}={}", escaped(value)))
            .collect();
        (!values.is_empty()).then(|| values.join("+"))
    };
    IN_TEXT.into_iter().filter_map(part).collect::<Vec<_>>().join(",")
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, character) in value.chars().enumerate() {
        let special = match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            '#' => at == 0,
            ' ' => at == 0 || at == last,
            _ => false,
        };
        if special {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

impl Attribute {
    fn of_subject(attribute: &x509_parser::x509::AttributeTypeAndValue<'_>) -> Option<Self> {
        let shown = attribute.attr_type().to_id_string();
        let mut known = IN_TEXT.iter().chain([&DOMAIN_COMPONENT]);
        let (kind, _) = known.find(|(_, oid)| *oid == shown)?;
        Some(Self {
            kind: (*kind).to_owned(),
            value: attribute.as_str().ok()?.to_owned(),
        })
    }

    /// Takes one from the front, with the `,` or `+` that ends it, if one does.
    fn read(rest: &mut &[u8]) -> Option<(Self, Option<u8>)> {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let (kind, value) = rest.split_at(equals);
        let kind = std::str::from_utf8(kind).ok()?.trim().to_ascii_uppercase();
        let mut value = value.iter().copied().skip(1);
        let (text, end) = read_value(&mut value)?;
        *rest = &rest[rest.len() - value.len()..];
        Some((Self { kind, value: text }, end))
    }
}

/// A value up to its end; blanks around it do not belong to it unless they are escaped.
fn read_value(bytes: &mut impl Iterator<Item = u8>) -> Option<(String, Option<u8>)> {
    let (mut value, mut length, mut end) = (Vec::new(), 0, None);
    while let Some(byte) = bytes.next() {
        match byte {
            b',' | b'+' => {
                end = Some(byte);
                break;
            }
            b' ' if value.is_empty() => continue,
            b'\\' => value.push(read_escaped(bytes)?),
            _ => value.push(byte),
        }
        if byte != b' ' {
            length = value.len();
        }
    }
    value.truncate(length);
    Some((String::from_utf8(value).ok()?, end))
}

/// What follows a backslash: two hexadecimal digits, or the character itself.
fn read_escaped(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    let Some(high) = char::from(first).to_digit(16) else {
        return Some(first);
    };
    let low = char::from(bytes.next()?).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> DistinguishedName {
        DistinguishedName::parse(text).unwrap()
    }

    #[test]
    fn kinds_have_no_case_and_blanks_around_values_do_not_count() {
        let plain = parsed("CN=One,OU=East,O=Tides");
        assert_eq!(parsed("cn = One , ou= East, O=Tides"), plain);
        assert_ne!(parsed("CN=one,OU=East,O=Tides"), plain, "values have case");
        assert_ne!(parsed("CN=One,OU=East"), plain);
    }

    #[test]
    fn parts_may_come_in_any_order_but_stay_parts() {
        let plain = parsed("CN=a,OU=x,OU=y,DC=org");
        assert!(parsed("DC=org,OU=y,OU=x,CN=a").has_parts_of(&plain));
        assert!(!parsed("CN=a,OU=x+OU=y,DC=org").has_parts_of(&plain));
        assert!(!parsed("CN=a,OU=x,DC=org").has_parts_of(&plain));
        assert!(!parsed("CN=a,OU=x,OU=x,DC=org").has_parts_of(&plain));
        assert!(parsed("OU=x+CN=a").has_parts_of(&parsed("CN=a+OU=x")));
    }

    #[test]
    fn escapes_stand_for_what_they_escape() {
        assert_eq!(
            parsed(r"CN=On\65,O=Tides\, Inc"),
            parsed(r"CN=One,O=Tides\2c Inc")
        );
        assert_eq!(parsed(r"CN=J\c3\bcrgen\20").parts[0][0].value, "Jürgen ");
        assert_eq!(parsed(r"CN=x\ ").parts[0][0].value, "x ");
        assert_eq!(parsed("CN=a=b").parts[0][0].value, "a=b");
    }

    #[test]
    fn other_texts_are_not_names() {
        for text in [
            "",
            "ann",
            "ann@tides.example",
            "CN=a,",
            "CN=a+",
            r"CN=a\",
            r"CN=\f",
            r"CN=\ff",
        ] {
            assert_eq!(DistinguishedName::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn values_are_escaped_in_text() {
        assert_eq!(
            escaped(r##"#a "b",c\ +;<d> "##),
            r##"\#a \"b\"\,c\\ \+\;\<d\>\ "##
        );
        assert_eq!(escaped(" "), r"\ ");
        assert_eq!(escaped("a#b c"), "a#b c");
    }
}
