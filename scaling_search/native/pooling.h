// The largest value of each window, and its gradient: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_POOLING_H_
#define SCALING_SEARCH_NATIVE_POOLING_H_

#include "kernels.h"

namespace scaling_search {

struct PoolingKernels {
  // y (out_height, out_width, channels) of an image x: the largest value of each window that lies on the image at least
  // in part. A value that is no number is larger than all others.
  void (*largest)(const Window&, const float* x, float* y);
  // dx of an image, from x, y and dy: all of a window's goes to its first largest value.
  void (*largest_dx)(const Window&, const float* x, const float* y, const float* dy, float* dx);
};

// Those of the widest instructions that this CPU has.
const PoolingKernels& pooling_kernels();

SCALING_SEARCH_DECLARE(PoolingKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_POOLING_H_
