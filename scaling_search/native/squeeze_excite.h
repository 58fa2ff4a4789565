// Squeeze-and-excitation: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_SQUEEZE_EXCITE_H_
#define SCALING_SEARCH_NATIVE_SQUEEZE_EXCITE_H_

#include "kernels.h"

namespace scaling_search {

// An image's pixels and the two dense layers of squeeze-and-excitation.
struct Gate {
  int64_t pixels, channels, squeezed;
  Activation activation;
};

struct SqueezeExciteKernels {
  // One image through squeeze-and-excitation; `squeeze` is (squeezed, channels), `excite` (squeezed, channels).
  // Keeps mean (channels,), hidden (squeezed,) before its activation, and gate (channels,); `active` is scratch.
  void (*forward)(const Gate&, const float* x, const float* squeeze, const float* squeeze_bias,
                         const float* excite, const float* excite_bias, float* y, float* mean, float* hidden,
                         float* gate, float* active);
  // dx of one image, and what the layers' gradients need: the hidden activation, its gradient before the activation
  // (both squeezed) and the gate's gradient before the sigmoid (channels). `dmean` (channels) is scratch.
  void (*dx)(const Gate&, const float* x, const float* dy, const float* hidden, const float* gate,
                            const float* squeeze, const float* excite, float* dx, float* active, float* dhidden,
                            float* dgate, float* dmean);
};

// Those of the widest instructions that this CPU has.
const SqueezeExciteKernels& squeeze_excite_kernels();

SCALING_SEARCH_DECLARE(SqueezeExciteKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_SQUEEZE_EXCITE_H_
