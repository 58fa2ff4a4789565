// A batch norm, what it is added to, and a ReLU: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_RESIDUAL_H_
#define SCALING_SEARCH_NATIVE_RESIDUAL_H_

#include "batch_norm.h"

namespace scaling_search {

struct ResidualKernels {
  // y = relu(x * factor + offset + shortcut).
  void (*normalise_onto)(const Rows&, const float* x, const float* factor, const float* offset, const float* shortcut,
                         float* y);
};

// Those of the widest instructions that this CPU has.
const ResidualKernels& residual_kernels();

SCALING_SEARCH_DECLARE(ResidualKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_RESIDUAL_H_
