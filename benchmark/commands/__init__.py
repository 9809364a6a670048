"""The commands of `bench`, one file each; `benchmark.cli` gathers them. They import the wings when they run."""
