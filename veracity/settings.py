"""Every setting, its default and its environment variable: ``VERACITY_`` + the setting's name in capitals.

Values come from the environment, else from the TOML file that ``VERACITY_CONFIG`` names, else from the defaults here:
:meth:`Settings.from_env` reads all three, :class:`Settings` alone means the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import ByteSize, Field, SecretStr, TypeAdapter, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from veracity.catalog import MODELS
from veracity.catalog.profiles import PROFILES, choose
from veracity.catalog.shared import PICTURE_SQUARES
from veracity.install import locations
from veracity_client.errors import BadOption

CHECKOUT = Path(__file__).resolve().parent.parent
MIB = 1 << 20
PREFIX = "VERACITY_"
CONFIG_FILE = "VERACITY_CONFIG"  # names the TOML file

TYPES = {  # what pydantic's types of errors want
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "path_type": "must be a path",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    **dict.fromkeys(("byte_size", "byte_size_unit"), "must be such as 8G, 512MiB or a number of bytes"),
}

Count = Annotated[int, Field(gt=0)]
Size = Annotated[ByteSize, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """How this server is run: frozen, and checked however it is made. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_prefix_target="all",  # of aliases too
        env_ignore_empty=True,
        case_sensitive=False,
        frozen=True,
        extra="forbid",
    )

    env: Literal["development", "production"] = Field(
        "development", description="production refuses to start on whatever `veracity doctor` finds wrong"
    )
    profile: str = Field("starter", description=f"which models make up the layers: {', '.join(PROFILES)}")
    models: str = Field("", description="names of models, separated by commas, that replace the profile's of a layer")
    model_config_name: Literal["", "tensorrt", "trt_ep"] = Field(  # pydantic keeps the name model_config for itself
        "", alias="model_config", description="read each model's configs/<name>.pbtxt, where there is one"
    )
    model_repository: Path = Field(locations.MODEL_REPOSITORY, description="Triton's model repository")
    model_signer: Path | None = Field(
        None,
        description="PEM file of who has to have signed each model: a public key, or an authority's certificates",
    )
    weights: Path = Field(locations.WEIGHTS, description="folder of fetched files")
    mirror: str = Field(
        "", description="where fetched files also lie, as sha256/DIGEST: a web address or the absolute path of a folder"
    )
    calibration: Path | None = Field(None, description="a calibration file in place of the one that is installed")
    triton: Path | None = Field(None, description="a folder with bin/tritonserver in place of the one that pip brings")
    ffmpeg: Path | None = Field(None, description="an ffmpeg in place of the system's, or else the one that pip brings")
    vad: Literal["silero", "energy"] = Field("silero", description="voice-activity detector; energy needs no file")
    media_root: Path | None = Field(None, description="folder of files that clients may name; without it, none")
    max_bytes: Count = Field(200 * MIB, description="largest file that is sent, in bytes")
    max_file_bytes: Count = Field(4096 * MIB, description="largest file that is named and read where it lies, in bytes")
    max_seconds: Seconds = Field(3600.0, description="longest clip, in seconds")
    max_pixels: Count = Field(8192 * 4320, description="largest frame, in pixels")
    max_frames: Count = Field(250_000, description="most frames of a clip: at 25 a second, and as the file says itself")
    max_faces: Count = Field(8, description="faces of a frame that are scored, the most certain first")
    semantic_crops: Literal[1, 5] = Field(
        1, description="squares of a frame that the semantic layer sees: the middle, or 5 with the corners"
    )
    decoder: Literal["ffmpeg", "cuda"] = Field(
        "ffmpeg", description="what decodes pictures: ffmpeg on the CPU, or cuda, ffmpeg with NVDEC on an NVIDIA GPU"
    )
    ffmpeg_cpu_seconds: Count = Field(600, description="processor time of one run of ffmpeg, in seconds")
    ffmpeg_memory_bytes: Count = Field(4096 * MIB, description="address space of one run of ffmpeg, in bytes")
    ffmpeg_wall_seconds: Seconds = Field(300.0, description="longest that one run of ffmpeg may take, in seconds")
    decoder_isolation: Literal["auto", "required", "off"] = Field(
        "auto", description="Landlock and seccomp around decoders: what the system allows, or both, or none"
    )
    open_models: str = Field(
        "", description="models that clients may call beside the detectors: names separated by commas, or all"
    )
    hosts: str = Field("", description="names that clients know this server by, separated by commas")
    api_keys: SecretStr = Field(SecretStr(""), description="NAME:KEY of every caller, separated by commas")
    api_keys_file: Path | None = Field(None, description="a file of such keys, one a line; read again when it changes")
    insecure: bool = Field(False, description="serve other machines without API keys")
    tls_cert: Path | None = Field(None, description="PEM file of the server's certificate; without it, no TLS")
    tls_key: Path | None = Field(None, description="PEM file of its key")
    tls_client_ca: Path | None = Field(None, description="PEM file of who signs the clients' certificates (mTLS)")
    memory: Literal["resident", "lazy"] = Field(
        "resident", description="lazy loads a model when it is needed and unloads it when it is not"
    )
    memory_budget: Size | None = Field(
        None, description="what models may take of the memory (of the GPU, else of the machine), such as 8G or 512MiB"
    )
    memory_idle_seconds: Seconds = Field(
        300.0, description="after which a lazy model is unloaded that nobody used, in seconds"
    )
    drain_seconds: Seconds = Field(
        30.0, description="what requests in flight get when the server is told to stop, in seconds"
    )
    answers: Path | None = Field(
        None, description="a file to which each verdict is appended as a line, for `veracity drift`; without it, none"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severity that is logged")

    def __init__(self, **values: Any) -> None:
        """Raise :class:`BadOption` that names the environment variable of a wrong value."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise BadOption(explain(error, variable)) from error

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the arguments alone: :meth:`from_env` reads the other sources and knows where each value is from."""
        return (sources["init_settings"],)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment (or ``environ``) and the file that it names.

        Raises:
            BadOption: a value is wrong, or a variable or key is unknown; one line that names it.
        """
        from veracity.settings_sources import load

        return load(environ).settings

    def to_env(self) -> dict[str, str]:
        """Return the environment that :meth:`from_env` reads back as these settings, whatever file was named before.

        Without the API keys, which the models' processes have no business with.
        """
        values = {variable(name): getattr(self, name) for name in type(self).model_fields if name != "api_keys"}
        return {CONFIG_FILE: "", **{name: "" if value is None else str(value) for name, value in values.items()}}

    def replace(self, **changes: Any) -> Settings:
        """Return a copy with some values changed and all of them checked; raises :class:`BadOption`."""
        return type(self)(**(self.model_dump(by_alias=True, exclude_unset=True) | changes))

    @field_validator("profile")
    @classmethod
    def _profile_exists(cls, profile: str) -> str:
        if profile not in PROFILES:
            raise ValueError(f"must be one of {', '.join(PROFILES)}, got {profile!r}")
        return profile

    @field_validator("models")
    @classmethod
    def _models_exist(cls, models: str, info: ValidationInfo) -> str:
        if "profile" in info.data:
            try:
                choose(info.data["profile"], models)
            except BadOption as error:
                raise ValueError(error.message) from None
        return models

    @field_validator("mirror")
    @classmethod
    def _mirror_has_a_place(cls, mirror: str) -> str:
        address = urlsplit(mirror)
        if mirror and not mirror.startswith("/") and not (address.scheme in ("http", "https") and address.netloc):
            raise ValueError(f"must be a web address or the absolute path of a folder, got {mirror!r}")
        if "@" in address.netloc:
            raise ValueError("must hold no user name or password: it is shown and logged")
        return mirror

    @field_validator("open_models")
    @classmethod
    def _open_models_exist(cls, names: str) -> str:
        for name in filter(None, map(str.strip, names.split(","))):
            if name not in (*MODELS, "all"):
                raise ValueError(f"must be all or names of models, got {name!r}")
        return names

    @field_validator("semantic_crops", mode="before")
    @classmethod
    def _crops_are_a_number(cls, crops: object) -> object:
        return int(crops) if isinstance(crops, str) and crops.isdecimal() else crops

    @field_validator("semantic_crops")
    @classmethod
    def _crops_are_seen(cls, crops: int, info: ValidationInfo) -> int:
        if crops > 1 and {"profile", "models"} <= set(info.data):
            seeing = [name for name, _ in choose(info.data["profile"], info.data["models"])["semantic"]]
            if all(MODELS[name].kind != PICTURE_SQUARES for name in seeing):
                raise ValueError(f"must be 1 here: it says nothing to {', '.join(seeing)}")
        return crops


def read_size(text: str) -> int:
    """Return the bytes of a size such as 24G or 512MiB; raises :class:`BadOption`."""
    try:
        return int(TypeAdapter(Size).validate_python(text))
    except ValidationError as error:
        raise BadOption(explain(error, lambda _: "a size").strip()) from None


def key(name: str) -> str:
    """Return what a setting is called in the file, and as an argument."""
    return Settings.model_fields[name].alias or name


def variable(name: str) -> str:
    """Return the environment variable of a setting, by its name or its key."""
    field = Settings.model_fields.get(name)
    return PREFIX + ((field and field.alias) or name).upper()


def explain(error: ValidationError, named: Callable[[str], str]) -> str:
    """Return the first of pydantic's errors as one line; ``named`` returns what the setting is called in its source."""
    first = error.errors(include_url=False)[0]
    given, kind, limits = first["input"], first["type"], first.get("ctx", {})
    wanted = {
        "value_error": str(limits.get("error", "")),
        "literal_error": f"must be one of {limits.get('expected', '')}, got {given!r}".replace("'', ", ""),
        "greater_than": f"must be a number over 0, got {given}",
        "finite_number": f"must be a number over 0, got {given}",
        "extra_forbidden": "is no setting",
    }.get(kind, f"{TYPES.get(kind, first['msg'])}, got {given!r}")
    name = str(first["loc"][0]) if first["loc"] else ""
    return f"{named(name)} {wanted}"
