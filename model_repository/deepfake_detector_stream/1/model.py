from veracity.serving import DetectorStream as TritonPythonModel  # noqa: F401
