"""TLS as distributed has it: certificates by its own settings."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests import faking
from tests.cluster.conftest import Machines


def settings(folder: Path) -> dict[str, str]:
    """Return distributed's settings for a certificate that every side has, as docs/cluster.md makes it."""
    key, cert = folder / "cluster.key", folder / "cluster.pem"
    words = f"openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=cluster -keyout {key} -out {cert}"
    subprocess.run(words.split(), check=True, capture_output=True)
    found = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(cert)}
    for side in ("SCHEDULER", "WORKER", "CLIENT"):
        found[f"DASK_DISTRIBUTED__COMM__TLS__{side}__CERT"] = str(cert)
        found[f"DASK_DISTRIBUTED__COMM__TLS__{side}__KEY"] = str(key)
    return found


def test_a_cluster_with_certificates(machines: Machines, tmp_path: Path) -> None:
    """Who has the certificate takes part; who has another one, or none, does not."""
    ours = settings(tmp_path)
    machines.begin("scheduler", "scheduler", "--port", "0", "--tls", says="scheduler at", **ours)
    machines.address = (tmp_path / "scheduler.log").read_text().split("scheduler at ")[1].split(": everykernel")[0]
    assert machines.address.startswith("tls://127.0.0.1:")
    machines.worker("w1", 2, **ours)
    faking.objects(tmp_path, good={})
    words = ["run", "good.bpf.o", "--kernels", "6.1", "--cluster"]
    done = machines.run(*words, machines.address, cwd=tmp_path, **ours)
    assert done.returncode == 0, done.stderr
    (tmp_path / "other").mkdir()
    for address, theirs in (
        (machines.address, settings(tmp_path / "other")),
        (machines.address, {}),
        (machines.address.replace("tls:", "tcp:"), {}),
    ):
        refused = machines.run(*words, address, cwd=tmp_path, **theirs)
        assert refused.returncode == 4
        assert "no scheduler answers" in refused.stderr
        assert len(refused.stderr.splitlines()) == 2, refused.stderr  # the other says how to see more
