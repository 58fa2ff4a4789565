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

void step(const RmsProp& rule, int64_t count, const float* gradients, const RmsPropVectors& vectors) {
  const RmsProp r = rule;
  const RmsPropVectors v = vectors;
  for_blocks(count, [&](auto zero, int64_t n) __attribute__((always_inline)) {
    using V = decltype(zero);
    const V parameter = load<V>(v.parameters + n);
    const V gradient = load<V>(gradients + n) + parameter * r.weight_decay;
    const V square = load<V>(v.squares + n) * r.decay + gradient * gradient * (1 - r.decay);
    const V update = load<V>(v.updates + n) * r.momentum - gradient / root(square + r.epsilon) * r.rate;
    const V moved = parameter + update;
    store<V>(v.new_squares + n, square);
    store<V>(v.new_updates + n, update);
    store<V>(v.new_parameters + n, moved);
    store<V>(v.new_averages + n, load<V>(v.averages + n) * r.keep + moved * (1 - r.keep));
  });
}

}  // namespace

const RmsPropKernels SCALING_SEARCH_TABLE(RmsPropKernels) = {step};

}  // namespace scaling_search
