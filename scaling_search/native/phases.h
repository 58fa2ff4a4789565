// The gradient of a convolution's input as convolutions of the result's gradient.
#ifndef SCALING_SEARCH_NATIVE_PHASES_H_
#define SCALING_SEARCH_NATIVE_PHASES_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels.h"
#include "shapes.h"

namespace scaling_search {

// Input pixels with the same remainder by the stride meet the same taps: each phase is a convolution of dy, at stride
// one, with those taps in reverse, channels and features exchanged.
struct InputPhase {
  Window window;
  int64_t row, column;        // The first pixel; the others are a stride apart.
  std::vector<int64_t> taps;  // Of the kernel, in the order in which the phase meets them.
};

inline std::vector<InputPhase> phases_of(const Window& w, int64_t features) {
  std::vector<InputPhase> phases;
  for (int64_t p = 0; p < std::min(w.stride, w.height); ++p) {
    const Phase down = phase_taps(p, w.top, w.stride, w.rows);
    for (int64_t q = 0; q < std::min(w.stride, w.width); ++q) {
      const Phase across = phase_taps(q, w.left, w.stride, w.columns);
      InputPhase phase{{w.out_height, w.out_width, features, quotient_up(w.height - p, w.stride),
                        quotient_up(w.width - q, w.stride), down.count, across.count, 1,
                        down.count - 1 - (p + w.top - down.first) / w.stride,
                        across.count - 1 - (q + w.left - across.first) / w.stride},
                       p,
                       q,
                       {}};
      for (int64_t i = down.count - 1; i >= 0; --i) {
        for (int64_t j = across.count - 1; j >= 0; --j) {
          phase.taps.push_back((down.first + i * w.stride) * w.columns + across.first + j * w.stride);
        }
      }
      phases.push_back(std::move(phase));
    }
  }
  return phases;
}

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_PHASES_H_
