"use strict";
/* Weights as the page carries them: a list of numbers, or rows of 16-bit integers in steps.

Entry j of row i is steps[i] times integer i H + j of `integers`, base64 of little-endian int16. */
const weights = (() => {
  function unpack({ steps, integers }) {
    const bytes = atob(integers);
    const numbers = new Float64Array(bytes.length / 2), width = numbers.length / steps.length;
    for (let i = 0, at = 0; i < steps.length; i++) {
      for (let j = 0; j < width; j++, at++) {
        const unsigned = bytes.charCodeAt(2 * at) | bytes.charCodeAt(2 * at + 1) << 8;
        numbers[at] = steps[i] * (unsigned << 16 >> 16);
      }
    }
    return numbers;
  }

  /** A Float64Array for every name. */
  function decode(packed) {
    return Object.fromEntries(Object.entries(packed).map(([name, each]) =>
      [name, Array.isArray(each) ? Float64Array.from(each) : unpack(each)]));
  }
  return { decode };
})();
