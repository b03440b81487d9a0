"""Which changes of the code the tests notice: python -m benchmarks.mutants."""
