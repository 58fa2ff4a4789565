// Products of matrices of many rows and few columns, as 1x1 convolutions are: what one instruction set offers. So are
// others of few channels, once each pixel's window has been gathered into a row.
//
// Like kernels.h, this header includes nothing that defines inline functions of the standard library.
#ifndef SCALING_SEARCH_NATIVE_POINTWISE_H_
#define SCALING_SEARCH_NATIVE_POINTWISE_H_

#include "dense.h"
#include "kernels.h"

namespace scaling_search {

// Rows [begin, end) of a product of matrices (rows, depth) and (depth, columns).
struct Product {
  int64_t begin, end, depth, columns;
};

// Memory that is read or written soon: fetched little by little while sums are made, as a core that waits for all of it
// at once computes nothing meanwhile.
struct Soon {
  const float* at;
  int64_t floats;
};

// Rows [begin, end) of two matrices of so many rows and columns, and the columns of the broad one that are taken. With
// `add`, what they give is added to what there is.
struct Pointwise {
  int64_t begin, end, rows, narrow, broad, columns;
  bool add;
  Soon soon;
};

struct PointwiseKernels {
  int64_t lanes;  // Floats of a register.
  // out = left * right, each a sum over the depth in its order.
  void (*product)(const Product&, const float* left, const float* right, float* out);
  // out (narrow, broad): the sum over the rows, of which there is one at least, of narrow[row, i] * broad[row, j], in
  // their order.
  void (*dkernel)(const Pointwise&, const float* narrow, const float* broad, float* out);
  // What a row costs there, by which to tell which side is better the narrow one.
  int64_t (*cost)(int64_t narrow, int64_t broad);
  // What the windows of pixels [begin, end) of a convolution's result hold, a row of depth() for each; as many floats
  // as a register has may be written beyond the last row.
  void (*gather)(const Dense&, int64_t begin, int64_t end, const float* x, float* rows);
};

// Those of the widest instructions that this CPU has.
const PointwiseKernels& pointwise_kernels();

SCALING_SEARCH_DECLARE(PointwiseKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_POINTWISE_H_
