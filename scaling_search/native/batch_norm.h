// Batch norm with its activation: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_BATCH_NORM_H_
#define SCALING_SEARCH_NATIVE_BATCH_NORM_H_

#include "kernels.h"

namespace scaling_search {

// A matrix (rows, channels), of which a kernel takes rows [begin, end).
struct Rows {
  int64_t begin, end, channels;
};

struct BatchNormKernels {
  // sums = (sum of x, sum of x * x), each (channels,).
  void (*moments)(const Rows&, const float* x, double* sums);
  // y = activation(x * factor + offset).
  void (*normalise)(const Rows&, Activation, const float* x, const float* factor, const float* offset, float* y);
  // The same, and the activation's slope there.
  void (*normalise_with_slope)(const Rows&, Activation, const float* x, const float* factor, const float* offset,
                               float* y, float* slope);
  // d = d * slope; 0 where the slope is, whatever d.
  void (*apply_slope)(int64_t count, const float* slope, float* d);
  // dz = dy * activation'(x * factor + offset); sums = (sum of dz, sum of dz * x).
  void (*gradient_moments)(const Rows&, Activation, const float* x, const float* dy, const float* factor,
                           const float* offset, float* dz, double* sums);
  // dx = dz * factor + x * slope + constant; dz and dx may be the same.
  void (*normalise_dx)(const Rows&, const float* x, const float* dz, const float* factor, const float* slope,
                       const float* constant, float* dx);
};

// Those of the widest instructions that this CPU has.
const BatchNormKernels& batch_norm_kernels();

SCALING_SEARCH_DECLARE(BatchNormKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_BATCH_NORM_H_
