"""The Python API: what `import lmx_loadgen` offers, measured and read as the command line does it."""
