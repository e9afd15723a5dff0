"""What a command that ends early leaves on stderr, as the shell sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.e2e.platform import COMMAND, coworkai, wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("json_option", [(), ("--json",)], ids=["text", "json"])
def test_a_run_that_is_stopped_says_so(
    sign: signal.Signals, json_option: tuple[str, ...], tmp_path: Path
) -> None:
    records, data = tmp_path / "records", tmp_path / "data"
    records.mkdir()
    (records / "chat.ndjson").write_text("{}\n")
    with subprocess.Popen(
        [COMMAND, "process", records, "--data", data, *json_option],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        wait_until((data / "logs" / "bus.log").exists)
        running.send_signal(sign)
        out, err = running.communicate()
    assert running.returncode == 130
    assert err.lstrip() == "error: stopped before it was done\n       run it again\n"
    assert [json.loads(line)["error"]["code"] for line in out.splitlines()] == ["stopped"] * len(json_option)


@pytest.mark.parametrize("json_option", [(), ("--json",)], ids=["text", "json"])
def test_a_result_that_nobody_reads_is_a_failure_that_says_so(
    json_option: tuple[str, ...], tmp_path: Path
) -> None:
    coworkai("tenant", "set", "acme", "--data", tmp_path)
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [COMMAND, "tenant", "list", "--data", tmp_path, *json_option],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert done.returncode == 1
    assert done.stderr == "error: stdout was closed before all was written\n       read all of it\n"
