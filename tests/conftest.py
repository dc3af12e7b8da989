"""What tests of several folders share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from sim.bullet import pybullet

# tests run side by side: threads of one that wait for each other would starve those of the others that keep time
os.environ.setdefault("OMP_NUM_THREADS", "1")
# what a test finds may not depend on how busy the computer is
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def somebody_elses_world() -> Iterator[None]:
    """Client 0 is an empty world: a call that forgets whose world it asks fails, in whatever order tests run."""
    client = pybullet.connect(pybullet.DIRECT)
    assert client == 0
    yield
    pybullet.disconnect(client)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB, where this machine lets us mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], capture_output=True,
                             check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # what is still mapped goes later
