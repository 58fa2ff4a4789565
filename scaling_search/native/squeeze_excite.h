// Squeeze-and-excitation: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_SQUEEZE_EXCITE_H_
#define SCALING_SEARCH_NATIVE_SQUEEZE_EXCITE_H_

#include "bfloat16.h"
#include "kernels.h"

namespace scaling_search {

// An image's pixels and the two dense layers of squeeze-and-excitation.
struct Gate {
  int64_t pixels, channels, squeezed;
  Activation activation;
};

// out (count, columns): row i is the sum over n < depth of weights[i * pitch + n * step] * rows[n, :]. Rows, the
// result's too, are `line` apart.
struct Combination {
  int64_t count, depth, columns, line;
  int64_t pitch, step;
};

// For results and gradients of floats or of Bfloat16; what is gated is in floats.
template <class T>
struct SqueezeExciteKernelsOf {
  // Images through squeeze-and-excitation; `squeeze` is (channels, squeezed), `excite` (squeezed, channels). Keeps of
  // each image mean (channels,), hidden (squeezed,) before its activation, and gate (channels,); `active`, as hidden,
  // is scratch. y may be x.
  void (*forward)(const Gate&, int64_t images, const float* x, const float* squeeze, const float* squeeze_bias,
                  const float* excite, const float* excite_bias, T* y, float* mean, float* hidden, float* gate,
                  float* active);
  // dx of images, and what the layers' gradients need: the hidden activation, its gradient before the activation
  // (both squeezed) and the gate's gradient before the sigmoid (channels). Both layers are given turned: (squeezed,
  // channels) and (channels, squeezed). `dmean` (channels) is scratch.
  void (*dx)(const Gate&, int64_t images, const float* x, const T* dy, const float* hidden, const float* gate,
             const float* turned_squeeze, const float* turned_excite, T* dx, float* active, float* dhidden,
             float* dgate, float* dmean);
  // Each sum from `start` (columns,) if given, in the order of the rows.
  void (*combine)(const Combination&, const float* weights, const float* rows, const float* start, float* out);
};

using SqueezeExciteKernels = SqueezeExciteKernelsOf<float>;
using HalfSqueezeExciteKernels = SqueezeExciteKernelsOf<Bfloat16>;

// Those of the widest instructions that this CPU has.
template <class T>
const SqueezeExciteKernelsOf<T>& squeeze_excite_kernels();

SCALING_SEARCH_DECLARE(SqueezeExciteKernels);
SCALING_SEARCH_DECLARE(HalfSqueezeExciteKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_SQUEEZE_EXCITE_H_
