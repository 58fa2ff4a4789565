// Depthwise convolutions and their gradients, compiled once for each instruction set (see depthwise.h and setup.py).
#include "depthwise.h"

#include "lanes.h"

namespace scaling_search {
namespace {

// A row of outputs, each a sum over rows x columns taps of a source image.
template <class From, class To>
struct Row {
  const From* source;
  int64_t width, channels;  // Of the source, in pixels and floats.
  int64_t first_row, rows;  // Source row of the first tap, and taps: all within the source.
  int64_t columns, stride, left;  // Taps in a row; source pixels from output to output; output 0 starts at -left.
  const float* kernel;   // At the first tap.
  To* out;
  int64_t out_pitch, count;  // Floats from output to output, and outputs.
};

// The `kCount` pixels from column `x` of a source row; zero outside where kEdge.
template <int kCount, bool kEdge, class Part, class From>
INLINE void load_pixels(Part part, WideFloat (&pixels)[kCount], const From* line, int64_t x, int64_t width,
                        int64_t channels) {
#pragma GCC unroll 16
  for (int n = 0; n < kCount; ++n) {
    if (!kEdge || (x + n >= 0 && x + n < width)) {
      pixels[n] = load(part, line + (x + n) * channels);
    } else {
      pixels[n] = WideFloat{};
    }
  }
}

// Output `o` at the block of channels from c, for any window.
template <class Part, class From, class To>
INLINE void correlate_one(Part part, const Row<From, To>& r, int64_t o, int64_t c) {
  WideFloat sum = {};
  const int64_t x = o * r.stride - r.left;
  const int64_t begin = larger(0, -x), end = smaller(r.columns, r.width - x);
  for (int64_t i = 0; i < r.rows; ++i) {
    const From* line = r.source + (r.first_row + i) * r.width * r.channels + c;
    for (int64_t j = begin; j < end; ++j) {
      sum += load(part, line + (x + j) * r.channels) * load(part, r.kernel + (i * r.columns + j) * r.channels + c);
    }
  }
  store(part, r.out + o * r.out_pitch + c, sum);
}

// The same for `kGroup` outputs at once, from the first.
template <int kColumns, int kStride, int kGroup, bool kEdge, class Part, class From, class To>
INLINE void correlate_group(Part part, const Row<From, To>& r, int64_t first, int64_t c) {
  WideFloat sums[kGroup] = {};
  const int64_t x = first * kStride - r.left;
  for (int64_t i = 0; i < r.rows; ++i) {
    WideFloat pixels[kColumns + (kGroup - 1) * kStride];
    load_pixels<kColumns + (kGroup - 1) * kStride, kEdge>(
        part, pixels, r.source + (r.first_row + i) * r.width * r.channels + c, x, r.width, r.channels);
    const float* taps = r.kernel + i * kColumns * r.channels + c;
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) {
      const WideFloat tap = load(part, taps + j * r.channels);
#pragma GCC unroll 4
      for (int n = 0; n < kGroup; ++n) sums[n] += pixels[n * kStride + j] * tap;
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < kGroup; ++n) store(part, r.out + (first + n) * r.out_pitch + c, sums[n]);
}

// Block by block of channels for each group, which walks through memory as it lies: the other way round, a core that
// finds a large image in no cache waits for each line of it.
template <int kColumns, int kStride, int kGroup, class From, class To>
INLINE void correlate_groups(const Row<From, To>& r) {
  constexpr int64_t kReach = kColumns + (kGroup - 1) * kStride;
  for (int64_t start = 0; start < r.count; start += kGroup) {
    // The last group overlaps the one before, and writes the same values again.
    const int64_t first = smaller(start, r.count - kGroup);
    const int64_t x = first * kStride - r.left;
    const bool inside = x >= 0 && x + kReach <= r.width;
    for_blocks(r.channels, [&](auto part, int64_t c) __attribute__((always_inline)) {
      if (inside) {
        correlate_group<kColumns, kStride, kGroup, false>(part, r, first, c);
      } else {
        correlate_group<kColumns, kStride, kGroup, true>(part, r, first, c);
      }
    });
  }
}

template <int kColumns, int kStride, class From, class To>
void correlate(const Row<From, To>& r) {
  if (r.count >= 4) {
    correlate_groups<kColumns, kStride, 4>(r);
  } else if (r.count >= 2) {
    correlate_groups<kColumns, kStride, 2>(r);
  } else {
    correlate_groups<kColumns, kStride, 1>(r);
  }
}

template <class From, class To>
void correlate_any(const Row<From, To>& r) {
  for (int64_t o = 0; o < r.count; ++o) {
    for_blocks(r.channels, [&](auto part, int64_t c) __attribute__((always_inline)) {
      correlate_one(part, r, o, c);
    });
  }
}

// Short rows at stride one, as long as their source, are made as a whole: nothing is read twice, nor multiplied by the
// zeros around it. So are an odd number of taps whose middle one is the output's own pixel.
constexpr int64_t kLongestShort = 10;

template <class W>
INLINE bool is_short(const W& w, int64_t count) {
  return w.stride == 1 && w.width == count && count > 1 && count <= kLongestShort && 2 * w.left + 1 == w.columns;
}

// Calls body.run<width>() with a short row's width as a compile-time constant.
template <class Body>
INLINE void with_width(int64_t width, const Body& body) {
  switch (width) {
    case 2: return body.template run<2>();
    case 3: return body.template run<3>();
    case 4: return body.template run<4>();
    case 5: return body.template run<5>();
    case 6: return body.template run<6>();
    case 7: return body.template run<7>();
    case 8: return body.template run<8>();
    case 9: return body.template run<9>();
    case 10: return body.template run<10>();
  }
}

template <int kColumns, class From, class To>
struct CorrelateShort {
  const Row<From, To>& r;

  template <int kWidth>
  void run() const {
    constexpr int kLeft = kColumns / 2;
    for_blocks(r.channels, [&](auto part, int64_t c) __attribute__((always_inline)) {
      WideFloat sums[kWidth] = {};
      for (int64_t i = 0; i < r.rows; ++i) {
        const From* line = r.source + (r.first_row + i) * kWidth * r.channels + c;
        WideFloat taps[kColumns];
#pragma GCC unroll 8
        for (int j = 0; j < kColumns; ++j) taps[j] = load(part, r.kernel + (i * kColumns + j) * r.channels + c);
#pragma GCC unroll 16
        for (int x = 0; x < kWidth; ++x) {
          const WideFloat pixel = load(part, line + x * r.channels);
#pragma GCC unroll 8
          for (int j = 0; j < kColumns; ++j) {
            const int o = x + kLeft - j;
            if (o >= 0 && o < kWidth) sums[o] += pixel * taps[j];
          }
        }
      }
#pragma GCC unroll 16
      for (int o = 0; o < kWidth; ++o) store(part, r.out + o * r.out_pitch + c, sums[o]);
    });
  }
};

template <int kColumns, class From, class To>
void correlate_short(const Row<From, To>& r) {
  with_width(r.width, CorrelateShort<kColumns, From, To>{r});
}

template <class From, class To>
using Correlate = void (*)(const Row<From, To>&);

template <class From, class To>
Correlate<From, To> choose_correlate(const Row<From, To>& r) {
  if (is_short(r, r.count) && r.columns == 3) return correlate_short<3>;
  if (is_short(r, r.count) && r.columns == 5) return correlate_short<5>;
  switch (r.columns < 16 ? r.stride * 16 + r.columns : 0) {
    case 16 + 1: return correlate<1, 1>;
    case 16 + 2: return correlate<2, 1>;
    case 16 + 3: return correlate<3, 1>;
    case 16 + 4: return correlate<4, 1>;
    case 16 + 5: return correlate<5, 1>;
    case 16 + 7: return correlate<7, 1>;
    case 32 + 3: return correlate<3, 2>;
    case 32 + 5: return correlate<5, 2>;
    case 32 + 7: return correlate<7, 2>;
    default: return correlate_any;
  }
}

// Leaves of the taps only those whose source row lies within `height`.
template <class From, class To>
INLINE void clip_rows(Row<From, To>& r, int64_t first_row, int64_t rows, int64_t height, const float* kernel) {
  const int64_t begin = smaller(larger(0, -first_row), rows), end = larger(begin, smaller(rows, height - first_row));
  r.first_row = first_row + begin;
  r.rows = end - begin;
  r.kernel = kernel + begin * r.columns * r.channels;
}

template <class T>
void forward(const Window& w, const Band& band, const float* x, const float* kernel, T* y) {
  Row<float, T> r{};
  r.width = w.width;
  r.channels = r.out_pitch = w.channels;
  r.columns = w.columns;
  r.stride = w.stride;
  r.left = w.left;
  r.count = w.out_width;
  const Correlate<float, T> run = choose_correlate(r);
  for (int64_t image = band.image_begin; image < band.image_end; ++image) {
    r.source = x + image * w.height * w.width * w.channels;
    for (int64_t row = band.row_begin; row < band.row_end; ++row) {
      clip_rows(r, row * w.stride - w.top, w.rows, w.height, kernel);
      r.out = y + (image * w.out_height + row) * w.out_width * w.channels;
      run(r);
    }
  }
}

// Input pixels with the same remainder by the stride meet the same taps: each phase is a correlation of dy, at stride
// one, with those taps in reverse.
template <class T>
void dx(const Window& w, const Band& band, const float* phases, const T* dy, T* dx) {
  Row<T, T> r{};
  r.width = w.out_width;
  r.channels = w.channels;
  r.stride = 1;
  r.out_pitch = w.stride * w.channels;
  for (int64_t image = band.image_begin; image < band.image_end; ++image) {
    r.source = dy + image * w.out_height * w.out_width * w.channels;
    for (int64_t row = band.row_begin; row < band.row_end; ++row) {
      const int64_t p = row % w.stride;
      const Phase down = phase_taps(p, w.top, w.stride, w.rows);
      // Phases lie one after another: all of the rows' phases before p, then the columns' within p.
      int64_t taps = 0;
      for (int64_t before = 0; before < p; ++before) {
        taps += phase_taps(before, w.top, w.stride, w.rows).count * w.columns;
      }
      const int64_t first = row / w.stride + (p + w.top - down.first) / w.stride - (down.count - 1);
      for (int64_t q = 0; q < smaller(w.stride, w.width); ++q) {
        const Phase across = phase_taps(q, w.left, w.stride, w.columns);
        r.columns = across.count;
        r.left = across.count - 1 - (q + w.left - across.first) / w.stride;
        r.count = (w.width - q + w.stride - 1) / w.stride;
        clip_rows(r, first, down.count, w.out_height, phases + taps * w.channels);
        r.out = dx + ((image * w.height + row) * w.width + q) * w.channels;
        choose_correlate(r)(r);
        taps += down.count * across.count;
      }
    }
  }
}

// Adds to sums[i][j] what `kGroup` outputs from `first` give; lines[i] is the source row of tap row i, or null.
template <int kRows, int kColumns, int kStride, int kGroup, bool kEdge, class Part, class T>
INLINE void gather_group(Part part, WideFloat (&sums)[kRows][kColumns], const float* const (&lines)[kRows],
                         const T* dy, int64_t x, int64_t width, int64_t pitch) {
  WideFloat slopes[kGroup];
#pragma GCC unroll 4
  for (int n = 0; n < kGroup; ++n) slopes[n] = load(part, dy + n * pitch);
#pragma GCC unroll 3
  for (int i = 0; i < kRows; ++i) {
    if (!lines[i]) continue;
    WideFloat pixels[kColumns + (kGroup - 1) * kStride];
    load_pixels<kColumns + (kGroup - 1) * kStride, kEdge>(part, pixels, lines[i], x, width, pitch);
#pragma GCC unroll 4
    for (int n = 0; n < kGroup; ++n) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) sums[i][j] += pixels[n * kStride + j] * slopes[n];
    }
  }
}

// dkernel[i, j] for kRows tap rows from `i` and kColumns tap columns from `j`, over a band, for one block of channels.
// kStride 0 stands for the window's own.
template <int kRows, int kColumns, int kStride, class Part, class T>
void gather(Part part, const Window& w, const Band& band, const float* x, const T* dy, int64_t i, int64_t j,
            float* dkernel) {
  constexpr int kGroup = kStride ? 4 : 1;
  constexpr int64_t kReach = kColumns + (kGroup - 1) * kStride;
  const int64_t stride = kStride ? kStride : w.stride, pitch = w.channels;
  WideFloat sums[kRows][kColumns] = {};
  for (int64_t image = band.image_begin; image < band.image_end; ++image) {
    for (int64_t row = band.row_begin; row < band.row_end; ++row) {
      const float* lines[kRows];
      for (int n = 0; n < kRows; ++n) {
        const int64_t source = row * stride - w.top + i + n;
        const bool inside = source >= 0 && source < w.height;
        lines[n] = inside ? x + (image * w.height + source) * w.width * pitch : nullptr;
      }
      const T* slopes = dy + (image * w.out_height + row) * w.out_width * pitch;
      int64_t o = 0;
      for (; o + kGroup <= w.out_width; o += kGroup) {
        const int64_t column = o * stride - w.left + j;
        if (column >= 0 && column + kReach <= w.width) {
          gather_group<kRows, kColumns, kStride, kGroup, false>(part, sums, lines, slopes + o * pitch, column, w.width,
                                                                pitch);
        } else {
          gather_group<kRows, kColumns, kStride, kGroup, true>(part, sums, lines, slopes + o * pitch, column, w.width,
                                                               pitch);
        }
      }
      for (; o < w.out_width; ++o) {
        gather_group<kRows, kColumns, kStride, 1, true>(part, sums, lines, slopes + o * pitch, o * stride - w.left + j,
                                                        w.width, pitch);
      }
    }
  }
  for (int n = 0; n < kRows; ++n) {
    for (int m = 0; m < kColumns; ++m) {
      float* out = dkernel + ((i + n) * w.columns + j + m) * pitch;
      store(part, out, load(part, out) + sums[n][m]);
    }
  }
}

template <int kRows, int kColumns, int kStride, class Part, class T>
INLINE void gather_all(Part part, const Window& w, const Band& band, const float* x, const T* dy, float* dkernel) {
  for (int64_t i = 0; i < w.rows; i += kRows) {
    for (int64_t j = 0; j < w.columns; j += kColumns) {
      gather<kRows, kColumns, kStride>(part, w, band, x, dy, i, j, dkernel);
    }
  }
}

// The same of short rows, for all tap columns.
template <int kRows, int kColumns, class Part, class T>
struct GatherShort {
  Part part;
  const Window& w;
  const Band& band;
  const float* x;
  const T* dy;
  int64_t i;
  float* dkernel;

  template <int kWidth>
  void run() const {
    constexpr int kLeft = kColumns / 2;
    const int64_t pitch = w.channels;
    WideFloat sums[kRows][kColumns] = {};
    for (int64_t image = band.image_begin; image < band.image_end; ++image) {
      for (int64_t row = band.row_begin; row < band.row_end; ++row) {
        WideFloat slopes[kWidth];
#pragma GCC unroll 16
        for (int o = 0; o < kWidth; ++o) {
          slopes[o] = load(part, dy + ((image * w.out_height + row) * kWidth + o) * pitch);
        }
#pragma GCC unroll 8
        for (int n = 0; n < kRows; ++n) {
          const int64_t source = row - w.top + i + n;
          if (source < 0 || source >= w.height) continue;
          const float* const line = x + (image * w.height + source) * kWidth * pitch;
#pragma GCC unroll 16
          for (int p = 0; p < kWidth; ++p) {
            const WideFloat pixel = load(part, line + p * pitch);
#pragma GCC unroll 8
            for (int j = 0; j < kColumns; ++j) {
              const int o = p + kLeft - j;
              if (o >= 0 && o < kWidth) sums[n][j] += pixel * slopes[o];
            }
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int n = 0; n < kRows; ++n) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) {
        float* const out = dkernel + ((i + n) * kColumns + j) * pitch;
        store(part, out, load(part, out) + sums[n][j]);
      }
    }
  }
};

template <int kRows, int kColumns, class Part, class T>
INLINE void gather_short(Part part, const Window& w, const Band& band, const float* x, const T* dy, float* dkernel) {
  for (int64_t i = 0; i < w.rows; i += kRows) {
    with_width(w.width, GatherShort<kRows, kColumns, Part, T>{part, w, band, x, dy, i, dkernel});
  }
}

template <class T>
void dkernel(const Window& w, const Band& band, const float* x, const T* dy, float* dkernel) {
  const bool square = w.rows == w.columns && w.columns < 16 && w.stride <= 2;
  constexpr int64_t kShort = 64;
  const int64_t kind = !square ? 0 : w.stride * 16 + w.columns + (is_short(w, w.out_width) ? kShort : 0);
  constexpr int kRowsOfFive = kLanes == 16 ? 5 : 1;  // As there are registers for their sums.
  for_blocks(w.channels, [&](auto part, int64_t c) __attribute__((always_inline)) {
    // Of a 3x3 kernel all sums fit into registers at once; of a larger one a row of them does.
    switch (kind) {
      case 16 + 3: return gather_all<3, 3, 1>(part, w, band, x + c, dy + c, dkernel + c);
      case 16 + 5: return gather_all<1, 5, 1>(part, w, band, x + c, dy + c, dkernel + c);
      case kShort + 16 + 3: return gather_short<3, 3>(part, w, band, x + c, dy + c, dkernel + c);
      case kShort + 16 + 5: return gather_short<kRowsOfFive, 5>(part, w, band, x + c, dy + c, dkernel + c);
      case kShort + 16 + 7:
      case 16 + 7: return gather_all<1, 7, 1>(part, w, band, x + c, dy + c, dkernel + c);
      case 32 + 3: return gather_all<3, 3, 2>(part, w, band, x + c, dy + c, dkernel + c);
      case 32 + 5: return gather_all<1, 5, 2>(part, w, band, x + c, dy + c, dkernel + c);
      case 32 + 7: return gather_all<1, 7, 2>(part, w, band, x + c, dy + c, dkernel + c);
      default: return gather_all<1, 1, 0>(part, w, band, x + c, dy + c, dkernel + c);
    }
  });
}

template <class T>
constexpr DepthwiseKernelsOf<T> kKernels = {forward<T>, dx<T>, dkernel<T>};

}  // namespace

const DepthwiseKernels SCALING_SEARCH_TABLE(DepthwiseKernels) = kKernels<float>;
const HalfDepthwiseKernels SCALING_SEARCH_TABLE(HalfDepthwiseKernels) = kKernels<Bfloat16>;

}  // namespace scaling_search
