// What one instruction set offers, and the plain data that kernels take. Images are NHWC float32, kernels HWC.
//
// This header and those of the tables of kernels include nothing that defines inline functions: what is compiled once
// for each instruction set sees them, and a function of the standard library compiled there could be picked by the
// linker for all.
#ifndef SCALING_SEARCH_NATIVE_KERNELS_H_
#define SCALING_SEARCH_NATIVE_KERNELS_H_

#include <stdint.h>

// A table of kernels for each instruction set, of which ffi.cc chooses that of the widest that this CPU has.
#if defined(__x86_64__)
#define SCALING_SEARCH_DECLARE(Table) \
  extern const Table kAvx512##Table;  \
  extern const Table kAvx2##Table;    \
  extern const Table kDefault##Table
#else
#define SCALING_SEARCH_DECLARE(Table) extern const Table kDefault##Table
#endif

namespace scaling_search {

enum class Activation : int64_t { kNone = 0, kRelu = 1, kRelu6 = 2, kSilu = 3 };

// A depthwise convolution of (height, width, channels) with a window of rows x columns taps.
struct Window {
  int64_t height, width, channels;
  int64_t out_height, out_width;
  int64_t rows, columns;
  int64_t stride, top, left;
};

// The taps of a stride's phase: those i with (i - phase - pad) divisible by the stride, `count` of them from `first`.
struct Phase {
  int64_t first, count;
};

static inline Phase phase_taps(int64_t phase, int64_t pad, int64_t stride, int64_t taps) {
  const int64_t first = ((phase + pad) % stride + stride) % stride;
  return {first, first < taps ? (taps - first + stride - 1) / stride : 0};
}

// Rows [row_begin, row_end) of images [image_begin, image_end).
struct Band {
  int64_t image_begin, image_end, row_begin, row_end;
};

// Products of the columns of two matrices: `rows` columns of the left one by all of the right one, pitch and columns
// being multiples of kMatrixBlock, as is what rows are filled up to. Of a symmetric product half is computed.
struct Cross {
  int64_t count, rows, pitch, columns;
  bool symmetric;
};

struct Kernels {
  const char* name;

  // out (columns,) = sum over n in order of weights[n * pitch] * rows[n, :].
  void (*weighted_sum)(int64_t count, int64_t columns, const float* weights, int64_t pitch, const float* rows,
                       float* out);
  // The same of bytes, rounded and clipped to 0..255: weights have kByteWeightBits binary places, columns are a
  // multiple of kByteBlock, and rows are `pitch` apart.
  void (*weighted_bytes)(int64_t count, int64_t columns, const int32_t* weights, const uint8_t* rows, int64_t pitch,
                         uint8_t* out);
  // out[i, j] = sum over n < count of left[n, i] * right[n, j].
  void (*cross)(const Cross&, const float* left, const float* right, float* out);
};

constexpr int kByteWeightBits = 22;
constexpr int64_t kByteBlock = 32;
constexpr int64_t kMatrixBlock = 16;

// Those of the widest instructions that this CPU has.
const Kernels& kernels();

SCALING_SEARCH_DECLARE(Kernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_KERNELS_H_
