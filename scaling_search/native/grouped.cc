// Some lines of some groups of a grouped convolution, compiled once for each instruction set (see grouped.h, setup.py).
//
// A bundle's lines of the image are copied, with the zeros around them, to scratch that stays in a core's first cache.
// A strip of pixels of the result is then summed in registers: a pixel's channel is spread over the features of its
// group and used for all taps of a row that meet it. No group meets another's channels, and nothing is gathered tap by
// tap. Each result is summed in the same order wherever strips and shares begin.
#include "grouped.h"

#include <string.h>

#include "lanes.h"

namespace scaling_search {
namespace {

constexpr int64_t kTaps = 3;  // Of a row, that share what is spread at stride one.

INLINE void copy(float* to, const float* from, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store<WideFloat>(to + i, load<WideFloat>(from + i));
  for (; i + 4 <= count; i += 4) memcpy(to + i, from + i, sizeof(QuadFloat));
  for (; i < count; ++i) to[i] = from[i];
}

// Lane n of the result is lane order[n] of v.
INLINE WideFloat permuted(WideFloat v, WideInt order) {
#if !defined(__clang__)
  return __builtin_shuffle(v, order);
#elif defined(__AVX512F__)
  return (WideFloat)_mm512_permutexvar_ps((__m512i)order, (__m512)v);
#elif defined(__AVX2__)
  return (WideFloat)_mm256_permutevar8x32_ps((__m256)v, (__m256i)order);
#else
  WideFloat result;
  for (int64_t n = 0; n < kLanes; ++n) result[n] = v[order[n]];
  return result;
#endif
}

// How a channel of a pixel meets the features of a bundle. Of several groups, each lane takes its own group's.
struct OfSeveral {
  WideInt order;

  OfSeveral() = default;
  explicit OfSeveral(const Grouped& g) {
    for (int64_t n = 0; n < kLanes; ++n) {
      const int64_t group = n / g.features;
      order[n] = static_cast<int32_t>(group < g.bundle ? group * g.window.channels : 0);
    }
  }
  // That of a pixel's `channel`.
  INLINE OfSeveral from(int64_t channel) const {
    OfSeveral other = *this;
    other.order += static_cast<int32_t>(channel);
    return other;
  }
  INLINE WideFloat operator()(const float* pixel) const { return permuted(load<WideFloat>(pixel), order); }
};

// Of one group, all take the same.
struct OfOne {
  int64_t channel = 0;

  OfOne() = default;
  explicit OfOne(const Grouped&) {}
  INLINE OfOne from(int64_t other) const {
    OfOne moved = *this;
    moved.channel += other;
    return moved;
  }
  INLINE float operator()(const float* pixel) const { return pixel[channel]; }
};

// Lines in scratch.
struct Lines {
  float* data;
  int64_t columns, pixel;  // Pixels of a line, and floats of a pixel.

  int64_t line() const { return columns * pixel; }
};

int64_t pixel_of(const Grouped& g) { return g.bundle > 1 ? kLanes : g.window.channels; }
int64_t lines_for(const Window& w, int64_t rows) { return (rows - 1) * w.stride + w.rows; }
int64_t columns_for(const Window& w, int64_t columns) { return (columns - 1) * w.stride + w.columns; }

// Copies `count` floats of each pixel of lines [begin, end) of an image that has `pitch` floats a pixel, with zeros
// before its first column, `left`, and after its last.
INLINE void take(const float* image, int64_t width, int64_t pitch, int64_t count, int64_t begin, int64_t end,
                 int64_t left, const Lines& out) {
  const int64_t first = smaller(larger(0, left), out.columns);
  const int64_t last = larger(first, smaller(out.columns, left + width));
  float* to = out.data;
  for (int64_t row = begin; row < end; ++row) {
    const float* from = image + (row * width + first - left) * pitch;
    clear(to, first * out.pixel);
    to += first * out.pixel;
    for (int64_t column = first; column < last; ++column, to += out.pixel, from += pitch) copy(to, from, count);
    clear(to, (out.columns - last) * out.pixel);
    to += (out.columns - last) * out.pixel;
  }
}

// Taps of a row of the result that lie inside the image, and where in scratch the first one's line is.
struct Taps {
  int64_t begin, end, line;
};

INLINE Taps taps_of(const Window& w, int64_t row, int64_t first_line) {
  const int64_t top = row * w.stride - w.top;
  const int64_t begin = smaller(larger(0, -top), w.rows), end = larger(begin, smaller(w.rows, w.height - top));
  return {begin, end, top + begin - first_line};
}

struct Span {
  int64_t begin, end;
};

// The lines of the image that rows [begin, end) of the result meet.
INLINE Span span_of(const Window& w, int64_t begin, int64_t end) {
  const int64_t first = larger(0, begin * w.stride - w.top);
  return {first, larger(first, smaller(w.height, (end - 1) * w.stride - w.top + w.rows))};
}

INLINE int64_t groups_in(const Grouped& g, int64_t bundle) {
  return smaller(g.bundle, g.groups - bundle * g.bundle);
}

// ------------------------------------------------------------------------------------------------ forward

// Taps and pixels of a strip, in scratch and in a bundle's kernel.
struct Strip {
  const float* pixels;  // The first pixel's, at the first line of its taps.
  int64_t line, pixel, stride;
  int64_t rows, columns, channels;
  const float* kernel;
  int64_t width;
};

template <int kVectors, int kCount>
using Sums = WideFloat[kCount][kVectors];

// Adds the products of kWide taps that lie side by side.
template <class Spread, int kVectors, int kCount, int kWide>
INLINE void add_taps(const Strip& s, const Spread& spread, const float* pixels, const float* kernel,
                     Sums<kVectors, kCount>& sums) {
  const int64_t step = kWide > 1 ? s.pixel : s.pixel * s.stride;
  for (int64_t c = 0; c < s.channels; ++c) {
    const Spread channel = spread.from(c);
    WideFloat taps[kWide][kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kWide; ++j) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v)
        taps[j][v] = load<WideFloat>(kernel + (j * s.channels + c) * s.width + v * kLanes);
    }
#pragma GCC unroll 16
    for (int q = 0; q < kCount + kWide - 1; ++q) {
      const auto value = channel(pixels + q * step);
#pragma GCC unroll 4
      for (int j = 0; j < kWide; ++j) {
        if (q - j < 0 || q - j >= kCount) continue;
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sums[q - j][v] += value * taps[j][v];
      }
    }
  }
}

// The first `features` of kCount pixels of the result, `pitch` apart.
template <class Spread, int kVectors, int kCount>
void sum_strip(const Strip& s, const Spread& spread, int64_t features, float* out, int64_t pitch) {
  Sums<kVectors, kCount> sums = {};
  for (int64_t i = 0; i < s.rows; ++i) {
    const float *pixels = s.pixels + i * s.line, *kernel = s.kernel + i * s.columns * s.channels * s.width;
    int64_t j = 0;
    if (s.stride == 1) {
      for (; j + kTaps <= s.columns; j += kTaps) {
        add_taps<Spread, kVectors, kCount, kTaps>(s, spread, pixels + j * s.pixel, kernel + j * s.channels * s.width,
                                                  sums);
      }
    }
    for (; j < s.columns; ++j) {
      add_taps<Spread, kVectors, kCount, 1>(s, spread, pixels + j * s.pixel, kernel + j * s.channels * s.width, sums);
    }
  }
  if (features == kVectors * kLanes) {
#pragma GCC unroll 16
    for (int n = 0; n < kCount; ++n) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) store<WideFloat>(out + n * pitch + v * kLanes, sums[n][v]);
    }
    return;
  }
  float values[kCount][kVectors * kLanes];
#pragma GCC unroll 16
  for (int n = 0; n < kCount; ++n) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store<WideFloat>(values[n] + v * kLanes, sums[n][v]);
  }
  for (int n = 0; n < kCount; ++n) copy(out + n * pitch, values[n], features);
}

template <class Spread>
using SumStrip = void (*)(const Strip&, const Spread&, int64_t, float*, int64_t);

// Strips that cover a row: so many of one length. The last one overlaps the one before, and writes the same values
// again.
template <class Spread>
struct Cut {
  SumStrip<Spread> sum;
  int64_t length;
};

template <class Spread, int kVectors>
Cut<Spread> cut_of(int64_t columns) {
  const Cut<Spread> cuts[] = {
#if SCALING_SEARCH_LANES > 8
      {sum_strip<Spread, kVectors, 12>, 12}, {sum_strip<Spread, kVectors, 8>, 8},
      {sum_strip<Spread, kVectors, 7>, 7},
#else
      // Two vectors of more pixels would not fit into sixteen registers.
      {sum_strip<Spread, kVectors, 12 / kVectors>, 12 / kVectors},
      {sum_strip<Spread, kVectors, 8 / kVectors>, 8 / kVectors},
#endif
      {sum_strip<Spread, kVectors, 6>, 6},   {sum_strip<Spread, kVectors, 4>, 4},
      {sum_strip<Spread, kVectors, 3>, 3},   {sum_strip<Spread, kVectors, 2>, 2},
      {sum_strip<Spread, kVectors, 1>, 1}};
  Cut<Spread> best = {};
  int64_t least = INT64_MAX;
  for (const Cut<Spread>& cut : cuts) {
    // A strip costs about as much as three more pixels: short ones wait for each sum in turn.
    const int64_t cost = quotient_up(columns, cut.length) * (cut.length + 3);
    if (cut.length <= columns && cost < least) {
      least = cost;
      best = cut;
    }
  }
  return best;
}

template <class Spread, int kVectors>
void forward_by(const Grouped& g, const Share& share, int64_t vector, const Lines& lines, int64_t first_line,
                const float* kernel, float* image) {
  const Window& w = g.window;
  const Spread spread(g);
  const Cut<Spread> cut = cut_of<Spread, kVectors>(w.out_width);
  const int64_t pitch = g.groups * g.features;
  const int64_t first = vector * kLanes;
  const int64_t features = smaller(kVectors * kLanes, groups_in(g, share.bundle) * g.features - first);
  float* out = image + share.bundle * g.bundle * g.features + first;
  for (int64_t row = share.row_begin; row < share.row_end; ++row) {
    const Taps taps = taps_of(w, row, first_line);
    Strip strip{nullptr, lines.line(), lines.pixel, w.stride, taps.end - taps.begin, w.columns, w.channels,
                kernel + taps.begin * w.columns * w.channels * g.width + first, g.width};
    float* line = out + ((g.first_row + row * g.spread) * g.full_width + g.first_column) * pitch;
    for (int64_t start = 0; start < w.out_width; start += cut.length) {
      const int64_t column = smaller(start, w.out_width - cut.length);
      strip.pixels = lines.data + taps.line * lines.line() + column * w.stride * lines.pixel;
      cut.sum(strip, spread, features, line + column * g.spread * pitch, g.spread * pitch);
    }
  }
}

void forward(const Grouped& g, const Share& share, const float* x, const float* kernel, float* y, float* scratch) {
  const Window& w = g.window;
  const int64_t pitch = g.groups * w.channels;
  const Lines lines{scratch, columns_for(w, w.out_width), pixel_of(g)};
  const Span span = span_of(w, share.row_begin, share.row_end);
  for (int64_t n = share.image_begin; n < share.image_end; ++n) {
    const float* image = x + n * w.height * w.width * pitch + share.bundle * g.bundle * w.channels;
    take(image, w.width, pitch, groups_in(g, share.bundle) * w.channels, span.begin, span.end, w.left, lines);
    float* out = y + n * g.full_height * g.full_width * g.groups * g.features;
    if (g.bundle > 1) {
      forward_by<OfSeveral, 1>(g, share, 0, lines, span.begin, kernel, out);
      continue;
    }
    int64_t vector = 0;
    for (; (vector + 2) * kLanes <= g.width; vector += 2) {
      forward_by<OfOne, 2>(g, share, vector, lines, span.begin, kernel, out);
    }
    if (vector * kLanes < g.width) forward_by<OfOne, 1>(g, share, vector, lines, span.begin, kernel, out);
  }
}

// ------------------------------------------------------------------------------------------------ kernel's gradient

// Rows of the result's gradient and of the image that a tap meets, in scratch.
struct Rows {
  const float* pixels;
  int64_t line, pixel, step;
  const float* slopes;
  int64_t slope_line, slope_pixel;
  int64_t rows, columns;
};

// Adds the products of kChannels channels at kWide taps that lie side by side: sums[(tap * channels + channel) *
// width].
template <class Spread, int kWide, int kChannels, int kCount>
void add_products(const Rows& r, const Spread& spread, int64_t channels, int64_t width, float* sums) {
  WideFloat totals[kChannels][kWide] = {};
  Spread each[kChannels];
#pragma GCC unroll 4
  for (int c = 0; c < kChannels; ++c) each[c] = spread.from(c);
  for (int64_t row = 0; row < r.rows; ++row) {
    const float *pixels = r.pixels + row * r.line, *slopes = r.slopes + row * r.slope_line;
    for (int64_t column = 0; column < r.columns; column += kCount) {
      WideFloat values[kCount];
#pragma GCC unroll 4
      for (int n = 0; n < kCount; ++n) values[n] = load<WideFloat>(slopes + n * r.slope_pixel);
#pragma GCC unroll 4
      for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
        for (int q = 0; q < kCount + kWide - 1; ++q) {
          const auto value = each[c](pixels + q * r.step);
#pragma GCC unroll 4
          for (int j = 0; j < kWide; ++j) {
            if (q - j >= 0 && q - j < kCount) totals[c][j] += value * values[q - j];
          }
        }
      }
      pixels += kCount * r.step;
      slopes += kCount * r.slope_pixel;
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 4
    for (int j = 0; j < kWide; ++j) {
      float* to = sums + (j * channels + c) * width;
      store<WideFloat>(to, load<WideFloat>(to) + totals[c][j]);
    }
  }
}

template <class Spread>
using AddProducts = void (*)(const Rows&, const Spread&, int64_t, int64_t, float*);

template <class Spread, int kWide, int kChannels>
AddProducts<Spread> products_of(int64_t count) {
  return count == 3 ? add_products<Spread, kWide, kChannels, 3> : add_products<Spread, kWide, kChannels, 4>;
}

template <class Spread, int kWide>
INLINE void add_channels(const Rows& r, const Spread& spread, int64_t count, int64_t channels, int64_t width,
                         float* sums) {
  int64_t c = 0;
  for (; c + 4 <= channels; c += 4) {
    products_of<Spread, kWide, 4>(count)(r, spread.from(c), channels, width, sums + c * width);
  }
  for (; c + 2 <= channels; c += 2) {
    products_of<Spread, kWide, 2>(count)(r, spread.from(c), channels, width, sums + c * width);
  }
  if (c < channels) products_of<Spread, kWide, 1>(count)(r, spread.from(c), channels, width, sums + c * width);
}

// Pixels of a row that are taken at a time: the row is filled up with zeros to a multiple.
int64_t count_of(const Window& w) {
  return quotient_up(w.out_width, 3) * 3 < quotient_up(w.out_width, 4) * 4 ? 3 : 4;
}

int64_t filled_columns(const Window& w) { return quotient_up(w.out_width, count_of(w)) * count_of(w); }

template <class Spread>
void dkernel_by(const Grouped& g, const Share& share, int64_t first_line, const Lines& lines, const Lines& slopes,
                float* sums) {
  const Window& w = g.window;
  const Spread spread(g);
  const int64_t count = count_of(w), tap = w.channels * g.width;
  for (int64_t v = 0; v < g.width; v += kLanes) {
    for (int64_t i = 0; i < w.rows; ++i) {
      // Rows of the result whose tap lies inside the image.
      int64_t begin = share.row_begin, end = share.row_end;
      while (begin < end && begin * w.stride - w.top + i < 0) ++begin;
      while (begin < end && (end - 1) * w.stride - w.top + i >= w.height) --end;
      if (begin == end) continue;
      Rows rows{lines.data + (begin * w.stride - w.top + i - first_line) * lines.line(), w.stride * lines.line(),
                lines.pixel, w.stride * lines.pixel,
                slopes.data + (begin - share.row_begin) * slopes.line() + v, slopes.line(), slopes.pixel,
                end - begin, slopes.columns};
      float* to = sums + i * w.columns * tap + v;
      int64_t j = 0;
      for (; w.stride == 1 && j + kTaps <= w.columns; j += kTaps) {
        add_channels<Spread, kTaps>(rows, spread, count, w.channels, g.width, to + j * tap);
        rows.pixels += kTaps * lines.pixel;
      }
      for (; j < w.columns; ++j, rows.pixels += lines.pixel) {
        add_channels<Spread, 1>(rows, spread, count, w.channels, g.width, to + j * tap);
      }
    }
  }
}

void dkernel(const Grouped& g, const Share& share, const float* x, const float* dy, float* dkernel, float* scratch) {
  const Window& w = g.window;
  const int64_t pitch = g.groups * w.channels, out_pitch = g.groups * g.features;
  const int64_t own = groups_in(g, share.bundle);
  const Span span = span_of(w, share.row_begin, share.row_end);
  const Lines lines{scratch, columns_for(w, filled_columns(w)), pixel_of(g)};
  const Lines slopes{scratch + lines_for(w, share.row_end - share.row_begin) * lines.line(), filled_columns(w),
                     g.width};
  if (own * g.features < g.width) clear(slopes.data, (share.row_end - share.row_begin) * slopes.line());
  for (int64_t n = share.image_begin; n < share.image_end; ++n) {
    const float* image = x + n * w.height * w.width * pitch + share.bundle * g.bundle * w.channels;
    take(image, w.width, pitch, own * w.channels, span.begin, span.end, w.left, lines);
    const float* slope = dy + n * w.out_height * w.out_width * out_pitch + share.bundle * g.bundle * g.features;
    take(slope, w.out_width, out_pitch, own * g.features, share.row_begin, share.row_end, 0, slopes);
    (g.bundle > 1 ? dkernel_by<OfSeveral> : dkernel_by<OfOne>)(g, share, span.begin, lines, slopes, dkernel);
  }
}

int64_t room(const Grouped& g, int64_t rows) {
  const Window& w = g.window;
  const int64_t columns = filled_columns(w);
  return lines_for(w, rows) * columns_for(w, columns) * pixel_of(g) + rows * columns * g.width;
}

}  // namespace

const GroupedKernels SCALING_SEARCH_TABLE(GroupedKernels) = {kLanes, room, forward, dkernel};

}  // namespace scaling_search
