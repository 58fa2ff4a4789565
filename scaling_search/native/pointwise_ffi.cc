// What XLA calls for the kernel gradient of a 1x1 convolution: the check of shapes and the split into items.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are.
#include <algorithm>
#include <memory>

#include "dense.h"
#include "parallel.h"
#include "pointwise.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

// Of a product's broad side, and of its rows: a share of work. Each share of rows has sums of its own.
constexpr int64_t kItemColumns = 192, kItemRows = 1024, kMostShares = 16;
constexpr int64_t kItemSums =
    16;  // Rows of the result that are added up, or turned, at a time: a cache's line of them.

bool fits(int64_t narrow, int64_t broad) { return narrow % kNarrowBlock == 0 && broad % kBroadBlock == 0; }

// dkernel (..., C, F) from x (..., C) and dy (..., F).
ffi::Error pointwise_dkernel_call(ffi::ThreadPool threads, Array x, Array dy, Result dkernel) {
  ShapeCheck check("kernel gradient of 1x1 convolution");
  const Shape in = shape_of(x), out = shape_of(dy), kernel = shape_of(*dkernel);
  check.require(!in.empty() && !out.empty() && kernel.size() >= 2, "too few dimensions");
  if (check.failed()) return check.error();
  const int64_t channels = in.back(), features = out.back();
  const auto count = static_cast<int64_t>(channels > 0 ? x.element_count() / channels : 0);
  check.require(static_cast<int64_t>(dkernel->element_count()) == channels * features && kernel.back() == features,
                "dkernel has shape " + to_string(kernel));
  check.require(static_cast<int64_t>(dy.element_count()) == count * features, "dy has shape " + to_string(out));
  check.require(fits(channels, features) || fits(features, channels), "the channels are no multiples of 8 and 16");
  if (check.failed()) return check.error();

  if (count == 0) {
    std::fill_n(dkernel->typed_data(), channels * features, 0.0f);
    return ffi::Error::Success();
  }

  // The result's rows are the narrow side's channels; where these are the features, it is transposed afterwards.
  const bool turned = !fits(channels, features) || (fits(features, channels) && features < channels);
  const int64_t narrow = turned ? features : channels, broad = turned ? channels : features, size = narrow * broad;
  const float* left = (turned ? dy : x).typed_data();
  const float* right = (turned ? x : dy).typed_data();
  const int64_t shares = std::max<int64_t>(1, std::min(count / kItemRows, kMostShares));
  const int64_t panels = quotient_up(broad, kItemColumns);
  const bool direct = shares == 1 && !turned;
  const std::unique_ptr<float[]> partial(direct ? nullptr : new float[shares * size]);
  float* const sums = direct ? dkernel->typed_data() : partial.get();
  parallel_for(threads, shares * panels, [&](int64_t item) {
    const int64_t share = item / panels, first = item % panels * kItemColumns;
    const int64_t columns = std::min(kItemColumns, broad - first);
    pointwise_kernels().dkernel({count * share / shares, count * (share + 1) / shares, narrow, broad, columns}, left,
                                right + first, sums + share * size + first);
  });
  if (direct) return ffi::Error::Success();
  parallel_for(threads, quotient_up(narrow, kItemSums), [&](int64_t item) {
    const int64_t first = item * kItemSums, rows = std::min(kItemSums, narrow - first);
    float* const begin = sums + first * broad;
    for (int64_t share = 1; share < shares; ++share) {
      for (int64_t i = 0; i < rows * broad; ++i) begin[i] += begin[share * size + i];
    }
    if (turned) {
      dense_kernels().transpose(rows, broad, begin, dkernel->typed_data() + first, narrow);
    } else {
      std::copy_n(begin, rows * broad, dkernel->typed_data() + first * broad);
    }
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_pointwise_dkernel, pointwise_dkernel_call, (arrays_call<2, 1>()));

}  // namespace scaling_search
