"use strict";
/* The figures of a board: speeds and training curves, as SVG from the numbers in the page. */
const svgElement = (name, attributes = {}, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const margin = { top: 42, right: 18, bottom: 40, left: 58 };
const short = (value) => value >= 1e6 ? `${+(value / 1e6).toPrecision(2)}M` : value >= 1e3 ? `${+(value / 1e3).toPrecision(2)}k` : `${+value.toPrecision(2)}`;
const long = (value) => value.toLocaleString("en", { maximumFractionDigits: value >= 10 ? 0 : 2 });

function linear(from, to, start, end) {
  const span = to - from || 1;
  const scale = (value) => start + (value - from) / span * (end - start);
  const rough = span / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  scale.ticks = [];
  for (let i = Math.ceil(from / step); i * step <= to + step * 1e-9; i++) scale.ticks.push(i * step);
  scale.digits = Math.max(0, -Math.floor(Math.log10(step)));
  return scale;
}

function logarithmic(from, to, start, end) {
  const [low, high] = [Math.log10(from), Math.log10(to)];
  const scale = (value) => start + (Math.log10(value) - low) / (high - low) * (end - start);
  scale.ticks = [];
  for (let power = Math.floor(low); power <= high; power++) {
    for (const digit of high - low > 2.2 ? [1] : high - low > 1 ? [1, 3] : [1, 2, 5]) {
      const value = digit * 10 ** power;
      if (value >= from && value <= to) scale.ticks.push(value);
    }
  }
  return scale;
}

function frame(canvas, height, description) {
  const width = Math.max(canvas.clientWidth, 240);
  const svg = svgElement("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": description });
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  canvas.replaceChildren(svg, tip);
  return { svg, tip, width, height };
}

function axes({ svg, width, height }, x, y, xText, yText, xTitle, yTitle) {
  for (const value of y.ticks) {
    svg.append(svgElement("line", { class: "gridline", x1: margin.left, x2: width - margin.right, y1: y(value), y2: y(value) }));
    svg.append(svgElement("text", { x: margin.left - 8, y: y(value) + 4, "text-anchor": "end" }, yText(value)));
  }
  for (const value of x.ticks) {
    svg.append(svgElement("text", { x: x(value), y: height - margin.bottom + 18, "text-anchor": "middle" }, xText(value)));
  }
  svg.append(svgElement("text", { x: width - margin.right, y: height - 4, "text-anchor": "end" }, xTitle));
  svg.append(svgElement("text", { x: 0, y: 12 }, yTitle));
}

/** Whether a line from (x, y) to (u, v) meets a box of left, top, right and bottom. */
function meets([x, y, u, v], [left, top, right, bottom]) {
  let [first, last] = [0, 1];
  for (const [from, by, low, high] of [[x, u - x, left, right], [y, v - y, top, bottom]]) {
    if (by === 0 && (from < low || from > high)) return false;
    if (by === 0) continue;
    const ends = [(low - from) / by, (high - from) / by].sort((a, b) => a - b);
    [first, last] = [Math.max(first, ends[0]), Math.min(last, ends[1])];
  }
  return first <= last;
}

/** Lines between neighbouring points. */
const segments = (points) => points.slice(1).map((point, i) => [...points[i], ...point]);

// A name goes where it meets no other name, no point and no line, or is left to the tooltip.
function placeNames(svg, items, width, lines) {
  const taken = items.map(({ cx, cy }) => [cx - 7, cy - 7, cx + 7, cy + 7]);
  for (const own of items) {
    const { cx, cy, text } = own;
    const label = svgElement("text", { class: "name", "aria-hidden": "true" }, text);
    svg.append(label);
    const w = label.getComputedTextLength(), h = 14;
    const places = [10, 20].flatMap((far) => [
      [cx + far + 2, cy + 4], [cx - w - far - 2, cy + 4], [cx - w / 2, cy - far - 1], [cx - w / 2, cy + far + 11],
      [cx + 10, cy - far], [cx + 10, cy + far + 8], [cx - w - 10, cy - far], [cx - w - 10, cy + far + 8],
    ]);
    const boxOf = ([px, py]) => [px - 4, py - h + 2, px + w + 4, py + 4];
          const free = (each) => {
      const box = boxOf(each);
      const apart = (item) => Math.hypot(Math.max(box[0] - item.cx, 0, item.cx - box[2]), Math.max(box[1] - item.cy, 0, item.cy - box[3]));
      const inside = box[0] >= margin.left - 4 && box[2] <= width && box[1] >= 14 && box[3] <= svg.height.baseVal.value - margin.bottom;
      return inside && taken.every((t) => box[0] > t[2] || box[2] < t[0] || box[1] > t[3] || box[3] < t[1])
        && !lines.some((line) => meets(line, box))
        && items.every((item) => item === own || apart(item) > 1.5 * apart(own)); // nobody takes it for another's
    };
    const place = places.find(free);
    if (!place) { label.remove(); continue; }
    label.setAttribute("x", place[0]);
    label.setAttribute("y", place[1]);
    taken.push(boxOf(place));
  }
}

function drawSpeed(figure, data, shown, rowOf) {
  const select = figure.querySelector("select");
  const fastest = (row) => row.speeds
    .filter((speed) => speed.device === select.value)
    .reduce((best, speed) => best && best.events_per_s >= speed.events_per_s ? best : speed, null);
  const points = shown.map((row) => ({ row, speed: fastest(row) })).filter((point) => point.speed);
  const canvas = figure.querySelector(".canvas");
  const view = frame(canvas, 320, `${points.length} models by sampling speed and ${data.measure}`);
  if (!points.length) {
    canvas.replaceChildren(Object.assign(document.createElement("p"), { className: "quiet", textContent: "No row shown has a speed there." }));
    return;
  }
  const { svg, tip, width, height } = view;
  const scores = points.map((point) => point.row.score), rates = points.map((point) => point.speed.events_per_s);
  const low = Math.min(...scores);
  // A floor far away would press all others together: it is shown at the upper edge.
  const high = Math.max(...scores.filter((score) => low <= 0 || score <= 1.5 * low));
  const errors = points.filter((point) => point.row.score <= high).map((point) => point.row.error ?? 0);
  const pad = Math.max((high - low || Math.abs(high) || 1) * 0.1, ...errors);
  const x = logarithmic(Math.min(...rates) / 1.7, Math.max(...rates) * 1.7, margin.left, width - margin.right);
  const scale = linear(low - pad, high + pad, height - margin.bottom, margin.top + 8);
  const y = Object.assign((value) => Math.max(scale(value), margin.top - 2), scale);
  axes(view, x, scale, short, (value) => value.toFixed(scale.digits), `samples/s on ${select.value}`, data.measure);
  figure.querySelector(".beyond").hidden = !points.some((point) => point.row.score > high);

  points.sort((a, b) => b.speed.events_per_s - a.speed.events_per_s || a.row.score - b.row.score);
  let best = Infinity;
  for (const point of points) {
    point.best = point.row.score < best;
    best = Math.min(best, point.row.score);
  }
  const front = points.filter((point) => point.best);
  svg.append(svgElement("path", { class: "front", d: front.map((point, i) => {
    const [px, py] = [x(point.speed.events_per_s), y(point.row.score)];
    return i ? `H${px}V${py}` : `M${px} ${py}`;
  }).join("") }));
  const items = [], lines = segments(front.flatMap((point, i) => {
    const [px, py] = [x(point.speed.events_per_s), y(point.row.score)];
    return i ? [[px, y(front[i - 1].row.score)], [px, py]] : [[px, py]];
  }));
  for (const value of scale.ticks) lines.push([margin.left, y(value), width - margin.right, y(value)]);
  for (const point of points) {
    const { row, speed } = point;
    const cx = x(speed.events_per_s), cy = y(row.score);
    const digits = Math.max(4, y.digits);
    const told = [
      row.model,
      `${row.score.toFixed(digits)}${row.error === null ? "" : ` ± ${row.error.toFixed(digits)}`} ${data.measure}`,
      `${speed.extrapolated ? "about " : ""}${long(speed.events_per_s)} samples/s (${speed.method}, batch ${speed.batch_size})`,
      speed.machine,
    ];
    const group = svgElement("g", {
      class: point.best ? "point best" : "point", tabindex: 0, role: "img",
      "aria-label": told.join(", ") + (point.best ? "; nothing is better in both" : ""),
    });
    if (row.error !== null && row.score <= high) {
      const ends = [y(row.score - row.error), y(row.score + row.error)];
      group.append(svgElement("line", { class: "whisker", x1: cx, x2: cx, y1: ends[0], y2: ends[1] }));
      lines.push([cx, ends[0], cx, ends[1]]);
    }
    group.append(svgElement("circle", { cx, cy, r: 14, fill: "transparent" }));
    if (row.score > high) group.append(svgElement("path", { class: "beyond", d: `M${cx - 6} ${cy + 5}h12l-6 -10z` }));
    else group.append(svgElement("circle", { class: "dot", cx, cy, r: 5 }));
    const enter = () => {
      tip.textContent = told.join("\n");
      tip.hidden = false;
      tip.style.left = `${Math.max(0, Math.min(cx + 14, width - tip.offsetWidth))}px`;
      tip.style.top = `${cy + 14 + tip.offsetHeight > height ? cy - 14 - tip.offsetHeight : cy + 14}px`;
      rowOf(row).classList.add("lit");
    };
    const leave = () => { tip.hidden = true; rowOf(row).classList.remove("lit"); };
    group.addEventListener("mouseenter", enter);
    group.addEventListener("mouseleave", leave);
    group.addEventListener("focus", enter);
    group.addEventListener("blur", leave);
    group.addEventListener("keydown", (event) => { if (event.key === "Escape") leave(); });
    svg.append(group);
    items.push({ cx, cy, text: row.model, first: point.best });
  }
  placeNames(svg, items.sort((a, b) => b.first - a.first), width, lines);
}

function drawCurves(figure, data, shown) {
  const rows = data.rows.filter((row) => row.curve.length > 1);
  const lines = shown.filter((row) => row.curve.length > 1);
  const canvas = figure.querySelector(".canvas");
  const view = frame(canvas, 320, `Training curves of ${lines.map((row) => row.model).join(", ") || "no row shown"}`);
  if (!lines.length) return;
  const { svg, width, height } = view;
  const values = lines.flatMap((row) => row.curve.map((point) => point[1]));
  const low = Math.min(...values);
  // How a training begins tells little and would press its end into a line.
  const late = Math.max(...lines.map((row) => row.curve[Math.min(row.curve.length - 2, Math.ceil(row.curve.length * 0.1))][1]));
  const high = late + (late - low || 1) * 0.08;
  const longest = Math.max(...lines.map((row) => row.curve.at(-1)[0]));
  const [unit, size] = longest >= 7200 ? ["h", 3600] : longest >= 180 ? ["min", 60] : ["s", 1];
  const x = linear(0, longest / size, margin.left, width - margin.right - 40);
  const y = linear(low - (high - low) * 0.06, high, height - margin.bottom, margin.top);
  axes(view, x, y, (value) => value.toFixed(x.digits), (value) => value.toFixed(y.digits), `training, ${unit}`, data.measure);
  const names = document.createElement("ul");
  names.className = "series";
  canvas.append(names);
  for (const row of lines) {
    const colour = `var(--series-${rows.indexOf(row) % 8})`;
    const points = row.curve.filter((point) => point[1] <= high).map(([seconds, value]) => [x(seconds / size), y(value)]);
    if (!points.length) continue;
    const path = svgElement("path", { class: "curve", d: points.map((point, i) => `${i ? "L" : "M"}${point.join(" ")}`).join("") });
    path.style.stroke = colour;
    path.append(svgElement("title", {}, row.model));
    svg.append(path);
    const [cx, cy] = points.at(-1);
    const end = svgElement("circle", { cx, cy, r: 3.5 });
    end.style.fill = colour;
    svg.append(end);
    const name = Object.assign(document.createElement("li"), { textContent: row.model });
    name.style.setProperty("--colour", colour);
    names.append(name);
  }
}

function drawBoard(board) {
  const data = numbers[board.dataset.board];
  const rows = all("tbody tr", board);
  const rowOf = (row) => rows.find((tr) => Number(tr.dataset.index) === data.rows.indexOf(row));
  const shown = data.rows.filter((row) => !rowOf(row).hidden);
  for (const figure of all(".plot", board)) {
    if (figure.hidden || !figure.offsetParent) continue;
    if (figure.dataset.plot === "speed") drawSpeed(figure, data, shown, rowOf);
    else drawCurves(figure, data, shown);
  }
}

function setUpPlots(board) {
  const data = numbers[board.dataset.board];
  const timed = data.rows.flatMap((row) => [...new Set(row.speeds.map((speed) => speed.device))]);
  const many = (device) => timed.filter((other) => other === device).length;
  const devices = [...new Set(timed)].sort((a, b) => many(b) - many(a) || a.localeCompare(b));
  for (const figure of all(".plot", board)) {
    if (figure.dataset.plot === "curves") {
      figure.hidden = !data.rows.some((row) => row.curve.length > 1);
      continue;
    }
    figure.hidden = devices.length === 0;
    const select = figure.querySelector("select");
    select.parentElement.hidden = devices.length < 2;
    select.append(...devices.map((device) => new Option(device, device)));
    select.addEventListener("change", () => drawBoard(board));
  }
}
