// Depthwise convolutions and their gradients: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_DEPTHWISE_H_
#define SCALING_SEARCH_NATIVE_DEPTHWISE_H_

#include "bfloat16.h"
#include "kernels.h"

namespace scaling_search {

// For images of floats or of Bfloat16, but what a batch norm before it made, which is in floats.
template <class T>
struct DepthwiseKernelsOf {
  // y = x * kernel, for a band of output rows.
  void (*forward)(const Window&, const Band&, const float* x, const float* kernel, T* y);
  // dx, for a band of input rows, from the kernel as `split_by_phase` orders it.
  void (*dx)(const Window&, const Band&, const float* phases, const T* dy, T* dx);
  // Adds to dkernel the share of a band of output rows.
  void (*dkernel)(const Window&, const Band&, const float* x, const T* dy, float* dkernel);
};

using DepthwiseKernels = DepthwiseKernelsOf<float>;
using HalfDepthwiseKernels = DepthwiseKernelsOf<Bfloat16>;

// Those of the widest instructions that this CPU has.
template <class T>
const DepthwiseKernelsOf<T>& depthwise_kernels();

SCALING_SEARCH_DECLARE(DepthwiseKernels);
SCALING_SEARCH_DECLARE(HalfDepthwiseKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_DEPTHWISE_H_
