// What XLA calls for dense convolutions, in float32. How work is cut into tiles depends on shapes alone, and so does the
// order of every sum.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "dense.h"
#include "parallel.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

constexpr int64_t kSmallImage = 144;  // Pixels.
constexpr int64_t kFewestItems = 16;  // Of a call, as far as its shapes allow: enough for as many cores.

// Room of a thread's own, kept for the next tile.
float* scratch() {
  struct Free {
    void operator()(float* room) const { std::free(room); }
  };
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kBytes = (kScratchFloats * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  static thread_local std::unique_ptr<float, Free> room(static_cast<float*>(std::aligned_alloc(kAlignment, kBytes)));
  if (!room) throw std::bad_alloc();
  return room.get();
}

// Tiles that cover (rows, columns): as large as can be, but at least `fewest` where that leaves them kPartRows rows and
// 64 columns.
std::vector<Tile> tiles_of(int64_t rows, int64_t columns, int64_t fewest) {
  int64_t down = quotient_up(rows, kTileRows), across = quotient_up(columns, kTileColumns);
  while (down * across < fewest) {
    if (rows / down >= 2 * kPartRows) {
      down *= 2;
    } else if (columns / across >= 128) {
      across *= 2;
    } else {
      break;
    }
  }
  const int64_t height = quotient_up(quotient_up(rows, down), 12) * 12;
  const int64_t width = quotient_up(quotient_up(columns, across), 32) * 32;
  std::vector<Tile> tiles;
  for (int64_t column = 0; column < columns; column += width) {
    for (int64_t row = 0; row < rows; row += height) {
      tiles.push_back({row, std::min(height, rows - row), column, std::min(width, columns - column)});
    }
  }
  return tiles;
}

// Whether many pixels have taps outside the image. In larger images their order would rather keep what is close together.
bool is_small(const Window& w) {
  return w.rows * w.columns > 1 && w.out_height * w.out_width <= kSmallImage;
}

// Convolutions of blocks of channels to blocks of features, each with a kernel of its own: (K, K, C, F) is one, of all
// channels, and (B, K, K, C, F) as many as it says.
struct Blocks {
  Dense dense;
  int64_t count;

  int64_t kernel() const { return dense.depth() * dense.features; }
};

Blocks blocks_of(ShapeCheck& check, const Shape& x, const Shape& kernel, const Shape& y, int64_t stride, int64_t top,
                 int64_t left) {
  check.require(x.size() == 4 && y.size() == 4, "images must have four dimensions");
  check.require(kernel.size() == 4 || kernel.size() == 5, "kernel must have four or five dimensions");
  check.require(stride >= 1, "stride must be at least 1");
  if (check.failed()) return {};
  const int64_t count = kernel.size() == 5 ? kernel[0] : 1;
  check.require(count > 0, "there must be a block");
  if (check.failed()) return {};
  Shape needed(kernel.begin(), kernel.end() - 2);
  needed.insert(needed.end(), {x[3] / count, y[3] / count});
  check.expect("kernel", kernel, needed).expect("output", y, {x[0], y[1], y[2], y[3]});
  check.require(x[3] % count == 0 && y[3] % count == 0, "blocks do not divide channels and features");
  const int64_t rows = needed[needed.size() - 4], columns = needed[needed.size() - 3];
  const Window window{x[1], x[2], x[3] / count, y[1], y[2], rows, columns, stride, top, left};
  return {{window, x[0], y[3] / count, x[3], y[3], y[1], y[2], 0, 0, 1, is_small(window)}, count};
}

ffi::Error dense_call(ffi::ThreadPool threads, Array x, Array kernel, Result y, int64_t stride, int64_t top,
                      int64_t left) {
  ShapeCheck check("convolution");
  const Blocks blocks = blocks_of(check, shape_of(x), shape_of(kernel), shape_of(*y), stride, top, left);
  if (check.failed()) return check.error();
  const Dense& d = blocks.dense;
  const std::vector<Tile> tiles = tiles_of(d.pixels(), d.features, quotient_up(kFewestItems, blocks.count));
  const int64_t count = static_cast<int64_t>(tiles.size());
  // All blocks of the same pixels one after another, as they lie beside each other.
  parallel_for(threads, count * blocks.count, [&](int64_t i) {
    const int64_t block = i % blocks.count;
    dense_kernels().forward(d, tiles[i / blocks.count], x.typed_data() + block * d.window.channels,
                            kernel.typed_data() + block * blocks.kernel(), y->typed_data() + block * d.features,
                            scratch());
  });
  return ffi::Error::Success();
}

// Input pixels with the same remainder by the stride meet the same taps: each phase is a convolution of dy, at stride
// one, with those taps in reverse, channels and features exchanged.
struct PhaseOf {
  Dense dense;
  std::vector<int64_t> taps;  // Of the kernel, in the order in which the phase meets them.
  int64_t kernel;             // Where its kernel begins among those of all phases.
};

std::vector<PhaseOf> phases_of(const Dense& d) {
  const Window& w = d.window;
  std::vector<PhaseOf> phases;
  int64_t kernel = 0;
  for (int64_t p = 0; p < std::min(w.stride, w.height); ++p) {
    const Phase down = phase_taps(p, w.top, w.stride, w.rows);
    for (int64_t q = 0; q < std::min(w.stride, w.width); ++q) {
      const Phase across = phase_taps(q, w.left, w.stride, w.columns);
      PhaseOf phase{};
      for (int64_t i = down.count - 1; i >= 0; --i) {
        for (int64_t j = across.count - 1; j >= 0; --j) {
          phase.taps.push_back((down.first + i * w.stride) * w.columns + across.first + j * w.stride);
        }
      }
      const Window window{w.out_height,
                          w.out_width,
                          d.features,
                          quotient_up(w.height - p, w.stride),
                          quotient_up(w.width - q, w.stride),
                          down.count,
                          across.count,
                          1,
                          down.count - 1 - (p + w.top - down.first) / w.stride,
                          across.count - 1 - (q + w.left - across.first) / w.stride};
      phase.dense = {window,   d.images, w.channels, d.out_pitch, d.pitch,           w.height,
                     w.width, p,        q,          w.stride,    is_small(window)};
      phase.kernel = kernel;
      kernel += static_cast<int64_t>(phase.taps.size()) * w.channels * d.features;
      phases.push_back(std::move(phase));
    }
  }
  return phases;
}

ffi::Error dense_dx_call(ffi::ThreadPool threads, Array kernel, Array dy, Result dx, int64_t stride, int64_t top,
                         int64_t left) {
  ShapeCheck check("input gradient of convolution");
  const Blocks blocks = blocks_of(check, shape_of(*dx), shape_of(kernel), shape_of(dy), stride, top, left);
  if (check.failed()) return check.error();
  const Dense& d = blocks.dense;
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
  const std::vector<PhaseOf> phases = phases_of(d);
  for (const PhaseOf& phase : phases) {
    int64_t to = phase.kernel;
    for (const int64_t tap : phase.taps) {
      turns.push_back({tap * tap_size, to});
      to += tap_size;
    }
    for (const Tile& tile : tiles_of(phase.dense.pixels(), channels, quotient_up(kFewestItems, blocks.count))) {
      items.push_back({&phase, tile});
    }
  }
  const std::unique_ptr<float[]> kernels(new float[blocks.count * blocks.kernel()]);
  constexpr int64_t kBand = 64;  // Channels of a tap that are turned at a time.
  const int64_t bands = quotient_up(channels, kBand), turned = static_cast<int64_t>(turns.size()) * bands;
  parallel_for(threads, blocks.count * turned, [&](int64_t i) {
    const int64_t block = i / turned * blocks.kernel(), first = i % bands * kBand;
    const Turn& turn = turns[i % turned / bands];
    dense_kernels().transpose(std::min(kBand, channels - first), features,
                              kernel.typed_data() + block + turn.from + first * features,
                              kernels.get() + block + turn.to + first, channels);
  });
  parallel_for(threads, static_cast<int64_t>(items.size()) * blocks.count, [&](int64_t i) {
    const int64_t block = i % blocks.count;
    const auto& [phase, tile] = items[i / blocks.count];
    dense_kernels().forward(phase->dense, tile, dy.typed_data() + block * features,
                            kernels.get() + block * blocks.kernel() + phase->kernel,
                            dx->typed_data() + block * channels, scratch());
  });
  return ffi::Error::Success();
}

ffi::Error dense_dkernel_call(ffi::ThreadPool threads, Array x, Array dy, Result dkernel, int64_t stride, int64_t top,
                              int64_t left) {
  ShapeCheck check("kernel gradient of convolution");
  const Blocks blocks = blocks_of(check, shape_of(x), shape_of(*dkernel), shape_of(dy), stride, top, left);
  if (check.failed()) return check.error();
  const Dense& d = blocks.dense;
  const int64_t pixels = d.pixels(), size = blocks.count * blocks.kernel();
  float* out = dkernel->typed_data();
  if (pixels == 0) {
    std::fill(out, out + size, 0.0f);
    return ffi::Error::Success();
  }

  // Small kernels have few tiles: pixels are shared out as well, and the shares' sums are added in order.
  const int64_t largest = blocks.count * quotient_up(d.depth(), kTileRows) * quotient_up(d.features, kTileColumns);
  const int64_t shares =
      std::max<int64_t>(1, std::min(quotient_up(kFewestItems, largest), pixels / (2 * kTileDepth)));
  const std::vector<Tile> tiles = tiles_of(d.depth(), d.features, quotient_up(kFewestItems, shares * blocks.count));
  const int64_t count = static_cast<int64_t>(tiles.size()) * blocks.count;
  const std::unique_ptr<float[]> partial(new float[(shares - 1) * size]);
  parallel_for(threads, shares * count, [&](int64_t i) {
    const int64_t share = i / count, block = i % blocks.count;
    float* sums = share ? partial.get() + (share - 1) * size : out;
    dense_kernels().dkernel(d, tiles[i % count / blocks.count], pixels * share / shares, pixels * (share + 1) / shares,
                            x.typed_data() + block * d.window.channels, dy.typed_data() + block * d.features,
                            sums + block * blocks.kernel(), scratch());
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
