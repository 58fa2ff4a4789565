// A batch norm, what it is added to, and a ReLU: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_RESIDUAL_H_
#define SCALING_SEARCH_NATIVE_RESIDUAL_H_

#include "batch_norm.h"

namespace scaling_search {

// For images of floats or of Bfloat16.
template <class T>
struct ResidualKernelsOf {
  // y = relu(x * factor + offset + shortcut).
  void (*normalise_onto)(const Rows&, const T* x, const float* factor, const float* offset, const T* shortcut, T* y);
};

using ResidualKernels = ResidualKernelsOf<float>;
using HalfResidualKernels = ResidualKernelsOf<Bfloat16>;

// Those of the widest instructions that this CPU has.
template <class T>
const ResidualKernelsOf<T>& residual_kernels();

SCALING_SEARCH_DECLARE(ResidualKernels);
SCALING_SEARCH_DECLARE(HalfResidualKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_RESIDUAL_H_
