// Kernel gradients of 1x1 convolutions, compiled once for each instruction set (see pointwise.h and setup.py).
#include "pointwise.h"

#include "lanes.h"

namespace scaling_search {
namespace {

// A tile of the result, which registers hold: columns of the narrow side by vectors of the broad one.
constexpr int kTile = kLanes == 16 ? 8 : 4;
constexpr int kVectors = kLanes == 4 ? 2 : 3;
// Rows at a time: those of a tile stay in the first cache.
constexpr int64_t kDepth = 128;

// What the rows give to a tile, added to what is there or not. Those that come next are fetched meanwhile.
template <int kCount, bool kFetch>
INLINE void add_tile(const Pointwise& p, bool add, const float* narrow, const float* broad, float* out) {
  WideFloat sums[kTile][kCount] = {};
  if (add) {
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
#pragma GCC unroll 3
      for (int v = 0; v < kCount; ++v) sums[i][v] = load<WideFloat>(out + i * p.broad + v * kLanes);
    }
  }
  for (int64_t row = p.begin; row < p.end; ++row) {
    const float* left = narrow + row * p.narrow;
    const float* right = broad + row * p.broad;
    WideFloat values[kCount];
#pragma GCC unroll 3
    for (int v = 0; v < kCount; ++v) {
      values[v] = load<WideFloat>(right + v * kLanes);
      if (kFetch) __builtin_prefetch(right + kDepth * p.broad + v * kLanes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
#pragma GCC unroll 3
      for (int v = 0; v < kCount; ++v) sums[i][v] += left[i] * values[v];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i) {
#pragma GCC unroll 3
    for (int v = 0; v < kCount; ++v) store<WideFloat>(out + i * p.broad + v * kLanes, sums[i][v]);
  }
}

template <int kCount>
INLINE void add_tiles(const Pointwise& p, bool add, const float* narrow, const float* broad, float* out) {
  add_tile<kCount, true>(p, add, narrow, broad, out);
  for (int64_t i = kTile; i < p.narrow; i += kTile) {
    add_tile<kCount, false>(p, add, narrow + i, broad, out + i * p.broad);
  }
}

void dkernel(const Pointwise& whole, const float* narrow, const float* broad, float* out) {
  Pointwise p = whole;
  for (p.begin = whole.begin; p.begin < whole.end; p.begin += kDepth) {
    p.end = smaller(p.begin + kDepth, whole.end);
    const bool add = p.begin > whole.begin;
    int64_t j = 0;
    for (; j + kVectors * kLanes <= p.columns; j += kVectors * kLanes) {
      add_tiles<kVectors>(p, add, narrow, broad + j, out + j);
    }
    for (; j < p.columns; j += kLanes) add_tiles<1>(p, add, narrow, broad + j, out + j);
  }
}

}  // namespace

const PointwiseKernels SCALING_SEARCH_TABLE(PointwiseKernels) = {dkernel};

}  // namespace scaling_search
