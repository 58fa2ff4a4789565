// What calls of dense convolutions have in common: their shapes, and how work is cut into tiles, by shapes alone.
#ifndef SCALING_SEARCH_NATIVE_DENSE_CALLS_H_
#define SCALING_SEARCH_NATIVE_DENSE_CALLS_H_

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "dense.h"
#include "phases.h"
#include "shapes.h"

namespace scaling_search {

constexpr int64_t kSmallImage = 144;  // Pixels.
constexpr int64_t kFewestItems = 16;  // Of a call, as far as its shapes allow: enough for as many cores.

struct Free {
  void operator()(void* room) const { std::free(room); }
};
template <class T>
using Room = std::unique_ptr<T, Free>;

// Room in which tiles lie line by line.
template <class T>
Room<T> room_of(int64_t bytes) {
  constexpr size_t kAlignment = 64;
  const size_t whole = (static_cast<size_t>(bytes) + kAlignment) / kAlignment * kAlignment;
  Room<T> room(static_cast<T*>(std::aligned_alloc(kAlignment, whole)));
  if (!room) throw std::bad_alloc();
  return room;
}

// How tiles are cut: the largest ones, the fewest rows where there shall be more tiles, and what rows are a multiple
// of.
struct Cut {
  int64_t rows, columns, fewest_rows, unit;
};

// Tiles that cover (rows, columns): as large as can be, but at least `fewest` where that leaves them rows enough and
// 64 columns.
inline std::vector<Tile> tiles_of(const Cut& cut, int64_t rows, int64_t columns, int64_t fewest) {
  int64_t down = quotient_up(rows, cut.rows), across = quotient_up(columns, cut.columns);
  while (down * across < fewest) {
    if (rows / down >= 2 * cut.fewest_rows) {
      down *= 2;
    } else if (columns / across >= 128) {
      across *= 2;
    } else {
      break;
    }
  }
  const int64_t height = quotient_up(quotient_up(rows, down), cut.unit) * cut.unit;
  const int64_t width = quotient_up(quotient_up(columns, across), 32) * 32;
  std::vector<Tile> tiles;
  for (int64_t column = 0; column < columns; column += width) {
    for (int64_t row = 0; row < rows; row += height) {
      tiles.push_back({row, std::min(height, rows - row), column, std::min(width, columns - column)});
    }
  }
  return tiles;
}

// Whether many pixels have taps outside the image. In larger images their order would rather keep what is close
// together.
inline bool is_small(const Window& w) {
  return w.rows * w.columns > 1 && w.out_height * w.out_width <= kSmallImage;
}

inline Dense dense_of(ShapeCheck& check, const Shape& x, const Shape& kernel, const Shape& y, int64_t stride,
                      int64_t top, int64_t left) {
  check.require(x.size() == 4 && y.size() == 4 && kernel.size() == 4, "images and kernel must have four dimensions");
  check.require(stride >= 1, "stride must be at least 1");
  if (check.failed()) return {};
  check.expect("kernel", kernel, {kernel[0], kernel[1], x[3], y[3]}).expect("output", y, {x[0], y[1], y[2], y[3]});
  if (check.failed()) return {};
  const Window window{x[1], x[2], x[3], y[1], y[2], kernel[0], kernel[1], stride, top, left};
  return {window, x[0], y[3], y[1], y[2], 0, 0, 1, is_small(window)};
}

// A phase of the input's gradient as a convolution of its own.
struct PhaseOf {
  Dense dense;
  std::vector<int64_t> taps;
  int64_t kernel;  // Where its kernel begins among those of all phases.
};

inline std::vector<PhaseOf> dense_phases_of(const Dense& d) {
  std::vector<PhaseOf> phases;
  int64_t kernel = 0;
  for (InputPhase& phase : phases_of(d.window, d.features)) {
    const Window& w = d.window;
    const Dense dense{phase.window, d.images,     w.channels, w.height, w.width,
                      phase.row,    phase.column, w.stride,   is_small(phase.window)};
    const int64_t size = static_cast<int64_t>(phase.taps.size()) * w.channels * d.features;
    phases.push_back({dense, std::move(phase.taps), kernel});
    kernel += size;
  }
  return phases;
}

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_DENSE_CALLS_H_
