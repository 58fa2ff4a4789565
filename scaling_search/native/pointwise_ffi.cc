// What XLA calls for 1x1 convolutions, for others of so few channels that a pixel's window is a short row, and for
// their gradients: checks of shapes and the split into items.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are.
#include <algorithm>
#include <memory>
#include <vector>

#include "dense_calls.h"
#include "parallel.h"
#include "pointwise.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

// Of a product, what rows of a share are a multiple of, how few they are where there are several, and how many shares a
// thread has. Each row is a result of its own: shares may follow the number of threads.
constexpr int64_t kTileOfRows = 24, kFewestRows = 48, kSharesOfThread = 4;
// Of a kernel's gradient, columns of the broad side, and rows: a share of work. Each share of rows has sums of its own.
constexpr int64_t kItemColumns = 192, kItemRows = 1024, kMostShares = 16;
// What it costs to turn a number of the result in the end, as kernels count.
constexpr int64_t kTurn = 16;
// Rows of the result that are added up, or turned, at a time: a cache's line of them.
constexpr int64_t kItemSums = 16;
// Rows that are used more than once while they are in a core's cache.
constexpr int64_t kBlockRows = 144;
constexpr int64_t kLineFloats = 16;  // A cache's line.

using Floats = std::unique_ptr<float[]>;

struct Sides {
  int64_t pixels, channels, features;
};

// Those of images x (..., C) and y (..., F) and of a kernel (..., C, F).
Sides sides_of(ShapeCheck& check, const Array& x, const Array& y, const Array& kernel) {
  const Shape in = shape_of(x), out = shape_of(y), taps = shape_of(kernel);
  check.require(!in.empty() && !out.empty() && taps.size() >= 2, "too few dimensions");
  if (check.failed()) return {};
  const int64_t channels = in.back(), features = out.back();
  const auto pixels = static_cast<int64_t>(channels > 0 ? x.element_count() / channels : 0);
  // Texts take longer than the work of some calls.
  if (static_cast<int64_t>(kernel.element_count()) != channels * features || taps.back() != features) {
    check.require(false, "kernel has shape " + to_string(taps));
  }
  if (static_cast<int64_t>(y.element_count()) != pixels * features) {
    check.require(false, "images have shapes " + to_string(in) + " and " + to_string(out));
  }
  return {pixels, channels, features};
}

// Calls body(begin, end) for shares of so many rows.
template <class Body>
void for_shares(ffi::ThreadPool& threads, int64_t rows, const Body& body) {
  if (rows == 0) return;
  const int64_t most = threads.num_threads() > 1 ? kSharesOfThread * threads.num_threads() : 1;
  const int64_t shares = std::max<int64_t>(1, std::min(most, rows / kFewestRows));
  const int64_t share = quotient_up(quotient_up(rows, shares), kTileOfRows) * kTileOfRows;
  parallel_for(threads, quotient_up(rows, share),
               [&](int64_t item) { body(item * share, std::min(rows, (item + 1) * share)); });
}

// The same of blocks of rows [begin, end).
template <class Body>
void for_blocks(int64_t begin, int64_t end, const Body& body) {
  for (; begin < end; begin += kBlockRows) body(begin, std::min(begin + kBlockRows, end));
}

// What a thread keeps for its next call, of which a part may still be in its cache.
enum class Kept { kWindows, kTurned };

template <Kept kept>
float* room(int64_t floats) {
  static thread_local std::vector<float> all;
  const auto needed = static_cast<size_t>(floats + kLineFloats);
  if (all.size() < needed) all.resize(needed);
  void* begin = all.data();
  size_t bytes = needed * sizeof(float);
  return static_cast<float*>(std::align(kLineFloats * sizeof(float), floats * sizeof(float), begin, bytes));
}

// Has the cache fetch what is read next.
void fetch(const float* from, int64_t floats) {
  for (int64_t i = 0; i < floats; i += kLineFloats) __builtin_prefetch(from + i);
}

// A kernel (C, F) turned: (F, C).
void turn(ffi::ThreadPool& threads, int64_t channels, int64_t features, const float* kernel, float* out) {
  constexpr int64_t kBand = 64;
  parallel_for(threads, quotient_up(channels, kBand), [&](int64_t band) {
    const int64_t first = band * kBand;
    dense_kernels().transpose(std::min(kBand, channels - first), features, kernel + first * features, out + first,
                              channels);
  });
}

// A kernel's gradient (channels, features), as sums over shares of the rows of two matrices, narrow and broad. Where
// the narrow one's columns are the features, it is turned in the end.
struct Gradient {
  int64_t rows, channels, features, shares;
  bool turned;

  Gradient(int64_t rows, int64_t channels, int64_t features)
      : rows(rows),
        channels(channels),
        features(features),
        shares(std::max<int64_t>(1, std::min(rows / kItemRows, kMostShares))),
        turned(rows * pointwise_kernels().cost(features, channels) + kTurn * channels * features <
               rows * pointwise_kernels().cost(channels, features)) {}
  int64_t narrow() const { return turned ? features : channels; }
  int64_t broad() const { return turned ? channels : features; }
  int64_t begin(int64_t share) const { return rows * share / shares; }

  // Adds to sums, or begins them, what rows [begin, end) give to columns [first, first + columns) of the broad side.
  void add(int64_t begin, int64_t end, bool more, int64_t first, int64_t columns, const float* left,
           const float* right, float* sums, const Soon& soon = {}) const {
    pointwise_kernels().dkernel({begin, end, rows, narrow(), broad(), columns, more, soon}, turned ? right : left,
                                (turned ? left : right) + first, sums + first);
  }
};

// Calls add(share, panel, sums) for each share and for so many panels, and adds up the shares.
template <class Add>
void sum_up(ffi::ThreadPool& threads, const Gradient& g, int64_t panels, float* dkernel, const Add& add) {
  const int64_t narrow = g.narrow(), broad = g.broad(), size = narrow * broad;
  if (g.rows == 0) {
    std::fill_n(dkernel, size, 0.0f);
    return;
  }
  const bool direct = g.shares == 1 && !g.turned;
  const Floats partial(direct ? nullptr : new float[g.shares * size]);
  float* const sums = direct ? dkernel : partial.get();
  parallel_for(threads, g.shares * panels, [&](int64_t item) {
    const int64_t share = item / panels;
    add(share, item % panels, sums + share * size);
  });
  if (direct) return;
  parallel_for(threads, quotient_up(narrow, kItemSums), [&](int64_t item) {
    const int64_t first = item * kItemSums, rows = std::min(kItemSums, narrow - first);
    float* const begin = sums + first * broad;
    for (int64_t share = 1; share < g.shares; ++share) {
      for (int64_t i = 0; i < rows * broad; ++i) begin[i] += begin[share * size + i];
    }
    if (g.turned) {
      dense_kernels().transpose(rows, broad, begin, dkernel + first, narrow);
    } else {
      std::copy_n(begin, rows * broad, dkernel + first * broad);
    }
  });
}

// y (..., F) from x (..., C) and kernel (..., C, F).
ffi::Error pointwise_call(ffi::ThreadPool threads, Array x, Array kernel, Result y) {
  ShapeCheck check("1x1 convolution");
  const Sides s = sides_of(check, x, *y, kernel);
  if (check.failed()) return check.error();
  for_shares(threads, s.pixels, [&](int64_t begin, int64_t end) {
    // Line after line: a panel's columns are too far apart for what a cache fetches by itself.
    fetch(kernel.typed_data(), s.channels * s.features);
    pointwise_kernels().product({begin, end, s.channels, s.features}, x.typed_data(), kernel.typed_data(),
                                y->typed_data());
  });
  return ffi::Error::Success();
}

// dx (..., C) and dkernel (..., C, F) from x (..., C), kernel (..., C, F) and dy (..., F).
ffi::Error pointwise_gradient_call(ffi::ThreadPool threads, Array x, Array kernel, Array dy, Result dx,
                                   Result dkernel) {
  ShapeCheck check("gradient of 1x1 convolution");
  const Sides s = sides_of(check, x, dy, kernel);
  check.expect("dx", dx, shape_of(x)).expect("dkernel", dkernel, shape_of(kernel));
  if (check.failed()) return check.error();
  const int64_t numbers = s.channels * s.features;
  float* const back = room<Kept::kTurned>(numbers);
  const auto turn_back = [&] { turn(threads, s.channels, s.features, kernel.typed_data(), back); };
  const auto multiply = [&](int64_t begin, int64_t end) {
    pointwise_kernels().product({begin, end, s.features, s.channels}, dy.typed_data(), back, dx->typed_data());
  };
  const Gradient g(s.pixels, s.channels, s.features);
  if (g.shares > 1) {
    turn_back();
    // What of dy is in the cache serves both.
    sum_up(threads, g, 1, dkernel->typed_data(), [&](int64_t share, int64_t, float* sums) {
      const int64_t first = g.begin(share);
      for_blocks(first, g.begin(share + 1), [&](int64_t begin, int64_t end) {
        // Where it is the larger part, x takes longer to come than what is computed with it.
        if (s.channels >= s.features) fetch(x.typed_data() + begin * s.channels, (end - begin) * s.channels);
        g.add(begin, end, begin > first, 0, g.broad(), x.typed_data(), dy.typed_data(), sums);
        multiply(begin, end);
      });
    });
    return ffi::Error::Success();
  }
  sum_up(threads, g, quotient_up(g.broad(), kItemColumns), dkernel->typed_data(),
         [&](int64_t, int64_t panel, float* sums) {
           const int64_t first = panel * kItemColumns;
           const Soon soon = panel == 0 ? Soon{kernel.typed_data(), numbers} : Soon{back, panel == 1 ? numbers : 0};
           g.add(0, s.pixels, false, first, std::min(kItemColumns, g.broad() - first), x.typed_data(),
                 dy.typed_data(), sums, soon);
         });
  turn_back();
  for_shares(threads, s.pixels, multiply);
  return ffi::Error::Success();
}

// Room for a block of windows and what is written beyond the last.
float* windows_room(int64_t depth) { return room<Kept::kWindows>(kBlockRows * depth + pointwise_kernels().lanes); }

Dense gathered_of(ShapeCheck& check, const Shape& x, const Shape& kernel, const Shape& y, int64_t stride, int64_t top,
             int64_t left) {
  Dense d = dense_of(check, x, kernel, y, stride, top, left);
  d.by_position = false;
  return d;
}

// y = x * kernel, each pixel's window being gathered.
ffi::Error gathered_call(ffi::ThreadPool threads, Array x, Array kernel, Result y, int64_t stride, int64_t top,
                    int64_t left) {
  ShapeCheck check("convolution");
  const Dense d = gathered_of(check, shape_of(x), shape_of(kernel), shape_of(*y), stride, top, left);
  if (check.failed()) return check.error();
  for_shares(threads, d.pixels(), [&](int64_t first, int64_t last) {
    float* const windows = windows_room(d.depth());
    for_blocks(first, last, [&](int64_t begin, int64_t end) {
      pointwise_kernels().gather(d, begin, end, x.typed_data(), windows);
      pointwise_kernels().product({0, end - begin, d.depth(), d.features}, windows, kernel.typed_data(),
                                  y->typed_data() + begin * d.features);
    });
  });
  return ffi::Error::Success();
}

ffi::Error gathered_dkernel_call(ffi::ThreadPool threads, Array x, Array dy, Result dkernel, int64_t stride,
                                 int64_t top, int64_t left) {
  ShapeCheck check("kernel gradient of convolution");
  const Dense d = gathered_of(check, shape_of(x), shape_of(*dkernel), shape_of(dy), stride, top, left);
  if (check.failed()) return check.error();
  const Gradient g(d.pixels(), d.depth(), d.features);
  sum_up(threads, g, 1, dkernel->typed_data(), [&](int64_t share, int64_t, float* sums) {
    float* const windows = windows_room(d.depth());
    const int64_t first = g.begin(share);
    for_blocks(first, g.begin(share + 1), [&](int64_t begin, int64_t end) {
      pointwise_kernels().gather(d, begin, end, x.typed_data(), windows);
      g.add(0, end - begin, begin > first, 0, g.broad(), windows, dy.typed_data() + begin * d.features, sums);
    });
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_pointwise, pointwise_call, (arrays_call<2, 1>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_pointwise_gradient, pointwise_gradient_call, (arrays_call<3, 2>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_gathered, gathered_call, window_call());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_gathered_dkernel, gathered_dkernel_call, window_call());

}  // namespace scaling_search
