// Kernel gradients of 1x1 convolutions of many pixels, one of whose sides has few channels: what one instruction set
// offers.
#ifndef SCALING_SEARCH_NATIVE_POINTWISE_H_
#define SCALING_SEARCH_NATIVE_POINTWISE_H_

#include "kernels.h"

namespace scaling_search {

// The columns of the two sides must be multiples of these.
constexpr int64_t kNarrowBlock = 8, kBroadBlock = 16;

// Rows [begin, end) of two matrices of so many columns, and the columns of the broad one that are taken.
struct Pointwise {
  int64_t begin, end, narrow, broad, columns;
};

struct PointwiseKernels {
  // out (narrow, broad): the sum over the rows, of which there is one at least, of narrow[row, i] * broad[row, j], in
  // their order.
  void (*dkernel)(const Pointwise&, const float* narrow, const float* broad, float* out);
};

// Those of the widest instructions that this CPU has.
const PointwiseKernels& pointwise_kernels();

SCALING_SEARCH_DECLARE(PointwiseKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_POINTWISE_H_
