"""The benchmark behind every figure that the project quotes: ``python -m everykernel.bench`` (``nox -s bench``).

It measures on this machine, in one run: a cold boot, a restored guest's first answer, a whole case, the matrix of
cases, and a peer, virtme-ng, running ``true`` in the same kernels. Figures are medians; comparisons are ratios.
"""
