from veracity.serving import Detector as TritonPythonModel  # noqa: F401
