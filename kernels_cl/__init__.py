"""OpenCL C sources, read by clconv.program.source; no Python lives here."""
