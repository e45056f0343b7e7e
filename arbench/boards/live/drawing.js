"use strict";
/* The drawing: its upper rows are the user's, the model draws the others while one watches. */
function setUpDrawing(data) {
  const side = 28, cell = 12, model = new NADE(weights.decode(data.weights));
  const by = (id) => document.getElementById(id);
  const [canvas, chances, slider, said] = [by("drawing"), by("chances"), by("rows"), by("drawing-said")];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let pixels = new Uint8Array(side * side); // the user's, below the line too
  let caret = { x: 9, y: 6 }, hasCaret = false;
  let seed = 1, walked = null, shown = 0, frame = 0;

  const given = () => slider.valueAsNumber * side;

  function paint() {
    const [mine, theirs] = [canvas, chances].map((each) => each.getContext("2d"));
    for (const context of [mine, theirs]) {
      context.fillStyle = "#101418";
      context.fillRect(0, 0, canvas.width, canvas.height);
    }
    for (let site = 0; site < shown; site++) {
      const x = site % side * cell, y = Math.floor(site / side) * cell;
      const level = Math.round(255 * walked.probabilities[site]);
      theirs.fillStyle = `rgb(${level} ${level} ${level})`;
      theirs.fillRect(x, y, cell, cell);
      if (!walked.values[site]) continue;
      mine.fillStyle = site < given() ? "#ffffff" : "#5fc9b8";
      mine.fillRect(x, y, cell, cell);
    }
    for (const context of [mine, theirs]) {
      context.fillStyle = "#e3b35a";
      context.fillRect(0, slider.valueAsNumber * cell - 1, canvas.width, 2);
    }
    if (!hasCaret) return;
    for (const context of [mine, theirs]) {
      context.strokeStyle = "#79b8ff";
      context.lineWidth = 2;
      context.strokeRect(caret.x * cell, caret.y * cell, cell, cell);
    }
  }

  /** Everything anew; `slowly` lets one watch. */
  function complete(slowly) {
    cancelAnimationFrame(frame);
    const before = performance.now();
    walked = model.walk(pixels, given(), uniforms(seed));
    const took = performance.now() - before;
    tell();
    said.textContent = `${numbers(0, side * side)} nats, computed in ${took.toFixed(1)} ms.`;
    shown = slowly && !calm.matches ? given() : side * side;
    const begin = performance.now(), from = shown;
    const go = (now) => {
      shown = Math.min(side * side, from + Math.round(Math.max(0, now - begin) * 0.4));
      paint();
      if (shown < side * side) frame = requestAnimationFrame(go);
    };
    go(begin);
  }

  const numbers = (from, to) => walked.nats.subarray(from, to).reduce((sum, nats) => sum + nats, 0).toFixed(3);

  function tell() {
    for (const [id, from, to] of [["own-nats", 0, given()], ["drawn-nats", given(), side * side], ["all-nats", 0, side * side]]) {
      const nats = numbers(from, to);
      const bits = to > from ? (nats / Math.LN2 / (to - from)).toFixed(4) : "–";
      [to - from, nats, bits].forEach((text, column) => { by(id).cells[column + 1].textContent = text; });
    }
  }

  function say({ x, y }) {
    const site = y * side + x;
    said.textContent = `Row ${y + 1}, column ${x + 1}: ${walked.values[site] ? "white" : "black"}; white with probability ${walked.probabilities[site].toFixed(3)}.`;
  }

  function take(next) {
    pixels = next;
    seed = 1;
    complete(true);
  }

  // By pointer: every pixel whose middle is near the way that it went.
  let last = null;
  const placeOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width * side - 0.5, y: (event.clientY - box.top) / box.height * side - 0.5 };
  };
  function stroke(from, to) {
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    for (let site = 0; site < given(); site++) {
      const [x, y] = [site % side - from.x, Math.floor(site / side) - from.y];
      const along = Math.min(1, Math.max(0, (x * dx + y * dy) / (dx * dx + dy * dy || 1)));
      if (Math.hypot(x - along * dx, y - along * dy) < 1.15) pixels[site] = by("erase").checked ? 0 : 1;
    }
    walked = { ...walked, values: pixels };
    shown = given();
    paint();
  }
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    cancelAnimationFrame(frame);
    canvas.setPointerCapture(event.pointerId);
    hasCaret = false;
    last = placeOf(event);
    stroke(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const place = placeOf(event);
    stroke(last, place);
    last = place;
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, () => {
      if (!last) return;
      last = null;
      complete(true);
    });
  }
  chances.addEventListener("pointermove", (event) => {
    const box = chances.getBoundingClientRect();
    const at = (place, size) => Math.min(side - 1, Math.max(0, Math.floor(place / size * side)));
    say({ x: at(event.clientX - box.left, box.width), y: at(event.clientY - box.top, box.height) });
  });

  // By keyboard
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (move) {
      const within = (place) => Math.min(side - 1, Math.max(0, place));
      caret = { x: within(caret.x + move[0]), y: within(caret.y + move[1]) };
      paint();
      say(caret);
    } else if (event.key === " ") {
      const site = caret.y * side + caret.x;
      if (site < given()) pixels[site] ^= 1;
      complete(false);
      say(caret);
    } else if (event.key === "Enter") another();
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("focus", () => { hasCaret = canvas.matches(":focus-visible"); paint(); });
  canvas.addEventListener("blur", () => { hasCaret = false; paint(); });

  function another() {
    seed += 1;
    complete(true);
  }
  by("again").addEventListener("click", another);
  by("clear").addEventListener("click", () => take(new Uint8Array(side * side)));
  slider.addEventListener("input", () => {
    by("rows-shown").textContent = slider.value;
    complete(false);
  });
  const examples = data.digits.map((text) => Uint8Array.from(text, Number));
  for (const button of document.querySelectorAll("[data-digit]")) {
    button.addEventListener("click", () => take(examples[button.dataset.digit].slice()));
  }
  take(examples[3].slice());
}
