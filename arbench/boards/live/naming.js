"use strict";
/* Names: the user begins one, the model says what may come next and goes on. */
function setUpNaming(data) {
  const model = new LSTM(weights.decode(data.weights)), symbols = [...data.symbols];
  const by = (id) => document.getElementById(id);
  const [prefix, said] = [by("prefix"), by("naming-said")];
  const many = 8;
  let seed = 1;
  const element = (tag, text, attributes = {}) => {
    const made = Object.assign(document.createElement(tag), { textContent: text });
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const nameOf = (symbol) => symbol === data.end ? "end" : symbols[symbol];

  /** p(next) at the first sites of a name, one more than it has symbols, and the state there. */
  function read(name) {
    const state = model.start(), chances = [model.step(state, null)];
    for (const symbol of name) chances.push(model.step(state, symbol));
    return { state, chances };
  }

  /** A name that begins so: the state has read all of `name`, and `chance` says what may follow. */
  function goOn(name, state, chance, uniform) {
    const whole = [...name];
    while (true) {
      let rest = uniform(), next = 0;
      while (next < chance.length - 1 && (rest -= chance[next]) >= 0) next += 1;
      if (next === data.end) return whole;
      whole.push(next);
      if (whole.length === data.longest) return whole;
      chance = model.step(state, next);
    }
  }

  function show() {
    const name = [...prefix.value.toLowerCase()].map((letter) => symbols.indexOf(letter)).filter((symbol) => symbol >= 0 && symbol !== data.end);
    const { state, chances } = read(name);
    const next = chances.at(-1), ended = [...name, data.end];
    const nats = ended.map((symbol, site) => -Math.log(chances[site][symbol]));
    by("letters").replaceChildren(...ended.map((symbol, site) => {
      const letter = element("span", nameOf(symbol), { title: `probability ${chances[site][symbol].toPrecision(2)}` });
      letter.append(element("small", `${nats[site].toFixed(2)} nats`));
      return letter;
    }));
    const order = [...next.keys()].sort((a, b) => next[b] - next[a]).slice(0, many);
    by("next").replaceChildren(...order.map((symbol) => {
      const row = element("li", "");
      const bar = element("span", "", { class: "bar" });
      bar.style.width = `${(60 * next[symbol] / next[order[0]]).toFixed(1)}%`;
      row.append(element("b", nameOf(symbol)), bar, element("small", `${(100 * next[symbol]).toFixed(1)} %`));
      return row;
    }));
    const uniform = uniforms(seed);
    const names = Array.from({ length: many }, () => goOn(name, model.copy(state), next, uniform));
    by("names").replaceChildren(...names.map((whole) => element("li", whole.map(nameOf).join(""))));
    const total = nats.reduce((sum, each) => sum + each, 0);
    said.textContent = `“${name.map(nameOf).join("")}” as a whole name: ${total.toFixed(3)} nats, ${(total / Math.LN2 / ended.length).toFixed(3)} bits/char; a name of the test set has ${data.average} bits/char.`;
  }
  prefix.addEventListener("input", show);
  by("other-names").addEventListener("click", () => { seed += 1; show(); });
  show();
}
