"use strict";
/* A stack of LSTM layers over symbols, as `arbench_rnn` has it.

Source: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9, 1997. */
class LSTM {
  /** Of Float64Arrays by their names in the checkpoint. */
  constructor(weights) {
    this.weights = weights;
    this.symbols = weights["outputs.bias"].length;
    this.width = weights["inputs.start"].length;
    this.hidden = weights["outputs.weight"].length / this.symbols;
    this.layers = weights.initial.length / this.hidden / 2;
  }

  /** The state before the first symbol, which `step` changes. */
  start() {
    const { layers, hidden, weights: { initial } } = this;
    const part = (kind, layer) => Float64Array.from(
      initial.subarray((kind * layers + layer) * hidden, (kind * layers + layer + 1) * hidden));
    return Array.from({ length: layers }, (_, layer) => ({ units: part(0, layer), cells: part(1, layer) }));
  }

  /** A copy of a state, to go on from twice. */
  copy(state) {
    return state.map(({ units, cells }) => ({ units: units.slice(), cells: cells.slice() }));
  }

  /** p(symbol | all before) of every symbol, after reading the one before; null at the first. */
  step(state, previous) {
    const { weights, hidden, width } = this;
    let input = previous === null
      ? weights["inputs.start"]
      : weights["inputs.table.weight"].subarray(previous * width, (previous + 1) * width);
    state.forEach(({ units, cells }, layer) => {
      const own = (name) => weights[`layers.${name}_l${layer}`];
      const gates = product(own("weight_ih"), input, own("bias_ih"));
      const recurrent = product(own("weight_hh"), units, own("bias_hh"));
      for (let j = 0; j < hidden; j++) {
        const [write, keep, fresh, read] = [0, 1, 2, 3].map((gate) => gates[gate * hidden + j] + recurrent[gate * hidden + j]);
        cells[j] = sigmoid(keep) * cells[j] + sigmoid(write) * Math.tanh(fresh);
        units[j] = sigmoid(read) * Math.tanh(cells[j]);
      }
      input = units;
    });
    const logits = product(weights["outputs.weight"], input, weights["outputs.bias"]);
    const highest = Math.max(...logits);
    const sizes = logits.map((logit) => Math.exp(logit - highest));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    return sizes.map((size) => size / total);
  }
}

const sigmoid = (value) => 1 / (1 + Math.exp(-value));

/** matrix @ vector + bias in float64; the matrix is stored row by row. */
function product(matrix, vector, bias) {
  const out = Float64Array.from(bias), width = vector.length;
  for (let row = 0, at = 0; row < out.length; row++) {
    let sum = 0;
    for (let j = 0; j < width; j++, at++) sum += matrix[at] * vector[j];
    out[row] += sum;
  }
  return out;
}
