// What XLA calls for convolutions in bfloat16, where the CPU multiplies tiles of it. How work is cut depends on shapes
// alone, and so does the order of every sum.
#include <vector>

#if defined(__linux__) && defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "amx.h"
#include "dense_calls.h"
#include "parallel.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

constexpr Cut kCut{kAmxRows, kAmxColumns, 64, kAmxBlock};
constexpr int64_t kStripe = 16;  // Rows that are finished at a time.

// A thread's own, kept for the next tile.
void* scratch() {
  static thread_local const Room<char> room = room_of<char>(kAmxScratchBytes);
  return room.get();
}

int64_t filled(int64_t size) { return quotient_up(size, kAmxBlock) * kAmxBlock; }

ffi::Error amx_call(ffi::ThreadPool threads, HalfArray x, HalfArray kernel, HalfResult y, int64_t stride, int64_t top,
                    int64_t left) {
  ShapeCheck check("convolution in bfloat16");
  const Dense d = dense_of(check, shape_of(x), shape_of(kernel), shape_of(*y), stride, top, left);
  if (check.failed()) return check.error();
  const Room<Bfloat16> panels = room_of<Bfloat16>(2 * filled(d.depth()) * filled(d.features));
  parallel_for(threads, quotient_up(d.depth(), kAmxBlock), [&](int64_t block) {
    kAmxKernels->pack(d.depth(), d.features, block, numbers(kernel), panels.get());
  });
  const std::vector<Tile> tiles = tiles_of(kCut, d.pixels(), d.features, kFewestItems);
  parallel_for(threads, static_cast<int64_t>(tiles.size()), [&](int64_t i) {
    kAmxKernels->forward(d, tiles[i], numbers(x), panels.get(), numbers(y), scratch());
  });
  return ffi::Error::Success();
}

ffi::Error amx_dx_call(ffi::ThreadPool threads, HalfArray kernel, HalfArray dy, HalfResult dx, int64_t stride,
                       int64_t top, int64_t left) {
  ShapeCheck check("input gradient of convolution in bfloat16");
  const Dense d = dense_of(check, shape_of(*dx), shape_of(kernel), shape_of(dy), stride, top, left);
  if (check.failed()) return check.error();
  const int64_t channels = d.window.channels;

  struct Block {
    const PhaseOf* phase;
    int64_t panels, block;
  };
  struct Item {
    const PhaseOf* phase;
    int64_t panels;
    Tile tile;
  };
  std::vector<Block> blocks;
  std::vector<Item> items;
  int64_t size = 0;
  const std::vector<PhaseOf> phases = dense_phases_of(d);
  for (const PhaseOf& phase : phases) {
    const int64_t depth = phase.dense.depth();
    for (int64_t block = 0; block < quotient_up(depth, kAmxBlock); ++block) blocks.push_back({&phase, size, block});
    for (const Tile& tile : tiles_of(kCut, phase.dense.pixels(), channels, kFewestItems)) {
      items.push_back({&phase, size, tile});
    }
    size += filled(depth) * filled(channels);
  }
  const Room<Bfloat16> panels = room_of<Bfloat16>(2 * size);
  parallel_for(threads, static_cast<int64_t>(blocks.size()), [&](int64_t i) {
    const auto& [phase, place, block] = blocks[i];
    kAmxKernels->pack_turned(phase->taps.data(), static_cast<int64_t>(phase->taps.size()), channels, d.features, block,
                             numbers(kernel), panels.get() + place);
  });
  parallel_for(threads, static_cast<int64_t>(items.size()), [&](int64_t i) {
    const auto& [phase, place, tile] = items[i];
    kAmxKernels->forward(phase->dense, tile, numbers(dy), panels.get() + place, numbers(dx), scratch());
  });
  return ffi::Error::Success();
}

ffi::Error amx_dkernel_call(ffi::ThreadPool threads, HalfArray x, HalfArray dy, HalfResult dkernel, int64_t stride,
                            int64_t top, int64_t left) {
  ShapeCheck check("kernel gradient of convolution in bfloat16");
  const Dense d = dense_of(check, shape_of(x), shape_of(*dkernel), shape_of(dy), stride, top, left);
  if (check.failed()) return check.error();
  const int64_t pixels = d.pixels(), depth = d.depth(), pitch = filled(depth), size = filled(d.features) * pitch;
  Bfloat16* const out = numbers(dkernel);
  if (pixels == 0) {
    std::fill(out, out + depth * d.features, Bfloat16{0});
    return ffi::Error::Success();
  }

  // Small kernels have few tiles: pixels are shared out as well, and the shares' sums are added in order.
  const int64_t largest = quotient_up(d.features, kAmxRows) * quotient_up(depth, kAmxColumns);
  const int64_t shares = std::max<int64_t>(1, std::min(quotient_up(kFewestItems, largest), pixels / (2 * kAmxDepth)));
  const std::vector<Tile> tiles = tiles_of(kCut, d.features, depth, quotient_up(kFewestItems, shares));
  const int64_t count = static_cast<int64_t>(tiles.size());
  const Room<float> sums = room_of<float>(4 * shares * size);
  parallel_for(threads, shares * count, [&](int64_t i) {
    const int64_t share = i / count;
    const Tile& tile = tiles[i % count];
    kAmxKernels->dkernel(d, tile, pixels * share / shares, pixels * (share + 1) / shares, numbers(x), numbers(dy),
                         sums.get() + share * size + tile.row * pitch + tile.column, pitch, scratch());
  });
  parallel_for(threads, quotient_up(depth, kStripe), [&](int64_t i) {
    kAmxKernels->finish(i * kStripe, depth, d.features, shares, size, pitch, sums.get(), out);
  });
  return ffi::Error::Success();
}

// Whether the CPU has tiles of bfloat16 and the system lets this process use them.
bool has_amx() {
#if defined(__linux__) && defined(__x86_64__)
  unsigned a, b, c, d;
  if (kAmxKernels == nullptr || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kTile = 1u << 24, kBfloat16 = 1u << 22, kAvx512Bfloat16 = 1u << 5;
  if (!(d & kTile) || !(d & kBfloat16)) return false;
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & kAvx512Bfloat16)) return false;
  constexpr long kAskForState = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_amx, amx_call, window_call<HalfArray>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_amx_dx, amx_dx_call, window_call<HalfArray>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_amx_dkernel, amx_dkernel_call, window_call<HalfArray>());

// For the loader; asks the system, so it is to be called before anything is computed.
extern "C" int scaling_search_has_amx() { return has_amx(); }

}  // namespace scaling_search
