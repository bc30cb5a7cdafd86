"""Certificates for one test, signed by an authority of its own."""

import datetime
import hashlib
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Writes NAME.pem and NAME-key.pem into a directory; its own certificate is ca.pem."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test authority")
        self._write("ca", self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None)), self._key)

    def issue(self, name: str) -> None:
        """A certificate for 127.0.0.1 and localhost, good for either side of a connection."""
        key = ec.generate_private_key(ec.SECP256R1())
        hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        self._write(name, self._sign(_name(name), key, x509.SubjectAlternativeName(hosts)), key)

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.pem"

    def pin(self, name: str) -> str:
        """The SHA-256 of a certificate's public key info, as `pinned_certs` takes it."""
        public = x509.load_pem_x509_certificate(self.path(name).read_bytes()).public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return hashlib.sha256(public.public_bytes(serialization.Encoding.DER, form)).hexdigest()

    def _sign(self, subject, key, extension) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        hour = datetime.timedelta(hours=1)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - hour).not_valid_after(now + hour)
        return builder.add_extension(extension, critical=False).sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate, key) -> None:
        pem = serialization.Encoding.PEM
        self.path(name).write_bytes(certificate.public_bytes(pem))
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.path(f"{name}-key").write_bytes(secret)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
