"""Misreads: programs that load, and read something else than their author meant. Pure."""

from everykernel.core.reads.find import Finder, Found
from everykernel.core.reads.judge import Access, Misread

__all__ = ["Access", "Finder", "Found", "Misread"]
