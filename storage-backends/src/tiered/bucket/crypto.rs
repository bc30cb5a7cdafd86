//! Hashing what is sent to S3, in steps between which others get the processor.

use object_store::client::{
    CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm,
};
use object_store::{Error, Result};
use ring::{digest, hmac};

/// Bytes that are hashed at a time. Linux lets a thread that computes go on for up to 4 ms although one that gives way to nobody has
/// become ready meanwhile, and a part is hashed for 10 ms.
const STEP: usize = 64 << 10;

/// What signing requests to S3 takes; signatures of other kinds are not made.
#[derive(Debug)]
pub(super) struct Steps;

impl CryptoProvider for Steps {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        let algorithm = match algorithm {
            DigestAlgorithm::Sha256 => &digest::SHA256,
            other => return Err(unknown(&other)),
        };
        Ok(Box::new(Digest {
            context: digest::Context::new(algorithm),
            result: None,
        }))
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        let algorithm = match algorithm {
            DigestAlgorithm::Sha256 => hmac::HMAC_SHA256,
            other => return Err(unknown(&other)),
        };
        Ok(Box::new(Hmac {
            context: hmac::Context::with_key(&hmac::Key::new(algorithm, secret)),
            result: None,
        }))
    }

    fn sign(&self, algorithm: SigningAlgorithm, _pem: &[u8]) -> Result<Box<dyn Signer>> {
        Err(unknown(&algorithm))
    }
}

fn unknown(algorithm: &impl std::fmt::Debug) -> Error {
    Error::NotSupported {
        source: format!("{algorithm:?} is not built in").into(),
    }
}

struct Digest {
    context: digest::Context,
    result: Option<digest::Digest>,
}

impl DigestContext for Digest {
    fn update(&mut self, data: &[u8]) {
        for step in data.chunks(STEP) {
            self.context.update(step);
            std::thread::yield_now();
        }
    }

    fn finish(&mut self) -> Result<&[u8]> {
        let result: &digest::Digest = self.result.insert(self.context.clone().finish());
        Ok(result.as_ref())
    }
}

struct Hmac {
    context: hmac::Context,
    result: Option<hmac::Tag>,
}

impl HmacContext for Hmac {
    fn update(&mut self, data: &[u8]) {
        self.context.update(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        let result: &hmac::Tag = self.result.insert(self.context.clone().sign());
        Ok(result.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The vectors are those of FIPS 180-2 and RFC 4231.
    #[test]
    fn hashes_are_those_of_the_standards_however_the_data_comes() {
        let digest = |pieces: &[&[u8]]| {
            let mut context = Steps.digest(DigestAlgorithm::Sha256).unwrap();
            pieces.iter().for_each(|piece| context.update(piece));
            hex(context.finish().unwrap())
        };
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&[b"abc"]), abc);
        assert_eq!(digest(&[b"a", b"", b"bc"]), abc);
        let million = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(digest(&[&[b'a'; 1_000_000]]), million);
        let mut context = Steps.hmac(DigestAlgorithm::Sha256, b"Jefe").unwrap();
        context.update(b"what do ya want ");
        context.update(b"for nothing?");
        let tag = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(context.finish().unwrap()), tag);
    }

    #[test]
    fn other_signatures_are_refused_by_name() {
        let error = Steps.sign(SigningAlgorithm::RS256, b"").err().unwrap();
        assert!(error.to_string().contains("RS256"), "{error}");
    }
}
