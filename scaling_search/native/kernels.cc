// The kernels themselves, compiled once for each instruction set (see kernels.h and setup.py).
//
// Channels lie next to each other in memory, so every kernel goes through a block of channels at a time with one
// vector register a value. Channels beyond the last full block take narrower blocks, so nothing is read or written
// out of bounds. No kernel knows of threads: sums are in the order of the rows it is given.
#include "kernels.h"

#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define SCALING_SEARCH_KERNELS kAvx512Kernels
#define SCALING_SEARCH_LANES 16
#define SCALING_SEARCH_NAME "AVX-512"
#elif defined(__AVX2__)
#define SCALING_SEARCH_KERNELS kAvx2Kernels
#define SCALING_SEARCH_LANES 8
#define SCALING_SEARCH_NAME "AVX2"
#else
#define SCALING_SEARCH_KERNELS kDefaultKernels
#define SCALING_SEARCH_LANES 4
#define SCALING_SEARCH_NAME "baseline instructions"
#endif

#define INLINE inline __attribute__((always_inline))

namespace scaling_search {
namespace {

constexpr int kLanes = SCALING_SEARCH_LANES;

typedef float WideFloat __attribute__((vector_size(4 * SCALING_SEARCH_LANES)));
typedef int32_t WideInt __attribute__((vector_size(4 * SCALING_SEARCH_LANES)));
typedef float QuadFloat __attribute__((vector_size(16)));
typedef int32_t QuadInt __attribute__((vector_size(16)));

template <class V>
struct Traits;
template <>
struct Traits<WideFloat> {
  using Int = WideInt;
  static constexpr int kWidth = kLanes;
};
#if SCALING_SEARCH_LANES > 4
template <>
struct Traits<QuadFloat> {
  using Int = QuadInt;
  static constexpr int kWidth = 4;
};
#endif
template <>
struct Traits<float> {
  using Int = int32_t;
  static constexpr int kWidth = 1;
};

// Any alignment.
template <class V>
INLINE V load(const float* p) {
  V v;
  memcpy(&v, p, sizeof(v));
  return v;
}

template <class V>
INLINE void store(float* p, V v) {
  memcpy(p, &v, sizeof(v));
}

// Calls body(V(), first channel) for each block of channels: wide ones, then four, then one at a time.
template <class Body>
INLINE void for_blocks(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(WideFloat{}, c);
  for (; c + 4 <= channels; c += 4) body(QuadFloat{}, c);
  for (; c < channels; ++c) body(float{}, c);
}

INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// ---------------------------------------------------------------------------------------------- depthwise

// A row of outputs of one block of channels, each a sum over rows x columns taps of a source image.
struct Row {
  const float* source;   // The image at this block's first channel.
  int64_t width, pitch;  // Of the source in pixels; floats from pixel to pixel, of the source and of the kernel.
  int64_t first_row, rows;  // Source row of the first tap, and taps: all within the source.
  int64_t columns, stride, left;  // Taps in a row; source pixels from output to output; output 0 starts at -left.
  const float* kernel;   // At the first tap.
  float* out;
  int64_t out_pitch, count;  // Floats from output to output, and outputs.
};

// The `kCount` pixels from column `x` of a source row; zero outside where kEdge.
template <class V, int kCount, bool kEdge>
INLINE void load_pixels(V (&pixels)[kCount], const float* line, int64_t x, int64_t width, int64_t pitch) {
#pragma GCC unroll 16
  for (int n = 0; n < kCount; ++n) {
    if (!kEdge || (x + n >= 0 && x + n < width)) {
      pixels[n] = load<V>(line + (x + n) * pitch);
    } else {
      pixels[n] = V{};
    }
  }
}

template <class V, int kColumns, int kStride, int kGroup, bool kEdge>
INLINE void correlate_group(const Row& r, int64_t first) {
  V sums[kGroup] = {};
  const int64_t x = first * kStride - r.left;
  for (int64_t i = 0; i < r.rows; ++i) {
    V pixels[kColumns + (kGroup - 1) * kStride];
    load_pixels<V, kColumns + (kGroup - 1) * kStride, kEdge>(pixels, r.source + (r.first_row + i) * r.width * r.pitch,
                                                             x, r.width, r.pitch);
    const float* taps = r.kernel + i * kColumns * r.pitch;
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) {
      const V tap = load<V>(taps + j * r.pitch);
#pragma GCC unroll 4
      for (int n = 0; n < kGroup; ++n) sums[n] += pixels[n * kStride + j] * tap;
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < kGroup; ++n) store<V>(r.out + (first + n) * r.out_pitch, sums[n]);
}

template <class V, int kColumns, int kStride, int kGroup>
INLINE void correlate_groups(const Row& r) {
  constexpr int64_t kReach = kColumns + (kGroup - 1) * kStride;
  for (int64_t start = 0; start < r.count; start += kGroup) {
    // The last group overlaps the one before, and writes the same values again.
    const int64_t first = smaller(start, r.count - kGroup);
    const int64_t x = first * kStride - r.left;
    if (x >= 0 && x + kReach <= r.width) {
      correlate_group<V, kColumns, kStride, kGroup, false>(r, first);
    } else {
      correlate_group<V, kColumns, kStride, kGroup, true>(r, first);
    }
  }
}

template <class V, int kColumns, int kStride>
void correlate(const Row& r) {
  if (r.count >= 4) {
    correlate_groups<V, kColumns, kStride, 4>(r);
  } else if (r.count >= 2) {
    correlate_groups<V, kColumns, kStride, 2>(r);
  } else {
    correlate_groups<V, kColumns, kStride, 1>(r);
  }
}

template <class V>
void correlate_any(const Row& r) {
  for (int64_t o = 0; o < r.count; ++o) {
    V sum = {};
    const int64_t x = o * r.stride - r.left;
    const int64_t begin = larger(0, -x), end = smaller(r.columns, r.width - x);
    for (int64_t i = 0; i < r.rows; ++i) {
      const float* line = r.source + (r.first_row + i) * r.width * r.pitch;
      for (int64_t j = begin; j < end; ++j) {
        sum += load<V>(line + (x + j) * r.pitch) * load<V>(r.kernel + (i * r.columns + j) * r.pitch);
      }
    }
    store<V>(r.out + o * r.out_pitch, sum);
  }
}

template <class V>
using Correlate = void (*)(const Row&);

template <class V>
Correlate<V> choose_correlate(int64_t columns, int64_t stride) {
  if (Traits<V>::kWidth == 1) return correlate_any<V>;
  switch (stride * 16 + columns) {
    case 16 + 1: return correlate<V, 1, 1>;
    case 16 + 2: return correlate<V, 2, 1>;
    case 16 + 3: return correlate<V, 3, 1>;
    case 16 + 4: return correlate<V, 4, 1>;
    case 16 + 5: return correlate<V, 5, 1>;
    case 16 + 7: return correlate<V, 7, 1>;
    case 32 + 3: return correlate<V, 3, 2>;
    case 32 + 5: return correlate<V, 5, 2>;
    case 32 + 7: return correlate<V, 7, 2>;
    default: return correlate_any<V>;
  }
}

// Leaves of the taps only those whose source row lies within `height`.
INLINE void clip_rows(Row& r, int64_t first_row, int64_t rows, int64_t height, const float* kernel) {
  const int64_t begin = smaller(larger(0, -first_row), rows), end = larger(begin, smaller(rows, height - first_row));
  r.first_row = first_row + begin;
  r.rows = end - begin;
  r.kernel = kernel + begin * r.columns * r.pitch;
}

void depthwise(const Window& w, const Band& band, const float* x, const float* kernel, float* y) {
  for_blocks(w.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
    using V = decltype(zero);
    const Correlate<V> run = choose_correlate<V>(w.columns, w.stride);
    Row r{};
    r.width = w.width;
    r.pitch = r.out_pitch = w.channels;
    r.columns = w.columns;
    r.stride = w.stride;
    r.left = w.left;
    r.count = w.out_width;
    for (int64_t image = band.image_begin; image < band.image_end; ++image) {
      r.source = x + image * w.height * w.width * w.channels + c;
      for (int64_t row = band.row_begin; row < band.row_end; ++row) {
        clip_rows(r, row * w.stride - w.top, w.rows, w.height, kernel + c);
        r.out = y + (image * w.out_height + row) * w.out_width * w.channels + c;
        run(r);
      }
    }
  });
}

// Input pixels with the same remainder by the stride meet the same taps: each phase is a correlation of dy, at stride
// one, with those taps in reverse.
void depthwise_dx(const Window& w, const Band& band, const float* phases, const float* dy, float* dx) {
  for_blocks(w.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
    using V = decltype(zero);
    for (int64_t q = 0; q < smaller(w.stride, w.width); ++q) {
      const Phase across = phase_taps(q, w.left, w.stride, w.columns);
      const Correlate<V> run = choose_correlate<V>(across.count, 1);
      Row r{};
      r.width = w.out_width;
      r.pitch = w.channels;
      r.columns = across.count;
      r.stride = 1;
      r.left = across.count - 1 - (q + w.left - across.first) / w.stride;
      r.out_pitch = w.stride * w.channels;
      r.count = (w.width - q + w.stride - 1) / w.stride;
      for (int64_t image = band.image_begin; image < band.image_end; ++image) {
        r.source = dy + image * w.out_height * w.out_width * w.channels + c;
        for (int64_t row = band.row_begin; row < band.row_end; ++row) {
          const int64_t p = row % w.stride;
          const Phase down = phase_taps(p, w.top, w.stride, w.rows);
          // Phases lie one after another: all of the rows' phases before p, then those before q within p.
          int64_t taps = 0;
          for (int64_t before = 0; before < p; ++before) {
            taps += phase_taps(before, w.top, w.stride, w.rows).count * w.columns;
          }
          for (int64_t before = 0; before < q; ++before) {
            taps += down.count * phase_taps(before, w.left, w.stride, w.columns).count;
          }
          const int64_t first = row / w.stride + (p + w.top - down.first) / w.stride - (down.count - 1);
          clip_rows(r, first, down.count, w.out_height, phases + taps * w.channels + c);
          r.out = dx + ((image * w.height + row) * w.width + q) * w.channels + c;
          run(r);
        }
      }
    }
  });
}

// Adds to sums[i][j] what `kGroup` outputs from `first` give; lines[i] is the source row of tap row i, or null.
template <class V, int kRows, int kColumns, int kStride, int kGroup, bool kEdge>
INLINE void gather_group(V (&sums)[kRows][kColumns], const float* const (&lines)[kRows], const float* dy, int64_t x,
                         int64_t width, int64_t pitch) {
  V slopes[kGroup];
#pragma GCC unroll 4
  for (int n = 0; n < kGroup; ++n) slopes[n] = load<V>(dy + n * pitch);
#pragma GCC unroll 3
  for (int i = 0; i < kRows; ++i) {
    if (!lines[i]) continue;
    V pixels[kColumns + (kGroup - 1) * kStride];
    load_pixels<V, kColumns + (kGroup - 1) * kStride, kEdge>(pixels, lines[i], x, width, pitch);
#pragma GCC unroll 4
    for (int n = 0; n < kGroup; ++n) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) sums[i][j] += pixels[n * kStride + j] * slopes[n];
    }
  }
}

// dkernel[i, j] for kRows tap rows from `i` and kColumns tap columns from `j`, over a band, for one block of channels.
// kStride 0 stands for the window's own.
template <class V, int kRows, int kColumns, int kStride>
void gather(const Window& w, const Band& band, const float* x, const float* dy, int64_t i, int64_t j, float* dkernel) {
  constexpr int kGroup = kStride ? 4 : 1;
  constexpr int64_t kReach = kColumns + (kGroup - 1) * kStride;
  const int64_t stride = kStride ? kStride : w.stride, pitch = w.channels;
  V sums[kRows][kColumns] = {};
  for (int64_t image = band.image_begin; image < band.image_end; ++image) {
    for (int64_t row = band.row_begin; row < band.row_end; ++row) {
      const float* lines[kRows];
      for (int n = 0; n < kRows; ++n) {
        const int64_t source = row * stride - w.top + i + n;
        const bool inside = source >= 0 && source < w.height;
        lines[n] = inside ? x + (image * w.height + source) * w.width * pitch : nullptr;
      }
      const float* slopes = dy + (image * w.out_height + row) * w.out_width * pitch;
      int64_t o = 0;
      for (; o + kGroup <= w.out_width; o += kGroup) {
        const int64_t column = o * stride - w.left + j;
        if (column >= 0 && column + kReach <= w.width) {
          gather_group<V, kRows, kColumns, kStride, kGroup, false>(sums, lines, slopes + o * pitch, column, w.width,
                                                                   pitch);
        } else {
          gather_group<V, kRows, kColumns, kStride, kGroup, true>(sums, lines, slopes + o * pitch, column, w.width,
                                                                  pitch);
        }
      }
      for (; o < w.out_width; ++o) {
        gather_group<V, kRows, kColumns, kStride, 1, true>(sums, lines, slopes + o * pitch, o * stride - w.left + j,
                                                           w.width, pitch);
      }
    }
  }
  for (int n = 0; n < kRows; ++n) {
    for (int m = 0; m < kColumns; ++m) {
      float* out = dkernel + ((i + n) * w.columns + j + m) * pitch;
      store<V>(out, load<V>(out) + sums[n][m]);
    }
  }
}

template <class V, int kRows, int kColumns, int kStride>
INLINE void gather_all(const Window& w, const Band& band, const float* x, const float* dy, float* dkernel) {
  for (int64_t i = 0; i < w.rows; i += kRows) {
    for (int64_t j = 0; j < w.columns; j += kColumns) {
      gather<V, kRows, kColumns, kStride>(w, band, x, dy, i, j, dkernel);
    }
  }
}

void depthwise_dkernel(const Window& w, const Band& band, const float* x, const float* dy, float* dkernel) {
  const bool square = w.rows == w.columns && w.stride <= 2;
  const int64_t kind = square ? w.stride * 16 + w.columns : 0;
  for_blocks(w.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
    using V = decltype(zero);
    if (Traits<V>::kWidth == 1) return gather_all<V, 1, 1, 0>(w, band, x + c, dy + c, dkernel + c);
    // Of a 3x3 kernel all sums fit into registers at once; of a larger one a row of them does.
    switch (kind) {
      case 16 + 3: return gather_all<V, 3, 3, 1>(w, band, x + c, dy + c, dkernel + c);
      case 16 + 5: return gather_all<V, 1, 5, 1>(w, band, x + c, dy + c, dkernel + c);
      case 16 + 7: return gather_all<V, 1, 7, 1>(w, band, x + c, dy + c, dkernel + c);
      case 32 + 3: return gather_all<V, 3, 3, 2>(w, band, x + c, dy + c, dkernel + c);
      case 32 + 5: return gather_all<V, 1, 5, 2>(w, band, x + c, dy + c, dkernel + c);
      case 32 + 7: return gather_all<V, 1, 7, 2>(w, band, x + c, dy + c, dkernel + c);
      default: return gather_all<V, 1, 1, 0>(w, band, x + c, dy + c, dkernel + c);
    }
  });
}

// ---------------------------------------------------------------------------------------------- activations

template <class V>
INLINE V broadcast(float value) {
  return V{} + value;
}

template <class V>
INLINE V clamp(V x, float low, float high) {
  x = x < broadcast<V>(low) ? broadcast<V>(low) : x;
  return x > broadcast<V>(high) ? broadcast<V>(high) : x;
}

// exp(x) to about 2e-7 relative: 2^n * 2^f with |f| <= 1/2, and a polynomial for the second factor.
template <class V>
INLINE V exponential(V x) {
  using Int = typename Traits<V>::Int;
  x = clamp(x, -87.0f, 88.0f);
  // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits.
  const V shifted = x * 1.44269504f + 12582912.0f;
  const V n = shifted - 12582912.0f;
  const V f = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  V p = f * 1.38888889e-3f + 8.33333333e-3f;
  p = p * f + 4.16666667e-2f;
  p = p * f + 1.66666667e-1f;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  Int bits;
  memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits << 23) + 0x3f800000;  // The rest of `shifted`'s bits leave at the top.
  V power;
  memcpy(&power, &bits, sizeof(power));
  return p * power;
}

template <class V>
INLINE V sigmoid(V x) {
  return 1.0f / (1.0f + exponential<V>(-x));
}

template <class V, Activation kActivation>
INLINE V activate(V z) {
  switch (kActivation) {
    case Activation::kNone: return z;
    case Activation::kRelu: return z < V{} ? V{} : z;
    case Activation::kRelu6: return clamp(z, 0.0f, 6.0f);
    case Activation::kSilu: return z * sigmoid<V>(z);
  }
}

template <class V, Activation kActivation>
INLINE V activation_gradient(V z, V dy) {
  switch (kActivation) {
    case Activation::kNone: return dy;
    case Activation::kRelu: return z > V{} ? dy : V{};
    case Activation::kRelu6: {
      dy = z > V{} ? dy : V{};
      return z < broadcast<V>(6.0f) ? dy : V{};
    }
    case Activation::kSilu: {
      const V s = sigmoid<V>(z);
      return dy * (s * (1.0f + z * (1.0f - s)));
    }
  }
}

// Calls body with the activation as a compile-time constant.
template <class Body>
INLINE void with_activation(Activation activation, const Body& body) {
  switch (activation) {
    case Activation::kNone: return body.template run<Activation::kNone>();
    case Activation::kRelu: return body.template run<Activation::kRelu>();
    case Activation::kRelu6: return body.template run<Activation::kRelu6>();
    case Activation::kSilu: return body.template run<Activation::kSilu>();
  }
}

// ---------------------------------------------------------------------------------------------- batch norm

// Rows whose sums stay in float registers before they join the double ones: few enough to stay in the cache.
INLINE int64_t rows_at_once(int64_t channels) { return larger(8, smaller(128, 8192 / channels)); }

// Adds (first, second) of each row of [begin, end), as float sums, to the double ones of a block of channels.
template <class V, class Terms>
INLINE void add_moments(int64_t begin, int64_t end, double* first_sums, double* second_sums, const Terms& terms) {
  V first = {}, second = {};
  for (int64_t row = begin; row < end; ++row) {
    V a, b;
    terms(row, a, b);
    first += a;
    second += b;
  }
  float a[Traits<V>::kWidth], b[Traits<V>::kWidth];
  store<V>(a, first);
  store<V>(b, second);
  for (int n = 0; n < Traits<V>::kWidth; ++n) {
    first_sums[n] += a[n];
    second_sums[n] += b[n];
  }
}

void moments(const Rows& r, const float* x, double* sums) {
  memset(sums, 0, 2 * r.channels * sizeof(double));
  const int64_t step = rows_at_once(r.channels);
  for (int64_t begin = r.begin; begin < r.end; begin += step) {
    const int64_t end = smaller(begin + step, r.end);
    for_blocks(r.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
      using V = decltype(zero);
      add_moments<V>(begin, end, sums + c, sums + r.channels + c,
                     [&](int64_t row, V& a, V& b) __attribute__((always_inline)) {
                       a = load<V>(x + row * r.channels + c);
                       b = a * a;
                     });
    });
  }
}

struct Normalise {
  const Rows& r;
  const float *x, *factor, *offset;
  float* y;

  template <Activation kActivation>
  void run() const {
    for (int64_t row = r.begin; row < r.end; ++row) {
      const float* in = x + row * r.channels;
      float* out = y + row * r.channels;
      for_blocks(r.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
        using V = decltype(zero);
        store<V>(out + c, activate<V, kActivation>(load<V>(in + c) * load<V>(factor + c) + load<V>(offset + c)));
      });
    }
  }
};

void normalise(const Rows& r, Activation activation, const float* x, const float* factor, const float* offset,
               float* y) {
  with_activation(activation, Normalise{r, x, factor, offset, y});
}

struct GradientMoments {
  const Rows& r;
  const float *x, *dy, *factor, *offset;
  float* dz;
  double* sums;

  template <Activation kActivation>
  void run() const {
    const int64_t step = rows_at_once(r.channels);
    for (int64_t begin = r.begin; begin < r.end; begin += step) {
      const int64_t end = smaller(begin + step, r.end);
      for_blocks(r.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
        using V = decltype(zero);
        const V f = load<V>(factor + c), o = load<V>(offset + c);
        add_moments<V>(begin, end, sums + c, sums + r.channels + c,
                       [&](int64_t row, V& a, V& b) __attribute__((always_inline)) {
                         const int64_t at = row * r.channels + c;
                         const V value = load<V>(x + at);
                         a = activation_gradient<V, kActivation>(value * f + o, load<V>(dy + at));
                         b = a * value;
                         if (kActivation != Activation::kNone) store<V>(dz + at, a);
                       });
      });
    }
  }
};

void gradient_moments(const Rows& r, Activation activation, const float* x, const float* dy, const float* factor,
                      const float* offset, float* dz, double* sums) {
  memset(sums, 0, 2 * r.channels * sizeof(double));
  with_activation(activation, GradientMoments{r, x, dy, factor, offset, dz, sums});
}

void normalise_dx(const Rows& r, const float* x, const float* dz, const float* factor, const float* slope,
                  const float* constant, float* dx) {
  for (int64_t row = r.begin; row < r.end; ++row) {
    const int64_t at = row * r.channels;
    for_blocks(r.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
      using V = decltype(zero);
      const V linear = load<V>(x + at + c) * load<V>(slope + c) + load<V>(constant + c);
      store<V>(dx + at + c, load<V>(dz + at + c) * load<V>(factor + c) + linear);
    });
  }
}

// ---------------------------------------------------------------------------------------------- squeeze-excite

float dot(int64_t count, const float* a, const float* b) {
  WideFloat wide = {};
  int64_t n = 0;
  for (; n + kLanes <= count; n += kLanes) wide += load<WideFloat>(a + n) * load<WideFloat>(b + n);
  float sum = 0;
  for (; n < count; ++n) sum += a[n] * b[n];
  for (int lane = 0; lane < kLanes; ++lane) sum += wide[lane];
  return sum;
}

void weighted_sum(int64_t count, int64_t columns, const float* weights, int64_t pitch, const float* rows, float* out) {
  for_blocks(columns, [&](auto zero, int64_t c) __attribute__((always_inline)) {
    using V = decltype(zero);
    V sum = zero;
    for (int64_t n = 0; n < count; ++n) sum += load<V>(rows + n * columns + c) * weights[n * pitch];
    store<V>(out + c, sum);
  });
}

// Compilers widen whole vectors of bytes well, and parts of one badly: hence the intrinsics.
#if defined(__AVX2__)
struct ByteSums {
  __m256i parts[4];
};

INLINE ByteSums rounding_half() {
  const __m256i half = _mm256_set1_epi32(1 << (kByteWeightBits - 1));
  return {{half, half, half, half}};
}

INLINE void add_weighted(ByteSums& sums, const uint8_t* bytes, int32_t weight) {
  const __m256i factor = _mm256_set1_epi32(weight);
  for (int part = 0; part < 4; ++part) {
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + 8 * part));
    sums.parts[part] =
        _mm256_add_epi32(sums.parts[part], _mm256_mullo_epi32(_mm256_cvtepu8_epi32(eight), factor));
  }
}

INLINE void store_clipped(const ByteSums& sums, uint8_t* out) {
  __m256i shifted[4];
  for (int part = 0; part < 4; ++part) shifted[part] = _mm256_srai_epi32(sums.parts[part], kByteWeightBits);
  // Both saturate, and keep to halves of a register.
  const __m256i words = _mm256_packus_epi16(_mm256_packs_epi32(shifted[0], shifted[1]),
                                            _mm256_packs_epi32(shifted[2], shifted[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permutevar8x32_epi32(words, order));
}
#else
struct ByteSums {
  int32_t parts[kByteBlock];
};

INLINE ByteSums rounding_half() {
  ByteSums sums;
  for (int32_t& part : sums.parts) part = 1 << (kByteWeightBits - 1);
  return sums;
}

INLINE void add_weighted(ByteSums& sums, const uint8_t* bytes, int32_t weight) {
  for (int n = 0; n < kByteBlock; ++n) sums.parts[n] += bytes[n] * weight;
}

INLINE void store_clipped(const ByteSums& sums, uint8_t* out) {
  for (int n = 0; n < kByteBlock; ++n) {
    const int32_t value = sums.parts[n] >> kByteWeightBits;
    out[n] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}
#endif

void weighted_bytes(int64_t count, int64_t columns, const int32_t* weights, const uint8_t* rows, int64_t pitch,
                    uint8_t* out) {
  for (int64_t c = 0; c < columns; c += kByteBlock) {
    ByteSums sums = rounding_half();
    for (int64_t n = 0; n < count; ++n) add_weighted(sums, rows + n * pitch + c, weights[n]);
    store_clipped(sums, out + c);
  }
}

struct Hidden {
  const Gate& g;
  const float* hidden;
  const float* dactive;
  float* out;

  template <Activation kActivation>
  void run() const {
    for (int64_t s = 0; s < g.squeezed; ++s) {
      out[s] = dactive ? activation_gradient<float, kActivation>(hidden[s], dactive[s])
                       : activate<float, kActivation>(hidden[s]);
    }
  }
};

void squeeze_excite(const Gate& g, const float* x, const float* squeeze, const float* squeeze_bias,
                    const float* excite, const float* excite_bias, float* y, float* mean, float* hidden, float* gate,
                    float* active) {
  const float share = 1.0f / static_cast<float>(g.pixels);
  weighted_sum(g.pixels, g.channels, &share, 0, x, mean);
  for (int64_t s = 0; s < g.squeezed; ++s) {
    hidden[s] = squeeze_bias[s] + dot(g.channels, mean, squeeze + s * g.channels);
  }
  with_activation(g.activation, Hidden{g, hidden, nullptr, active});
  for_blocks(g.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
    using V = decltype(zero);
    V sum = load<V>(excite_bias + c);
    for (int64_t s = 0; s < g.squeezed; ++s) sum += load<V>(excite + s * g.channels + c) * active[s];
    store<V>(gate + c, sigmoid<V>(sum));
  });
  for (int64_t p = 0; p < g.pixels; ++p) {
    for_blocks(g.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
      using V = decltype(zero);
      store<V>(y + p * g.channels + c, load<V>(x + p * g.channels + c) * load<V>(gate + c));
    });
  }
}

void squeeze_excite_dx(const Gate& g, const float* x, const float* dy, const float* hidden, const float* gate,
                       const float* squeeze, const float* excite, float* dx, float* active, float* dhidden,
                       float* dgate, float* dmean) {
  for_blocks(g.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
    using V = decltype(zero);
    V sum = zero;
    for (int64_t p = 0; p < g.pixels; ++p) {
      sum += load<V>(dy + p * g.channels + c) * load<V>(x + p * g.channels + c);
    }
    const V value = load<V>(gate + c);
    store<V>(dgate + c, sum * value * (1.0f - value));
  });
  for (int64_t s = 0; s < g.squeezed; ++s) active[s] = dot(g.channels, dgate, excite + s * g.channels);
  with_activation(g.activation, Hidden{g, hidden, active, dhidden});
  with_activation(g.activation, Hidden{g, hidden, nullptr, active});
  weighted_sum(g.squeezed, g.channels, dhidden, 1, squeeze, dmean);
  const float share = 1.0f / static_cast<float>(g.pixels);
  for (int64_t p = 0; p < g.pixels; ++p) {
    for_blocks(g.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
      using V = decltype(zero);
      const int64_t at = p * g.channels + c;
      store<V>(dx + at, load<V>(dy + at) * load<V>(gate + c) + load<V>(dmean + c) * share);
    });
  }
}

// ---------------------------------------------------------------------------------------------- matrices

constexpr int kTileRows = kLanes == 16 ? 8 : kLanes == 8 ? 4 : 2;
constexpr int kPanelVectors = (kLanes == 16 ? 2 : 1) * kMatrixBlock / kLanes;
constexpr int64_t kPanel = kPanelVectors * kLanes;
constexpr int64_t kDepth = 256;  // Rows at a time: a panel of the right matrix stays in the first cache.

// Adds to a tile of out, or begins it, what `count` rows of the left matrix and of a panel of the right one give.
INLINE void cross_tile(int64_t count, const float* left, int64_t left_pitch, const float* panel, bool begin, float* out,
                       int64_t out_pitch, int64_t vectors) {
  WideFloat sums[kTileRows][kPanelVectors] = {};
  for (int64_t n = 0; n < count; ++n) {
    WideFloat values[kPanelVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVectors; ++v) values[v] = load<WideFloat>(panel + n * kPanel + v * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < kPanelVectors; ++v) sums[i][v] += left[n * left_pitch + i] * values[v];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVectors; ++v) {
      if (v >= vectors) break;
      float* const to = out + i * out_pitch + v * kLanes;
      store<WideFloat>(to, begin ? sums[i][v] : load<WideFloat>(to) + sums[i][v]);
    }
  }
}

void cross(const Cross& c, const float* left, const float* right, float* out) {
  float panel[kDepth * kPanel];
  for (int64_t first = 0; first < c.count; first += kDepth) {
    const int64_t count = smaller(kDepth, c.count - first);
    for (int64_t j = 0; j < c.columns; j += kPanel) {
      const int64_t width = smaller(kPanel, c.columns - j);
      for (int64_t n = 0; n < count; ++n) {
        memcpy(panel + n * kPanel, right + (first + n) * c.columns + j, static_cast<size_t>(width) * sizeof(float));
      }
      const int64_t rows = c.symmetric ? smaller(c.rows, j + width) : c.rows;
      for (int64_t i = 0; i < rows; i += kTileRows) {
        cross_tile(count, left + first * c.pitch + i, c.pitch, panel, first == 0, out + i * c.columns + j, c.columns,
                   width / kLanes);
      }
    }
  }
  if (!c.symmetric) return;
  for (int64_t i = 0; i < c.rows; ++i) {
    for (int64_t j = 0; j < i; ++j) out[i * c.columns + j] = out[j * c.columns + i];
  }
}

}  // namespace

const Kernels SCALING_SEARCH_KERNELS = {
    SCALING_SEARCH_NAME, depthwise,         depthwise_dx,   depthwise_dkernel, moments,      normalise,
    gradient_moments,    normalise_dx,      squeeze_excite, squeeze_excite_dx, weighted_sum, weighted_bytes,
    cross,
};

}  // namespace scaling_search
