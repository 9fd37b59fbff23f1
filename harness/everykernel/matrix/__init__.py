"""The matrix: cases by kernels, each cell a fresh kernel, its verdict compared with what the case expects."""
