// A batch norm, what it is added to, and a ReLU, compiled once for each instruction set (see residual.h and setup.py).
#include "residual.h"

#include "activations.h"
#include "lanes.h"

namespace scaling_search {
namespace {

template <class T>
void normalise_onto(const Rows& r, const T* x, const float* factor, const float* offset, const T* shortcut, T* y) {
  for_elements(
        r.begin * r.channels, r.end * r.channels, r.line,
        [&](auto part, int64_t at, int64_t c) __attribute__((always_inline)) {
    const WideFloat z = load(part, x + at) * load(part, factor + c) + load(part, offset + c);
    store(part, y + at, activate<Activation::kRelu>(load(part, shortcut + at) + z));
  });
}

}  // namespace

const ResidualKernels SCALING_SEARCH_TABLE(ResidualKernels) = {normalise_onto<float>};
const HalfResidualKernels SCALING_SEARCH_TABLE(HalfResidualKernels) = {normalise_onto<Bfloat16>};

}  // namespace scaling_search
