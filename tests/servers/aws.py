"""What stands in for AWS: a server for queues, topics and accounts, and one for S3, as the environment names them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import pytest

from tests.servers._server import Carrier
from tests.servers.moto import MotoServer
from tests.servers.seaweedfs import ACCESS_KEY, SECRET_KEY

REGION, ACCOUNT = "eu-central-1", "123456789012"


def variables_of(port: int, s3_port: int | None = None) -> Mapping[str, str]:
    """Return what the environment of a process holds that uses servers at some ports of loopback, and no other."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{s3_port or port}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }


def new_url() -> str:
    """Return the URL of a federation that nobody else uses; no test waits for what does not come."""
    return f"aws://{REGION}/{uuid.uuid4().hex[:20]}?bucket=symfed-tests&account={ACCOUNT}&wait=0"


@pytest.fixture
def aws_carrier(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Carrier:
    """Return a place for a federation at moto, and have this process know it, too."""
    variables = variables_of(moto_server.port)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Carrier(new_url(), variables)
