// What calls with a depthwise convolution have in common: the check of shapes and the split into bands.
#ifndef SCALING_SEARCH_NATIVE_DEPTHWISE_CALLS_H_
#define SCALING_SEARCH_NATIVE_DEPTHWISE_CALLS_H_

#include <algorithm>
#include <vector>

#include "depthwise.h"
#include "parallel.h"
#include "shapes.h"

namespace scaling_search {

// The bands that cover `images` of `height` rows each, every band about `kItemFloats` of work.
inline std::vector<Band> bands(int64_t images, int64_t height, int64_t floats_per_row) {
  std::vector<Band> all;
  const int64_t rows = std::max<int64_t>(4, kItemFloats / std::max<int64_t>(floats_per_row, 1));
  if (rows < height) {
    const int64_t per_band = quotient_up(height, quotient_up(height, rows));
    for (int64_t image = 0; image < images; ++image) {
      for (int64_t row = 0; row < height; row += per_band) {
        all.push_back({image, image + 1, row, std::min(row + per_band, height)});
      }
    }
  } else if (height > 0) {
    const int64_t per_band = rows / height;
    for (int64_t image = 0; image < images; image += per_band) {
      all.push_back({image, std::min(image + per_band, images), 0, height});
    }
  }
  return all;
}

// Some taps of a side, one after another.
struct Taps {
  int64_t first, count, all;
};

// Those that meet the image somewhere: of a large kernel over a small image, most lie outside wherever it is.
inline Taps taps_met(int64_t taps, int64_t side, int64_t out_side, int64_t stride, int64_t pad) {
  const int64_t first = std::max<int64_t>(0, pad - (out_side - 1) * stride), last = std::min(taps, side + pad);
  return first < last ? Taps{first, last - first, taps} : Taps{0, taps, taps};
}

struct Depthwise {
  int64_t images;
  Window window;  // Of the taps that meet the image.
  Taps down, across;

  Shape input() const { return {images, window.height, window.width, window.channels}; }
  Shape output() const { return {images, window.out_height, window.out_width, window.channels}; }
  Shape kernel() const { return {down.all, across.all, 1, window.channels}; }
  int64_t floats_of_kernel() const { return window.rows * window.columns * window.channels; }
  int64_t floats_per_output_row() const {
    return (window.stride * window.width + window.out_width) * window.channels;
  }
};

inline Depthwise depthwise_of(ShapeCheck& check, const Shape& in, const Shape& taps, const Shape& out, int64_t stride,
                              int64_t top, int64_t left) {
  check.require(in.size() == 4 && taps.size() == 4 && out.size() == 4, "arrays must have four dimensions");
  check.require(stride >= 1, "stride must be at least 1");
  if (check.failed()) return {};
  const Taps down = taps_met(taps[0], in[1], out[1], stride, top);
  const Taps across = taps_met(taps[1], in[2], out[2], stride, left);
  const Window window{in[1], in[2], in[3], out[1], out[2], down.count, across.count, stride, top - down.first,
                      left - across.first};
  const Depthwise d{in[0], window, down, across};
  check.expect("kernel", taps, d.kernel()).expect("output", out, d.output());
  return d;
}

// Of a whole kernel, where each row of the window's taps lies: body(row in the kernel, row of the window's).
template <class Body>
void for_tap_rows(const Depthwise& d, const Body& body) {
  const int64_t channels = d.window.channels;
  for (int64_t row = 0; row < d.down.count; ++row) {
    body(((d.down.first + row) * d.across.all + d.across.first) * channels, row * d.across.count * channels);
  }
}

// The window's taps of a kernel.
inline std::vector<float> taps_of(const Depthwise& d, const float* kernel) {
  std::vector<float> taps(d.floats_of_kernel());
  const int64_t run = d.window.columns * d.window.channels;
  for_tap_rows(d, [&](int64_t from, int64_t to) { std::copy_n(kernel + from, run, taps.data() + to); });
  return taps;
}

// A kernel's gradient from (shares, taps): sums of those of the window, and zeros.
inline void finish_dkernel(const Depthwise& d, int64_t shares, const std::vector<float>& partial, float* dkernel) {
  const float one = 1;
  const int64_t run = d.window.columns * d.window.channels;
  std::vector<float> taps(d.floats_of_kernel());
  kernels().weighted_sum(shares, d.floats_of_kernel(), &one, 0, partial.data(), taps.data());
  std::fill_n(dkernel, d.down.all * d.across.all * d.window.channels, 0.0f);
  for_tap_rows(d, [&](int64_t to, int64_t from) { std::copy_n(taps.data() + from, run, dkernel + to); });
}

// The kernel's taps in the order in which `DepthwiseKernels::dx` wants them: by phase of rows, then of columns, each
// reversed.
inline std::vector<float> split_by_phase(const Window& w, const float* kernel) {
  std::vector<float> phases;
  phases.reserve(w.rows * w.columns * w.channels);
  for (int64_t p = 0; p < w.stride; ++p) {
    const Phase down = phase_taps(p, w.top, w.stride, w.rows);
    for (int64_t q = 0; q < w.stride; ++q) {
      const Phase across = phase_taps(q, w.left, w.stride, w.columns);
      for (int64_t i = down.count - 1; i >= 0; --i) {
        for (int64_t j = across.count - 1; j >= 0; --j) {
          const int64_t tap = (down.first + i * w.stride) * w.columns + across.first + j * w.stride;
          phases.insert(phases.end(), kernel + tap * w.channels, kernel + (tap + 1) * w.channels);
        }
      }
    }
  }
  return phases;
}

// Shares of so many bands that have sums of their own in the kernel's gradient, which cost as much as a few dozen
// pixels.
inline int64_t gradient_shares(const Depthwise& d, int64_t bands) {
  const int64_t pixels = d.images * d.window.out_height * d.window.out_width;
  return std::max<int64_t>(1, std::min({bands, pixels / 32, int64_t{16}}));
}

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_DEPTHWISE_CALLS_H_
