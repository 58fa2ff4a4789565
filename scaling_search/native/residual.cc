// A batch norm, what it is added to, and a ReLU, compiled once for each instruction set (see residual.h and setup.py).
#include "residual.h"

#include "activations.h"
#include "lanes.h"

namespace scaling_search {
namespace {

template <class T>
void normalise_onto(const Rows& r, const T* x, const float* factor, const float* offset, const T* shortcut, T* y) {
  for (int64_t row = r.begin; row < r.end; ++row) {
    const int64_t at = row * r.channels;
    for_blocks(r.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
      using V = decltype(zero);
      const V z = load<V>(x + at + c) * load<V>(factor + c) + load<V>(offset + c);
      store<V>(y + at + c, activate<V, Activation::kRelu>(load<V>(shortcut + at + c) + z));
    });
  }
}

}  // namespace

const ResidualKernels SCALING_SEARCH_TABLE(ResidualKernels) = {normalise_onto<float>};
const HalfResidualKernels SCALING_SEARCH_TABLE(HalfResidualKernels) = {normalise_onto<Bfloat16>};

}  // namespace scaling_search
