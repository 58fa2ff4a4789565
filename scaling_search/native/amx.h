// Matrix products in bfloat16 by the tile instructions of x86-64 (AMX), which sum in float32: convolutions and their
// gradients. A tile has 16 rows of 16 pairs; a product goes by blocks of 32 rows, 32 columns and 32 steps.
//
// A right side lies in panels of 32 columns, block of steps by block of steps, each as two tiles that hold the pairs of
// steps (2 n, 2 n + 1) of a column next to each other; zeros fill up what is no whole block.
#ifndef SCALING_SEARCH_NATIVE_AMX_H_
#define SCALING_SEARCH_NATIVE_AMX_H_

#include <stdint.h>

#include "bfloat16.h"
#include "dense.h"

namespace scaling_search {

constexpr int64_t kAmxBlock = 32;
// A tile of the result at its largest, and the steps that are summed before the next ones are packed.
constexpr int64_t kAmxRows = 256, kAmxColumns = 256, kAmxDepth = 512;
constexpr int64_t kAmxPitch = kAmxDepth + kAmxBlock;
constexpr int64_t kAmxScratchBytes = 2 * kAmxBlock * kAmxPitch + 4 * kAmxRows * kAmxColumns +
                                     2 * (kAmxRows + kAmxColumns) * kAmxDepth + 8 * kAmxColumns;

struct AmxKernels {
  // Block of steps `block` of a matrix (depth, columns), into the panels of all.
  void (*pack)(int64_t depth, int64_t columns, int64_t block, const Bfloat16* matrix, Bfloat16* panels);
  // The same of a kernel's (taps, channels, features) as a matrix (taps * features, channels), for the taps listed.
  void (*pack_turned)(const int64_t* taps, int64_t count, int64_t channels, int64_t features, int64_t block,
                      const Bfloat16* kernel, Bfloat16* panels);
  // y = x * kernel, for a tile of (pixels, features). `scratch` has kAmxScratchBytes.
  void (*forward)(const Dense&, const Tile&, const Bfloat16* x, const Bfloat16* panels, Bfloat16* y, void* scratch);
  // A tile of (features, rows * columns * channels) of the kernel's gradient, turned: sums over pixels [begin, end) of
  // the result into rows `pitch` apart, where whole blocks have room.
  void (*dkernel)(const Dense&, const Tile&, int64_t begin, int64_t end, const Bfloat16* x, const Bfloat16* dy,
                  float* sums, int64_t pitch, void* scratch);
  // Rows [first, first + 16) of the kernel's gradient (depth, features) from `count` such sums, `size` apart, in order.
  void (*finish)(int64_t first, int64_t depth, int64_t features, int64_t count, int64_t size, int64_t pitch,
                 const float* sums, Bfloat16* dkernel);
};

// Nothing where the compiler had no such instructions.
extern const AmxKernels* const kAmxKernels;

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_AMX_H_
