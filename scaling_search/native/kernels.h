// The kernels that one instruction set offers, and the plain data they take. Images are NHWC float32, kernels HWC.
//
// This header and kernels.cc include nothing that defines inline functions: kernels.cc is compiled once for each
// instruction set, and a function of the standard library compiled there could be picked by the linker for all.
#ifndef SCALING_SEARCH_NATIVE_KERNELS_H_
#define SCALING_SEARCH_NATIVE_KERNELS_H_

#include <stdint.h>

namespace scaling_search {

enum class Activation : int64_t { kNone = 0, kRelu = 1, kRelu6 = 2, kSilu = 3 };

// A depthwise convolution of (height, width, channels) with a window of rows x columns taps.
struct Window {
  int64_t height, width, channels;
  int64_t out_height, out_width;
  int64_t rows, columns;
  int64_t stride, top, left;
};

// Rows [row_begin, row_end) of images [image_begin, image_end).
struct Band {
  int64_t image_begin, image_end, row_begin, row_end;
};

// A matrix (rows, channels), of which a kernel takes rows [begin, end).
struct Rows {
  int64_t begin, end, channels;
};

// An image's pixels and the two dense layers of squeeze-and-excitation.
struct Gate {
  int64_t pixels, channels, squeezed;
  Activation activation;
};

// Products of the columns of two matrices: `rows` columns of the left one by all of the right one, pitch and columns
// being multiples of kMatrixBlock, as is what rows are filled up to. Of a symmetric product half is computed.
struct Cross {
  int64_t count, rows, pitch, columns;
  bool symmetric;
};

struct Kernels {
  const char* name;

  // y = x * kernel, for a band of output rows.
  void (*depthwise)(const Window&, const Band&, const float* x, const float* kernel, float* y);
  // dx, for a band of input rows, from the kernel as `split_by_phase` orders it.
  void (*depthwise_dx)(const Window&, const Band&, const float* phases, const float* dy, float* dx);
  // Adds to dkernel the share of a band of output rows.
  void (*depthwise_dkernel)(const Window&, const Band&, const float* x, const float* dy, float* dkernel);

  // sums = (sum of x, sum of x * x), each (channels,).
  void (*moments)(const Rows&, const float* x, double* sums);
  // y = activation(x * factor + offset).
  void (*normalise)(const Rows&, Activation, const float* x, const float* factor, const float* offset, float* y);
  // dz = dy * activation'(x * factor + offset); sums = (sum of dz, sum of dz * x).
  void (*gradient_moments)(const Rows&, Activation, const float* x, const float* dy, const float* factor,
                           const float* offset, float* dz, double* sums);
  // dx = dz * factor + x * slope + constant; dz and dx may be the same.
  void (*normalise_dx)(const Rows&, const float* x, const float* dz, const float* factor, const float* slope,
                       const float* constant, float* dx);

  // One image through squeeze-and-excitation; `squeeze` is (squeezed, channels), `excite` (squeezed, channels).
  // Keeps mean (channels,), hidden (squeezed,) before its activation, and gate (channels,); `active` is scratch.
  void (*squeeze_excite)(const Gate&, const float* x, const float* squeeze, const float* squeeze_bias,
                         const float* excite, const float* excite_bias, float* y, float* mean, float* hidden,
                         float* gate, float* active);
  // dx of one image, and what the layers' gradients need: the hidden activation, its gradient before the activation
  // (both squeezed) and the gate's gradient before the sigmoid (channels). `dmean` (channels) is scratch.
  void (*squeeze_excite_dx)(const Gate&, const float* x, const float* dy, const float* hidden, const float* gate,
                            const float* squeeze, const float* excite, float* dx, float* active, float* dhidden,
                            float* dgate, float* dmean);
  // out (columns,) = sum over n in order of weights[n * pitch] * rows[n, :].
  void (*weighted_sum)(int64_t count, int64_t columns, const float* weights, int64_t pitch, const float* rows,
                       float* out);
  // The same of bytes, rounded and clipped to 0..255: weights have kByteWeightBits binary places, columns are a multiple
  // of kByteBlock, and rows are `pitch` apart.
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

// The taps of a stride's phase: those i with (i - phase - pad) divisible by the stride, `count` of them from `first`.
struct Phase {
  int64_t first, count;
};

inline Phase phase_taps(int64_t phase, int64_t pad, int64_t stride, int64_t taps) {
  const int64_t first = ((phase + pad) % stride + stride) % stride;
  return {first, first < taps ? (taps - first + stride - 1) / stride : 0};
}

#if defined(__x86_64__)
extern const Kernels kAvx512Kernels;
extern const Kernels kAvx2Kernels;
#endif
extern const Kernels kDefaultKernels;

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_KERNELS_H_
