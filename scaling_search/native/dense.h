// Dense convolutions as matrix products whose left side is gathered tile by tile, never whole: what one instruction set
// offers for a tile, and how tiles are cut. Images are NHWC float32, kernels HWIO.
//
// Like kernels.h, this header includes nothing that defines inline functions of the standard library.
#ifndef SCALING_SEARCH_NATIVE_DENSE_H_
#define SCALING_SEARCH_NATIVE_DENSE_H_

#include <stdint.h>

#include "kernels.h"

namespace scaling_search {

// A convolution of images (height, width, channels) with a kernel (rows, columns, channels, features).
struct Dense {
  Window window;
  int64_t images, features;
  // Where results lie: output (row, column) is pixel (first_row + row * spread, first_column + column * spread) of an
  // image (full_height, full_width). In a convolution itself spread is 1 and the two images are one.
  int64_t full_height, full_width, first_row, first_column, spread;
  // Pixels in the order (row, column, image) rather than (image, row, column): neighbours in that order miss the same
  // taps outside the image, which then cost nothing.
  bool by_position;

  int64_t depth() const { return window.rows * window.columns * window.channels; }
  int64_t pixels() const { return images * window.out_height * window.out_width; }
};

// Rows [row, row + rows) and columns [column, column + columns) of a product's result.
struct Tile {
  int64_t row, rows, column, columns;
};

// A tile at its largest. The sum goes by blocks of kTileDepth, of which kTileColumns of the right side and kPartRows of
// the left one are packed at a time, to stay in a core's second cache.
constexpr int64_t kTileRows = 576, kTileColumns = 128, kTileDepth = 256, kPartRows = 144;
constexpr int64_t kScratchFloats = (kPartRows + 16) * (kTileDepth + 16) + kTileColumns * kTileDepth;

struct DenseKernels {
  // y = x * kernel, for a tile of (pixels, features). `scratch` has kScratchFloats.
  void (*forward)(const Dense&, const Tile&, const float* x, const float* kernel, float* y, float* scratch);
  // dkernel, for a tile of (rows * columns * channels, features), summed over pixels [begin, end) of the results.
  void (*dkernel)(const Dense&, const Tile&, int64_t begin, int64_t end, const float* x, const float* dy,
                  float* dkernel, float* scratch);
  // out (columns, rows), with rows `pitch` apart, of a matrix (rows, columns).
  void (*transpose)(int64_t rows, int64_t columns, const float* matrix, float* out, int64_t pitch);
};

// Those of the widest instructions that this CPU has.
const DenseKernels& dense_kernels();

SCALING_SEARCH_DECLARE(DenseKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_DENSE_H_
