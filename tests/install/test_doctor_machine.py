"""What the doctor finds of the machine, its programs and packages, in development and in production."""

from pathlib import Path

import pytest

from veracity.install import doctor
from veracity.install.doctor import machine
from veracity.install.doctor.finding import Finding
from veracity.media import isolation
from veracity.settings import Settings


def examined(settings: Settings, env: str = "development", *, graphs: bool = False) -> dict[str, Finding]:
    return {finding.what: finding for finding in doctor.examine(settings.replace(env=env), graphs=graphs)}


def test_decoders_are_those_that_need_no_hardware(tmp_path: Path) -> None:
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text("#!/bin/sh\necho ' V....D h264  H.264'; echo ' V....D av1  AV1'; echo ' V..... hevc_cuvid  x'\n")
    ffmpeg.chmod(0o755)
    found = examined(Settings(ffmpeg=ffmpeg), graphs=False)["decoders"]
    assert found.state == "warning"
    assert "h264" not in found.detail
    assert found.detail.startswith("lacks hevc, vp8, vp9, av1, ")
    ffmpeg.write_text("#!/bin/sh\nexit 1\n")
    assert examined(Settings(ffmpeg=ffmpeg), graphs=False)["ffmpeg"].fatal


def test_decoders_run_isolated_or_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if isolation.found().lacks:
        pytest.skip(f"this system does not isolate: {isolation.found()}")
    assert examined(Settings())["decoder isolation"] == Finding("decoder isolation", "ok", str(isolation.found()))
    assert examined(Settings(decoder_isolation="off"))["decoder isolation"].state == "optional"
    elsewhere = tmp_path / "programs" / "ffmpeg"  # a script: its interpreter may be read, what it reads may not
    elsewhere.parent.mkdir()
    elsewhere.write_text(f"#!/bin/sh\nread line < {tmp_path}/library && echo $line\n")
    elsewhere.chmod(0o755)
    (tmp_path / "library").write_text("ffmpeg version 6\n")
    found = examined(Settings(ffmpeg=elsewhere))
    assert found["ffmpeg"].state == "ok"
    assert found["decoder isolation"].fatal
    assert f"{elsewhere} does not run isolated" in found["decoder isolation"].detail


def test_a_system_without_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = isolation.Isolation(0, True, ("no Landlock: Function not implemented",))
    monkeypatch.setattr(isolation, "found", lambda: lacking)
    told = "seccomp; no Landlock: Function not implemented"
    assert examined(Settings(), "production")["decoder isolation"] == Finding("decoder isolation", "optional", told)
    missing = examined(Settings(decoder_isolation="required"))["decoder isolation"]
    assert missing == Finding("decoder isolation", "missing", told, fatal=True)


def test_programs_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = examined(Settings(triton=tmp_path, model_config="tensorrt"), graphs=False)
    assert found["prlimit"].detail == "apt-get install -y util-linux"
    assert "VERACITY_TRITON" in found["tritonserver"].detail
    assert found["gpu"].state == "optional"
    assert found["accelerator"].state == "missing"
    assert found["model audio_starter"].detail == "no engine: python -m export audio_starter --format tensorrt"
    assert all(found[what].fatal for what in ("prlimit", "setpriv", "tritonserver", "accelerator"))
    assert "accelerator" not in examined(Settings(), graphs=False)


def test_a_driver_that_does_not_answer_is_told_from_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'; exit 18\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = examined(Settings(), "production", graphs=False)["gpu"]
    assert (found.state, found.fatal) == ("broken", True)
    assert "version mismatch" in found.detail


def test_a_driver_that_hangs_does_not_hang_the_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\nexec sleep 600\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(machine, "LONGEST", 2.0)
    found = examined(Settings(), "production")["gpu"]
    assert (found.state, found.fatal) == ("broken", True)
    assert found.detail == "its driver does not answer: nvidia-smi took over 2 s"


def test_a_container_has_no_more_memory_than_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text(f"{1 << 30}\n")
    (tmp_path / "memory.current").write_text(f"{1 << 28}\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    found = examined(Settings(), graphs=False)["memory"]
    assert found.state == "warning"
    assert found.detail.startswith("768 MiB free")


def test_packages_are_held_against_what_the_distribution_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = ["numpy>=1", "structlog>=9999", "no-such-package>=2", "nor-this; extra == 'export'"]
    meta = tmp_path / "veracity-1.dist-info"
    meta.mkdir()
    lines = ["Metadata-Version: 2.1", "Name: veracity", "Version: 1", *(f"Requires-Dist: {need}" for need in needs)]
    (meta / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = examined(Settings())
    assert found["package numpy"].state == "ok"
    assert (found["package structlog"].state, found["package structlog"].fatal) == ("warning", False)
    assert found["package no-such-package"] == Finding(
        "package no-such-package", "missing", "pip install 'no-such-package>=2'", True
    )
    assert "package nor-this" not in found
    assert not [what for what in found if what.startswith("model ")]  # nothing is imported that may not be there
