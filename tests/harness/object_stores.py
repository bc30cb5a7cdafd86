"""Places for archives: a local directory, and S3 servers that are real processes."""

import shutil
import time
from pathlib import Path
from typing import Dict, List, Optional

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from harness import settings
from harness.certificates import Authority
from harness.process import Address, Process, START_WAIT, free_addresses

KEY_ID, SECRET = "archive-user", "archive-secret-0123"


class Directory:
    """A directory of this machine."""

    name = "directory"

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "bucket"
        self.away = directory / "bucket-away"
        self.directory.mkdir(parents=True)

    @property
    def lines(self) -> str:
        return f"archive.url: file://{self.directory}"

    @property
    def env(self) -> Dict[str, str]:
        return {}

    def stop(self) -> None:
        """As an unmounted file system."""
        self.directory.rename(self.away)

    def start(self) -> "Directory":
        if self.away.exists():
            self.away.rename(self.directory)
        return self

    def end(self) -> None:
        pass

    def objects(self) -> List[str]:
        """All files but the one that writers lock."""
        files = (path for path in self.directory.rglob("*") if path.is_file() and path.name != ".strandline-lock")
        return sorted(str(path.relative_to(self.directory)) for path in files)

    def empty(self) -> None:
        for entry in self.directory.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


class S3:
    """An S3 server with one bucket. It keeps its port and its data over stops."""

    name = "s3"
    bucket = "archive"

    def __init__(self, directory: Path) -> None:
        self.directory = directory / self.name
        self.directory.mkdir(parents=True)
        self.address: Address = free_addresses(1)[0]
        self.process: Optional[Process] = None

    def command(self) -> List[object]:
        raise NotImplementedError

    def process_env(self) -> Dict[str, str]:
        return {}

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def verify(self) -> Optional[str]:
        """The file with the authorities of its certificate."""
        return None

    @property
    def lines(self) -> str:
        return f"archive.url: s3://{self.bucket}/some/prefix\narchive.endpoint: {self.url}"

    @property
    def env(self) -> Dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}

    def start(self) -> "S3":
        self.process = Process(self.command(), self.directory / "log", env=self.process_env())
        deadline = time.monotonic() + START_WAIT
        while True:
            try:
                self._make_bucket()
                return self
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > deadline or not self.process.running():
                    raise RuntimeError(f"{self.name} does not serve: {error}\n{self.process.tail()}") from error
                time.sleep(0.1)

    def stop(self) -> None:
        self.end()

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()

    def objects(self) -> List[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return sorted(found["Key"] for page in pages for found in page.get("Contents", ()))

    def empty(self) -> None:
        for key in self.objects():
            self.client().delete_object(Bucket=self.bucket, Key=key)

    def client(self):
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            verify=self.verify,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=config,
        )

    def _make_bucket(self) -> None:
        client = self.client()
        try:
            client.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
                raise
            client.create_bucket(Bucket=self.bucket)


class Minio(S3):
    """The real thing, as most people run it themselves."""

    name = "minio"

    def command(self) -> List[object]:
        data = self.directory / "data"
        console = free_addresses(1)[0]
        return [settings.minio_binary(), "server", "--quiet", "--address", self.address, "--console-address", console, data]

    def process_env(self) -> Dict[str, str]:
        return {"MINIO_ROOT_USER": KEY_ID, "MINIO_ROOT_PASSWORD": SECRET, "HOME": str(self.directory)}


class MinioTls(Minio):
    """As that, and nobody reads along."""

    name = "minio-tls"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.certificates = directory / "certificates"
        self.certificates.mkdir()
        self.authority = Authority(self.certificates)
        self.authority.issue("public")
        self.authority.path("public").rename(self.certificates / "public.crt")
        self.authority.path("public-key").rename(self.certificates / "private.key")

    def command(self) -> List[object]:
        return [*super().command(), "--certs-dir", self.certificates]

    @property
    def url(self) -> str:
        return f"https://{self.address}"

    @property
    def verify(self) -> str:
        return str(self.authority.path("ca"))

    @property
    def lines(self) -> str:
        return f"{super().lines}\narchive.ca: {self.authority.path('ca')}"


class SeaweedFs(S3):
    """Another server, written independently."""

    name = "seaweedfs"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.ports = [address.port for address in free_addresses(7)]

    def command(self) -> List[object]:
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3_grpc = self.ports
        return [
            settings.tool("weed"), "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
            f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.volumeSizeLimitMB=64",
            f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", "-volume.max=50", "-volume.minFreeSpace=0",
            f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}",
            f"-s3.port={self.address.port}", f"-s3.port.grpc={s3_grpc}", "-s3.port.iceberg=0",
        ]


class Moto(S3):
    """A server for tests that keeps everything in memory."""

    name = "moto"

    def command(self) -> List[object]:
        return [settings.tool("moto_server"), "-H", "127.0.0.1", "-p", self.address.port]


KINDS = {kind.name: kind for kind in (Directory, Minio, SeaweedFs, Moto)}
