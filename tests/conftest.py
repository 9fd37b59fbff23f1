"""What all tests share."""

import os

os.environ["EVERYKERNEL_SOURCES"] = "debian"  # tests ask no other distribution's servers, but those that they start

pytest_plugins = ["pytester"]
