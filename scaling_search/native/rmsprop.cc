// A step of RMSProp with momentum, compiled once for each instruction set (see rmsprop.h and setup.py).
#include "rmsprop.h"

#include "lanes.h"

namespace scaling_search {
namespace {

INLINE WideFloat root(WideFloat x) {
#if defined(__AVX512F__)
  // By a mask of all, as GCC 12 warns of its own header otherwise.
  return _mm512_maskz_sqrt_ps(0xffff, x);
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#else
  for (int n = 0; n < kLanes; ++n) x[n] = __builtin_sqrtf(x[n]);
  return x;
#endif
}

// How far ahead of what is computed memory is fetched: a page, at whose end what a CPU fetches by itself stops.
constexpr int64_t kAhead = 1024;

void step(const RmsProp& rule, int64_t count, const float* gradients, const RmsPropVectors& vectors) {
  const RmsProp r = rule;
  const RmsPropVectors v = vectors;
  for_blocks(count, [&](auto part, int64_t n) __attribute__((always_inline)) {
    __builtin_prefetch(gradients + n + kAhead);
    __builtin_prefetch(v.parameters + n + kAhead, 1);
    __builtin_prefetch(v.squares + n + kAhead, 1);
    __builtin_prefetch(v.updates + n + kAhead, 1);
    __builtin_prefetch(v.averages + n + kAhead, 1);
    const WideFloat parameter = load(part, v.parameters + n);
    const WideFloat gradient = load(part, gradients + n) + parameter * r.weight_decay;
    const WideFloat square = load(part, v.squares + n) * r.decay + gradient * gradient * (1 - r.decay);
    const WideFloat update = load(part, v.updates + n) * r.momentum - gradient / root(square + r.epsilon) * r.rate;
    const WideFloat moved = parameter + update;
    store(part, v.new_squares + n, square);
    store(part, v.new_updates + n, update);
    store(part, v.new_parameters + n, moved);
    store(part, v.new_averages + n, load(part, v.averages + n) * r.keep + moved * (1 - r.keep));
  });
}

}  // namespace

const RmsPropKernels SCALING_SEARCH_TABLE(RmsPropKernels) = {step};

}  // namespace scaling_search
