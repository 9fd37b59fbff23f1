"""Attaching: a file for each kind of place, a function for each way, for an open link or `NotAttached`.

Knows maps and the kernel; of programs no more than a descriptor.

This package travels to the guest: standard library only, Python 3.9.
"""
