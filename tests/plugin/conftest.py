"""pytester forgets every module that a run imported; what is imported here is imported once for all tests."""

import hypothesis.internal.observability  # noqa: F401 - its own plugin imports it in every run
import rich.console
import rich.table  # noqa: F401

import everykernel.machine.accel
import everykernel.matrix.results
import everykernel.plugin.items
import everykernel.plugin.summary
import everykernel.plugin.under_test
import everykernel.report.folder  # noqa: F401
