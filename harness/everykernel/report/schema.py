"""The JSON Schema of results files (schema ``everykernel/1``), for other programs; it is kept beside the records."""

from everykernel.matrix.schema import PATH, load

__all__ = ["PATH", "load"]
