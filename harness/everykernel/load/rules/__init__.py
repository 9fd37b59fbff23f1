"""Whose rules decide: what each loader makes of sections, maps, externs, CO-RE and places, one file a loader.

Knows objects and relocation, nothing of a kernel. What differs between loaders is data or a small function of `Rules`;
the rest of ``load/`` asks these, and never which loader it plays.
"""
