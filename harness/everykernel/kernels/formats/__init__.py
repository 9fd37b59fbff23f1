"""Formats: what packages, repositories and registries are made of, read a bounded piece at a time.

Each reader of packages yields ``(member, content)`` in the order of the file: nothing is unpacked to look at it.
"""
