"""Cells on many machines, by Dask's distributed scheduler: an extra, ``everykernel[cluster]``.

A run sends cells (`campaign`, `client`); workers run each as a local run would (`site`), and send its report back,
which passes a gate. What a cell needs travels by digest and is kept there (`packing`, `blobs`). Only command and plugin
import this room, when they are asked for a cluster; nothing of distributed is imported before that.
"""
