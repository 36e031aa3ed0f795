"""What nobody waits for any more ends at its next step."""

import asyncio
import dataclasses
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import media_samples
import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.evidence.speech import SileroVad, Spans, Stopped, never
from veracity.media import Source
from veracity_client.errors import ModelUnavailable
from veracity_client.verdict import Options, StageEvent


def test_a_decoder_that_the_system_ends_is_not_the_file_s_fault(context: AnalysisContext, talking: Path) -> None:
    """Not even where there are pictures and the sound alone could be left out of the verdict."""
    over = threading.Event()

    def end_all() -> None:
        while not over.is_set():
            for process in media_samples.children("ffmpeg"):
                with suppress(ProcessLookupError):  # it ended meanwhile
                    os.kill(process, signal.SIGKILL)

    ending = threading.Thread(target=end_all)
    ending.start()
    try:
        with pytest.raises(ModelUnavailable, match="the system ended the decoder"):
            asyncio.run(analyze(Source(talking), LocalInfer(context.settings.model_repository), Options(), context))
    finally:
        over.set()
        ending.join()


def test_the_search_for_speech_ends_with_its_analysis(
    context: AnalysisContext, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ten minutes of silence, cancelled when the search has begun."""
    silence = ("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", 600)
    file = media_samples.write(tmp_path_factory.mktemp("silent") / "silence.flac", *silence)
    looked_at = 0

    def vad(pcm: NDArray[np.int16], stopped: Stopped = never) -> Spans:
        def asked() -> bool:
            nonlocal looked_at
            looked_at += 1
            return stopped()

        return context.vad(pcm, stopped=asked)

    async def abandon() -> None:
        begun = asyncio.Event()

        def tell(event: StageEvent) -> None:
            if (event.stage, event.status) == ("speech", "started"):
                begun.set()

        counting = dataclasses.replace(context, vad=vad)
        infer = LocalInfer(context.settings.model_repository)
        task = asyncio.create_task(analyze(Source(file), infer, Options(), counting, tell))
        await begun.wait()
        await asyncio.sleep(0)  # the search is on its way to a thread
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.get_running_loop().shutdown_default_executor()  # its thread ends

    asyncio.run(abandon())
    assert looked_at < 0.5 * 600 * 16_000 / SileroVad.CHUNK
