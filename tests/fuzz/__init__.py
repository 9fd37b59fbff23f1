"""Fuzzing of the readers and the relocator: ``python -m tests.fuzz --seeds DIR`` writes a corpus, then see __main__."""
