"""Keys and JWTs of NATS' decentralised authentication, as `nsc` would make them."""

import base64
import hashlib
import json
import os
import time
from pathlib import Path

import nkeys


class Key:
    """A new key pair of NATS."""

    def __init__(self, prefix: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), prefix)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.public = self._pair.public_key.decode()

    def sign(self, claims: dict) -> str:
        """A JWT of these claims about somebody, issued by this key."""
        claims = {**claims, "iss": self.public, "iat": int(time.time())}
        digest = hashlib.new("sha512_256", _json(claims)).digest()
        claims["jti"] = base64.b32encode(digest).rstrip(b"=").decode()
        signed = b".".join(map(_base64, (_json({"typ": "JWT", "alg": "ed25519-nkey"}), _json(claims))))
        return (signed + b"." + _base64(self._pair.sign(signed))).decode()


class Operator:
    """An operator with one account and one user."""

    def __init__(self) -> None:
        operator, self.account = Key(nkeys.PREFIX_BYTE_OPERATOR), Key(nkeys.PREFIX_BYTE_ACCOUNT)
        everything = {"subs": -1, "data": -1, "payload": -1}
        limits = {**everything, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
        self._operator_jwt = operator.sign(_claims("operator", operator.public, {}))
        self._account_jwt = operator.sign(_claims("account", self.account.public, {"limits": limits}))
        self._limits = everything

    def server_lines(self) -> str:
        """What a nats-server that trusts the operator has in its configuration."""
        return (
            f"operator: {self._operator_jwt}\nresolver: MEMORY\n"
            f"resolver_preload: {{ {self.account.public}: {self._account_jwt} }}"
        )

    def write_user(self, path: Path) -> Path:
        """A new user's `.creds` file."""
        user = Key(nkeys.PREFIX_BYTE_USER)
        jwt = self.account.sign(_claims("user", user.public, self._limits))
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
        )
        return path


def _claims(kind: str, subject: str, about: dict) -> dict:
    return {"sub": subject, "name": kind, "nats": {**about, "type": kind, "version": 2}}


def _json(value: dict) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
