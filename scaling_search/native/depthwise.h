// Depthwise convolutions and their gradients: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_DEPTHWISE_H_
#define SCALING_SEARCH_NATIVE_DEPTHWISE_H_

#include "kernels.h"

namespace scaling_search {

struct DepthwiseKernels {
  // y = x * kernel, for a band of output rows.
  void (*forward)(const Window&, const Band&, const float* x, const float* kernel, float* y);
  // dx, for a band of input rows, from the kernel as `split_by_phase` orders it.
  void (*dx)(const Window&, const Band&, const float* phases, const float* dy, float* dx);
  // Adds to dkernel the share of a band of output rows.
  void (*dkernel)(const Window&, const Band&, const float* x, const float* dy, float* dkernel);
};

// Those of the widest instructions that this CPU has.
const DepthwiseKernels& depthwise_kernels();

SCALING_SEARCH_DECLARE(DepthwiseKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_DEPTHWISE_H_
