// A tile of a dense convolution, compiled once for each instruction set (see dense.h and setup.py).
//
// The product's two sides are packed block by block of the sum into scratch that stays in a core's cache; a micro-tile
// of the result, kRows x two vectors, is summed in registers. Each result is summed in the order of the sum's index, so
// how tiles are cut changes no bit.
#include "dense.h"

#include <string.h>

#include "gather.h"
#include "lanes.h"

#if defined(__AVX512F__)
#define SCALING_SEARCH_ROWS 12
#else
#define SCALING_SEARCH_ROWS 6
#endif

namespace scaling_search {
namespace {

constexpr int64_t kRows = SCALING_SEARCH_ROWS;
// Not a power of two: rows that are a whole number of pages apart would share the same few places of the first cache.
constexpr int64_t kPitch = kTileDepth + 16;
constexpr int64_t kLeftFloats = (kPartRows + 16) * kPitch;

// The first `columns` of rows row(k), for `depth` steps k, in panels of kVectors vectors; zeros fill the last.
template <int kVectors, class Row>
INLINE void pack_right(const Row& row, int64_t depth, int64_t columns, float* panels) {
  constexpr int64_t kColumns = kVectors * kLanes;
  for (int64_t k = 0; k < depth; ++k) {
    const float* from = row(k);
    int64_t c = 0;
    float* to = panels + k * kColumns;
    for (; c + kColumns <= columns; c += kColumns, to += depth * kColumns) {
#pragma GCC unroll 2
      for (int n = 0; n < kVectors; ++n) store<WideFloat>(to + n * kLanes, load<WideFloat>(from + c + n * kLanes));
    }
    if (c < columns) {
      copy(to, from + c, columns - c);
      clear(to + columns - c, kColumns - (columns - c));
    }
  }
}

// What will be read next: `rows` of `bytes`, `pitch` apart. Fetched little by little into a core's second cache while
// products are summed, it is there when it is packed, which would otherwise wait for memory.
struct Ahead {
  const char* row;
  int64_t rows, bytes, pitch;
  int64_t lines;  // To fetch at a time.
  int64_t at;

  // Floats [first, first + count) of rows [begin, end) of a matrix, fetched in so many turns.
  static Ahead of(const float* matrix, int64_t columns, int64_t begin, int64_t end, int64_t first, int64_t count,
                  int64_t turns) {
    if (end <= begin || count <= 0) return {};
    Ahead a{reinterpret_cast<const char*>(matrix + begin * columns + first), end - begin, count * 4, columns * 4, 0, 0};
    if (a.bytes == a.pitch) a = {a.row, 1, a.rows * a.bytes, 0, 0, 0};
    a.lines = quotient_up(a.rows * quotient_up(a.bytes, kLine), turns);
    return a;
  }
  INLINE void fetch() {
    for (int64_t n = lines; n > 0 && rows > 0; --n) {
      __builtin_prefetch(row + at, 0, 2);
      at += kLine;
      if (at < bytes) continue;
      at = 0;
      row += pitch;
      --rows;
    }
  }

 private:
  static constexpr int64_t kLine = 64;  // Bytes of a line of a cache.
};

// The same of what pixels [begin, end) of the result meet first, channels [first, first + count) if the kernel is 1x1.
INLINE Ahead ahead_of(const Dense& d, const float* x, int64_t begin, int64_t end, int64_t first, int64_t count,
                      int64_t turns) {
  const Window& w = d.window;
  // By position they lie apart, and elsewhere not all of the pixels between are met.
  if (d.by_position || w.stride > 1) return {};
  const bool narrow = w.rows * w.columns == 1;
  // Beside padding these are not quite the pixels met.
  const int64_t last = d.images * w.height * w.width;
  return Ahead::of(x, w.channels, smaller(begin, last), smaller(end, last), narrow ? first : 0,
                   narrow ? count : w.channels, turns);
}

// A micro-tile's sums.
template <int kVectors>
using Sums = WideFloat[kRows][kVectors];

// Adds products of `depth` steps: left[i * kRowPitch + k * kStep] * right[k, :].
template <int64_t kRowPitch, int64_t kStep, int kVectors>
INLINE void multiply(int64_t depth, const float* left, const float* right, Sums<kVectors>& sums) {
  for (int64_t k = 0; k < depth; ++k, left += kStep, right += kVectors * kLanes) {
    WideFloat values[kVectors];
#pragma GCC unroll 2
    for (int n = 0; n < kVectors; ++n) values[n] = load<WideFloat>(right + n * kLanes);
#pragma GCC unroll 16
    for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int n = 0; n < kVectors; ++n) sums[i][n] += left[i * kRowPitch] * values[n];
    }
  }
}

// Writes the first `rows` and `columns` of a micro-tile to rows at `places`, or adds it to what is there.
template <int kVectors>
INLINE void put(const Sums<kVectors>& sums, int64_t rows, int64_t columns, bool add, float* out,
                const int64_t* places) {
  constexpr int64_t kColumns = kVectors * kLanes;
  if (rows == kRows && columns == kColumns) {
    // All indices constant, so that the sums stay in registers.
#pragma GCC unroll 16
    for (int64_t i = 0; i < kRows; ++i) {
      float* row = out + places[i];
#pragma GCC unroll 2
      for (int n = 0; n < kVectors; ++n) {
        store<WideFloat>(row + n * kLanes, add ? load<WideFloat>(row + n * kLanes) + sums[i][n] : sums[i][n]);
      }
    }
    return;
  }
  float values[kRows][kColumns];
#pragma GCC unroll 16
  for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int n = 0; n < kVectors; ++n) store<WideFloat>(values[i] + n * kLanes, sums[i][n]);
  }
  for (int64_t i = 0; i < rows; ++i) {
    float* row = out + places[i];
    for (int64_t c = 0; c < columns; ++c) row[c] = add ? row[c] + values[i][c] : values[i][c];
  }
}

// A block of the sum, added to a tile of the result; `steps` has those that count for each kRows of it.
template <int64_t kRowPitch, int64_t kStep, int kVectors>
INLINE void block(const Tile& tile, const Steps* steps, int64_t depth, int64_t panel, const float* left,
                  const float* right, bool add, float* out, const int64_t* places, Ahead& ahead, Ahead& other) {
  constexpr int64_t kColumns = kVectors * kLanes;
  for (int64_t i = 0; i < tile.rows; i += kRows, left += panel, ++steps) {
    const int64_t first = steps->first, count = steps->last - first;
    if (count <= 0 && add) continue;
    for (int64_t j = 0; j < tile.columns; j += kColumns) {
      Sums<kVectors> sums = {};
      ahead.fetch();
      other.fetch();
      multiply<kRowPitch, kStep, kVectors>(count, left + first * kStep, right + j * depth + first * kColumns, sums);
      put<kVectors>(sums, smaller(kRows, tile.rows - i), smaller(kColumns, tile.columns - j), add, out + j, places + i);
    }
  }
}

// Calls body(begin, end) for each block of [begin, end): all about as long, or of so many whole units as fit.
template <class Body>
INLINE void for_blocks(int64_t begin, int64_t end, int64_t unit, const Body& body) {
  if (unit <= kTileDepth) {
    const int64_t most = kTileDepth / unit * unit;
    for (; begin < end; begin += most) body(begin, smaller(begin + most, end));
    return;
  }
  const int64_t length = end - begin, count = quotient_up(length, kTileDepth);
  for (int64_t n = 0; n < count; ++n) body(begin + length * n / count, begin + length * (n + 1) / count);
}

// Calls pack(row, rows, steps) and multiplies, for each part of a tile's rows whose left side fits into the cache.
template <int64_t kRowPitch, int64_t kStep, int kVectors, class Pack>
INLINE void for_parts(const Tile& tile, int64_t depth, int64_t panel, const float* left, const float* right, bool add,
                      float* out, const int64_t* places, const Pack& pack, Ahead& ahead, Ahead& other) {
  const int64_t count = quotient_up(tile.rows, kPartRows);
  const int64_t most = quotient_up(quotient_up(tile.rows, count), kRows) * kRows;
  for (int64_t i = 0; i < tile.rows; i += most) {
    const Tile part{tile.row + i, smaller(most, tile.rows - i), tile.column, tile.columns};
    Steps steps[kPartRows / kRows + 1];
    for (Steps& each : steps) each = Steps::none();
    pack(part.row, part.rows, steps);
    block<kRowPitch, kStep, kVectors>(part, steps, depth, panel, left, right, add, out, places + i, ahead, other);
  }
}

template <int kVectors>
void forward_by(const Dense& d, const Tile& tile, const float* x, const float* kernel, float* y, float* scratch) {
  const Window& w = d.window;
  float *left = scratch, *right = scratch + kLeftFloats;
  int64_t places[kTileRows];
  Pixel pixel = Pixel::at(d, tile.row);
  for (int64_t i = 0; i < tile.rows; ++i, pixel.advance(d)) {
    places[i] = pixel.full_place(d) * d.features;
  }
  if (d.depth() == 0) {
    for (int64_t i = 0; i < tile.rows; ++i) clear(y + tile.column + places[i], tile.columns);
  }
  // A block of whole taps, or of one tap's part, has most steps to leave out.
  const int64_t run = w.columns * w.channels;
  const int64_t unit = run <= kTileDepth          ? run
                       : w.channels <= kTileDepth ? w.channels
                                                  : w.channels / quotient_up(w.channels, kTileDepth);
  for_blocks(0, d.depth(), larger(1, unit), [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
    const auto taps = [&](int64_t k) __attribute__((always_inline)) {
      return kernel + (begin + k) * d.features + tile.column;
    };
    pack_right<kVectors>(taps, end - begin, tile.columns, right);
    const auto pack = [&](int64_t row, int64_t rows, Steps* steps) __attribute__((always_inline)) {
      Pixel pixel = Pixel::at(d, row);
      for (int64_t i = 0; i < rows; ++i, pixel.advance(d)) {
        const Steps inside = gather(d, pixel, begin, end, x, left + i * kPitch);
        steps[i / kRows].include(inside.first, inside.last);
      }
    };
    // Pixels of the whole tile, and as many beyond it: most often the next tile is this thread's too.
    const int64_t turns = quotient_up(tile.rows, kRows) * quotient_up(tile.columns, kVectors * kLanes);
    Ahead ahead = {}, none = {};
    if (begin == 0 || w.rows * w.columns == 1) {
      const int64_t first = tile.row + smaller(tile.rows, kPartRows);
      ahead = ahead_of(d, x, first, first + tile.rows, begin, end - begin, turns);
    }
    for_parts<kPitch, 1, kVectors>(tile, end - begin, kRows * kPitch, left, right, begin > 0, y + tile.column, places,
                                   pack, ahead, none);
  });
}

template <int kVectors>
void dkernel_by(const Dense& d, const Tile& tile, int64_t first, int64_t last, const float* x, const float* dy,
             float* dkernel, float* scratch) {
  const Window& w = d.window;
  float *left = scratch, *right = scratch + kLeftFloats;
  int64_t places[kTileRows];
  for (int64_t i = 0; i < tile.rows; ++i) places[i] = (tile.row + i) * d.features;
  const bool is_pointwise = w.rows * w.columns == 1 && w.top == 0 && w.left == 0 &&
                            (w.out_height - 1) * w.stride < w.height && (w.out_width - 1) * w.stride < w.width;
  // So many pixels on, whatever vectors reach beyond a part's rows is still of the images.
  const int64_t pixels = d.pixels(), reach = quotient_up(kRows + kLanes, larger(1, w.channels));
  for_blocks(first, last, kTileDepth + 1, [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
    const int64_t depth = end - begin, panel = kRows * depth + kLanes;
    Pixel next = Pixel::at(d, begin);
    const auto slopes = [&](int64_t) __attribute__((always_inline)) {
      const int64_t at = next.place(d);
      next.advance(d);
      return dy + at * d.features + tile.column;
    };
    pack_right<kVectors>(slopes, depth, tile.columns, right);
    const auto pack = [&](int64_t row, int64_t rows, Steps* steps) __attribute__((always_inline)) {
      Pixel pixel = Pixel::at(d, begin);
      float gathered[kPartRows + 3 * kLanes];
      for (int64_t k = 0; k < depth; ++k, pixel.advance(d)) {
        const float* line = gathered;
        // Of a 1x1 kernel's window what is gathered lies there already, but beyond the last pixel nothing may be read.
        if (is_pointwise && begin + k + reach < pixels) {
          line = x +
                 ((pixel.image * w.height + pixel.row * w.stride) * w.width + pixel.column * w.stride) * w.channels +
                 row;
          steps[0].include(k, k + 1);
        } else {
          const Steps inside = gather(d, pixel, row, row + rows, x, gathered);
          if (inside.first < inside.last) steps[0].include(k, k + 1);
        }
        // Whole vectors: what is written beyond a step's kRows values, the next step writes over.
        float* to = left + k * kRows;
        for (int64_t i = 0; i < rows; i += kRows, to += panel) {
#pragma GCC unroll 2
          for (int64_t n = 0; n < kRows; n += kLanes) store<WideFloat>(to + n, load<WideFloat>(line + i + n));
        }
      }
      for (int64_t i = 1; i < quotient_up(rows, kRows); ++i) steps[i] = steps[0];
    };
    const int64_t turns = quotient_up(tile.rows, kRows) * quotient_up(tile.columns, kVectors * kLanes);
    // Beyond the last block, too: most often the next pixels are this thread's next.
    const int64_t beyond = smaller(pixels, end + depth);
    Ahead left_ahead = ahead_of(d, x, end, beyond, tile.row, tile.rows, turns);
    Ahead right_ahead =
        Ahead::of(dy, d.features, d.by_position ? beyond : end, beyond, tile.column, tile.columns, turns);
    for_parts<1, kRows, kVectors>(tile, depth, panel, left, right, begin > first, dkernel + tile.column, places, pack,
                                  left_ahead, right_ahead);
  });
}

// A tile that one vector covers takes no second one.
void forward(const Dense& d, const Tile& tile, const float* x, const float* kernel, float* y, float* scratch) {
  (tile.columns > kLanes ? forward_by<2> : forward_by<1>)(d, tile, x, kernel, y, scratch);
}

void dkernel(const Dense& d, const Tile& tile, int64_t first, int64_t last, const float* x, const float* dy,
             float* dkernel, float* scratch) {
  (tile.columns > kLanes ? dkernel_by<2> : dkernel_by<1>)(d, tile, first, last, x, dy, dkernel, scratch);
}

#if defined(__clang__)
#define SCALING_SEARCH_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SCALING_SEARCH_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (Order){__VA_ARGS__})
#endif

INLINE void transpose_four(const float* matrix, int64_t columns, float* out, int64_t pitch) {
  typedef int32_t Order __attribute__((vector_size(16)));
  QuadFloat rows[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) memcpy(&rows[i], matrix + i * columns, sizeof(QuadFloat));
  const QuadFloat low = SCALING_SEARCH_SHUFFLE(rows[0], rows[1], 0, 4, 1, 5),
                  high = SCALING_SEARCH_SHUFFLE(rows[0], rows[1], 2, 6, 3, 7);
  const QuadFloat low_next = SCALING_SEARCH_SHUFFLE(rows[2], rows[3], 0, 4, 1, 5);
  const QuadFloat high_next = SCALING_SEARCH_SHUFFLE(rows[2], rows[3], 2, 6, 3, 7);
  const QuadFloat turned[4] = {
      SCALING_SEARCH_SHUFFLE(low, low_next, 0, 1, 4, 5), SCALING_SEARCH_SHUFFLE(low, low_next, 2, 3, 6, 7),
      SCALING_SEARCH_SHUFFLE(high, high_next, 0, 1, 4, 5), SCALING_SEARCH_SHUFFLE(high, high_next, 2, 3, 6, 7)};
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) memcpy(out + i * pitch, &turned[i], sizeof(QuadFloat));
}

void transpose(int64_t rows, int64_t columns, const float* matrix, float* out, int64_t pitch) {
  constexpr int64_t kBlock = 16;  // A cache line.
  const int64_t whole_rows = rows - rows % 4, whole_columns = columns - columns % 4;
  for (int64_t r = 0; r < whole_rows; r += kBlock) {
    for (int64_t c = 0; c < whole_columns; c += kBlock) {
      for (int64_t j = c; j < smaller(c + kBlock, whole_columns); j += 4) {
        for (int64_t i = r; i < smaller(r + kBlock, whole_rows); i += 4) {
          transpose_four(matrix + i * columns + j, columns, out + j * pitch + i, pitch);
        }
      }
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j) out[j * pitch + i] = matrix[i * columns + j];
  }
}

}  // namespace

const DenseKernels SCALING_SEARCH_TABLE(DenseKernels) = {forward, dkernel, transpose};

}  // namespace scaling_search
