"""The benchmarks: each figure is a ratio measured in one run, printed beside its limit."""
