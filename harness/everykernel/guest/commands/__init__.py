"""Commands: a program of the user's, run to its end and watched; it alone makes the bpf(2) calls that are seen here.

This package travels to the guest: standard library only, Python 3.9.
"""
