"use strict";
/* A sampled piece of music: its notes as bars, and played by the browser itself. */

/** Lets every note sound in an audio context, from a time on; returns the time of the end. */
function soundPiece(context, piece, begin) {
  const volume = new GainNode(context, { gain: 0.15 });
  volume.connect(context.destination);
  for (const [key, start, steps] of piece.notes) {
    const [from, to] = [begin + start * piece.step_s, begin + (start + steps) * piece.step_s];
    const tone = new OscillatorNode(context, { type: "triangle", frequency: 440 * 2 ** ((key - 69) / 12) });
    const loudness = new GainNode(context, { gain: 0 });
    loudness.gain.setValueAtTime(0, from);
    loudness.gain.linearRampToValueAtTime(1, from + 0.02);
    loudness.gain.setTargetAtTime(0, Math.max(from + 0.02, to - 0.06), 0.03);
    tone.connect(loudness).connect(volume);
    tone.start(from);
    tone.stop(to + 0.1);
  }
  return begin + piece.steps * piece.step_s;
}

function setUpPiece(figure) {
  const piece = JSON.parse(figure.dataset.piece);
  const button = figure.querySelector("button");
  const keys = piece.notes.map(([key]) => key);
  const [low, high] = [Math.min(...keys) - 1, Math.max(...keys) + 1];
  const roll = svgElement("svg", {
    viewBox: `0 0 ${piece.steps} ${high - low + 1}`, preserveAspectRatio: "none", role: "img", "aria-label": button.dataset.about,
  });
  for (const [key, x, width] of piece.notes) {
    roll.append(svgElement("rect", { x, y: high - key, width: width - 0.15, height: 0.8 }));
  }
  const place = svgElement("line", { x1: 0, x2: 0, y1: 0, y2: high - low + 1, visibility: "hidden" });
  roll.append(place);
  figure.prepend(roll);

  let context = null, frame = 0;
  function stop() {
    cancelAnimationFrame(frame);
    context?.close();
    context = null;
    button.textContent = "Play";
    place.setAttribute("visibility", "hidden");
  }
  function play() {
    context = new AudioContext();
    const begin = context.currentTime + 0.05, end = soundPiece(context, piece, begin);
    button.textContent = "Stop";
    place.setAttribute("visibility", "visible");
    const follow = () => {
      if (context.currentTime > end) return stop();
      const step = Math.max(0, Math.floor((context.currentTime - begin) / piece.step_s));
      for (const end of ["x1", "x2"]) place.setAttribute(end, step);
      frame = requestAnimationFrame(follow);
    };
    follow();
  }
  button.addEventListener("click", () => (context ? stop() : play()));
}
