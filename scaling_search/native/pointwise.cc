// 1x1 convolutions and their gradients, compiled once for each instruction set (see pointwise.h and setup.py).
//
// Registers lie along a matrix's columns, whatever their number: the last of a row is filled by a mask.
#include "pointwise.h"

#include "gather.h"
#include "lanes.h"

namespace scaling_search {
namespace {

// Vectors of a tile of a result, which registers hold, and its rows by how many vectors it has.
constexpr int kVectors = 3;
constexpr int kWide = kLanes == 16 ? 2 : 1;
constexpr int tile_rows(int vectors) { return kWide * 12 / vectors; }

// The first `count` floats of a register, at most all; none of the others is read or written.
class Part {
 public:
#if defined(__AVX512F__)
  INLINE explicit Part(int64_t count) : mask_(static_cast<__mmask16>((1u << count) - 1)) {}
  INLINE WideFloat load(const float* from) const { return _mm512_maskz_loadu_ps(mask_, from); }
  INLINE void store(float* to, WideFloat v) const { _mm512_mask_storeu_ps(to, mask_, v); }

 private:
  __mmask16 mask_;
#else
  INLINE explicit Part(int64_t count) : count_(count) {
    for (int n = 0; n < kLanes; ++n) mask_[n] = n < count ? -1 : 0;
  }
#if defined(__AVX2__)
  INLINE WideFloat load(const float* from) const { return _mm256_maskload_ps(from, (__m256i)mask_); }
#else
  INLINE WideFloat load(const float* from) const {
    if (count_ == kLanes) return scaling_search::load<WideFloat>(from);
    WideFloat v = {};
    for (int64_t n = 0; n < count_; ++n) v[n] = from[n];
    return v;
  }
#endif
  // By ordinary instructions, as masks make a store slow on some CPUs.
  INLINE void store(float* to, WideFloat v) const {
    if (count_ == kLanes) return scaling_search::store<WideFloat>(to, v);
    float values[kLanes];
    scaling_search::store<WideFloat>(values, v);
    int64_t at = 0;
    if (count_ & 4) memcpy(to, values, 16), at = 4;
    if (count_ & 2) memcpy(to + at, values + at, 8), at += 2;
    if (count_ & 1) to[at] = values[at];
  }

 private:
  WideInt mask_;
  int64_t count_;
#endif
};

// Calls body(Count<vectors>, first column, part of the last vector) for each panel of so many columns.
template <int kNumber>
struct Count {
  static constexpr int kCount = kNumber;
};

INLINE int64_t panel_of(int64_t vectors) { return vectors == 4 ? 2 : smaller(vectors, kVectors); }

template <class Body>
INLINE void for_panels(int64_t columns, const Body& body) {
  for (int64_t j = 0; j < columns;) {
    const int64_t count = panel_of(quotient_up(columns - j, kLanes)), width = count * kLanes;
    const Part last(smaller(kLanes, columns - j - (width - kLanes)));
    if (count == 3) {
      body(Count<3>{}, j, last);
    } else if (count == 2) {
      body(Count<2>{}, j, last);
    } else {
      body(Count<1>{}, j, last);
    }
    j += width;
  }
}

template <int kCount>
INLINE void load_row(const float* from, const Part& last, WideFloat* values) {
#pragma GCC unroll 3
  for (int v = 0; v + 1 < kCount; ++v) values[v] = load<WideFloat>(from + v * kLanes);
  values[kCount - 1] = last.load(from + (kCount - 1) * kLanes);
}

template <int kCount>
INLINE void store_row(float* to, const Part& last, const WideFloat* values) {
#pragma GCC unroll 3
  for (int v = 0; v + 1 < kCount; ++v) store<WideFloat>(to + v * kLanes, values[v]);
  last.store(to + (kCount - 1) * kLanes, values[kCount - 1]);
}

// ------------------------------------------------------------------------------------------------ product

// Rows whose left side stays in the first cache while all panels of the right one pass.
constexpr int64_t kBlock = 48;
// A tile's rows are reached from every third one, by an index of one or two rows: one register each would be too many.
constexpr int kApart = 3;

template <int kRows, int kCount>
void product_tile(const Product& p, const Part& last, const float* left, const float* right, float* out,
                  const float* next, int64_t step) {
  WideFloat sums[kRows][kCount] = {};
  constexpr int kStarts = (kRows + kApart - 1) / kApart;
  const float* starts[kStarts];
#pragma GCC unroll 8
  for (int i = 0; i < kStarts; ++i) starts[i] = left + i * kApart * p.depth;
  const int64_t pitch = p.depth, columns = p.columns, depth = p.depth;
  for (int64_t k = 0; k < depth; ++k) {
    WideFloat values[kCount];
    load_row<kCount>(right, last, values);
    right += columns;
    __builtin_prefetch(next, 0, 2);
    next += step;
#pragma GCC unroll 24
    for (int i = 0; i < kRows; ++i) {
      const float value = starts[i / kApart][i % kApart * pitch + k];
#pragma GCC unroll 3
      for (int v = 0; v < kCount; ++v) sums[i][v] += value * values[v];
    }
  }
#pragma GCC unroll 24
  for (int i = 0; i < kRows; ++i) store_row<kCount>(out + i * columns, last, sums[i]);
}

constexpr int product_rows(int vectors) { return vectors == 1 ? 12 : tile_rows(vectors); }

void product(const Product& p, const float* left, const float* right, float* out) {
  int64_t panels = 0;
  for_panels(p.columns, [&](auto, int64_t, const Part&) { ++panels; });
  for (int64_t begin = p.begin; begin < p.end; begin += kBlock) {
    const int64_t end = smaller(begin + kBlock, p.end);
    const float* next = left + end * p.depth;
    for_panels(p.columns, [&](auto count, int64_t j, const Part& last) __attribute__((always_inline)) {
      constexpr int kCount = decltype(count)::kCount, kRows = product_rows(kCount);
      if (p.end - p.begin < kRows) {
        for (int64_t row = begin; row < end; ++row) {
          product_tile<1, kCount>(p, last, left + row * p.depth, right + j, out + row * p.columns + j, left, 0);
        }
        return;
      }
      for (int64_t row = begin; row < end; row += kRows) {
        // What the next tile is written to.
        for (int64_t i = kRows; i < 2 * kRows; ++i) {
          for (int v = 0; v < kCount; ++v) __builtin_prefetch(out + (row + i) * p.columns + j + v * kLanes, 1, 2);
        }
        // The last tile may write what is there again.
        const int64_t first = smaller(row, p.end - kRows);
        product_tile<kRows, kCount>(p, last, left + first * p.depth, right + j, out + first * p.columns + j, next,
                                    kRows / panels);
        next += kRows / panels * p.depth;
      }
    });
  }
}

// ------------------------------------------------------------------------------------------------ kernel's gradient

// Rows at a time: those of a tile stay in the first cache.
constexpr int64_t kDepth = 144;
// Rows that are apart by a multiple of so many floats share so few places of the first cache that what is fetched a
// tile ahead is gone again: they are all fetched to the second one before.
constexpr int64_t kClash = 64;

// What the rows give to a tile, added to what is there or not. Meanwhile it fetches the narrow side's next columns, a
// line or none of what is needed soon for each row, and from `next` on kFetch registers of the broad side's next panel.
template <int kRows, int kCount, int kFetch>
void add_tile(const Pointwise& p, bool add, const Part& last, const float* narrow, const float* broad,
              const float* next, const float* soon, int64_t step, float* out) {
  WideFloat sums[kRows][kCount] = {};
  if (add) {
#pragma GCC unroll 24
    for (int i = 0; i < kRows; ++i) load_row<kCount>(out + i * p.broad, last, sums[i]);
  }
  const float *left = narrow + p.begin * p.narrow, *right = broad + p.begin * p.broad;
  for (int64_t row = p.begin; row < p.end; ++row, left += p.narrow, right += p.broad) {
    WideFloat values[kCount];
    load_row<kCount>(right, last, values);
    if (kFetch > 0) {
#pragma GCC unroll 3
      for (int v = 0; v < kFetch; ++v) __builtin_prefetch(next + v * kLanes);
      next += p.broad;
    }
    // The last of them, as they may begin in a line that is there and end in one that is not.
    __builtin_prefetch(left + 2 * kRows - 1);
    __builtin_prefetch(soon);
    soon += step;
#pragma GCC unroll 24
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 3
      for (int v = 0; v < kCount; ++v) sums[i][v] += left[i] * values[v];
    }
  }
#pragma GCC unroll 24
  for (int i = 0; i < kRows; ++i) store_row<kCount>(out + i * p.broad, last, sums[i]);
}

// A tile of so many rows, at most kRows; `fetch` says which part of the broad side's next panel it fetches: all of it,
// one of two halves, or nothing.
enum class Fetch { kAll, kFirst, kSecond, kNothing };

template <int kRows, int kCount>
INLINE void add_tile_of(int64_t rows, const Pointwise& p, bool add, const Part& last, const float* narrow,
                        const float* broad, Fetch fetch, const float* next, const float* soon, int64_t step,
                        float* out) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return add_tile_of<kRows - 1, kCount>(rows, p, add, last, narrow, broad, fetch, next, soon, step, out);
    }
  }
  constexpr int kHalf = (kCount + 1) / 2;
  const auto tile = fetch == Fetch::kNothing ? add_tile<kRows, kCount, 0>
                    : fetch == Fetch::kAll   ? add_tile<kRows, kCount, kCount>
                                             : add_tile<kRows, kCount, kHalf>;
  tile(p, add, last, narrow, broad, fetch == Fetch::kSecond ? next + kHalf * kLanes : next, soon, step, out);
}

// Tiles of about as many rows each.
struct Tiles {
  int64_t rows, count;
  INLINE Tiles(int64_t all, int64_t most) : rows(all), count(quotient_up(all, most)) {}
  INLINE int64_t begin(int64_t n) const { return rows * n / count; }
  INLINE int64_t length(int64_t n) const { return begin(n + 1) - begin(n); }
};

void dkernel(const Pointwise& whole, const float* narrow, const float* broad, float* out) {
  Pointwise p = whole;
  if (p.soon.floats == 0) p.soon.at = narrow;  // Memory that is there.
  for (p.begin = whole.begin; p.begin < whole.end; p.begin += kDepth) {
    p.end = smaller(p.begin + kDepth, whole.end);
    const bool add = whole.add || p.begin > whole.begin;
    if (p.narrow % kClash == 0) {
      for (int64_t i = p.begin * p.narrow; i < p.end * p.narrow; i += kLanes) __builtin_prefetch(narrow + i);
    }
    for_panels(p.columns, [&](auto count, int64_t j, const Part& last) __attribute__((always_inline)) {
      constexpr int kCount = decltype(count)::kCount, kRows = tile_rows(kCount);
      const Tiles tiles(p.narrow, kRows);
      const float* next = nullptr;
      if (j + kCount * kLanes < p.columns) {
        next = broad + p.begin * p.broad + j + kCount * kLanes;
      } else if (p.end < p.rows) {
        next = broad + p.end * p.broad;
      }
      for (int64_t n = 0; n < tiles.count; ++n) {
        const int64_t i = tiles.begin(n), step = p.soon.floats > 0 ? kLanes : 0;
        const Fetch fetch = n > 1 || !next     ? Fetch::kNothing
                            : tiles.count == 1 ? Fetch::kAll
                            : n == 0           ? Fetch::kFirst
                                               : Fetch::kSecond;
        add_tile_of<kRows, kCount>(tiles.length(n), p, add, last, narrow + i, broad + j, fetch, next, p.soon.at, step,
                                   out + i * p.broad + j);
        p.soon.at += step * (p.end - p.begin);
        p.soon.floats -= step * (p.end - p.begin);
      }
    });
  }
}

int64_t cost(int64_t narrow, int64_t broad) {
  // Rows that are apart by a multiple of eight lines share the same few places of the first cache, and each tile waits
  // for them again.
  const int64_t times = narrow % 128 == 0 ? 2 : 1;
  int64_t sum = 0;
  for (int64_t vectors = quotient_up(broad, kLanes); vectors > 0;) {
    const int64_t panel = panel_of(vectors);
    const Tiles tiles(narrow, tile_rows(static_cast<int>(panel)));
    for (int64_t n = 0; n < tiles.count; ++n) {
      // Half cycles: two products at a time, each of which takes four; two registers are loaded at a time.
      sum += times * larger(larger(8, tiles.length(n) * panel), tiles.length(n) + panel);
    }
    vectors -= panel;
  }
  return sum;
}

// ------------------------------------------------------------------------------------------------ windows

void gather_windows(const Dense& d, int64_t begin, int64_t end, const float* x, float* rows) {
  const Window w = d.window;
  const int64_t depth = d.depth(), run = w.columns * w.channels, line = w.width * w.channels;
  const Part part(smaller(run, kLanes));
  Pixel pixel = Pixel::at(d, begin);
  for (int64_t n = begin; n < end; ++n, pixel.advance(d), rows += depth) {
    const int64_t top = pixel.row * w.stride - w.top, left = pixel.column * w.stride - w.left;
    const bool inside = top >= 0 && top + w.rows <= w.height && left >= 0 && left + w.columns <= w.width;
    if (!inside || run > kLanes) {
      gather(d, pixel, 0, depth, x, rows);
      continue;
    }
    const float* from = x + (pixel.image * w.height + top) * line + left * w.channels;
    // Whole registers: what is written beyond a row of taps, the next one writes over.
    for (int64_t i = 0; i < w.rows; ++i) store<WideFloat>(rows + i * run, part.load(from + i * line));
  }
}

}  // namespace

const PointwiseKernels SCALING_SEARCH_TABLE(PointwiseKernels) = {kLanes, product, dkernel, cost, gather_windows};

}  // namespace scaling_search
