"""Load one model into tritonserver and test it; replace single processes of a loaded one."""

from __future__ import annotations

import compileall
from collections.abc import Iterable, Mapping
from pathlib import Path

from google.protobuf.text_format import ParseError

from veracity import log
from veracity.catalog import provenance
from veracity.install.signing import Signer
from veracity.server import smoke_test
from veracity.server.control import Control, LoadFailed
from veracity.server.fingerprint import fingerprint
from veracity.server.health import ModelHealth
from veracity.server.instances import Instances, processes
from veracity.server.loads import Loads
from veracity.server.repository import is_detector
from veracity_client.info import FINGERPRINT

_log = log.get(__name__)


class Loader:
    """Loads from ``repository``, with the ``configs/<model_config>.pbtxt`` of the models that have it.

    Detectors tell the fingerprint of what they answer with: ``children``, the models that they call, in ``env``.
    Where there is a ``signer``, only what it signed is loaded.
    ``loads`` are those under way. The methods return the processes that serve the model from then on, as
    :func:`veracity.server.instances.processes` does, and raise :class:`LoadFailed`. ``timeout`` is in seconds.
    """

    def __init__(
        self, repository: Path, model_config: str, timeout: float, env: Mapping[str, str], signer: Signer | None
    ) -> None:
        self._repository, self._model_config, self._timeout, self._env = repository, model_config, timeout, env
        self._signer = signer
        self.loads = Loads()
        self.children: Iterable[str] = ()

    def load(self, control: Control, health: ModelHealth, server: int) -> dict[int, str]:
        """Load and test a model that is not loaded. Processes of an earlier load that still end are left out."""
        name, folder = health.name, self._repository / health.name
        try:
            health.instances = Instances(folder, self._model_config)
            if is_detector(name):
                health.instances.tell(FINGERPRINT, fingerprint(self._repository, self.children, self._env))
        except (OSError, ParseError) as error:
            raise LoadFailed(f"{name}/config.pbtxt: {' '.join(str(error).split())}") from None
        # Python compiles a model's code beside it. Were that done by the load, Triton would take it for a change of the
        # model and replace every process at the next one. Nobody signed what is compiled: it would be taken out.
        if self._signer is None:
            compileall.compile_dir(folder, quiet=2)
        before = processes(server, folder)
        with self.loads.under_way(folder, health.instances.backend, health.instances.count, before):
            self._load(control, name, health.instances.to_json())
        if files := provenance.unrecorded(folder):
            _log.warning("graph not verified: no provenance records its sha256", model=name, files=files)
        if fault := smoke_test.fault(control, name, self._repository, self._timeout):
            control.unload(name)
            raise LoadFailed(f"loaded, but its first inference failed: {fault}")
        return {pid: instance for pid, instance in processes(server, folder).items() if pid not in before}

    def replace(self, control: Control, health: ModelHealth, dead: set[int], server: int) -> dict[int, str] | None:
        """Replace the ``dead`` processes of a loaded model; None where none is left that could go on meanwhile."""
        instances, folder = health.instances, self._repository / health.name
        if instances is None or dead >= health.processes.keys():
            return None
        gone = {health.processes[pid] for pid in dead}
        instances.replace(gone)
        before = processes(server, folder)
        # First out with the dead: until then they take requests from the queue and fail them.
        self._load(control, health.name, instances.to_json(without=gone))
        others = before.keys() - health.processes.keys()
        with self.loads.under_way(folder, instances.backend, instances.count, others):
            self._load(control, health.name, instances.to_json())
        new = {pid: instance for pid, instance in processes(server, folder).items() if pid not in before}
        replaced = {*new.values(), *gone}  # all, where the graph is another one now
        return new | {pid: instance for pid, instance in health.processes.items() if instance not in replaced}

    def _load(self, control: Control, name: str, config: str) -> None:
        folder = self._repository / name
        if error := provenance.integrity_error(folder) or (self._signer.error(folder) if self._signer else ""):
            raise LoadFailed(error)
        control.load(name, self._timeout, config)
