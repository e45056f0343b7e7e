"use strict";
/* NADE over binary pixels in raster order, as `arbench_nade` has it: tied, with ReLU units.

Site t has hidden units h = relu(c + sum of V_s over the earlier s with x_s = 1), and the logit
b_t + U_t h. One walk over the sites therefore gives every conditional, in O(T H).

Source: Larochelle and Murray, "The neural autoregressive distribution estimator", AISTATS 2011. */
class NADE {
  /** Of Float64Arrays: weight V and readout U, (T, H) row by row, bias c (H), readout_bias b (T). */
  constructor({ weight, bias, readout, readout_bias: readoutBias }) {
    Object.assign(this, { weight, bias, readout, readoutBias });
    this.sites = readoutBias.length;
    this.hidden = bias.length;
  }

  /** Goes over all sites: the first `given` have their value in `pixels`, the others are drawn.
   *
   * A pixel is drawn 1 where the next number of `uniform` is at least 1 - p, as arbench draws it.
   * Returns, of every site, its value, p(1 | all before), and the nats of the value, all summed in
   * float64. */
  walk(pixels, given, uniform) {
    const { weight, readout, readoutBias, sites, hidden } = this;
    const sums = Float64Array.from(this.bias);
    const values = new Uint8Array(sites);
    const probabilities = new Float64Array(sites), nats = new Float64Array(sites);
    for (let site = 0, row = 0; site < sites; site++, row += hidden) {
      let logit = readoutBias[site];
      for (let j = 0; j < hidden; j++) if (sums[j] > 0) logit += readout[row + j] * sums[j];
      const probability = 1 / (1 + Math.exp(-logit));
      const value = site < given ? pixels[site] : +(uniform() >= 1 - probability);
      const against = value ? -logit : logit;
      probabilities[site] = probability;
      nats[site] = Math.max(against, 0) + Math.log1p(Math.exp(-Math.abs(against)));
      values[site] = value;
      if (value) for (let j = 0; j < hidden; j++) sums[j] += weight[row + j];
    }
    return { values, probabilities, nats };
  }
}
