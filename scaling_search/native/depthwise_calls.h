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

struct Depthwise {
  int64_t images;
  Window window;

  Shape input() const { return {images, window.height, window.width, window.channels}; }
  Shape output() const { return {images, window.out_height, window.out_width, window.channels}; }
  Shape kernel() const { return {window.rows, window.columns, 1, window.channels}; }
  int64_t floats_per_output_row() const {
    return (window.stride * window.width + window.out_width) * window.channels;
  }
};

inline Depthwise depthwise_of(ShapeCheck& check, const Shape& in, const Shape& taps, const Shape& out, int64_t stride,
                              int64_t top, int64_t left) {
  check.require(in.size() == 4 && taps.size() == 4 && out.size() == 4, "arrays must have four dimensions");
  check.require(stride >= 1, "stride must be at least 1");
  if (check.failed()) return {};
  const Depthwise d{in[0], {in[1], in[2], in[3], out[1], out[2], taps[0], taps[1], stride, top, left}};
  check.expect("kernel", taps, d.kernel()).expect("output", out, d.output());
  return d;
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
