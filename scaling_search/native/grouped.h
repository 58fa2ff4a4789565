// Grouped convolutions that gather nothing: what one instruction set offers for some lines of some groups. Images are
// NHWC float32, kernels HWIO.
//
// Like kernels.h, this header includes nothing that defines inline functions of the standard library.
#ifndef SCALING_SEARCH_NATIVE_GROUPED_H_
#define SCALING_SEARCH_NATIVE_GROUPED_H_

#include <stdint.h>

#include "kernels.h"

namespace scaling_search {

// A convolution in `groups` groups, each of window.channels channels to `features` features.
struct Grouped {
  Window window;
  int64_t images, groups, features;
  // Where results lie: output (row, column) is pixel (first_row + row * spread, first_column + column * spread) of an
  // image (full_height, full_width). In a convolution itself spread is 1 and the two images are one.
  int64_t full_height, full_width, first_row, first_column, spread;
  // A bundle is what registers hold together: as many whole groups as fit into one, or one group in several. Its
  // features take `width` floats, whole registers, of which the last may be filled up.
  int64_t bundle, width;

  int64_t taps() const { return window.rows * window.columns; }
  int64_t bundles() const { return (groups + bundle - 1) / bundle; }
  // Floats of a bundle's kernel as the kernels below take it: (rows, columns, channels, width).
  int64_t kernel() const { return taps() * window.channels * width; }
};

// Of one bundle, rows [row_begin, row_end) of the results of images [image_begin, image_end).
struct Share {
  int64_t bundle, image_begin, image_end, row_begin, row_end;
};

struct GroupedKernels {
  int64_t lanes;  // Floats of a register.
  // Floats of scratch that the next two need for results of so many rows.
  int64_t (*room)(const Grouped&, int64_t rows);
  // y = x * kernel, for a share; `kernel` is its bundle's.
  void (*forward)(const Grouped&, const Share&, const float* x, const float* kernel, float* y, float* scratch);
  // Adds a share's part to dkernel, its bundle's.
  void (*dkernel)(const Grouped&, const Share&, const float* x, const float* dy, float* dkernel, float* scratch);
};

// Those of the widest instructions that this CPU has.
const GroupedKernels& grouped_kernels();

SCALING_SEARCH_DECLARE(GroupedKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_GROUPED_H_
