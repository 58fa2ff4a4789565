// Batch norm with its activation: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_BATCH_NORM_H_
#define SCALING_SEARCH_NATIVE_BATCH_NORM_H_

#include "bfloat16.h"
#include "kernels.h"

namespace scaling_search {

constexpr int64_t kLongestLine = 1280;

// A matrix (rows, channels), of which a kernel takes rows [begin, end).
//
// Several rows are taken as one line of up to kLongestLine elements, so that they fill registers whatever the number of
// channels. Vectors of channels that kernels are given come repeated to fill such a line; sums are of channels again.
struct Rows {
  int64_t begin, end, channels, line;
};

// For images of floats or of Bfloat16.
template <class T>
struct BatchNormKernelsOf {
  // Adds to sums (sum of x, sum of x * x), each (channels,).
  void (*moments)(const Rows&, const T* x, double* sums);
  // y = activation(x * factor + offset).
  void (*normalise)(const Rows&, Activation, const T* x, const float* factor, const float* offset, T* y);
  // dz = dy * activation'(x * factor + offset); adds to sums (sum of dz, sum of dz * x).
  void (*gradient_moments)(const Rows&, Activation, const T* x, const T* dy, const float* factor, const float* offset,
                           T* dz, double* sums);
  // dx = dz * factor + x * slope + constant; dz and dx may be the same.
  void (*normalise_dx)(const Rows&, const T* x, const T* dz, const float* factor, const float* slope,
                       const float* constant, T* dx);
};

// For what is joined with a batch norm, in floats.
template <class T>
struct JoinedKernelsOf {
  // y = activation(x * factor + offset).
  void (*activate)(const Rows&, Activation, const T* x, const float* factor, const float* offset, float* y);
  // The same, and the activation's slope there. Has the cache fetch what lies beside as x does, and is written next.
  void (*activate_with_slope)(const Rows&, Activation, const T* x, const float* factor, const float* offset, float* y,
                              float* slope, const T* beside);
  // d = d * slope, 0 where the slope is, whatever d; without slopes d stays. Adds to sums (sum of d, sum of d * x).
  void (*apply_slope)(const Rows&, const float* slope, const T* x, T* d, double* sums);
};

using BatchNormKernels = BatchNormKernelsOf<float>;
using HalfBatchNormKernels = BatchNormKernelsOf<Bfloat16>;
using JoinedKernels = JoinedKernelsOf<float>;
using HalfJoinedKernels = JoinedKernelsOf<Bfloat16>;

// Those of the widest instructions that this CPU has.
template <class T>
const BatchNormKernelsOf<T>& batch_norm_kernels();
template <class T>
const JoinedKernelsOf<T>& joined_kernels();

SCALING_SEARCH_DECLARE(BatchNormKernels);
SCALING_SEARCH_DECLARE(HalfBatchNormKernels);
SCALING_SEARCH_DECLARE(JoinedKernels);
SCALING_SEARCH_DECLARE(HalfJoinedKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_BATCH_NORM_H_
