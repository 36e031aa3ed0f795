"""What decodes pictures: ffmpeg on the CPU, or ffmpeg with the GPU's NVDEC. Sound and inspection stay on the CPU.

Both are the same run of ffmpeg with the same filters; only where a packet becomes a picture differs. On NVDEC ffmpeg
downloads each picture at once (``-hwaccel cuda`` without an output format): pictures that stayed on the GPU would begin
the time base anew where their size changes.

ffmpeg itself takes the CPU without a word where NVDEC does not know a picture's kind. So our filters take what NVDEC
gives (nv12, p010, p012) and nothing that ffmpeg's own decoders give: such a run fails at once, and
:class:`~veracity.media.media.Media` says so and decodes on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from veracity.media.isolation import Grants

# What libcuda and libnvcuvid open. Not nvidia-modeset, which is for screens.
GPU = Grants(
    devices=("nvidia[0-9]*", "nvidiactl", "nvidia-uvm*", "nvidia-caps", "null"),
    readable=(
        "/proc/driver/nvidia", "/proc/driver/nvidia-uvm", "/proc/devices", "/proc/modules", "/proc/cpuinfo",
        "/proc/meminfo", "/proc/filesystems", "/proc/sys/vm", "/sys/bus/pci", "/sys/devices", "/sys/module/nvidia",
        "/etc/nvidia", "/dev/zero", "/dev/urandom",
    ),
    variables=("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LD_LIBRARY_PATH"),
)  # fmt: skip


@dataclass(frozen=True)
class Decoder:
    """How ffmpeg decodes pictures.

    ``codecs`` are those that are its own, None for all; the others are decoded by :data:`FFMPEG`. ``options`` stand
    before the input. ``first`` are filters in front of all others, ``planar`` those in front of the first that changes
    pictures: from both decoders it gets the same formats, which are converted to RGB in the same way.
    """

    name: str
    codecs: tuple[str, ...] | None = None
    options: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    planar: tuple[str, ...] = ()
    grants: Grants | None = None

    def takes(self, codec: str) -> bool:
        """Return whether pictures of this codec are its own."""
        return self.codecs is None or codec in self.codecs


FFMPEG = Decoder("ffmpeg")
CUDA = Decoder(
    "cuda",
    codecs=("h264", "hevc", "vp8", "vp9", "av1"),  # defined to the bit; others' decoders may round differently
    options=(
        "-noauto_conversion_filters",  # which would take any format
        "-hwaccel", "cuda",
        "-apply_cropping", "all",  # left and top too; an ffmpeg before 7.1 does not on a GPU, and ends here
        "-threads", "1",  # each more would want pictures of its own in the GPU's memory
    ),
    first=("format=nv12|p010le|p012le",),
    planar=("scale=eval=frame", "format=yuv420p|yuv420p10le|yuv420p12le"),
    grants=GPU,
)  # fmt: skip
DECODERS = {decoder.name: decoder for decoder in (FFMPEG, CUDA)}
