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

// The batch norm before a gate, which is given x in front of it: activation(x * factor + offset), with vectors of
// channels repeated for a line as in batch_norm.h.
struct Normed {
  Activation activation;
  int64_t line;
  const float *factor, *offset;
};

// For images of floats or of Bfloat16, but what is gated, which is in floats. Each takes some images.
template <class T>
struct SqueezeExciteKernelsOf {
  // mean (channels,) of each image.
  void (*squeeze)(const Gate&, int64_t images, const float* x, float* mean);
  // The same of what the batch norm makes of x: active, which may be x.
  void (*squeeze_normed)(const Gate&, const Normed&, int64_t images, const T* x, float* active, float* mean);
  // y = x * gate, of images and their means; `squeeze` is (channels, squeezed), `excite` (squeezed, channels). Keeps of
  // each image hidden (squeezed,) before its activation, and gate (channels,); `active`, as hidden, is scratch. y may
  // be x.
  void (*forward)(const Gate&, int64_t images, const float* x, const float* mean, const float* squeeze,
                  const float* squeeze_bias, const float* excite, const float* excite_bias, T* y, float* hidden,
                  float* gate, float* active);
  // The gradient of each image's gate before the sigmoid (channels).
  void (*dgate)(const Gate&, int64_t images, const float* x, const T* dy, const float* gate, float* dgate);
  // The same where a batch norm made of x what is gated; keeps the activation's slopes.
  void (*dgate_normed)(const Gate&, const Normed&, int64_t images, const T* x, const T* dy, const float* gate,
                       float* slope, float* dgate);
  // What the layers' gradients and dx need: the hidden activation, its gradient before the activation (both squeezed)
  // and each pixel's share in the gradient by the mean (channels). Both layers are given turned: (squeezed, channels)
  // and (channels, squeezed).
  void (*dlayers)(const Gate&, int64_t images, const float* hidden, const float* turned_squeeze,
                  const float* turned_excite, const float* dgate, float* active, float* dhidden, float* dpixel);
  // dx = dy * gate + dpixel.
  void (*dx)(const Gate&, int64_t images, const T* dy, const float* gate, const float* dpixel, T* dx);
  // The same by the activation's slopes, 0 where they are; adds to sums (sum of dz, sum of dz * x), each (channels,).
  void (*dz)(const Gate&, int64_t images, const T* x, const T* dy, const float* gate, const float* dpixel,
             const float* slope, T* dz, double* sums);
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
