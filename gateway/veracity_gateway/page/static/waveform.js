// The sound's waveform: for each column the loudest sample, up and down.
const MOST_BYTES = 64e6; // a larger file is not decoded in the browser's memory

/** Draw a source's sound; says false where it has none, or is too large. */
export async function drawWaveform(canvas, { url, blob }) {
  const data = blob ?? (await small(url));
  if (!data || data.size > MOST_BYTES) return false;
  const context = new OfflineAudioContext(1, 1, 8000); // decodes to this rate, which is fine enough to be drawn
  const sound = await context.decodeAudioData(await data.arrayBuffer());
  const samples = sound.getChannelData(0);
  const { width, height } = canvas;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = getComputedStyle(canvas).color;
  const each = samples.length / width;
  for (let x = 0; x < width; x += 1) {
    let peak = 0;
    for (let at = Math.floor(x * each); at < (x + 1) * each && at < samples.length; at += 1) peak = Math.max(peak, Math.abs(samples[at]));
    const high = Math.max(1, peak * height);
    pen.fillRect(x, (height - high) / 2, 1, high);
  }
  return true;
}

async function small(url) {
  const answer = await fetch(url);
  if (!answer.ok || Number(answer.headers.get("content-length")) > MOST_BYTES) {
    await answer.body?.cancel();
    return null;
  }
  return answer.blob();
}
