"""The stores that the contract suites run on: a folder, `gs://` on the double, `s3://` on SeaweedFS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from tests.doubles import gcs, seaweed

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.lake import Lake

BUCKET = "lake"
_prefixes = count()


@dataclass(frozen=True)
class Target:
    """An empty place of a store."""

    root: str
    options: dict[str, str]

    @property
    def lake(self) -> Lake:
        return Lake(self.root, self.options)

    @property
    def artifacts(self) -> ArtifactStore:
        return ArtifactStore(self.root, self.options)


@pytest.fixture(scope="session")
def gcs_url() -> Iterator[str]:
    with gcs.running() as url:
        yield url


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with seaweed.running(tmp_path_factory.mktemp("seaweed"), BUCKET) as url:
        yield url


@pytest.fixture(params=["folder", "gs", pytest.param("s3", marks=pytest.mark.integration)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    prefix = f"test-{next(_prefixes)}"
    match request.param:
        case "gs":
            return Target(f"gs://{BUCKET}/{prefix}", gcs.storage_options(request.getfixturevalue("gcs_url")))
        case "s3":
            return Target(
                f"s3://{BUCKET}/{prefix}", seaweed.storage_options(request.getfixturevalue("s3_url"))
            )
        case _:
            return Target(str(tmp_path / "lake"), {})
