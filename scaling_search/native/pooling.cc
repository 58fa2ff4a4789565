// The largest value of each window, and its gradient, compiled once for each instruction set (see pooling.h and
// setup.py).
#include "pooling.h"

#include "lanes.h"

namespace scaling_search {
namespace {

// Calls body(first row, last row, first column, last column, output pixel) for each window: what of it is in the image.
template <class Body>
INLINE void for_windows(const Window& w, const Body& body) {
  for (int64_t i = 0; i < w.out_height; ++i) {
    const int64_t top = i * w.stride - w.top;
    for (int64_t j = 0; j < w.out_width; ++j) {
      const int64_t left = j * w.stride - w.left;
      body(larger(0, top), smaller(w.height, top + w.rows), larger(0, left), smaller(w.width, left + w.columns),
           i * w.out_width + j);
    }
  }
}

void largest(const Window& window, const float* x, float* y) {
  const Window w = window;
  for_windows(w, [&](int64_t top, int64_t bottom, int64_t left, int64_t right, int64_t pixel)
                     __attribute__((always_inline)) {
    for_blocks(w.channels, [&](auto part, int64_t c) __attribute__((always_inline)) {
      WideFloat best = broadcast(-__builtin_inff());
      for (int64_t row = top; row < bottom; ++row) {
        for (int64_t column = left; column < right; ++column) {
          const WideFloat value = load(part, x + (row * w.width + column) * w.channels + c);
          best = (value > best) | (value != value) ? value : best;
        }
      }
      store(part, y + pixel * w.channels + c, best);
    });
  });
}

void largest_dx(const Window& window, const float* x, const float* y, const float* dy, float* dx) {
  const Window w = window;
  memset(dx, 0, static_cast<size_t>(w.height * w.width * w.channels) * sizeof(float));
  for_windows(w, [&](int64_t top, int64_t bottom, int64_t left, int64_t right, int64_t pixel)
                     __attribute__((always_inline)) {
    for_blocks(w.channels, [&](auto part, int64_t c) __attribute__((always_inline)) {
      const WideFloat best = load(part, y + pixel * w.channels + c);
      WideFloat left_over = load(part, dy + pixel * w.channels + c);
      for (int64_t row = top; row < bottom; ++row) {
        for (int64_t column = left; column < right; ++column) {
          const int64_t at = (row * w.width + column) * w.channels + c;
          const auto found = load(part, x + at) == best;
          store(part, dx + at, load(part, dx + at) + (found ? left_over : WideFloat{}));
          left_over = found ? WideFloat{} : left_over;
        }
      }
    });
  });
}

}  // namespace

const PoolingKernels SCALING_SEARCH_TABLE(PoolingKernels) = {largest, largest_dx};

}  // namespace scaling_search
