"""``nox -s docs``: build the site, strictly."""

from __future__ import annotations

import subprocess
import sys

from tests.docs.test_site import CONFIG

sys.exit(
    subprocess.run(
        [sys.executable, "-m", "properdocs", "build", "--strict", "-f", str(CONFIG), *sys.argv[1:]]
    ).returncode
)
