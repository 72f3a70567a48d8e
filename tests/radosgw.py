"""A real S3 server on loopback: Ceph's radosgw, on a monitor and one disk that is memory. Nothing of it outlives the tests."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode
from uuid import uuid4

import httpx
import pytest

CEPH = Path(".tools/ceph").absolute()
REGION = "default"  # what a radosgw without zones calls itself
_START_SECONDS = 60
_UNTIL_THE_TESTS_END = "setpriv", "--pdeathsig", "KILL"  # even where the tests are killed
_SIZES = "default_size = 1", "default_min_size = 1", "default_pg_num = 4", "default_pgp_num = 4", "default_pg_autoscale_mode = off"


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """Where the server is, and a key to it."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of somebody who holds the key."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def url(self, prefix: str, **options: str) -> str:
        """The HEDGEROW_STORAGE_URL of a store under a prefix."""
        return f"s3://{self.bucket}/{quote(prefix)}?{urlencode({'endpoint': self.endpoint, 'region': REGION, **options})}"

    def request(self, method: str, path: str) -> httpx.Response:
        """Ask the server something that hedgerow never does."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        request = AWSRequest(method=method, url=f"{self.endpoint}/{path}")
        S3SigV4Auth(Credentials(self.access_key, self.secret_key), "s3", REGION).add_auth(request)
        return httpx.request(method, request.url, headers=dict(request.headers), trust_env=False)


class RadosGateway:
    """The processes of one such server, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        libraries = [
            str(path) for path in (*CEPH.glob("lib/*-linux-*"), *CEPH.glob("usr/lib/*-linux-*"), *CEPH.glob("usr/lib/*-linux-*/ceph"))
        ]
        self._environment = {
            "PATH": f"{CEPH / 'usr/bin'}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": ":".join(libraries),
            "CEPH_CONF": str(folder / "ceph.conf"),
            "HOME": str(folder),
        }

    def start(self) -> S3Server:
        """Start everything, make a user and a bucket, and return when the server answers."""
        monitor, gateway = _free_ports(2)
        self._write_down(monitor, gateway)
        # The monitor is born knowing its one disk and all keys, so that nobody has to tell it.
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--osdmap", "osdmap", "--keyring", "keyring")
        self._spawn("ceph-mon", "-f", "-i", "a")
        self._run("ceph-osd", "--mkfs", "-i", "0")
        self._spawn("ceph-osd", "-f", "-i", "0")
        self._spawn("radosgw", "-f", "-n", "client.admin")
        user = json.loads(self._run("radosgw-admin", "user", "create", "--uid=hedgerow", "--display-name=hedgerow"))
        (key,) = user["keys"]
        endpoint = f"http://127.0.0.1:{gateway}"
        server = S3Server(endpoint=endpoint, bucket="hedgerow-tests", access_key=key["access_key"], secret_key=key["secret_key"])
        self._wait_for(gateway)
        made = server.request("PUT", server.bucket)
        assert made.status_code == 200, made.text
        return server

    def stop(self) -> None:
        """End the processes that were started, and no others. There is nothing that they would have to save."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _write_down(self, monitor: int, gateway: int) -> None:
        address, fsid = f"v2:127.0.0.1:{monitor}", str(uuid4())
        for name in ("monitor", "disk"):
            (self._folder / name).mkdir()
        (self._folder / "ceph.conf").write_text("\n".join(["[global]", *self._settings(fsid, address, gateway), ""]))
        self._run("ceph-authtool", "keyring", "--create-keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", "keyring", "--gen-key", "-n", "client.admin", "--cap", "mon", "allow *", "--cap", "osd", "allow *")
        self._run("ceph-authtool", "keyring", "--gen-key", "-n", "osd.0", "--cap", "mon", "allow profile osd", "--cap", "osd", "allow *")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[{address}]", "monmap")
        self._run("osdmaptool", "--createsimple", "1", "osdmap")

    def _settings(self, fsid: str, address: str, gateway: int) -> Sequence[str]:
        folder = self._folder
        unpacked = {"plugin_dir": "", "erasure_code_dir": "/erasure-code", "osd_class_dir": "/../rados-classes"}
        ceph = next(CEPH.glob("usr/lib/*-linux-*/ceph"), None)
        plugins = [f"{name} = {ceph}{below}" for name, below in unpacked.items() if ceph is not None and Path(f"{ceph}{below}").exists()]
        return [
            *(f"fsid = {fsid}", f"mon_host = {address}", "public_addr = 127.0.0.1", "cluster_addr = 127.0.0.1", "ms_bind_msgr1 = false"),
            *(f"keyring = {folder}/keyring", f"mon_data = {folder}/monitor", f"osd_data = {folder}/disk", f"rgw_data = {folder}"),
            *(f"run_dir = {folder}", f"crash_dir = {folder}", "admin_socket =", "pid_file =", "log_file ="),
            *("log_to_file = false", "log_to_stderr = true", "err_to_stderr = true", "mon_cluster_log_to_file = false"),
            *("osd_objectstore = memstore", f"memstore_device_bytes = {4 << 30}", "osd_crush_update_on_start = false"),
            *(f"osd_pool_{setting}" for setting in _SIZES),
            *("osd_crush_chooseleaf_type = 0", "mon_allow_pool_size_one = true", "paxos_propose_interval = 0.05"),
            *(f"rgw_frontends = beast endpoint=127.0.0.1:{gateway}", "rgw_enable_gc_threads = false", "rgw_enable_lc_threads = false"),
            *plugins,
        ]

    def _run(self, *command: str) -> bytes:
        """What a command answers, once it has ended."""
        done = subprocess.run(
            [*_UNTIL_THE_TESTS_END, *command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START_SECONDS,
        )
        if done.returncode:
            pytest.fail(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-2000:]}\n{self._last_lines()}")
        return done.stdout

    def _spawn(self, *command: str) -> None:
        with (self._folder / f"{command[0]}.log").open("wb") as log:
            process = subprocess.Popen(
                [*_UNTIL_THE_TESTS_END, *command],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and all(process.poll() is None for process in self._processes):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)  # another process opens the port, and tells nobody
            else:
                return
        pytest.fail(f"radosgw does not answer.\n{self._last_lines()}")

    def _last_lines(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in sorted(self._folder.glob("*.log")))


def require_ceph() -> None:
    """Skip where there is no Ceph to start; on CI that is a failure, since there it must be."""
    if (CEPH / "complete").exists():
        return
    reason = "no S3 server to test against: scripts/install-ceph could not fetch Ceph"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
