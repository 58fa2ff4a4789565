// What XLA calls for dense convolutions, in float32. How work is cut into tiles depends on shapes alone, and so does
// the order of every sum.
#include <algorithm>
#include <memory>
#include <vector>

#include "dense_calls.h"
#include "parallel.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

constexpr Cut kCut{kTileRows, kTileColumns, kPartRows, 12};

// Room of a thread's own, kept for the next tile.
float* scratch() {
  static thread_local const Room<float> room = room_of<float>(kScratchFloats * sizeof(float));
  return room.get();
}

ffi::Error dense_call(ffi::ThreadPool threads, Array x, Array kernel, Result y, int64_t stride, int64_t top,
                      int64_t left) {
  ShapeCheck check("convolution");
  const Dense d = dense_of(check, shape_of(x), shape_of(kernel), shape_of(*y), stride, top, left);
  if (check.failed()) return check.error();
  const std::vector<Tile> tiles = tiles_of(kCut, d.pixels(), d.features, kFewestItems);
  parallel_for(threads, static_cast<int64_t>(tiles.size()), [&](int64_t i) {
    dense_kernels().forward(d, tiles[i], x.typed_data(), kernel.typed_data(), y->typed_data(), scratch());
  });
  return ffi::Error::Success();
}

ffi::Error dense_dx_call(ffi::ThreadPool threads, Array kernel, Array dy, Result dx, int64_t stride, int64_t top,
                         int64_t left) {
  ShapeCheck check("input gradient of convolution");
  const Dense d = dense_of(check, shape_of(*dx), shape_of(kernel), shape_of(dy), stride, top, left);
  if (check.failed()) return check.error();
  const int64_t channels = d.window.channels, features = d.features, tap_size = channels * features;

  struct Turn {
    int64_t from, to;
  };
  struct Item {
    const PhaseOf* phase;
    Tile tile;
  };
  std::vector<Turn> turns;
  std::vector<Item> items;
  const std::vector<PhaseOf> phases = dense_phases_of(d);
  for (const PhaseOf& phase : phases) {
    int64_t to = phase.kernel;
    for (const int64_t tap : phase.taps) {
      turns.push_back({tap * tap_size, to});
      to += tap_size;
    }
    for (const Tile& tile : tiles_of(kCut, phase.dense.pixels(), channels, kFewestItems))
      items.push_back({&phase, tile});
  }
  const std::unique_ptr<float[]> kernels(new float[kernel.element_count()]);
  constexpr int64_t kBand = 64;  // Channels of a tap that are turned at a time.
  const int64_t bands = quotient_up(channels, kBand);
  parallel_for(threads, static_cast<int64_t>(turns.size()) * bands, [&](int64_t i) {
    const int64_t first = i % bands * kBand;
    const Turn& turn = turns[i / bands];
    dense_kernels().transpose(std::min(kBand, channels - first), features,
                              kernel.typed_data() + turn.from + first * features, kernels.get() + turn.to + first,
                              channels);
  });
  parallel_for(threads, static_cast<int64_t>(items.size()), [&](int64_t i) {
    const auto& [phase, tile] = items[i];
    dense_kernels().forward(phase->dense, tile, dy.typed_data(), kernels.get() + phase->kernel, dx->typed_data(),
                            scratch());
  });
  return ffi::Error::Success();
}

ffi::Error dense_dkernel_call(ffi::ThreadPool threads, Array x, Array dy, Result dkernel, int64_t stride, int64_t top,
                              int64_t left) {
  ShapeCheck check("kernel gradient of convolution");
  const Dense d = dense_of(check, shape_of(x), shape_of(*dkernel), shape_of(dy), stride, top, left);
  if (check.failed()) return check.error();
  const int64_t pixels = d.pixels(), size = d.depth() * d.features;
  float* out = dkernel->typed_data();
  if (pixels == 0) {
    std::fill(out, out + size, 0.0f);
    return ffi::Error::Success();
  }

  // Small kernels have few tiles: pixels are shared out as well, and the shares' sums are added in order.
  const int64_t largest = quotient_up(d.depth(), kTileRows) * quotient_up(d.features, kTileColumns);
  const int64_t shares =
      std::max<int64_t>(1, std::min(quotient_up(kFewestItems, largest), pixels / (2 * kTileDepth)));
  const std::vector<Tile> tiles = tiles_of(kCut, d.depth(), d.features, quotient_up(kFewestItems, shares));
  const int64_t count = static_cast<int64_t>(tiles.size());
  const std::unique_ptr<float[]> partial(new float[(shares - 1) * size]);
  parallel_for(threads, shares * count, [&](int64_t i) {
    const int64_t share = i / count;
    float* sums = share ? partial.get() + (share - 1) * size : out;
    dense_kernels().dkernel(d, tiles[i % count], pixels * share / shares, pixels * (share + 1) / shares, x.typed_data(),
                            dy.typed_data(), sums, scratch());
  });
  constexpr int64_t kPiece = 1 << 14;
  if (shares > 1) {
    parallel_for(threads, quotient_up(size, kPiece), [&](int64_t i) {
      for (int64_t share = 1; share < shares; ++share) {
        const float* from = partial.get() + (share - 1) * size;
        for (int64_t n = i * kPiece; n < std::min(size, (i + 1) * kPiece); ++n) out[n] += from[n];
      }
    });
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_dense, dense_call, window_call());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_dense_dx, dense_dx_call, window_call());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_dense_dkernel, dense_dkernel_call, window_call());

}  // namespace scaling_search
