// What a convolution's pixels meet of its images, one after the other, for files that lanes.h is for.
#ifndef SCALING_SEARCH_NATIVE_GATHER_H_
#define SCALING_SEARCH_NATIVE_GATHER_H_

#include <string.h>

#include "dense.h"
#include "lanes.h"

namespace scaling_search {
namespace {

template <class V, class T>
INLINE void copy_by(T* to, const T* from, int64_t count) {
  constexpr int64_t kWidth = sizeof(V) / sizeof(T);
  V v;
  for (int64_t i = 0; i + kWidth < count; i += kWidth) {
    memcpy(&v, from + i, sizeof(v));
    memcpy(to + i, &v, sizeof(v));
  }
  // The last vector overlaps the one before.
  memcpy(&v, from + count - kWidth, sizeof(v));
  memcpy(to + count - kWidth, &v, sizeof(v));
}

// memcpy and memset cost a call, and runs are short.
template <class T>
INLINE void copy(T* to, const T* from, int64_t count) {
  if (count * sizeof(T) >= sizeof(WideFloat)) return copy_by<WideFloat>(to, from, count);
  if (count * sizeof(T) >= sizeof(QuadFloat)) return copy_by<QuadFloat>(to, from, count);
  for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

// An output pixel, and those after it.
struct Pixel {
  int64_t image, row, column;

  static Pixel at(const Dense& d, int64_t index) {
    const Window& w = d.window;
    if (d.by_position) {
      const int64_t position = index / d.images;
      return {index % d.images, position / w.out_width, position % w.out_width};
    }
    const int64_t line = index / w.out_width;
    return {line / w.out_height, line % w.out_height, index % w.out_width};
  }
  void advance(const Dense& d) {
    if (d.by_position) {
      if (++image < d.images) return;
      image = 0;
    }
    if (++column < d.window.out_width) return;
    column = 0;
    if (++row < d.window.out_height || d.by_position) return;
    row = 0;
    ++image;
  }
  // Its place in an image (out_height, out_width) of the result, and in that of which the result is a part.
  int64_t place(const Dense& d) const { return (image * d.window.out_height + row) * d.window.out_width + column; }
  int64_t full_place(const Dense& d) const {
    const int64_t line = image * d.full_height + d.first_row + row * d.spread;
    return line * d.full_width + d.first_column + column * d.spread;
  }
};

// Steps of a block of the sum outside of which one side is all zeros.
struct Steps {
  int64_t first, last;

  void include(int64_t begin, int64_t end) {
    first = smaller(first, begin);
    last = larger(last, end);
  }
  static Steps none() { return {int64_t{1} << 20, 0}; }
};

// Elements [begin, end) of what a pixel's window holds, (rows, columns, channels) in a row; zeros outside the image.
// Returns those inside it, counted from `begin`.
template <class T>
INLINE Steps gather(const Dense& d, const Pixel& pixel, int64_t begin, int64_t end, const T* x, T* out) {
  // A copy of its own, as whatever is written through memcpy might have changed the original.
  const Window w = d.window;
  Steps inside = Steps::none();
  // A row of taps meets pixels that lie next to each other.
  const int64_t run = w.columns * w.channels, line = w.width * w.channels;
  const int64_t top = pixel.row * w.stride - w.top, left = (pixel.column * w.stride - w.left) * w.channels;
  int64_t tap = begin / run, at = begin - tap * run;
  for (int64_t k = begin; k < end; ++tap, at = 0) {
    const int64_t count = smaller(run - at, end - k), row = top + tap, first = left + at;
    int64_t from = smaller(larger(0, -first), count), to = larger(from, smaller(count, line - first));
    if (row < 0 || row >= w.height) from = to = count;
    if (from > 0) clear(out, from);
    if (from < to) {
      copy(out + from, x + (pixel.image * w.height + row) * line + first + from, to - from);
      inside.include(k - begin + from, k - begin + to);
    }
    if (to < count) clear(out + to, count - to);
    out += count;
    k += count;
  }
  return inside;
}

}  // namespace
}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_GATHER_H_
