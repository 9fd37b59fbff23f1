"""What all tests share."""

import os

os.environ["EVERYKERNEL_SOURCES"] = "debian"  # tests ask no other distribution's servers, but those that they start

pytest_plugins = ["pytester"]
collect_ignore = ["old/cases"]  # a case of tests/vm/test_old.py
