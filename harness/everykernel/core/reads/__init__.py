"""Misreads: programs that load, and read something else than their author meant. Pure."""

from everykernel.core.reads.find import Found, Misread, find

__all__ = ["Found", "Misread", "find"]
