// A step of RMSProp with momentum, compiled once for each instruction set (see rmsprop.h and setup.py).
#include "rmsprop.h"

#include "lanes.h"

namespace scaling_search {
namespace {

INLINE float root(float x) { return __builtin_sqrtf(x); }

template <class V>
INLINE V root(V x) {
  for (int n = 0; n < Traits<V>::kWidth; ++n) x[n] = __builtin_sqrtf(x[n]);
  return x;
}

#if defined(__AVX512F__)
// By a mask of all, as GCC 12 warns of its own header otherwise.
INLINE WideFloat root(WideFloat x) { return _mm512_maskz_sqrt_ps(0xffff, x); }
#elif defined(__AVX2__)
INLINE WideFloat root(WideFloat x) { return _mm256_sqrt_ps(x); }
#endif

void step(const RmsProp& rule, int64_t count, const float* gradients, const float* parameters, const float* squares,
          const float* updates, float* new_squares, float* new_updates) {
  const RmsProp r = rule;
  for_blocks(count, [&](auto zero, int64_t n) __attribute__((always_inline)) {
    using V = decltype(zero);
    const V gradient = load<V>(gradients + n) + load<V>(parameters + n) * r.weight_decay;
    const V square = load<V>(squares + n) * r.decay + gradient * gradient * (1 - r.decay);
    store<V>(new_squares + n, square);
    store<V>(new_updates + n, load<V>(updates + n) * r.momentum - gradient / root(square + r.epsilon) * r.rate);
  });
}

}  // namespace

const RmsPropKernels SCALING_SEARCH_TABLE(RmsPropKernels) = {step};

}  // namespace scaling_search
